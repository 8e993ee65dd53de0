from uuid import UUID

from sqlalchemy import select

from authserver.errors import invalid
from authserver.extensions import fetch_one
from authserver.models import User
from authserver.passwords.hashing import matches
from authserver.tokens.issue import access_token


def reauthenticate(user_id: UUID, session_id: UUID, password: str) -> str:
    """A fresh access token of the same session for the right password; raises `invalid_request` for a wrong one."""
    found = fetch_one(select(User.password_hash).where(User.id == user_id))
    if not matches(found.password_hash if found else None, password):
        raise invalid("password", "This password is not right.")
    return access_token(user_id, session_id, fresh=True)
