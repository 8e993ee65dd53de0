"""In development the server answers loopback names alone: a page that rebinds its name here would read the mailbox."""

from urllib.parse import urlsplit

from flask import request

from authserver.errors import ApiError
from authserver.values import is_loopback


def refuse_foreign_host() -> None:
    if not is_loopback(urlsplit(f"//{request.host}").hostname):
        raise ApiError("not_found", "In development this server answers to localhost alone.")
