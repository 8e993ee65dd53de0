"""Where the attempts are counted: in Redis where one is set, else in the database.

While Redis does not answer the database counts, so that nothing is ever unlimited.
"""

import hmac
import logging
from collections.abc import Mapping
from math import ceil
from threading import Lock
from time import monotonic

from limits import RateLimitItem
from limits.errors import StorageError
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.limits.stores import DatabaseStorage, count_inside, redis_storage

log = logging.getLogger(__name__)

REDIS_COOLDOWN = 10.0  # seconds without an answer before Redis is asked again, by one request


class Counters:
    """What counts for one application, in Redis or in the database."""

    def __init__(self, items: Mapping[str, RateLimitItem], key: bytes, redis_url: str | None) -> None:
        self._items = items
        self._key = key
        self._database = FixedWindowRateLimiter(DatabaseStorage())
        self._redis = FixedWindowRateLimiter(redis_storage(redis_url)) if redis_url else None
        self._lock = Lock()
        self._redis_is_down = False
        self._ask_again_at = 0.0

    def seconds_to_wait(self, limit: str, who: str) -> int:
        """Counts one attempt; 0 where it is within the limit. Keys are HMACs: they tell nobody who was counted."""
        identifier = self._identifier(limit, who)
        if self._redis and self._may_ask_redis():
            try:
                seconds = _hit(self._redis, self._items[limit], identifier)
            except StorageError as error:
                self._redis_answered(type(error.storage_error).__name__)
            else:
                self._redis_answered()
                return seconds
        return _hit(self._database, self._items[limit], identifier)

    def is_within(self, transaction: Transaction, limit: str, who: str) -> bool:
        """Counts one attempt in the caller's transaction, and so in the database; whether it is within the limit."""
        item = self._items[limit]
        return count_inside(transaction, item.key_for(self._identifier(limit, who)), item.get_expiry()) <= item.amount

    def _identifier(self, limit: str, who: str) -> str:
        return f"{limit}/{hmac.digest(self._key, f'{limit} {who}'.encode(), 'sha256').hex()}"

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


def _hit(limiter: FixedWindowRateLimiter, item: RateLimitItem, identifier: str) -> int:
    """Counts where there is room, and says how many seconds to wait where there is none.

    It is the counting that decides. The look before it keeps a flood of refused attempts from writing.
    """
    if limiter.test(item, identifier) and limiter.hit(item, identifier):
        return 0
    return max(1, ceil(limiter.storage.get_expiry(item.key_for(identifier)) - now().timestamp()))
