"""Issuing tokens, by flask-jwt-extended, with the times of our own clock."""

from datetime import datetime
from uuid import UUID, uuid5

from flask_jwt_extended import create_access_token, create_refresh_token

from authserver.clock import now
from authserver.extensions import current_settings
from authserver.tokens.keys import key_ring


def access_token(user_id: UUID, session_id: UUID, *, authenticated_at: datetime | None) -> str:
    """An access token, fresh for sensitive changes a while after its person proved who they are; None after a refresh.

    Its `fresh` claim is the time until when it counts as fresh (seconds since the epoch), or false.
    """
    settings = current_settings()
    issued = int(now().timestamp())
    fresh_until = int(authenticated_at.timestamp()) + settings.fresh_lifetime if authenticated_at else 0
    token: str = create_access_token(
        str(user_id),
        fresh=fresh_until if fresh_until > issued else False,
        additional_claims=_claims(session_id, issued, issued + settings.access_token_lifetime),
        additional_headers={"kid": key_ring().signing().kid},
    )
    return token


def refresh_token(
    user_id: UUID, session_id: UUID, generation: int, issued_at: datetime, session_expires_at: datetime
) -> str:
    """A refresh token, which never outlives its session. Asked for twice with the same values it is the same one."""
    issued = int(issued_at.timestamp())
    expires = min(issued + current_settings().refresh_token_lifetime, int(session_expires_at.timestamp()))
    token: str = create_refresh_token(
        str(user_id),
        additional_claims={"jti": refresh_token_id(session_id, generation), **_claims(session_id, issued, expires)},
        additional_headers={"kid": key_ring().signing().kid},
    )
    return token


def refresh_token_id(session_id: UUID, generation: int) -> str:
    """The `jti` of a session's refresh token: it names the generation, so that no list of tokens has to be kept."""
    return str(uuid5(session_id, f"refresh {generation}"))


def _claims(session_id: UUID, issued: int, expires: int) -> dict[str, object]:
    return {"sid": str(session_id), "iat": issued, "nbf": issued, "exp": expires}
