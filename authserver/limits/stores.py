"""Two stores of counters: the table `rate_limits`, and Redis with bounded waits.

Both count attempts in windows that begin with the first of them. `windows` are the limits by their keys, all of which
one attempt counts for: where one of them has no room left nothing is counted. It is the counting that decides; the look
before it keeps a flood of refused attempts from writing.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from math import ceil
from typing import Any

import sqlalchemy as sa
from limits import RateLimitItem
from limits.storage import RedisStorage
from sqlalchemy import bindparam
from sqlalchemy.orm import Session as Transaction
from sqlalchemy.sql.dml import ReturningInsert

from authserver.clock import now
from authserver.extensions import UTCDateTime, db, fetch_all, upsert
from authserver.models import RateLimit

REDIS_PREFIX = "authserver"
SWEEP = timedelta(minutes=5)  # between deletions of windows that are over, by each process
SWEPT = 100  # windows at once, for somebody waits for it; the others are left to purge.py
REDIS_TIMEOUT = 0.5  # seconds to connect, and again for an answer

Windows = Mapping[str, RateLimitItem]

# Built once, each: building them costs as much as running them.
COUNTS = sa.select(RateLimit.key, RateLimit.count, RateLimit.expires_at).where(
    RateLimit.key.in_(bindparam("keys", expanding=True)), RateLimit.expires_at > bindparam("now")
)


@cache
def _counting(number: int, dialect: str) -> ReturningInsert[str, int, datetime]:
    """Makes one atomic statement for so many counters: the first attempt of a window, or one more in it."""
    over = RateLimit.expires_at <= bindparam("now", type_=UTCDateTime)
    insert = upsert(RateLimit).values(
        [
            {"key": bindparam(f"key{n}"), "count": 1, "expires_at": bindparam(f"expires_at{n}", type_=UTCDateTime)}
            for n in range(number)
        ]
    )
    return insert.on_conflict_do_update(
        index_elements=[RateLimit.key],
        set_={
            "count": sa.case((over, insert.excluded.count), else_=RateLimit.count + insert.excluded.count),
            "expires_at": sa.case((over, insert.excluded.expires_at), else_=RateLimit.expires_at),
        },
    ).returning(RateLimit.key, RateLimit.count, RateLimit.expires_at)


def count_inside(transaction: Transaction, key: str, item: RateLimitItem) -> int:
    """Counts one more in the caller's transaction; returns how many those are in the present window.

    On that transaction's connection, for it may hold SQLite's write lock, for which another would wait in vain.
    """
    moment = now()
    connection = transaction.connection()
    counted = connection.execute(_counting(1, connection.dialect.name), _values({key: item}, moment)).one()
    count: int = counted[1]
    return count


def _values(windows: Windows, moment: datetime) -> dict[str, Any]:
    """For `_counting`, in one order for all, or two requests could wait for each other's rows."""
    values: dict[str, Any] = {"now": moment}
    for n, key in enumerate(sorted(windows)):
        values |= {f"key{n}": key, f"expires_at{n}": moment + timedelta(seconds=windows[key].get_expiry())}
    return values


class DatabaseStore:
    """The table `rate_limits`; each statement is a transaction of its own."""

    def __init__(self) -> None:
        self._sweep_at: datetime | None = None

    def seconds_to_wait(self, windows: Windows) -> int:
        """Counts one attempt for each window and returns 0, or how long to wait where one of them is full."""
        moment = now()
        counts = fetch_all(COUNTS, {"keys": list(windows), "now": moment})
        full = [expires_at for key, attempts, expires_at in counts if attempts >= windows[key].amount]
        if not full:
            counted = fetch_all(_counting(len(windows), db.engine.dialect.name), _values(windows, moment))
            full = [expires_at for key, attempts, expires_at in counted if attempts > windows[key].amount]
            self.sweep()
        return _seconds(moment, (expires_at.timestamp() for expires_at in full))

    def sweep(self) -> None:
        """Deletes a few windows that are over, now and then, but for those that others begin anew meanwhile."""
        moment = now()
        if self._sweep_at and moment < self._sweep_at:
            return
        self._sweep_at = moment + SWEEP
        over = sa.select(RateLimit.key).where(RateLimit.expires_at <= moment).order_by(RateLimit.expires_at)
        with db.engine.begin() as connection:
            few = over.limit(SWEPT).with_for_update(skip_locked=True)
            connection.execute(sa.delete(RateLimit).where(RateLimit.key.in_(few)))

    def is_full(self, key: str, item: RateLimitItem) -> bool:
        counts = fetch_all(COUNTS, {"keys": [key], "now": now()})
        return any(attempts >= item.amount for _, attempts, _ in counts)


class ExactRedisStorage(RedisStorage):
    STORAGE_SCHEME = None  # type: ignore[assignment]

    def get_expiry(self, key: str) -> float:
        """To the millisecond and by our own clock; the library rounds to seconds, up or down."""
        milliseconds: int = self.storage.pttl(self.prefixed_key(key))
        return now().timestamp() + max(milliseconds, 0) / 1000


class RedisStore:
    """Redis, by the library `limits`, whose `StorageError` is raised where Redis does not answer."""

    def __init__(self, url: str) -> None:
        self.storage = redis_storage(url)

    def seconds_to_wait(self, windows: Windows) -> int:
        """Does as the database's; each counter is atomic by itself, so no more get through than each lets through."""
        full = [key for key, item in windows.items() if self.is_full(key, item)]
        if not full:
            full = [key for key, item in windows.items() if self.storage.incr(key, item.get_expiry()) > item.amount]
        return _seconds(now(), map(self.storage.get_expiry, full))

    def is_full(self, key: str, item: RateLimitItem) -> bool:
        return self.storage.get(key) >= item.amount


def _seconds(moment: datetime, expiries: Iterable[float]) -> int:
    """Counts the seconds until the last of them is over; 0 where there is none."""
    return max((max(1, ceil(expires_at - moment.timestamp())) for expires_at in expiries), default=0)


def redis_storage(url: str) -> RedisStorage:
    """Bounded waits: no pauses between attempts, and only a connection that broke is tried once more."""
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as Broken
    from redis.retry import Retry

    return ExactRedisStorage(
        url,
        key_prefix=REDIS_PREFIX,
        wrap_exceptions=True,
        socket_timeout=REDIS_TIMEOUT,
        socket_connect_timeout=REDIS_TIMEOUT,
        retry=Retry(NoBackoff(), 1, supported_errors=(Broken,)),  # type: ignore[arg-type]
        protocol=2,  # under 3 a server may ask for longer waits
    )
