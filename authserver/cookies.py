"""Our cookies: their names, and reading them so that nobody else's passes for one (contract: BROWSER.md)."""

from urllib.parse import urlsplit

from flask import request
from werkzeug import Response

from authserver.extensions import current_settings


def cookie_name(name: str) -> str:
    """`__Host-…` on https, which no sibling domain can plant; on http the port, for localhost's ports share cookies."""
    public = urlsplit(current_settings().public_url)
    if public.scheme == "https":
        return f"__Host-{name}"
    return f"authserver_{public.port or 80}_{name.replace('-', '_', 1)}"


def read_cookies(name: str) -> list[str]:
    """The values of that name, of which more than one is somebody's doing.

    Werkzeug's parser drops bytes that make another's name ours, and a quoted value can hide what comes after it.
    """
    return [value for key, value in _sent() if key == cookie_name(name)]


def cookies_beginning(name: str) -> list[tuple[str, str]]:
    """Those of ours whose names begin like that: the rest of each name, and its value."""
    beginning = cookie_name(name)
    return [(key.removeprefix(beginning), value) for key, value in _sent() if key.startswith(beginning)]


def _sent() -> list[tuple[str, str]]:
    parts = [part.strip(" \t").partition("=") for part in request.environ.get("HTTP_COOKIE", "").split(";")]
    return [(key, value) for key, _, value in parts]


def set_cookie(
    response: Response, name: str, value: str, seconds: int, samesite: str, *, partitioned: bool = False
) -> None:
    """`None` is for a cookie that a provider's form POST has to bring: it is always Secure, which browsers take from

    loopback too.
    """
    secure = current_settings().public_url.startswith("https:") or samesite == "None"
    response.set_cookie(
        cookie_name(name),
        value,
        max_age=seconds,
        secure=secure,
        httponly=True,
        samesite=samesite,
        path="/",
        partitioned=partitioned,
    )
