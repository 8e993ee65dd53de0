"""What a page's form sends: accepted from our own pages only, strict as a JSON body is."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from flask import request

from authserver.body import Body, whole_body
from authserver.errors import ApiError
from authserver.extensions import current_settings

MOST_FIELDS = 20
CODES = {"token", "invitation"}  # what a mail brings


class NoBody(Body):
    """A form of one button."""


def require_own_origin() -> None:
    """Raises `origin_not_allowed` for a form that another page sent, be it of an origin that CORS allows."""
    origin = request.headers.get("Origin")
    if origin is None and request.headers.get("Sec-Fetch-Site") == "same-origin":
        return
    if origin != current_settings().public_url:
        raise ApiError("origin_not_allowed")


def fields() -> dict[str, str]:
    """The form's fields; raises `invalid_request` for what no form of ours sends."""
    if request.mimetype != "application/x-www-form-urlencoded":
        raise ApiError("invalid_request", "Send the page's own form.")
    try:
        # Werkzeug would put U+FFFD for bytes that are not UTF-8: two passwords could be one.
        pairs = parse_qsl(
            whole_body().decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
        )
        sent = dict(pairs)
        if len(sent) != len(pairs):
            raise ValueError("a field came twice")
    except ValueError:
        raise ApiError("invalid_request", "Send the page's own form.") from None
    tidied = {name: _tidy(value) if name in CODES else value for name, value in sent.items()}
    if tidied.get("invitation") == "":  # a field that may be left empty is sent all the same
        del tidied["invitation"]
    return tidied


def typed(sent: Mapping[str, str]) -> dict[str, str]:
    """What the form shows again when something is wrong: all but passwords."""
    return {name: value for name, value in sent.items() if "password" not in name}


def _tidy(token: str) -> str:
    """What is pasted may have space around it, or be the whole link."""
    return token.rpartition("#token=")[2].strip()
