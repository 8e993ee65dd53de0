"""In development the server answers loopback names alone: a page that rebinds its name here would read the mailbox."""

from urllib.parse import urlsplit

from flask import redirect, request
from werkzeug import Response

from authserver.errors import ApiError
from authserver.extensions import current_settings
from authserver.values import is_loopback


def refuse_foreign_host() -> None:
    if not is_loopback(urlsplit(f"//{request.host}").hostname):
        raise ApiError("not_found", "In development this server answers to localhost alone.")


def at_public_url() -> Response | None:
    """A page under another loopback name leads to the public URL: there alone its buttons are accepted."""
    public = current_settings().public_url
    asked, there = urlsplit(request.host_url).hostname, urlsplit(public).hostname
    return None if asked == there or not is_loopback(there) else redirect(public + request.path)
