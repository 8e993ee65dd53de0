from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.emails.notices import notify
from authserver.errors import ApiError
from authserver.events.record import Happened, record
from authserver.extensions import current_settings, db, writing
from authserver.models import Session, User
from authserver.sessions.devices import is_known
from authserver.tokens.verify import Kind, verify
from authserver.visitor import Visitor


def start(transaction: Transaction, user: User, visitor: Visitor, method: str) -> Session:
    """A new session of the user's, written in the caller's transaction.

    `method` is "password" or the name of the provider. A browser not seen before is told of by mail.
    """
    begun = now()
    if current_settings().new_device_mail and not is_known(transaction, user.id, visitor):
        notify(transaction, "new_device", user, user.email, visitor)
    session = Session(
        user_id=user.id,
        created_at=begun,
        last_used_at=begun,
        expires_at=begun + timedelta(seconds=current_settings().session_seconds),
        method=method,
        ip=visitor.ip,
        user_agent=visitor.user_agent,
    )
    transaction.add(session)
    transaction.flush()
    record(transaction, Happened.SIGNED_IN, visitor, user.id, session.id)
    return session


def live_sessions(user_id: UUID) -> Sequence[Session]:
    """Where the user is signed in, newest first."""
    return db.session.scalars(
        select(Session)
        .where(Session.user_id == user_id, Session.revoked_at.is_(None), Session.expires_at > now())
        .order_by(Session.created_at.desc())
    ).all()


def end_by_token(token: str, kind: Kind, visitor: Visitor) -> None:
    """Ends the session of a token of ours, at once and for good; an expired or revoked one has nothing left to end."""
    claims = verify(token, kind, even_expired=True)
    with writing() as transaction:
        if end(transaction, claims.user_id, Session.id == claims.session_id):
            record(transaction, Happened.SESSION_ENDED, visitor, claims.user_id, claims.session_id)


def end_one(user_id: UUID, session_id: UUID, visitor: Visitor) -> None:
    """Ends one of the user's live sessions; raises `not_found` for any other."""
    with writing() as transaction:
        if not end(transaction, user_id, Session.id == session_id, Session.expires_at > now()):
            raise ApiError("not_found")
        record(transaction, Happened.SESSION_ENDED, visitor, user_id, session_id)


def end_others(user_id: UUID, session_id: UUID, visitor: Visitor) -> None:
    with writing() as transaction:
        if end(transaction, user_id, Session.id != session_id):
            record(transaction, Happened.OTHER_SESSIONS_ENDED, visitor, user_id, session_id)


def end_all(user_id: UUID, visitor: Visitor) -> int:
    """Signs the user out everywhere; returns of how many sessions."""
    with writing() as transaction:
        count = end(transaction, user_id, Session.expires_at > now())
        if count:
            record(transaction, Happened.ALL_SESSIONS_ENDED, visitor, user_id)
    return count


def end(transaction: Transaction, user_id: UUID, *which: ColumnElement[bool]) -> int:
    """Ends those of the user's sessions, in the caller's transaction; returns how many were not over before."""
    ended = transaction.execute(
        update(Session).where(Session.user_id == user_id, Session.revoked_at.is_(None), *which).values(revoked_at=now())
    )
    return ended.rowcount  # type: ignore[attr-defined, no-any-return]
