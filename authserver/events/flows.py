from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from authserver.extensions import db
from authserver.models import Event


def events_of(user_id: UUID, before: UUID | None, limit: int) -> Sequence[Event]:
    """The user's own, newest first; ids are in the order of time."""
    query = select(Event).where(Event.user_id == user_id).order_by(Event.id.desc()).limit(limit)
    return db.session.scalars(query.where(Event.id < before) if before else query).all()


def all_events(user_id: UUID | None, kind: str | None, since: datetime | None, limit: int) -> Iterator[Event]:
    """Everybody's, newest first, for the operator; read in pieces, for there may be many."""
    query = select(Event).order_by(Event.id.desc()).limit(limit).execution_options(yield_per=1000)
    if user_id is not None:
        query = query.where(Event.user_id == user_id)
    if kind is not None:
        query = query.where(Event.type == kind)
    if since is not None:
        query = query.where(Event.created_at >= since)
    yield from db.session.scalars(query)
