"""Whose account is changed, looked at again and held inside the transaction of the change."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Transaction

from authserver.errors import ApiError
from authserver.models import Session, User


def locked(transaction: Transaction, user_id: UUID) -> User | None:
    """The user, held until the end of the transaction: what races with it comes before or after."""
    return transaction.get(User, user_id, with_for_update=True, populate_existing=True)


def existing(transaction: Transaction, user_id: UUID) -> User:
    """The same for a command; raises `not_found` where the user was erased since the command looked."""
    user = locked(transaction, user_id)
    if user is None:
        raise ApiError("not_found", f"There is no user {user_id}.")
    return user


def holder(transaction: Transaction, email: str) -> User | None:
    """The same for the active account of an address, which may be gone or have another one by the time it is held."""
    return transaction.scalar(select(User).where(User.email == email, User.disabled_at.is_(None)).with_for_update())


def acting(transaction: Transaction, user_id: UUID, session_id: UUID) -> User:
    """The user who is signed in, held; raises `token_not_valid` where the session ended since the guard looked.

    So it is where the user was erased or disabled since.

    A thief's change that was under way would otherwise be written after the reset or recovery that puts them out.
    """
    user = locked(transaction, user_id)
    live = select(Session.id).where(Session.id == session_id, Session.user_id == user_id, Session.revoked_at.is_(None))
    if user is None or user.disabled_at is not None or transaction.scalar(live) is None:
        raise ApiError("token_not_valid")
    return user
