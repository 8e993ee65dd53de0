"""Argon2id with OWASP's minimum; 19 MiB and about 17 ms a hash, so never more at once than there are cores.

Requests wait for their turn in a bounded queue, and beyond it are refused: thousands who sign in at once would
otherwise hold every thread, for as long as all their hashes take.

Hashes that other servers made (passwords/foreign.py) are checked too, and replaced at the first login.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from random import randint
from threading import BoundedSemaphore, Lock
from unicodedata import normalize

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from authserver.errors import ApiError
from authserver.passwords import foreign
from authserver.visitor import has_gone

_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
# The cores are shared with gunicorn's other processes, of which WEB_CONCURRENCY says how many there are.
CORES = max(1, (os.cpu_count() or 1) // int(os.environ.get("WEB_CONCURRENCY") or 1))
# Requests that may hash or wait for it at once, in each process: three quarters of gunicorn.conf.py's threads. A new
# one is let in while there are fewer than ADMITTED: those that came in together may count their attempts meanwhile,
# and find a place all the same.
PLACES = 24
ADMITTED = 20
LONGEST_RETRY = 10  # seconds; each who is refused is told another time, or all would come back together

# What an unknown address is checked against. No password is known for it: the hashed bytes were random.
DUMMY = _hasher.hash(os.urandom(32))


class Queue:
    """Who hashes and who waits for it, in one process."""

    def __init__(self) -> None:
        self._cores = BoundedSemaphore(CORES)
        self._lock = Lock()
        self._inside = 0

    def check(self) -> None:
        """Raises `temporarily_unavailable` where the queue is full, or the client does not wait for its answer."""
        if self._inside >= ADMITTED or has_gone():
            raise refusal()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Waits for a core; raises `temporarily_unavailable` where every place is taken, or the client left meanwhile.

        A command has the process to itself, and is never refused.
        """
        with self._lock:
            if self._inside >= PLACES:
                raise refusal()
            self._inside += 1
        try:
            with self._cores:
                if has_gone():
                    raise refusal()
                yield
        finally:
            with self._lock:
                self._inside -= 1


_queue = Queue()


def refusal() -> ApiError:
    return ApiError("temporarily_unavailable", headers={"Retry-After": str(randint(1, LONGEST_RETRY))})


def require_room() -> None:
    """Raises `temporarily_unavailable` where a hash would be refused. To be called before an attempt is counted:

    who is refused for lack of room has tried nothing, and keeps the attempts that the rate limits give.
    """
    _queue.check()


def hash_password(password: str, salt: bytes | None = None) -> str:
    """Makes the hash that is stored. The salt is random, unless the caller has one of 16 bytes that nobody can know."""
    with _queue.turn():
        return _hasher.hash(normalize("NFC", password), salt=salt)


def matches(password_hash: str | None, password: str) -> bool:
    """Whether the password is the right one. Without a hash the same work is done, and the answer is no.

    So it is with a stored hash that cannot be checked here.
    """
    if password_hash is not None and is_outdated(password_hash) and not foreign.is_usable(password_hash):
        password_hash = None
    with _queue.turn():
        if password_hash is not None and foreign.is_foreign(password_hash):
            return foreign.matches(password_hash, password)
        try:
            return _hasher.verify(password_hash or DUMMY, normalize("NFC", password)) and password_hash is not None
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(password_hash: str) -> bool:
    """Whether a hash is of other parameters than today's, so that a login should replace it."""
    try:
        return foreign.is_foreign(password_hash) or _hasher.check_needs_rehash(password_hash)
    except InvalidHashError:
        return True
