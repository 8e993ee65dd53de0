"""Checking an id_token: every claim spelled out (OpenID Connect Core 1.0 §3.1.3.7, RFC 8725)."""

import math
import re
from typing import Any

from joserfc import jws, jwt
from joserfc.jwk import Key

from authserver.clock import now
from authserver.oauth.documents import Documents, Keys
from authserver.oauth.provider import Ask, Claims, IdToken, Refused

COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
ALGORITHMS = {  # by the kind of key: never `none`, and never a secret that both sides share
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA", "Ed25519"),
}
SKEW = 10  # seconds that the provider's clock may differ from ours


def check_id_token(
    kind: IdToken, client_ids: tuple[str, ...], documents: Documents, ask: Ask, token: str, nonce: str | None
) -> Claims:
    """The claims of a token that this provider made for us just now; raises `Refused`, or whatever a parser raises.

    `nonce` is compared where it is given.
    """
    claims = _verified(token, documents, ask, kind.jwks_url or documents.metadata(ask, kind).jwks_uri)
    issuers = kind.issuers(claims) if kind.issuers else (documents.metadata(ask, kind).issuer,)
    if not isinstance(claims["iss"], str) or claims["iss"] not in issuers:
        raise Refused("of another issuer")
    _check_audience(claims, client_ids)
    _check_times(claims)
    if nonce is not None and claims.get("nonce") != nonce:
        raise Refused("with another nonce")
    return claims


def _verified(token: str, documents: Documents, ask: Ask, jwks_uri: str) -> dict[str, Any]:
    if not COMPACT.fullmatch(token):
        raise Refused("no signed JWT")
    header = jws.extract_compact(token.encode()).headers()
    kid, algorithm = header.get("kid"), header.get("alg")
    key = _key(documents.keys(ask, jwks_uri), kid) or _key(documents.keys(ask, jwks_uri, renew=True), kid)
    if key is None:
        raise Refused("signed with an unknown key")
    if algorithm not in ALGORITHMS[key.key_type]:
        raise Refused("signed with another algorithm than the key's")
    # Headers that are not known are ignored, as RFC 7515 §4 asks; one that `crit` names is refused.
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return dict(jwt.decode(token, key, registry=registry).claims)


def _key(keys: Keys, kid: object) -> Key | None:
    """Without a `kid` only a single key can be meant (OpenID Connect Core §10.1)."""
    if kid is None:
        return next(iter(keys.values())) if len(keys) == 1 else None
    return keys.get(kid) if isinstance(kid, str) else None


def _check_audience(claims: Claims, client_ids: tuple[str, ...]) -> None:
    """Ours is the only audience, or among others one that the token was made for (`azp`), never that alone."""
    audience = claims["aud"]
    audiences = audience if isinstance(audience, list) else [audience]
    ours = any(isinstance(one, str) and one in client_ids for one in audiences)
    if not ours or (len(audiences) > 1 and claims.get("azp") not in client_ids):
        raise Refused("not issued to this application")


def _check_times(claims: Claims) -> None:
    moment = now().timestamp()
    expires, issued, not_before = claims["exp"], claims["iat"], claims.get("nbf", claims["iat"])
    for one in (expires, issued, not_before):
        if type(one) not in (int, float) or not math.isfinite(one):
            raise Refused("with a time that is no number")
    if expires <= moment - SKEW or max(issued, not_before) > moment + SKEW:
        raise Refused("expired, or not yet valid")
