"""Two stores behind the interface of the library `limits`: the table `rate_limits`, and Redis with bounded waits."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from limits.storage import RedisStorage, Storage
from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session as Transaction
from sqlalchemy.sql.dml import ReturningInsert

from authserver.clock import now
from authserver.extensions import UTCDateTime, db, fetch_one
from authserver.models import RateLimit

REDIS_PREFIX = "authserver"
REDIS_TIMEOUT = 0.5  # seconds to connect, and again for an answer


# Built once: building them costs as much as running them.
COUNT = sa.select(RateLimit.count).where(RateLimit.key == bindparam("key"), RateLimit.expires_at > bindparam("now"))
EXPIRY = sa.select(RateLimit.expires_at).where(RateLimit.key == bindparam("key"))


def _counting(insert: sqlite.Insert | postgresql.Insert) -> ReturningInsert[int]:
    """One atomic statement: the first attempt of a window, or one more in it."""
    over = RateLimit.expires_at <= bindparam("now", type_=UTCDateTime)
    return (
        insert.values(key=bindparam("key"), count=bindparam("amount"), expires_at=bindparam("expires_at"))
        .on_conflict_do_update(
            index_elements=[RateLimit.key],
            set_={
                "count": sa.case((over, insert.excluded.count), else_=RateLimit.count + insert.excluded.count),
                "expires_at": sa.case((over, insert.excluded.expires_at), else_=RateLimit.expires_at),
            },
        )
        .returning(RateLimit.count)
    )


COUNT_ONE_MORE = {
    "sqlite": _counting(sqlite.insert(RateLimit)),
    "postgresql": _counting(postgresql.insert(RateLimit)),
}


def count_inside(transaction: Transaction, key: str, expiry: int) -> int:
    """Counts one more in the caller's transaction; returns how many those are in the present window.

    On that transaction's connection, for it may hold SQLite's write lock, for which another would wait in vain.
    """
    connection = transaction.connection()
    return connection.execute(COUNT_ONE_MORE[connection.dialect.name], _one_more(key, expiry)).scalar_one()


def _one_more(key: str, expiry: int, amount: int = 1) -> dict[str, Any]:
    moment = now()
    return {"key": key, "amount": amount, "expires_at": moment + timedelta(seconds=expiry), "now": moment}


class DatabaseStorage(Storage):
    """The table `rate_limits` behind the interface of `limits`; each statement is a transaction of its own.

    Windows that are over are deleted elsewhere (purge.py), never by who is being counted.
    """

    STORAGE_SCHEME = None

    @property
    def base_exceptions(self) -> type[Exception]:
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        counted = fetch_one(COUNT_ONE_MORE[db.engine.dialect.name], _one_more(key, expiry, amount))
        assert counted is not None, "RETURNING gives the row that was written"
        return counted[0]

    def get(self, key: str) -> int:
        found = fetch_one(COUNT, {"key": key, "now": now()})
        return found[0] if found else 0

    def get_expiry(self, key: str) -> float:
        found = fetch_one(EXPIRY, {"key": key})
        return (found.expires_at if found else now()).timestamp()

    def check(self) -> bool:
        return fetch_one(sa.select(sa.literal(True))) is not None

    def reset(self) -> None:
        self._delete(sa.true())

    def clear(self, key: str) -> None:
        self._delete(RateLimit.key == key)

    def _delete(self, which: sa.ColumnElement[bool]) -> None:
        with db.engine.begin() as connection:
            connection.execute(sa.delete(RateLimit).where(which))


class ExactRedisStorage(RedisStorage):
    STORAGE_SCHEME = None  # type: ignore[assignment]

    def get_expiry(self, key: str) -> float:
        """To the millisecond and by our own clock; the library rounds to seconds, up or down."""
        milliseconds: int = self.storage.pttl(self.prefixed_key(key))
        return now().timestamp() + max(milliseconds, 0) / 1000


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
