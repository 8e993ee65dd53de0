"""Where a refresh token travels: in the body, or in a cookie that no script can read (contract: BROWSER.md).

A browser asks for the cookie by a header, which no form can send and for which other origins need our permission.
"""

from contextlib import suppress
from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from authserver.body import Body, Token, read, whole_body
from authserver.cookies import read_cookies, set_cookie
from authserver.cors import is_allowed
from authserver.errors import ApiError, invalid
from authserver.extensions import current_settings
from authserver.models import Session, User
from authserver.sessions import flows
from authserver.sessions.answer import signed_in_json
from authserver.visitor import visitor

COOKIE = "refresh"

blueprint = Blueprint("transport", __name__)


class RefreshBody(Body):
    refresh: Token | None = None


def by_cookie() -> bool:
    return request.method == "POST" and request.headers.get("X-Auth-Transport") == "cookie"


@blueprint.before_app_request
def refuse_foreign_origin() -> None:
    """Before anything is read or changed. What is no browser sends no Origin, and keeps its token in the body."""
    if not by_cookie():
        return
    origin = request.headers.get("Origin")
    if origin is None and request.headers.get("Sec-Fetch-Site") == "same-origin":
        return
    settings = current_settings()
    if origin is None or not (origin == settings.public_url or is_allowed(origin, settings)):
        raise ApiError("origin_not_allowed")


@blueprint.after_app_request
def clear(response: Response) -> Response:
    if g.get("clears_refresh"):
        set_cookie(response, COOKIE, "", 0, current_settings().cookie_samesite)
        if current_settings().public_url.startswith("https:"):  # a partitioned one is another cookie of the same name
            set_cookie(response, COOKIE, "", 0, "None", partitioned=True)
    return response


def clear_cookie() -> None:
    """With whatever this request is answered."""
    g.clears_refresh = by_cookie()


def sent_refresh() -> str:
    """The refresh token of this request; raises `invalid_request` where there is none."""
    token = _sent()
    if token is None:
        raise ApiError("not_authenticated") if by_cookie() else invalid("refresh", "This field is required.")
    return token


def sent_refresh_or_none() -> str | None:
    """The same for a request that may come without one, and without a body."""
    return _sent() if by_cookie() or whole_body() else None


def _sent() -> str | None:
    body = RefreshBody() if by_cookie() and not whole_body() else read(RefreshBody)
    if body.refresh is not None or not by_cookie():
        return body.refresh
    sent = read_cookies(COOKIE)
    if len(sent) > 1:  # one of them is somebody else's doing, and nobody can tell which
        clear_cookie()
        raise ApiError("token_not_valid")
    return sent[0] if sent else None


def signed_in_answer(user: User, session: Session, *, only_tokens: bool = False) -> Response:
    """What a sign-in answers, without the user to who wants tokens only.

    All origins share one cookie: the session whose token it replaces is over.
    """
    if by_cookie():
        for token in read_cookies(COOKIE):
            _end_replaced(token)
    signed_in = signed_in_json(user, session)
    if only_tokens:
        del signed_in["user"]
    return answer(signed_in)


def _end_replaced(token: str) -> None:
    with suppress(ApiError):  # a cookie may be anything
        flows.end_by_token(token, "refresh", visitor())


def answer(tokens: dict[str, Any]) -> Response:
    """As JSON, the refresh token as a cookie where that was asked for."""
    if not by_cookie() or "refresh" not in tokens:
        return jsonify(tokens)
    settings = current_settings()
    response = jsonify({name: value for name, value in tokens.items() if name != "refresh"})
    samesite = settings.cookie_samesite
    lifetime = settings.refresh_token_lifetime
    set_cookie(response, COOKIE, tokens["refresh"], lifetime, samesite, partitioned=samesite == "None")
    return response
