"""The one source of time: every decision of ours asks `now()`, so that all of them can be moved together."""

from datetime import UTC, datetime, timedelta

offset = timedelta(0)  # what tests move all time by
ahead = timedelta(0)  # what development lets pass for this server alone; zero in production
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> datetime:
    """The current time in UTC, with its zone."""
    return datetime.now(UTC) + offset + ahead


def past(text: str) -> datetime:
    """Reads a moment that has come, in UTC where no zone is named; raises `ValueError` for any other.

    Nobody joined a server and nothing happened there before 1970 or after now; and what is near the ends of the
    calendar is beyond them in some zone.
    """
    try:
        moment = datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError(text) from None
    if not EPOCH <= moment <= now():
        raise ValueError(text)
    return moment


def rfc3339(moment: datetime) -> str:
    """A moment as the contract writes it: RFC 3339, in UTC, with `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
