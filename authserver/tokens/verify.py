"""Verifying tokens: the signature by flask-jwt-extended, every claim spelled out here (RFC 8725, RFC 7519)."""

import re
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from jwt import InvalidTokenError
from jwt.utils import base64url_decode, base64url_encode
from sqlalchemy.exc import SQLAlchemyError

from authserver.clock import now
from authserver.errors import ApiError
from authserver.extensions import current_settings, jwt
from authserver.settings import SettingsError
from authserver.tokens.keys import key_ring

SKEW = 10  # seconds that another node's clock may be ahead
REQUIRED = {"exp", "iat", "nbf", "iss", "aud", "sub", "sid", "jti", "type"}
COMPACT = re.compile(r"[\w-]+\.[\w-]+\.([\w-]+)", re.ASCII)

Kind = Literal["access", "refresh"]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says; whether its session still counts, only the database knows."""

    user_id: UUID
    session_id: UUID
    token_id: str
    fresh_until: float  # seconds since the epoch; 0 for a token that never was fresh


@jwt.encode_key_loader
def _signing_key(identity: str) -> Any:
    return key_ring().signing().private


@jwt.decode_key_loader
def _verifying_key(headers: dict[str, Any], claims: dict[str, Any]) -> Any:
    kid = headers.get("kid")
    key = key_ring().verifying(kid) if isinstance(kid, str) else None
    # Looked at here, since flask-jwt-extended fills in a missing `type` or `jti`.
    if key is None or headers.get("alg") != key.algorithm or not claims.keys() >= REQUIRED:
        raise InvalidTokenError
    return key.public


def verify(token: str, kind: Kind, *, even_expired: bool = False) -> Claims:
    """The claims of one of our tokens; raises `token_not_valid` for whatever else it is given."""
    try:
        return _checked(_verified(token), kind, even_expired)
    except (SQLAlchemyError, SettingsError):
        raise
    except Exception:  # a hostile token may break a parser in ways that its documentation does not list
        raise ApiError("token_not_valid") from None


def _verified(token: str) -> dict[str, Any]:
    match = COMPACT.fullmatch(token)
    # Other spellings of the same signature bytes are not the token that we issued.
    if match is None or base64url_encode(base64url_decode(match[1])).decode() != match[1]:
        raise InvalidTokenError
    return key_ring().verified(token)


def _checked(claims: dict[str, Any], kind: Kind, even_expired: bool) -> Claims:
    settings = current_settings()
    moment = now().timestamp()
    exp, iat, nbf, jti = claims["exp"], claims["iat"], claims["nbf"], claims["jti"]
    if not (type(exp) is type(iat) is type(nbf) is int and isinstance(jti, str)):
        raise InvalidTokenError
    if (claims["type"], claims["iss"], claims["aud"]) != (kind, settings.public_url, settings.audience):
        raise InvalidTokenError
    if max(iat, nbf) > moment + SKEW or (exp <= moment and not even_expired):
        raise InvalidTokenError
    return Claims(UUID(claims["sub"]), UUID(claims["sid"]), jti, float(claims.get("fresh") or 0))
