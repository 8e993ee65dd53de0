"""What the operator does to accounts: to anybody's, with no session and from no address."""

from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError

from authserver.body import email_address
from authserver.clock import now
from authserver.emails.notices import send_link
from authserver.errors import ApiError
from authserver.events.record import Happened, record
from authserver.extensions import db, writing
from authserver.models import User
from authserver.passwords.hashing import hash_password
from authserver.sessions import flows as sessions
from authserver.tokens.acting import existing
from authserver.tokens.one_time import Purpose, kill_all
from authserver.visitor import Visitor

NOBODY = Visitor()  # who works at the server's own console


def find(email_or_id: str) -> User:
    """Raises `not_found`."""
    user_id = as_id(email_or_id)
    user = db.session.get(User, user_id) if user_id else _by_email(email_or_id)
    if user is None:
        raise ApiError("not_found", f"There is no user {email_or_id}.")
    return user


def as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _by_email(text: str) -> User | None:
    try:
        return db.session.scalar(select(User).where(User.email == email_address(text)))
    except ValueError:
        return None


def search(text: str, limit: int) -> Iterator[User]:
    """Those with the text in their address or names, the newest account first; all where it is empty.

    Read in pieces, for there may be many.
    """
    query = select(User).order_by(User.id.desc()).limit(limit).execution_options(yield_per=1000)
    if text:
        columns = (User.email, User.first_name, User.last_name)
        query = query.where(or_(*(column.icontains(text, autoescape=True) for column in columns)))
    yield from db.session.scalars(query)


def create(
    email: str, password: str | None, *, first_name: str = "", last_name: str = "", verified: bool = False
) -> tuple[User, bool]:
    """An account that nobody signs in to yet, whoever may join by themselves; raises `account_exists`.

    Without a password its owner is mailed a link to set one, where mail can be sent: whether so is said too.
    """
    mailed = False
    user = User(email=email, email_verified=verified, first_name=first_name, last_name=last_name)
    user.password_hash = hash_password(password) if password is not None else None
    try:
        with writing() as transaction:
            transaction.add(user)
            transaction.flush()
            record(transaction, Happened.ACCOUNT_CREATED, NOBODY, user.id)
            if password is None:
                mailed = send_link(transaction, "reset", Purpose.RESET, user, email, NOBODY)
    except IntegrityError:
        raise ApiError("account_exists") from None
    return user, mailed


def disable(user_id: UUID) -> bool:
    """No sign-in and no token counts any more; returns whether that is new.

    The sessions and what was begun by mail end for good, so that enabling revives neither.
    """
    with writing() as transaction:
        user = existing(transaction, user_id)
        if user.disabled_at is not None:
            return False
        user.disabled_at = now()
        sessions.end(transaction, user_id)
        kill_all(transaction, user_id)
        record(transaction, Happened.ACCOUNT_DISABLED, NOBODY, user_id)
    return True


def enable(user_id: UUID) -> bool:
    """The user can sign in again; returns whether that is new."""
    with writing() as transaction:
        user = existing(transaction, user_id)
        if user.disabled_at is None:
            return False
        user.disabled_at = None
        record(transaction, Happened.ACCOUNT_ENABLED, NOBODY, user_id)
    return True
