from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.emails.notices import notify
from authserver.errors import ApiError
from authserver.events.record import Happened, record
from authserver.extensions import current_settings, db, fetch_one, writing
from authserver.looking import only_looks
from authserver.models import Session, User
from authserver.sessions.devices import is_news
from authserver.tokens.acting import acting, existing
from authserver.tokens.verify import Kind, verify
from authserver.visitor import Visitor

COARSE = timedelta(minutes=5)  # how exact `last_used_at` is where nothing else has to be written
MOST_LISTED = 100  # sessions of one person


def start(
    transaction: Transaction, user: User, visitor: Visitor, method: str, *, page: Session | None = None
) -> Session:
    """A new session of the user's, written in the caller's transaction.

    `method` is "password" or the name of the provider. A browser not seen before is told of by mail. One that a page's
    session gives to an application is as fresh as that, and no longer from the sign-in to its end; who signed in was
    told then, and what brings the code may be the application's server.
    """
    require_verified(user)
    begun = now()
    signed_in = page.last_authenticated_at if page else begun
    if page is None and current_settings().new_device_mail and is_news(transaction, user, visitor):
        notify(transaction, "new_device", user, user.email, visitor)
    session = Session(
        user_id=user.id,
        created_at=begun,
        last_used_at=begun,
        expires_at=signed_in + timedelta(seconds=current_settings().session_seconds),
        authenticated_at=signed_in if page else None,
        page_session_id=page.id if page else None,
        method=method,
        ip=visitor.ip,
        user_agent=visitor.user_agent,
    )
    transaction.add(session)
    transaction.flush()
    record(transaction, Happened.SIGNED_IN, visitor, user.id, session.id)
    return session


def require_verified(user: User) -> None:
    """Raises `email_not_verified` for an account that gets no tokens before its e-mail address is verified.

    It may have a session, or a page's one, from before the settings asked for that.
    """
    if user.email and not user.email_verified and current_settings().must_verify:
        raise ApiError("email_not_verified")


def reauthenticated(transaction: Transaction, user: User, session_id: UUID, visitor: Visitor) -> None:
    """The person of this session has just proved again who they are.

    Raises `token_not_valid` where the session is past its end: an access token may count for a while after that, but
    nobody gets another one from it, or it would go on for ever.
    """
    require_verified(user)
    made_fresh = transaction.execute(
        update(Session)
        .where(Session.id == session_id, Session.user_id == user.id, Session.expires_at > now())
        .values(authenticated_at=now())
    )
    if made_fresh.rowcount != 1:  # type: ignore[attr-defined]
        raise ApiError("token_not_valid")
    record(transaction, Happened.REAUTHENTICATED, visitor, user.id, session_id)


def touch(user_id: UUID, session_id: UUID, last_used_at: datetime) -> bool:
    """The session was used just now, where the last word of that is old enough to be worth a write.

    What a browser fetches before anybody looks at it is no use of it. Returns False where that word is another one
    now, or the session has ended.
    """
    if last_used_at > now() - COARSE or only_looks():
        return True
    with writing() as transaction:
        touched = transaction.execute(
            update(Session)
            .where(
                Session.id == session_id,
                Session.user_id == user_id,
                Session.last_used_at == last_used_at,  # of several at once one writes
                Session.revoked_at.is_(None),
            )
            .values(last_used_at=now())
        )
    return touched.rowcount == 1  # type: ignore[attr-defined, no-any-return]


def live_sessions(user_id: UUID, current: UUID | None = None, limit: int = MOST_LISTED) -> list[Session]:
    """Where the user is signed in, newest first; of more than `limit` sessions those that end last, and the current.

    A session counts, and can be ended, for as long as an access token of it does.
    """
    query = select(Session).where(Session.user_id == user_id, *Session.counting())
    listed = list(db.session.scalars(query.order_by(Session.expires_at.desc()).limit(limit)))
    if current is not None and all(one.id != current for one in listed):
        listed += db.session.scalars(query.where(Session.id == current))
    return sorted(listed, key=lambda one: one.created_at, reverse=True)


def log_out(token: str, kind: Kind, visitor: Visitor) -> None:
    """Ends the session of a token of ours, and the page's session that made it.

    On a shared computer the next person would be offered that one.
    """
    claims = verify(token, kind, even_expired=True)
    found = fetch_one(
        select(Session.page_session_id).where(Session.id == claims.session_id, Session.user_id == claims.user_id)
    )
    _end_each(claims.user_id, (claims.session_id, found.page_session_id if found else None), visitor)


def end_by_token(token: str, kind: Kind, visitor: Visitor) -> None:
    """Ends the session of a token of ours, at once and for good; an expired or revoked one has nothing left to end."""
    claims = verify(token, kind, even_expired=True)
    _end_each(claims.user_id, (claims.session_id,), visitor)


def _end_each(user_id: UUID, session_ids: Iterable[UUID | None], visitor: Visitor) -> None:
    """One transaction each: who held the first while waiting for the next, and who ends all others, could deadlock."""
    for session_id in filter(None, session_ids):
        with writing() as transaction:
            if end(transaction, user_id, Session.id == session_id):
                record(transaction, Happened.SESSION_ENDED, visitor, user_id, session_id)


def end_one(user_id: UUID, ended_id: UUID, visitor: Visitor, session_id: UUID | None = None) -> None:
    """Ends one of the user's live sessions; raises `not_found` for any other.

    `session_id` where the user asks, whose session has to be live still.
    """
    with writing() as transaction:
        if session_id:
            acting(transaction, user_id, session_id)
        if not end(transaction, user_id, Session.id == ended_id):
            raise ApiError("not_found")
        record(transaction, Happened.SESSION_ENDED, visitor, user_id, ended_id)


def end_others(user_id: UUID, session_id: UUID, visitor: Visitor) -> None:
    with writing() as transaction:
        acting(transaction, user_id, session_id)  # a code that is being exchanged makes its session before or after
        if end(transaction, user_id, Session.id != session_id):
            record(transaction, Happened.OTHER_SESSIONS_ENDED, visitor, user_id, session_id)


def end_all(user_id: UUID, visitor: Visitor) -> int:
    """Signs the user out everywhere; returns of how many sessions."""
    with writing() as transaction:
        existing(transaction, user_id)
        count = end(transaction, user_id)
        if count:
            record(transaction, Happened.ALL_SESSIONS_ENDED, visitor, user_id)
    return count


def end(transaction: Transaction, user_id: UUID, *which: ColumnElement[bool]) -> int:
    """Ends those of the user's sessions that count still, in the caller's transaction; returns how many."""
    ended = transaction.execute(
        update(Session).where(Session.user_id == user_id, *Session.counting(), *which).values(revoked_at=now())
    )
    return ended.rowcount  # type: ignore[attr-defined, no-any-return]
