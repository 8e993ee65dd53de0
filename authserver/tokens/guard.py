"""What a Bearer endpoint asks for: a token of ours, a live session, an active user, in one query."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from typing import Concatenate, NamedTuple, ParamSpec
from uuid import UUID

from flask import request
from flask.typing import ResponseReturnValue
from sqlalchemy import bindparam, select

from authserver.clock import now
from authserver.errors import ApiError
from authserver.extensions import fetch_one
from authserver.models import Session, User
from authserver.tokens.verify import Claims, verify

P = ParamSpec("P")
CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Caller(NamedTuple):
    """Who asks: the user's public fields and the session, as the one query found them."""

    id: UUID
    email: str | None
    email_verified: bool
    first_name: str
    last_name: str
    date_joined: datetime
    session_id: UUID
    session_expires_at: datetime


View = Callable[Concatenate[Caller, P], ResponseReturnValue]

CALLER = (
    User.id,
    User.email,
    User.email_verified,
    User.first_name,
    User.last_name,
    User.date_joined,
    Session.id,
    Session.expires_at,
)
LIVE = (Session.user_id == User.id, Session.revoked_at.is_(None), User.disabled_at.is_(None))
FIND = select(*CALLER).where(Session.id == bindparam("session_id"), Session.user_id == bindparam("user_id"), *LIVE)


def find_caller(claims: Claims) -> Caller:
    """Whose token this is; raises `token_not_valid` where the session is over or the user is gone or disabled."""
    row = fetch_one(FIND, {"session_id": claims.session_id, "user_id": claims.user_id})
    if row is None:
        raise ApiError("token_not_valid")
    caller = Caller._make(row)
    if caller.session_expires_at <= Session.counts_after():  # its token is from before the settings shortened them
        raise ApiError("token_not_valid")
    return caller


def bearer_token() -> str:
    """The token of the Authorization header, which is the only place it is read from (RFC 6750 §2.1)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise ApiError("not_authenticated")
    return token


def authenticate() -> tuple[Caller, Claims]:
    """Who sends this request, by its Bearer token; anyone else gets a 401 with its challenge."""
    with challenging():
        claims = verify(bearer_token(), "access")
        return find_caller(claims), claims


@contextmanager
def challenging() -> Iterator[None]:
    """A 401 inside tells the client how to authenticate (RFC 6750 §3)."""
    try:
        yield
    except ApiError as error:
        if error.status == 401:
            error.headers.update(CHALLENGE)
        raise


def signed_in(view: View[P]) -> Callable[P, ResponseReturnValue]:
    """A view for people who are signed in, given the `Caller` first."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        with challenging():  # also where the session ends while the view is at work
            return view(authenticate()[0], *args, **kwargs)

    return guarded


def freshly_signed_in(view: View[P]) -> Callable[P, ResponseReturnValue]:
    """The same for a sensitive change: the sign-in, or a reauthentication, has to be recent."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        with challenging():
            caller, claims = authenticate()
            if not is_fresh(claims):
                raise ApiError("reauthentication_required")
            return view(caller, *args, **kwargs)

    return guarded


def is_fresh(claims: Claims) -> bool:
    return now().timestamp() < claims.fresh_until
