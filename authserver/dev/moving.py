"""The time of a development server, which a button moves on and another brings back."""

from datetime import timedelta
from threading import Lock

from sqlalchemy import delete, update
from sqlalchemy.orm import InstrumentedAttribute

from authserver import clock
from authserver.clock import now
from authserver.errors import invalid
from authserver.extensions import writing
from authserver.models import Event, Mail, RateLimit, Session

FURTHEST = timedelta(days=3650)  # from the present
_moving = Lock()
# Moments that were the present when they were written.
PRESENT: tuple[InstrumentedAttribute[object], ...] = (
    Session.created_at,
    Session.last_used_at,
    Session.rotated_at,
    Event.created_at,
    Mail.next_attempt_at,
)


def let_pass(seconds: int) -> None:
    """Moves the time on; raises `invalid_request` where that is too far."""
    with _moving:
        moved = clock.ahead + timedelta(seconds=seconds)
        if moved > FURTHEST:
            raise invalid("seconds", "This is too far from the present: go back to now first.")
        clock.ahead = moved


def back_to_now() -> None:
    """Puts the time back. Whoever is signed in stays so, as after a start of the server."""
    with _moving:
        clock.ahead = timedelta(0)
        catch_up()


def catch_up() -> None:
    """Brings what was written while the time was ahead back to the present, where it would be waited for otherwise.

    A rate limit would count on until then, a mail would be sent then, and a session be used then for the last time.
    """
    moment = now()
    with writing() as transaction:
        late = [
            transaction.execute(update(column.class_).where(column > moment).values({column: moment})).rowcount  # type: ignore[attr-defined]
            for column in PRESENT
        ]
        if any(late):
            transaction.execute(delete(RateLimit))
