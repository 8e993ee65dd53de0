"""What is over goes: whatever a person or a stranger can cause to be stored has an end.

The thread that delivers mails deletes in passing, every few minutes a batch of each kind, so that no request pays for
it; `authserver purge` deletes all of it at once. A batch is a short transaction, for on SQLite others wait meanwhile.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from authserver.clock import now
from authserver.extensions import Model, current_settings, db, fetch_one, writing
from authserver.models import Authorization, Event, Invitation, Mail, OneTimeToken, RateLimit, Session
from authserver.models.session import REMEMBERED

BATCH = 200  # rows, some milliseconds' work
PAUSE = 300.0  # seconds between two looks of a process in passing, where the last one left nothing over

Moment = InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]


@dataclass(frozen=True)
class Kind:
    """Rows of one table, each over at the first of these moments that has come, and kept for some time after it."""

    model: type[Model]
    moments: tuple[Moment, ...]  # each has an index
    kept: timedelta

    @property
    def table(self) -> str:
        return str(self.model.__tablename__)

    def over(self) -> list[ColumnElement[bool]]:
        """Selects the rows that may go, by one moment each."""
        return [moment <= now() - self.kept for moment in self.moments]


def kinds() -> tuple[Kind, ...]:
    """Lists what has an end. Accounts and identities end with their person, signing keys by `authserver keys`."""
    return (
        Kind(Session, (Session.expires_at, Session.revoked_at), REMEMBERED),
        Kind(OneTimeToken, (OneTimeToken.expires_at,), timedelta(days=90)),
        Kind(Invitation, (Invitation.expires_at, Invitation.accepted_at, Invitation.revoked_at), timedelta(days=90)),
        Kind(Authorization, (Authorization.expires_at,), timedelta(0)),
        Kind(RateLimit, (RateLimit.expires_at,), timedelta(0)),
        # Delivered, given up, or waiting for a mail server that nobody has set since: their links are long expired.
        Kind(Mail, (Mail.created_at,), timedelta(days=30)),
        Kind(Event, (Event.created_at,), timedelta(seconds=current_settings().event_lifetime)),
    )


def count() -> dict[str, int]:
    """Returns how many rows of each table are over."""
    return {
        kind.table: db.session.scalar(select(func.count()).select_from(kind.model).where(or_(*kind.over()))) or 0
        for kind in kinds()
    }


def purge(advance: Callable[[int], object]) -> dict[str, int]:
    """Deletes all that is over, and returns how many rows of each table; `advance` is told of each batch.

    It rests after each batch for as long as that took: who writes to SQLite meanwhile gets their turn.
    """
    deleted = dict.fromkeys((kind.table for kind in kinds()), 0)
    for kind in kinds():
        for number in range(len(kind.moments)):
            for some in _batches(kind, number):
                deleted[kind.table] += some
                advance(some)
    return deleted


def _batches(kind: Kind, number: int) -> Iterator[int]:
    while True:
        begun = time.monotonic()
        deleted = _delete_some(kind, number)
        if deleted:
            yield deleted
        if deleted < BATCH:
            return
        time.sleep(time.monotonic() - begun)


def purge_some() -> bool:
    """Deletes one batch by each moment of each kind; returns whether there may be more."""
    full = [_delete_some(kind, number) == BATCH for kind in kinds() for number in range(len(kind.moments))]
    return any(full)


def _delete_some(kind: Kind, number: int) -> int:
    """Deletes a batch, the oldest first; returns how many.

    It looks before it begins to write, for there is seldom anything. Rows that another process deletes, or that
    somebody counts or ends just now, are left to them.
    """
    over, moment = kind.over()[number], kind.moments[number]
    (key,) = kind.model.__table__.primary_key
    if fetch_one(select(key).where(over).order_by(moment).limit(1)) is None:
        return 0
    some = select(key).where(over).order_by(moment).limit(BATCH).with_for_update(skip_locked=True)
    with writing() as transaction:
        keys = transaction.scalars(some).all()
        transaction.execute(delete(kind.model).where(key.in_(keys)))
    return len(keys)


class InPassing:
    """When a process deletes a batch next; it catches up batch by batch where more is over."""

    def __init__(self) -> None:
        self._next = 0.0

    def purge(self) -> None:
        """Deletes a batch of each kind, where it is time."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + (0 if purge_some() else PAUSE)
