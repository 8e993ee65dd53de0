from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from authserver.errors import ApiError
from authserver.extensions import fetch_one, writing
from authserver.models import Session, User
from authserver.passwords.hashing import hash_password, matches
from authserver.sessions import flows as sessions
from authserver.visitor import Visitor


def sign_up(email: str, password: str, first_name: str, last_name: str, visitor: Visitor) -> tuple[User, Session]:
    """A new account and its first session; the password has passed the policy."""
    if fetch_one(select(User.id).where(User.email == email)):
        raise ApiError("account_exists")
    user = User(email=email, password_hash=hash_password(password), first_name=first_name, last_name=last_name)
    try:
        with writing() as transaction:
            transaction.add(user)
            transaction.flush()
            return user, sessions.start(transaction, user, visitor, "password")
    except IntegrityError:  # another sign-up was faster
        raise ApiError("account_exists") from None


def log_in(email: str, password: str, visitor: Visitor) -> tuple[User, Session]:
    """A new session; an unknown address, a wrong password and a disabled account cost and answer the same."""
    found = fetch_one(select(User.id, User.password_hash).where(User.email == email))
    if not matches(found.password_hash if found else None, password) or found is None:
        raise ApiError("no_active_account")
    with writing() as transaction:
        # What was read before the hash may have changed: the lock makes a password reset come before or after.
        user = transaction.scalar(
            select(User)
            .where(User.id == found.id, User.password_hash == found.password_hash, User.disabled_at.is_(None))
            .with_for_update(read=True)
        )
        if user is None:
            raise ApiError("no_active_account")
        return user, sessions.start(transaction, user, visitor, "password")


def change_profile(user_id: UUID, changes: Mapping[str, str]) -> User:
    """Sets what is in `changes` (`first_name`, `last_name`) and leaves the rest."""
    with writing() as transaction:
        user = transaction.get(User, user_id)
        if user is None:  # erased since the guard looked
            raise ApiError("token_not_valid")
        for field, value in changes.items():
            setattr(user, field, value)
        return user
