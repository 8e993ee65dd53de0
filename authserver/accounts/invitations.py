"""Invitations: a way in for one address, once. What one opens is decided in `joining.py`."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, Update, select, update

from authserver.accounts.admin import as_id
from authserver.body import email_address
from authserver.clock import now
from authserver.emails.notices import may_mail, page
from authserver.emails.outbox import queue
from authserver.errors import ApiError
from authserver.extensions import db, fetch_one, writing
from authserver.models import Invitation, User
from authserver.tokens.one_time import digest


@dataclass(frozen=True)
class Invited:
    """A new invitation; its link is known here and now, and then to whoever was given it."""

    invitation: Invitation
    link: str
    mailed: bool


def invite(email: str, lifetime: timedelta, *, mail: bool) -> Invited:
    """Raises `account_exists`. An older invitation to the address that is still open is revoked."""
    if fetch_one(select(User.id).where(User.email == email)) is not None:
        raise ApiError("account_exists")
    token = secrets.token_urlsafe(32)
    link = f"{page('/signup')}#token={token}"
    with writing() as transaction:
        transaction.execute(_revoked(Invitation.email == email))
        invitation = Invitation(email=email, token_hash=digest(token), expires_at=now() + lifetime)
        transaction.add(invitation)
        mailed = mail and may_mail(transaction, email)
        if mailed:
            expires = invitation.expires_at.strftime("%Y-%m-%d %H:%M UTC")
            queue(transaction, "invitation", email, "", None, link=link, token=token, expires=expires)
    return Invited(invitation, link, mailed)


def all_invitations() -> Iterator[Invitation]:
    """The newest first; read in pieces, for there may be many."""
    query = select(Invitation).order_by(Invitation.id.desc()).execution_options(yield_per=1000)
    yield from db.session.scalars(query)


def state(invitation: Invitation) -> str:
    if invitation.accepted_at:
        return "accepted"
    if invitation.revoked_at:
        return "revoked"
    return "open" if invitation.expires_at > now() else "expired"


def revoke(email_or_id: str) -> None:
    """Revokes the open invitation of that id, or to that address; raises `not_found` where there is none."""
    invitation_id = as_id(email_or_id)
    try:
        which = Invitation.id == invitation_id if invitation_id else Invitation.email == email_address(email_or_id)
    except ValueError:
        raise ApiError("not_found", f"{email_or_id} is neither an id nor an e-mail address.") from None
    with writing() as transaction:
        revoked = transaction.execute(_revoked(which, Invitation.expires_at > now()))
        if not revoked.rowcount:  # type: ignore[attr-defined]
            raise ApiError("not_found", f"There is no open invitation {email_or_id}.")


def _revoked(*which: ColumnElement[bool]) -> Update:
    standing = (Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None))
    return update(Invitation).where(*which, *standing).values(revoked_at=now())
