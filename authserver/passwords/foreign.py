"""Password hashes as Django stores them, plain bcrypt's and Argon2id's, so that users can be moved here without resets.

`pbkdf2_sha256$<iterations>$<salt>$<base64>`, `bcrypt_sha256$<bcrypt>`, `argon2<argon2>`, and `$2b$…`, `$argon2id$…` as
they are: https://docs.djangoproject.com/en/stable/topics/auth/passwords/ and django.contrib.auth.hashers.
"""

import hashlib
import hmac
import logging
import re
from base64 import b64encode

import bcrypt
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError, VerifyMismatchError
from argon2.low_level import Type, verify_secret

log = logging.getLogger(__name__)

# What a hash may ask for: it comes from a file, and each try at a password costs that much. About ten times the
# processor time of a hash of ours, which is what Django asks of bcrypt (9.6 times) and Argon2 (8.9). Its PBKDF2 cannot
# be had for less than 20: 1,500,000 are Django 6.1's iterations, where 5.2 asks for 1,000,000 (16 times).
MOST_ITERATIONS = 1_500_000  # of PBKDF2
MOST_ROUNDS = 12  # bcrypt's exponent
MOST_MEMORY = 100 * 1024  # Argon2's, in KiB
MOST_WORK = 256 * 1024  # memory times passes
MOST_PASSES, MOST_LANES = 16, 16  # each pass starts the threads of its lanes four times

# Base64 that ends within a character has bits without meaning. They are 0 in what was made by hashing: bcrypt refuses
# a salt with others, and no digest would ever be equal to one with others.
PBKDF2 = re.compile(r"pbkdf2_sha256\$([1-9][0-9]{0,9})\$([^$]{1,128})\$([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)")
BCRYPT = re.compile(
    r"(bcrypt_sha256\$)?"
    r"(\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.26CGKOSWaeimquy])",
)
NUMBER = "([1-9][0-9]{0,9})"
ARGON2 = re.compile(
    r"(?:argon2(\$argon2(?:id|i|d))|(\$argon2id))"
    rf"((?:\$v=(?:16|19))?)\$m={NUMBER},t={NUMBER},p={NUMBER}"
    r"(\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{22,})"  # 8 bytes of salt, 16 of digest: fewer could be guessed
)
NO_HASH = "This is not a hash that can be checked here."
ARGON2_TYPES = {"$argon2id": Type.ID, "$argon2i": Type.I, "$argon2d": Type.D}
HASHER = PasswordHasher()


def is_foreign(password_hash: str) -> bool:
    return not password_hash.startswith("$argon2")


def objection(password_hash: str) -> str | None:
    """Why a hash cannot be checked here, in a sentence; None where it can.

    It is found without hashing: an import has a million of them.
    """
    if match := PBKDF2.fullmatch(password_hash):
        return _too_much(int(match[1]) <= MOST_ITERATIONS, f"{MOST_ITERATIONS:,} iterations")
    if match := BCRYPT.fullmatch(password_hash):
        return NO_HASH if int(match[3]) < 4 else _too_much(int(match[3]) <= MOST_ROUNDS, f"{MOST_ROUNDS} rounds")
    if match := ARGON2.fullmatch(password_hash):
        memory, passes, lanes = int(match[4]), int(match[5]), int(match[6])
        if memory < 8 * lanes or not _argon2_reads(match):
            return NO_HASH
        few = memory <= MOST_MEMORY and memory * passes <= MOST_WORK and passes <= MOST_PASSES and lanes <= MOST_LANES
        return _too_much(few, f"m={MOST_MEMORY}, t={MOST_PASSES}, p={MOST_LANES}, and {MOST_WORK} for m times t")
    return NO_HASH


def _too_much(affordable: bool, most: str) -> str | None:
    return None if affordable else f"This hash costs too much to check: at most {most}."


def _argon2_reads(match: re.Match[str]) -> bool:
    """Whether Argon2 itself takes the hash, tried with the least work that it can ask for (20 µs)."""
    kind = match[1] or match[2]
    try:
        return verify_secret(f"{kind}{match[3]}$m=8,t=1,p=1{match[7]}".encode(), b"", ARGON2_TYPES[kind])
    except VerifyMismatchError:
        return True
    except VerificationError:
        return False


def is_usable(password_hash: str) -> bool:
    """The same of a stored hash, which may have come here by another way than the import; the log says why not."""
    sentence = objection(password_hash)
    if sentence:
        log.warning("A stored password hash counts as no match: %s", sentence)
    return sentence is None


def matches(password_hash: str, password: str) -> bool:
    """Whether it is the right password of a usable hash; where a library cannot tell it is not, and the log says so."""
    try:
        return _matches(password_hash, password.encode())
    except Exception as error:  # an outage of one account must not be a 500, nor tell it from others
        log.warning("A stored password hash counts as no match: its check failed with %s", type(error).__name__)
        return False


def _matches(password_hash: str, secret: bytes) -> bool:
    """Django hashes the password as it was typed, without a Unicode normal form: neither does this."""
    if match := PBKDF2.fullmatch(password_hash):
        computed = hashlib.pbkdf2_hmac("sha256", secret, match[2].encode(), int(match[1]))
        return hmac.compare_digest(b64encode(computed).decode(), match[3])
    if match := BCRYPT.fullmatch(password_hash):
        # Django hashes first, for bcrypt reads 72 bytes; plain bcrypt cut them off silently when it hashed.
        secret = hashlib.sha256(secret).hexdigest().encode() if match[1] else secret[:72]
        return bcrypt.checkpw(secret, match[2].encode())
    try:
        return HASHER.verify(password_hash.removeprefix("argon2"), secret)
    except VerifyMismatchError:
        return False
