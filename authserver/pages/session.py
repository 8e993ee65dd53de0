"""A page's session: a session row like any other, which its cookie opens here and nothing opens in the API.

The API never reads this cookie, and pages never read the refresh token's: signing in on a page must not turn an
application's session into another person's.
"""

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Concatenate, ParamSpec

from flask import Response, g, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select, update

from authserver.clock import now
from authserver.cookies import read_cookies, set_cookie
from authserver.errors import ApiError
from authserver.extensions import current_settings, fetch_one, writing
from authserver.models import Session
from authserver.oauth.redirect import Request
from authserver.pages.browser import remember
from authserver.pages.forms import fields, require_own_origin
from authserver.pages.render import see_other
from authserver.sessions import flows
from authserver.tokens.guard import CALLER, LIVE, Caller
from authserver.tokens.one_time import digest
from authserver.visitor import visitor

COOKIE = "page"
# The pages of the account to which a sign-in can lead back.
AFTERWARDS = ("profile", "password", "email", "sessions", "identities", "events", "delete")
P = ParamSpec("P")


@dataclass(frozen=True)
class Holder:
    """Who is signed in on our pages."""

    caller: Caller
    authenticated_at: datetime

    @property
    def fresh(self) -> bool:
        """Whether a sensitive change may go on without asking again who this is."""
        return now() < self.authenticated_at + timedelta(seconds=current_settings().fresh_lifetime)

    @property
    def name(self) -> str:
        """As people know themselves: "Ada Lovelace (ada@example.com)"."""
        full = f"{self.caller.first_name} {self.caller.last_name}".strip()
        if full and self.caller.email:
            return f"{full} ({self.caller.email})"
        return full or self.caller.email or str(self.caller.id)

    def asks(self, then: str) -> Request:
        """What a detour to a provider remembers that this session begins, and that comes back to it alone."""
        return Request(then, "", user_id=self.caller.id, session_id=self.caller.session_id)


View = Callable[Concatenate[Holder, P], ResponseReturnValue]


def holder() -> Holder | None:
    """Whose page session this request's cookie opens; two cookies of the name count as none."""
    sent = read_cookies(COOKIE)
    if len(sent) != 1:
        return None
    row = fetch_one(
        select(*CALLER, Session.created_at, Session.authenticated_at, Session.last_used_at).where(
            Session.page_hash == digest(sent[0]), Session.expires_at > now(), *LIVE
        )
    )
    if row is None:
        return None
    *columns, created_at, authenticated_at, last_used_at = row
    caller = Caller._make(columns)
    flows.touch(caller.id, caller.session_id, last_used_at)
    return Holder(caller, authenticated_at or created_at)


def hold(session: Session) -> None:
    """Makes it the page's session, under a new cookie; one that was held before is over, and the browser is known now.

    Raises `token_not_valid` where it was ended in between, as by a reset.
    """
    end()
    secret = secrets.token_urlsafe(32)
    with writing() as transaction:
        held = transaction.execute(
            update(Session)
            .where(Session.id == session.id, Session.user_id == session.user_id, Session.revoked_at.is_(None))
            .values(page_hash=digest(secret))
        )
    if held.rowcount != 1:  # type: ignore[attr-defined]
        raise ApiError("token_not_valid")
    g.page_cookie = secret
    remember(session.user_id)


def end() -> None:
    """Ends the page's session, if there is one, and takes its cookie back."""
    before = holder()
    if before is not None:
        with suppress(ApiError):  # ended in between
            flows.end_one(before.caller.id, before.caller.session_id, visitor())
    g.page_cookie = ""


def send_cookie(response: Response) -> Response:
    """After each request of a page: the cookie of what was held or ended on the way."""
    value = g.get("page_cookie")
    if value is not None:
        set_cookie(response, COOKIE, value, current_settings().session_seconds if value else 0, "Lax")
    return response


def for_holder(view: View[P]) -> Callable[P, ResponseReturnValue]:
    """A view for people who are signed in on our pages, given the `Holder` first; others are led to sign in."""
    return _admitting(view, fresh=False)


def for_fresh_holder(view: View[P]) -> Callable[P, ResponseReturnValue]:
    """The same for a sensitive change: who signed in too long ago says first who they are, and comes back."""
    return _admitting(view, fresh=True)


def _admitting(view: View[P], *, fresh: bool) -> Callable[P, ResponseReturnValue]:
    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if request.method == "POST":  # before who is signed in is looked at: no other page's form learns that
            require_own_origin()
        who = holder()
        if who is None:
            return see_other(f"/signin{then()}")
        if request.method == "POST" and fields().get("user") != str(who.caller.id):
            return see_other("/account?done=other")
        try:
            return confirm_first() if fresh and not who.fresh else view(who, *args, **kwargs)
        except ApiError as error:
            if error.code != "token_not_valid":
                raise
            return see_other(f"/signin{then()}")  # the session was ended while the view was at work

    return guarded


def confirm_first() -> Response:
    return see_other(f"/account/confirm{then()}")


def then() -> str:
    """The query that leads back to this page of the account."""
    page = request.path.removeprefix("/account").strip("/").partition("/")[0]
    return f"?then={page}" if page in AFTERWARDS else ""
