"""Argon2id with OWASP's minimum; 19 MiB and about 17 ms a hash, so never more at once than there are cores.

Hashes that other servers made (passwords/foreign.py) are checked too, and replaced at the first login.
"""

import os
from threading import BoundedSemaphore
from unicodedata import normalize

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from authserver.passwords import foreign

_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
# The cores are shared with gunicorn's other processes, of which WEB_CONCURRENCY says how many there are.
CORES = max(1, (os.cpu_count() or 1) // int(os.environ.get("WEB_CONCURRENCY") or 1))
_cores = BoundedSemaphore(CORES)

# What an unknown address is checked against. No password is known for it: the hashed bytes were random.
DUMMY = _hasher.hash(os.urandom(32))


def hash_password(password: str) -> str:
    with _cores:
        return _hasher.hash(normalize("NFC", password))


def matches(password_hash: str | None, password: str) -> bool:
    """Whether the password is the right one. Without a hash the same work is done, and the answer is no.

    So it is with a stored hash that cannot be checked here.
    """
    if not foreign.is_usable(password_hash or DUMMY):
        password_hash = None
    with _cores:
        if password_hash is not None and foreign.is_foreign(password_hash):
            return foreign.matches(password_hash, password)
        try:
            return _hasher.verify(password_hash or DUMMY, normalize("NFC", password)) and password_hash is not None
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(password_hash: str) -> bool:
    """Whether a hash is of other parameters than today's, so that a login should replace it."""
    return foreign.is_foreign(password_hash) or _hasher.check_needs_rehash(password_hash)
