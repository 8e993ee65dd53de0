"""Where the attempts are counted: in Redis where one is set, else in the database.

While Redis does not answer the database counts, so that nothing is ever unlimited.
"""

import hmac
import logging
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from time import monotonic
from typing import NamedTuple, TypeVar

from limits import RateLimitItem
from limits.errors import StorageError
from sqlalchemy.orm import Session as Transaction

from authserver.limits.stores import DatabaseStore, RedisStore, count_inside

log = logging.getLogger(__name__)

REDIS_COOLDOWN = 10.0  # seconds without an answer before Redis is asked again, by one request

Answer = TypeVar("Answer", int, bool)


class Budget(NamedTuple):
    """A counter: its limit, who is counted, and by how much the usual amount is multiplied."""

    limit: str
    who: str
    times: int = 1


class Counters:
    """What counts for one application, in Redis or in the database."""

    def __init__(self, items: Mapping[str, RateLimitItem], key: bytes, redis_url: str | None) -> None:
        self._items = items
        self._key = key
        self._database = DatabaseStore()
        self._redis = RedisStore(redis_url) if redis_url else None
        self._lock = Lock()
        self._redis_is_down = False
        self._ask_again_at = 0.0

    def seconds_to_wait(self, budgets: Iterable[Budget]) -> int:
        """Counts one attempt for all of them; 0 where it is within each, else it is counted for none."""
        windows = dict(map(self._window, budgets))
        return self._ask(lambda store: store.seconds_to_wait(windows))

    def is_full(self, budget: Budget) -> bool:
        """Returns whether the next attempt would be too many; counts nothing."""
        return self._ask(lambda store: store.is_full(*self._window(budget)))

    def _window(self, budget: Budget) -> tuple[str, RateLimitItem]:
        """Returns its key, an HMAC that tells nobody who was counted, and its limit."""
        usual = self._items[budget.limit]
        item = type(usual)(usual.amount * budget.times, usual.multiples)
        identifier = hmac.digest(self._key, f"{budget.limit} {budget.who}".encode(), "sha256").hex()
        return item.key_for(f"{budget.limit}/{identifier}"), item

    def _ask(self, question: Callable[[DatabaseStore | RedisStore], Answer]) -> Answer:
        if self._redis and self._may_ask_redis():
            try:
                answer = question(self._redis)
            except StorageError as error:
                self._redis_answered(type(error.storage_error).__name__)
            else:
                self._redis_answered()
                self._database.sweep()  # of what is counted inside transactions
                return answer
        return question(self._database)

    def is_within(self, transaction: Transaction, budget: Budget) -> bool:
        """Counts one attempt in the caller's transaction, and so in the database; whether it is within the limit."""
        key, item = self._window(budget)
        return count_inside(transaction, key, item) <= item.amount

    def _may_ask_redis(self) -> bool:
        if not self._redis_is_down:
            return True
        with self._lock:
            if monotonic() < self._ask_again_at:
                return False
            self._ask_again_at = monotonic() + REDIS_COOLDOWN  # this request asks, the others go on without
            return True

    def _redis_answered(self, failure: str = "") -> None:
        """Takes down whether it did; the log says so once, not for each request."""
        if self._redis_is_down == bool(failure):
            return
        with self._lock:
            changed = self._redis_is_down != bool(failure)
            self._redis_is_down = bool(failure)
            self._ask_again_at = monotonic() + REDIS_COOLDOWN
        if changed and failure:
            log.error("Redis does not answer (%s): the database counts for the rate limits meanwhile", failure)
        elif changed:
            log.warning("Redis answers again and counts for the rate limits")
