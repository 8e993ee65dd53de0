"""Signing everybody out, for the operator: after an older backup was restored, or where a key may be in wrong hands."""

from collections.abc import Callable, Iterator
from uuid import UUID

from sqlalchemy import func, select, update

from authserver.clock import now
from authserver.events.record import Happened, record
from authserver.extensions import db, writing
from authserver.models import Session, User
from authserver.sessions.flows import end_all
from authserver.visitor import Visitor

BATCH = 200  # people


def count() -> int:
    """Returns how many sessions count."""
    return db.session.scalar(select(func.count()).select_from(Session).where(*Session.counting())) or 0


def sign_everybody_out(visitor: Visitor, advance: Callable[[int], object]) -> int:
    """Ends all sessions, of some people at a time, each with an audit event; mails nobody. Returns how many ended.

    People whose accounts are being changed just now are left until the end, so that neither side waits for the other.
    """
    ended = 0
    for people in _signed_in():
        some, busy = _end_of(people, visitor)
        some += sum(end_all(user_id, visitor) for user_id in busy)
        advance(some)
        ended += some
    return ended


def _signed_in() -> Iterator[list[UUID]]:
    """Finds the people with sessions that count, by their ids."""
    query = select(Session.user_id).where(*Session.counting()).distinct().order_by(Session.user_id).limit(BATCH)
    people = list(db.session.scalars(query))
    while people:
        yield people
        people = list(db.session.scalars(query.where(Session.user_id > people[-1])))


def _end_of(people: list[UUID], visitor: Visitor) -> tuple[int, list[UUID]]:
    """Ends the sessions of these people; returns how many, and whose account another transaction holds."""
    with writing() as transaction:
        # Held as in `end_all`: a code that is being exchanged makes its session before or after.
        held = select(User.id).where(User.id.in_(people)).order_by(User.id).with_for_update(skip_locked=True)
        ours = list(transaction.scalars(held))
        ended = transaction.scalars(
            update(Session)
            .where(Session.user_id.in_(ours), *Session.counting())
            .values(revoked_at=now())
            .returning(Session.user_id)
        ).all()
        for user_id in set(ended):
            record(transaction, Happened.ALL_SESSIONS_ENDED, visitor, user_id)
    return len(ended), [user_id for user_id in people if user_id not in ours]
