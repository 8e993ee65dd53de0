"""Password hashes as Django stores them, and plain bcrypt, so that users can be moved here without resets.

`pbkdf2_sha256$<iterations>$<salt>$<base64>`, `bcrypt_sha256$<bcrypt>`, `argon2<argon2>`, and `$2b$…` as it is:
https://docs.djangoproject.com/en/stable/topics/auth/passwords/ and django.contrib.auth.hashers.
"""

import hashlib
import hmac
import re
from base64 import b64encode

import bcrypt
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

PBKDF2 = re.compile(r"pbkdf2_sha256\$(\d{1,8})\$([^$]{1,64})\$([A-Za-z0-9+/]{43}=)")
BCRYPT = re.compile(r"(bcrypt_sha256\$)?(\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53})")
ARGON2 = re.compile(r"(argon2\$argon2(id|i|d)|\$argon2id)\$[!-~]+")
MOST_ITERATIONS = 5_000_000  # of PBKDF2: a hash comes from a file, and what it asks for is work
MOST_ROUNDS = 16  # bcrypt's exponent
MOST_MEMORY, MOST_TIME, MOST_LANES = 256 * 1024, 20, 16  # Argon2's, in KiB and passes; Django asks 100 MiB, 2 and 8
HASHER = PasswordHasher()


def is_foreign(password_hash: str) -> bool:
    return not password_hash.startswith("$argon2")


def is_supported(password_hash: str) -> bool:
    """Whether `matches` can say yes; an import refuses what it cannot."""
    if match := PBKDF2.fullmatch(password_hash):
        return 1 <= int(match[1]) <= MOST_ITERATIONS
    if match := BCRYPT.fullmatch(password_hash):
        return 4 <= int(match[3]) <= MOST_ROUNDS
    return bool(ARGON2.fullmatch(password_hash)) and _is_affordable(password_hash.removeprefix("argon2"))


def _is_affordable(argon2_hash: str) -> bool:
    try:
        asked = extract_parameters(argon2_hash)
    except (InvalidHashError, ValueError):
        return False
    memory, time, lanes = asked.memory_cost, asked.time_cost, asked.parallelism
    return 8 <= memory <= MOST_MEMORY and 1 <= time <= MOST_TIME and 1 <= lanes <= MOST_LANES


def matches(password_hash: str, password: str) -> bool:
    """Django hashes the password as it was typed, without a Unicode normal form: neither does this."""
    if not is_supported(password_hash):
        return False
    secret = password.encode()
    if match := PBKDF2.fullmatch(password_hash):
        computed = hashlib.pbkdf2_hmac("sha256", secret, match[2].encode(), int(match[1]))
        return hmac.compare_digest(b64encode(computed).decode(), match[3])
    if match := BCRYPT.fullmatch(password_hash):
        # Django hashes first, for bcrypt reads 72 bytes; plain bcrypt cut them off silently when it hashed.
        secret = hashlib.sha256(secret).hexdigest().encode() if match[1] else secret[:72]
        return bcrypt.checkpw(secret, match[2].encode())
    try:
        return HASHER.verify(password_hash.removeprefix("argon2"), password)
    except (VerificationError, InvalidHashError):
        return False
