"""The code that a redirect brings back to an application: what it is bound to, and what it is worth, once.

It counts for a minute, and only together with the verifier of the application that began (RFC 7636).
"""

from collections.abc import Mapping
from dataclasses import asdict
from hmac import compare_digest
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.emails.delivery import wake
from authserver.errors import ApiError
from authserver.extensions import writing
from authserver.models import Identity, Session, User
from authserver.oauth import provider
from authserver.oauth.grant import challenge
from authserver.oauth.identities import confirm, link
from authserver.oauth.linking import with_account
from authserver.oauth.redirect import Request
from authserver.sessions import flows as sessions
from authserver.tokens.acting import acting, locked
from authserver.tokens.guard import Caller
from authserver.tokens.one_time import Purpose, issue, look_up, redeem
from authserver.visitor import Visitor


def code_for(name: str, identity: provider.Identity, request: Request, visitor: Visitor) -> str:
    """The code that goes back to the frontend: of the identity's account, or of an identity that is to be linked."""
    bound = {"challenge": request.code_challenge, "provider": name}
    if request.user_id is None or request.session_id is None:
        return with_account(
            name,
            identity,
            visitor,
            lambda transaction, user: issue(transaction, user.id, Purpose.SIGN_IN, "", bound),
        )
    linking = {**bound, "session_id": str(request.session_id), "identity": asdict(identity)}
    with writing() as transaction:
        acting(transaction, request.user_id, request.session_id)
        return issue(transaction, request.user_id, Purpose.LINK, "", linking)


def code_of_page(user_id: UUID, session_id: UUID, code_challenge: str) -> str:
    """The code that a page gives to an application, for who is signed in on the page by that session."""
    bound = {"challenge": code_challenge, "page_session": str(session_id)}
    with writing() as transaction:
        acting(transaction, user_id, session_id)
        return issue(transaction, user_id, Purpose.SIGN_IN, "", bound)


def links(code: str) -> bool:
    """Whether this code links an identity, for which its exchange has to come from the session that asked."""
    return look_up(code, Purpose.SIGN_IN, Purpose.LINK).purpose is Purpose.LINK


def exchange(code: str, verifier: str, visitor: Visitor) -> tuple[User, Session]:
    """The session that a code is worth; a wrong verifier uses it up. Raises `one_time_token_not_valid`."""
    session = None
    with writing() as transaction:
        redeemed = redeem(transaction, code, Purpose.SIGN_IN)
        user = locked(transaction, redeemed.user_id)
        bound = redeemed.code or {}
        if user is not None and user.disabled_at is None and _verifies(verifier, bound):
            session = _start(transaction, user, bound, visitor)
    if user is None or session is None:
        raise ApiError("one_time_token_not_valid")
    wake()
    return user, session


def _start(transaction: Transaction, user: User, bound: Mapping[str, Any], visitor: Visitor) -> Session | None:
    """A page's code is worth a session as fresh as the page's own, as long as that one lives."""
    if "page_session" not in bound:
        return sessions.start(transaction, user, visitor, bound["provider"])
    page = transaction.scalar(
        select(Session).where(
            Session.id == UUID(bound["page_session"]),
            Session.user_id == user.id,
            Session.revoked_at.is_(None),
            Session.expires_at > now(),
        )
    )
    return sessions.start(transaction, user, visitor, page.method, page=page) if page else None


def exchange_link(code: str, verifier: str, caller: Caller, visitor: Visitor) -> Identity:
    """The identity that is linked now; in another session than it was begun in, or without its verifier, it is not."""
    name, identity = _bound_identity(code, verifier, caller)
    return link(caller.id, caller.session_id, name, identity, visitor)


def exchange_confirmation(code: str, verifier: str, caller: Caller, visitor: Visitor) -> None:
    """The session is fresh again, where the identity is one of its account's; nobody else's makes or changes anything.

    As fresh as by a sign-in with that provider, which may have let an old session of its own pass.
    """
    name, identity = _bound_identity(code, verifier, caller)
    confirm(caller, name, identity, visitor)


def _bound_identity(code: str, verifier: str, caller: Caller) -> tuple[str, provider.Identity]:
    """Whom a code is about that somebody who is signed in had begun; gone with this."""
    with writing() as transaction:
        bound = redeem(transaction, code, Purpose.LINK).code or {}
    if bound["session_id"] != str(caller.session_id):
        raise ApiError("token_not_valid")
    if not _verifies(verifier, bound):
        raise ApiError("one_time_token_not_valid")
    return bound["provider"], provider.Identity(**bound["identity"])


def _verifies(verifier: str, bound: Mapping[str, Any]) -> bool:
    return compare_digest(challenge(verifier), bound["challenge"])
