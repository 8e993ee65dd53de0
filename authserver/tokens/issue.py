"""Issuing tokens, by flask-jwt-extended, with the times of our own clock."""

from datetime import datetime
from uuid import UUID, uuid5

from flask_jwt_extended import create_access_token, create_refresh_token

from authserver import clock
from authserver.clock import now
from authserver.extensions import current_settings
from authserver.tokens.keys import key_ring


def access_token(user_id: UUID, session_id: UUID) -> str:
    """An access token as a refresh gives it: it lives out its lifetime, and is fresh for nothing."""
    issued = int(now().timestamp())
    return _access_token(user_id, session_id, issued, issued + current_settings().access_token_lifetime, 0)


def access_token_of_sign_in(
    user_id: UUID, session_id: UUID, authenticated_at: datetime, session_expires_at: datetime
) -> str:
    """The first access token of a session: fresh for sensitive changes a while after its person proved who they are.

    Its `fresh` claim is the time until when it counts as fresh (seconds since the epoch), or false. No token is fresh
    past the end of its session.
    """
    issued = int(now().timestamp())
    expires = issued + current_settings().access_token_lifetime
    return _access_token(user_id, session_id, issued, expires, _fresh_until(authenticated_at, session_expires_at))


def access_token_made_fresh(user_id: UUID, session_id: UUID, session_expires_at: datetime) -> str:
    """An access token for who has just proved again who they are.

    It ends with its session: what a refresh would refuse then, no other way may give.
    """
    moment = now()
    issued = int(moment.timestamp())
    expires = min(issued + current_settings().access_token_lifetime, int(session_expires_at.timestamp()))
    return _access_token(user_id, session_id, issued, expires, _fresh_until(moment, session_expires_at))


def _fresh_until(authenticated_at: datetime, session_expires_at: datetime) -> int:
    fresh_until = int(authenticated_at.timestamp()) + current_settings().fresh_lifetime
    return min(fresh_until, int(session_expires_at.timestamp()))


def _access_token(user_id: UUID, session_id: UUID, issued: int, expires: int, fresh_until: int) -> str:
    token: str = create_access_token(
        str(user_id),
        fresh=fresh_until if fresh_until > issued else False,
        additional_claims=_claims(session_id, issued, expires),
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
    # Others compare these two with their own clocks: a token from the future counts nowhere.
    begun = issued - int(clock.ahead.total_seconds())
    return {"sid": str(session_id), "iat": begun, "nbf": begun, "exp": expires}
