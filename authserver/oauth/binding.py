"""Binds a redirect to the browser that began it, with one cookie for each redirect, so that two tabs can sign in.

A browser keeps the newest few. Hundreds would make its requests too large to be read, and another site can have a
browser begin as many as it likes.
"""

import re

from flask import Response, after_this_request, g, request

from authserver.clock import now
from authserver.cookies import cookies_beginning, read_cookies, set_cookie
from authserver.errors import ApiError
from authserver.extensions import current_settings
from authserver.oauth.redirect import ID, LIFETIME, Begun

COOKIE = "flow-{}"  # named by the state
MOST = 8
BEGUN_AT = re.compile(r"(\d{1,15})-", re.ASCII)


def require_navigation() -> None:
    """Raises `invalid_request` where no person sees what is begun: for an image, a frame or a script of any site."""
    if request.headers.get("Sec-Fetch-Dest", "document") != "document":
        raise ApiError("invalid_request", "A sign-in is begun by opening this address in a browser.")


def bind(response: Response, begun: Begun, same_site: str = "Lax") -> None:
    """Gives the browser the secret of what was begun; the oldest of more than `MOST` end here."""
    set_cookie(response, COOKIE.format(begun.state), begun.secret, int(LIFETIME.total_seconds()), same_site)
    g.bound = g.get("bound", 0) + 1
    if g.bound == 1:
        after_this_request(_end_oldest)


def secrets_of(state: str) -> list[str]:
    """What this browser has of the redirect; more than one is somebody's doing."""
    return read_cookies(COOKIE.format(state))


def release(response: Response, state: str, same_site: str = "Lax") -> None:
    set_cookie(response, COOKIE.format(state), "", 0, same_site)


def _end_oldest(response: Response) -> Response:
    """Counts what this response begins too, which may be two: a page's redirect and the provider's."""
    sent = {state: _begun_at(value) for state, value in cookies_beginning(COOKIE.format("")) if ID.fullmatch(state)}
    oldest_first = sorted(sent, key=lambda state: sent[state])  # of equal ones browsers send the older first
    for state in oldest_first[: max(0, len(sent) + g.bound - MOST)]:
        release(response, state)
        if not current_settings().public_url.startswith("https:"):  # one for a form_post is Secure there too
            release(response, state, "None")
    return response


def _begun_at(secret: str) -> int:
    """The millisecond that a secret of ours begins with. What says none, or one to come, is taken for the oldest."""
    found = BEGUN_AT.match(secret)
    moment = int(found[1]) if found else 0
    return moment if moment <= (now().timestamp() + 60) * 1000 else 0
