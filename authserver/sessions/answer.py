"""What a sign-in answers, and the one shape of `user` for all who answer it."""

from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from authserver.clock import rfc3339
from authserver.models import Session, User
from authserver.tokens.issue import access_token_of_sign_in, refresh_token


class Person(Protocol):
    """A `User`, or a `Caller` with the same fields."""

    @property
    def id(self) -> UUID: ...
    @property
    def email(self) -> str | None: ...
    @property
    def email_verified(self) -> bool: ...
    @property
    def first_name(self) -> str: ...
    @property
    def last_name(self) -> str: ...
    @property
    def date_joined(self) -> datetime: ...


def user_json(user: Person) -> dict[str, Any]:
    return {
        "id": str(user.id),
        "email": user.email,
        "email_verified": user.email_verified,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "date_joined": rfc3339(user.date_joined),
    }


def signed_in_json(user: User, session: Session) -> dict[str, Any]:
    return {
        "access": access_token_of_sign_in(user.id, session.id, session.last_authenticated_at, session.expires_at),
        "refresh": refresh_token(user.id, session.id, 0, session.created_at, session.expires_at),
        "user": user_json(user),
    }


def session_json(session: Session, current: UUID) -> dict[str, Any]:
    return {
        "id": str(session.id),
        "current": session.id == current,
        "created_at": rfc3339(session.created_at),
        "last_used_at": rfc3339(session.last_used_at),
        "expires_at": rfc3339(session.expires_at),
        "user_agent": session.user_agent,
        "ip": session.ip,
        "method": session.method,
    }
