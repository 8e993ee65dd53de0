"""The one source of time: every decision of ours asks `now()`, so that tests can move all of them together."""

from datetime import UTC, datetime, timedelta

offset = timedelta(0)


def now() -> datetime:
    """The current time in UTC, with its zone."""
    return datetime.now(UTC) + offset


def rfc3339(moment: datetime) -> str:
    """A moment as the contract writes it: RFC 3339, in UTC, with `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
