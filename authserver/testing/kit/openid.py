"""The kit as an OpenID provider: its discovery document, its keys, and id_tokens as they should and should not be."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from authserver.testing.kit.server import Asked, Reply, of_json


def _generated() -> ECKey:
    return ECKey.generate_key("P-256", {"kid": "kit", "use": "sig", "alg": "ES256"})


KEY = _generated()
FOREIGN_KEY = _generated()  # under the same name

AUTHORIZE, TOKEN, USERINFO, JWKS = "/kit/authorize", "/kit/token", "/kit/userinfo", "/kit/jwks"


def discovery(issuer: str, server: str) -> Reply:
    return of_json(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{server}{AUTHORIZE}",
            "token_endpoint": f"{server}{TOKEN}",
            "userinfo_endpoint": f"{server}{USERINFO}",
            "jwks_uri": f"{server}{JWKS}",
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }
    )


def jwks(asked: Asked) -> Reply:
    return of_json({"keys": [KEY.as_dict(private=False)]})


def signed(claims: Mapping[str, Any], issuer: str, *, key: ECKey | None = KEY) -> str:
    """An id_token that says this and, unless it says otherwise, who issued it and when; None leaves a claim out.

    Without a key it is not signed.
    """
    now = int(time.time())
    whole = {"iss": issuer, "iat": now, "exp": now + 600, **claims}
    given = {name: value for name, value in whole.items() if value is not None or name not in ("iss", "nonce")}
    if key is None:
        return unsigned(given)
    return jwt.encode({"alg": "ES256", "kid": "kit"}, given, key)


def unsigned(claims: Mapping[str, Any]) -> str:
    """A JWT whose signature is none."""
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    encoded = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return f"{'.'.join(encoded)}.bm9uZQ"
