"""Refresh: which token of a session counts, and, with rotation, which comes next.

A session holds the generation of its refresh token. The token of that generation counts; the one before it for ten
seconds more, and is answered with the same successor, for two tabs may wake at once and an answer may get lost; whoever
brings an older one has a copy that was used already, so the session ends (RFC 9700 §4.14.2).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, or_, select, update

from authserver.clock import now
from authserver.errors import ApiError
from authserver.events.record import Happened, record
from authserver.extensions import current_settings, fetch_one, writing
from authserver.models import Session, User
from authserver.sessions.flows import end, touch
from authserver.tokens.issue import access_token, refresh_token, refresh_token_id
from authserver.tokens.verify import Claims, verify
from authserver.visitor import Visitor

GRACE = timedelta(seconds=10)


@dataclass(frozen=True)
class Refreshed:
    access: str
    refresh: str | None  # None without rotation: the token that was sent goes on counting


@dataclass(frozen=True)
class Found:
    """A live session's row, as far as refreshing needs it."""

    created_at: datetime
    expires_at: datetime
    last_used_at: datetime
    generation: int
    rotated_at: datetime | None


FIND = select(
    Session.created_at, Session.expires_at, Session.last_used_at, Session.generation, Session.rotated_at
).where(
    Session.id == bindparam("session_id"),
    Session.user_id == bindparam("user_id"),
    Session.revoked_at.is_(None),
    User.id == Session.user_id,
    User.disabled_at.is_(None),
    # A session from before the settings asked for verified e-mail addresses gives no tokens until its own is.
    or_(User.email_verified, User.email.is_(None), bindparam("unverified")),
)


def refresh(token: str, visitor: Visitor) -> Refreshed:
    """New tokens for a refresh token; raises `token_not_valid`."""
    claims = verify(token, "refresh")
    found = _find(claims)
    rotating = current_settings().refresh_rotation
    if _is_current(claims, found):
        if rotating:
            found = _advance(claims, found)
        elif not touch(claims.user_id, claims.session_id, found.last_used_at):
            _find(claims)
    elif not _is_predecessor_in_grace(claims, found):
        _end_reused(claims, visitor)
    access = access_token(claims.user_id, claims.session_id)
    return Refreshed(access, _token(claims, found) if rotating else None)


def check(claims: Claims) -> None:
    """Raises `token_not_valid` unless a refresh with this token would succeed; changes nothing."""
    found = _find(claims)
    if not _is_current(claims, found) and not _is_predecessor_in_grace(claims, found):
        raise ApiError("token_not_valid")


def _find(claims: Claims) -> Found:
    unverified = not current_settings().must_verify
    row = fetch_one(FIND, {"session_id": claims.session_id, "user_id": claims.user_id, "unverified": unverified})
    if row is None or row.expires_at <= now():
        raise ApiError("token_not_valid")
    return Found(*row)


def _is_current(claims: Claims, found: Found) -> bool:
    return claims.token_id == refresh_token_id(claims.session_id, found.generation)


def _is_predecessor_in_grace(claims: Claims, found: Found) -> bool:
    predecessor = claims.token_id == refresh_token_id(claims.session_id, found.generation - 1)
    return predecessor and found.rotated_at is not None and now() < found.rotated_at + GRACE


def _token(claims: Claims, found: Found) -> str:
    issued_at = found.rotated_at or found.created_at
    return refresh_token(claims.user_id, claims.session_id, found.generation, issued_at, found.expires_at)


def _advance(claims: Claims, found: Found) -> Found:
    """The next generation, by compare-and-swap: of several at once one succeeds, and the others find what it wrote."""
    moment = now()
    with writing() as transaction:
        advanced = transaction.execute(
            update(Session)
            .where(
                Session.id == claims.session_id,
                Session.user_id == claims.user_id,
                Session.generation == found.generation,
                Session.revoked_at.is_(None),
            )
            .values(generation=found.generation + 1, rotated_at=moment, last_used_at=moment)
        )
    if advanced.rowcount != 1:  # type: ignore[attr-defined]
        found = _find(claims)
        if not _is_predecessor_in_grace(claims, found):
            raise ApiError("token_not_valid")
        return found
    return Found(found.created_at, found.expires_at, moment, found.generation + 1, moment)


def _end_reused(claims: Claims, visitor: Visitor) -> None:
    """Revoke, commit, then fail."""
    with writing() as transaction:
        if end(transaction, claims.user_id, Session.id == claims.session_id):
            record(transaction, Happened.REFRESH_REUSED, visitor, claims.user_id, claims.session_id)
    raise ApiError("token_not_valid")
