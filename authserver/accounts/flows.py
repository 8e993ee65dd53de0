from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from sqlalchemy import literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as Transaction

from authserver.accounts.joining import accept_invitation, check_may_join
from authserver.emails.delivery import wake
from authserver.emails.flows import require_mail
from authserver.emails.notices import send_link
from authserver.errors import ApiError
from authserver.events.record import Happened, record
from authserver.extensions import current_settings, fetch_one, writing
from authserver.models import Session, User
from authserver.passwords.hashing import hash_password, is_outdated, matches
from authserver.sessions import flows as sessions
from authserver.tokens.acting import acting, holder
from authserver.tokens.one_time import Purpose, kill_all
from authserver.visitor import Visitor

Made = TypeVar("Made")


@dataclass(frozen=True)
class Newcomer:
    """What a sign-up says; the password has passed the policy."""

    email: str
    password: str
    first_name: str = ""
    last_name: str = ""
    invitation: str | None = None


def sign_up(newcomer: Newcomer, visitor: Visitor) -> tuple[User, Session] | None:
    """A new account and its first session; None where the address has to be verified before anything else."""
    return _join(newcomer, visitor, lambda transaction, user: (user, _start(transaction, user, visitor)))


def sign_up_without_session(newcomer: Newcomer, visitor: Visitor) -> User | None:
    """The same for who signs in elsewhere: no session is left behind that nobody holds a token of."""
    return _join(newcomer, visitor, lambda transaction, user: user)


def _join(newcomer: Newcomer, visitor: Visitor, then: Callable[[Transaction, User], Made]) -> Made | None:
    """A new account and what `then` makes of it in the same transaction; None where it has to be verified first.

    Where that is required, nobody learns whether the address has an account already: its owner does, by mail.
    """
    invited = check_may_join(newcomer.email, newcomer.invitation, proved=False)
    hidden = current_settings().must_verify
    if hidden and not invited:
        require_mail()  # or nobody could ever sign in to the account
    taken = fetch_one(select(User.id).where(User.email == newcomer.email)) is not None
    if taken and not hidden:
        raise ApiError("account_exists")
    password_hash = hash_password(newcomer.password)
    try:
        with writing() as transaction:
            user, may_sign_in = _new_user(transaction, newcomer, password_hash, visitor)
            made = then(transaction, user) if may_sign_in else None
    except IntegrityError:  # the address was taken, or another sign-up was faster
        if not hidden:
            raise ApiError("account_exists") from None
        _tell_owner(newcomer.email, visitor)
        made = None
    wake()
    return made


def _new_user(transaction: Transaction, newcomer: Newcomer, password_hash: str, visitor: Visitor) -> tuple[User, bool]:
    """The account, and whether it may be signed in to before its address is verified."""
    user = User(
        email=newcomer.email,
        password_hash=password_hash,
        first_name=newcomer.first_name,
        last_name=newcomer.last_name,
    )
    transaction.add(user)
    transaction.flush()
    # Whoever has the invitation's token got it by a mail to this address, or from the operator, who vouches for it.
    user.email_verified = accept_invitation(transaction, newcomer.email, newcomer.invitation, proved=False)
    record(transaction, Happened.SIGNED_UP, visitor, user.id)
    settings = current_settings()
    if (settings.email_verification != "off" or settings.must_verify) and not user.email_verified:
        send_link(transaction, "verify", Purpose.VERIFY, user, newcomer.email, visitor)
    return user, user.email_verified or not settings.must_verify


def _start(transaction: Transaction, user: User, visitor: Visitor) -> Session:
    return sessions.start(transaction, user, visitor, "password")


def _tell_owner(email: str, visitor: Visitor) -> None:
    """A link to set the password: whoever reads the mail gets in, and whoever signed up before them is out."""
    with writing() as transaction:
        user = holder(transaction, email)
        if user is None:
            return
        if not user.email_verified:  # whoever made it need not be who reads this: their link and password end here
            kill_all(transaction, user.id)
            user.password_hash = None
        if not send_link(transaction, "account_exists", Purpose.RESET, user, email, visitor):
            transaction.rollback()  # and their links stay good: they get no other by this


def log_in(email: str, password: str, visitor: Visitor, *, again: bool = True) -> tuple[User, Session]:
    """A new session; an unknown address, a wrong password and a disabled account cost and answer the same.

    `again`: whether to look once more where the hash was replaced meanwhile, by another login as like as not.
    """
    found = fetch_one(select(User.id, User.password_hash).where(User.email == email))
    if not matches(found.password_hash if found else None, password) or found is None:
        _remember_failure(found.id if found else None, visitor)
        raise ApiError("no_active_account")
    better_hash = hash_password(password) if is_outdated(found.password_hash) else None
    with writing() as transaction:
        # What was read before the hash may have changed: the lock makes a password reset come before or after.
        user = transaction.scalar(
            select(User)
            .where(User.id == found.id, User.password_hash == found.password_hash, User.disabled_at.is_(None))
            .with_for_update()
        )
        if user is not None:
            user.password_hash = better_hash or user.password_hash
            if user.email_verified or not current_settings().must_verify:
                session = _start(transaction, user, visitor)
    if user is None:
        if better_hash and again:
            return log_in(email, password, visitor, again=False)
        _remember_failure(found.id, visitor)
        raise ApiError("no_active_account")
    if not user.email_verified and current_settings().must_verify:
        raise ApiError("email_not_verified")
    wake()
    return user, session


def _remember_failure(user_id: UUID | None, visitor: Visitor) -> None:
    """An account that was erased while its password was hashed is one more that nobody knows.

    It is held for that, so that an erasure comes after, and by the same statement for none: nobody can tell.
    """
    this = select(User.id).where(User.id == literal(user_id, User.id.type)).with_for_update(read=True, key_share=True)
    with writing() as transaction:
        record(transaction, Happened.SIGN_IN_FAILED, visitor, transaction.scalar(this))


def change_profile(user_id: UUID, session_id: UUID, changes: Mapping[str, str]) -> User:
    """Sets what is in `changes` (`first_name`, `last_name`) and leaves the rest."""
    with writing() as transaction:
        user = acting(transaction, user_id, session_id)
        for field, value in changes.items():
            setattr(user, field, value)
        return user
