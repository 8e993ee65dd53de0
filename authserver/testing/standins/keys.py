"""The keys that a stand-in signs with, and tokens signed as told."""

import hashlib
import hmac
import json
import secrets
import threading
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

Key = RSAKey | ECKey | OctKey | bytes | None
OURS = b"ours"  # stands for the one that is right, as `None` does for none at all


class Keys:
    """RSA keys, of which the first signs; made when first needed, for that takes a while."""

    def __init__(self) -> None:
        self._keys: list[RSAKey] = []
        self._lock = threading.Lock()

    @property
    def published(self) -> list[RSAKey]:
        with self._lock:
            if not self._keys:
                self._keys = [_generated()]
            return self._keys

    def rotate(self, keep_old: bool = True) -> None:
        old = self.published if keep_old else []
        with self._lock:
            self._keys = [_generated(), *old]


def _generated() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": secrets.token_hex(10), "use": "sig", "alg": "RS256"})


def sign(claims: Mapping[str, object], key: Key, header: Mapping[str, object]) -> str:
    """A JWT by the header's `alg`, sound or not: without a key it has no signature, and bytes are a key for HS256.

    Those two by hand, since a library good for signing refuses them: `none`, and a public key's PEM as HMAC's key.
    """
    if key is None or isinstance(key, bytes):
        signed = f"{base64_json(header)}.{base64_json(claims)}"
        return f"{signed}.{_base64(hmac.digest(key, signed.encode(), hashlib.sha256)) if key else ''}"
    return jwt.encode(dict(header), dict(claims), key, algorithms=[str(header["alg"])])


def half_hash(value: str) -> str:
    """`at_hash`, https://openid.net/specs/openid-connect-core-1_0.html#CodeIDToken."""
    return _base64(hashlib.sha256(value.encode()).digest()[:16])


def s256(verifier: str) -> str:
    """The code_challenge, https://www.rfc-editor.org/rfc/rfc7636#section-4.2."""
    return _base64(hashlib.sha256(verifier.encode()).digest())


def base64_json(value: object) -> str:
    return _base64(json.dumps(value).encode())


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
