"""The key ring: the keys that sign our tokens, kept in the database, shared by all nodes, published as JWKS."""

import json
import logging
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from flask import current_app
from flask_jwt_extended import decode_token
from jwt.algorithms import ECAlgorithm, OKPAlgorithm
from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from authserver.extensions import db
from authserver.models import SigningKey
from authserver.settings import Settings, SettingsError

log = logging.getLogger(__name__)

REREAD = 60.0  # seconds until a key that another node made is noticed here
COOLDOWN = 5.0  # seconds between re-readings that unknown key ids ask for
REMEMBERED = 4096  # verified tokens, so that a signature costs its 100 µs once


@dataclass(frozen=True)
class Key:
    """One algorithm per key (RFC 8725 §3.1); `private` and `public` are what PyJWT signs and verifies with."""

    kid: str
    algorithm: str
    private: Any
    public: Any


class KeyRing:
    def __init__(self, settings: Settings) -> None:
        self._algorithm = settings.signing_algorithm
        self._sealer = _sealer(settings)
        self._keys: dict[str, Key] = {}
        self._read_at = float("-inf")
        self._remembered: Callable[[str], dict[str, Any]] = lru_cache(REMEMBERED)(_decode)

    def signing(self) -> Key:
        """The newest key of the configured algorithm."""
        for key in reversed(self._current().values()):
            if key.algorithm == self._algorithm:
                return key
        raise SettingsError(f"there is no signing key for {self._algorithm}: run `authserver migrate`")

    def verified(self, token: str) -> dict[str, Any]:
        """The claims of a token that one of the keys signed, remembered for as long as the keys are the same."""
        self._current()  # a key that is gone takes with it what it had verified
        return self._remembered(token)

    def verifying(self, kid: str) -> Key | None:
        return self._current().get(kid) or self._current(COOLDOWN).get(kid)

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The public keys (RFC 7517); a symmetric key has no public part and is not among them."""
        return {"keys": [_public_jwk(key) for key in self._current().values() if key.algorithm != "HS256"]}

    def _current(self, age: float = REREAD) -> dict[str, Key]:
        if monotonic() - self._read_at > age:
            try:
                with db.engine.connect() as connection:
                    self.read(connection)
            except OperationalError:
                if not self._keys:
                    raise
                self._read_at = monotonic() - REREAD + COOLDOWN  # what is known still counts: ask again soon
        return self._keys

    def read(self, connection: Connection) -> None:
        """Takes over the keys that are in the database; raises `SettingsError` where the secret does not open one."""
        columns = select(SigningKey.kid, SigningKey.algorithm, SigningKey.sealed)
        rows = connection.execute(columns.order_by(SigningKey.created_at, SigningKey.kid))
        # What was opened once stays open: `authserver migrate` may have sealed it under a secret not set here yet.
        keys = {}
        for row in rows:
            try:
                keys[row.kid] = self._keys.get(row.kid) or self._open(row.kid, row.algorithm, row.sealed)
            except SettingsError:
                if not self._keys:
                    raise
                log.error("the signing key %s was made under a secret that is not set here", row.kid)
        if keys.keys() != self._keys.keys():
            # One assignment each: other threads read these without a lock.
            self._keys, self._remembered = keys, lru_cache(REMEMBERED)(_decode)
        self._read_at = monotonic()

    def _open(self, kid: str, algorithm: str, sealed: str) -> Key:
        try:
            plain = self._sealer.decrypt(sealed)
        except InvalidToken:
            raise SettingsError(
                "the signing keys in the database were made under another AUTHSERVER_SECRET_KEY: set that one, or run "
                "`authserver keys reset` to begin with new keys, which signs everybody out"
            ) from None
        if algorithm == "HS256":
            return Key(kid, algorithm, plain, plain)
        private = load_der_private_key(plain, password=None)
        return Key(kid, algorithm, private, private.public_key())


def key_ring() -> KeyRing:
    ring: KeyRing = current_app.extensions["authserver.keys"]
    return ring


def ensure_key(connection: Connection, settings: Settings) -> None:
    """Makes the first key of the configured algorithm, and seals all under the present secret where another did.

    To be called by one process at a time, inside a transaction: two that both made a first key would race.
    """
    sealer = _sealer(settings)
    ring = KeyRing(settings)
    ring.read(connection)
    if settings.secret_key_previous:
        for kid, sealed in connection.execute(select(SigningKey.kid, SigningKey.sealed)).all():
            connection.execute(
                update(SigningKey).where(SigningKey.kid == kid).values(sealed=sealer.rotate(sealed).decode())
            )
    try:
        ring.signing()
    except SettingsError:
        algorithm = settings.signing_algorithm
        sealed = sealer.encrypt(_generate(algorithm)).decode()
        kid = secrets.token_hex(8)
        connection.execute(insert(SigningKey).values(kid=kid, algorithm=algorithm, sealed=sealed))


def _decode(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = decode_token(token, allow_expired=True)
    return claims


def _sealer(settings: Settings) -> MultiFernet:
    keys = settings.derived_keys("signing keys")
    return MultiFernet([Fernet(urlsafe_b64encode(key)) for key in keys])


def _generate(algorithm: str) -> bytes:
    if algorithm == "HS256":
        return os.urandom(32)
    private = ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else ed25519.Ed25519PrivateKey.generate()
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _public_jwk(key: Key) -> dict[str, Any]:
    to_jwk = ECAlgorithm.to_jwk if key.algorithm == "ES256" else OKPAlgorithm.to_jwk
    return {**json.loads(to_jwk(key.public)), "kid": key.kid, "use": "sig", "alg": key.algorithm}
