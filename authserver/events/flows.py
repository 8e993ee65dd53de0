from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from authserver.extensions import db
from authserver.models import Event


def events_of(user_id: UUID, before: UUID | None, limit: int) -> Sequence[Event]:
    """The user's own, newest first; ids are in the order of time."""
    query = select(Event).where(Event.user_id == user_id).order_by(Event.id.desc()).limit(limit)
    return db.session.scalars(query.where(Event.id < before) if before else query).all()
