from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as Transaction

from authserver.emails.delivery import wake
from authserver.emails.flows import require_mail
from authserver.emails.notices import notify, send_link
from authserver.errors import ApiError, invalid
from authserver.events.record import Happened, record
from authserver.extensions import fetch_one, writing
from authserver.models import Identity, Session, User
from authserver.passwords.hashing import hash_password, matches
from authserver.sessions import flows as sessions
from authserver.tokens.acting import acting, holder, locked
from authserver.tokens.one_time import Purpose, Redeemed, kill_all, kill_later_recoveries, look_up, redeem
from authserver.visitor import Visitor


def reauthenticate(user_id: UUID, session_id: UUID, password: str, visitor: Visitor) -> None:
    """Raises `invalid_request` for a password that is not the account's."""
    found = fetch_one(select(User.password_hash).where(User.id == user_id))
    if not matches(found.password_hash if found else None, password):
        raise invalid("password", "This password is not right.")
    with writing() as transaction:
        sessions.reauthenticated(transaction, acting(transaction, user_id, session_id), session_id, visitor)


def has_password(user_id: UUID) -> bool:
    found = fetch_one(select(User.password_hash).where(User.id == user_id))
    return found is not None and found.password_hash is not None


def change(user_id: UUID, session_id: UUID, current: str | None, fresh: bool, new: str, visitor: Visitor) -> None:
    """Sets another password and ends every other session; an account without one needs a fresh token instead."""
    found = fetch_one(select(User.password_hash).where(User.id == user_id))
    present = found.password_hash if found else None
    if present is None and not fresh:
        raise ApiError("reauthentication_required")
    if present is not None and current is None:
        raise invalid("current_password", "This field is required.")
    if present is not None and not matches(present, current or ""):
        raise invalid("current_password", "This password is not right.")
    hashed = hash_password(new)
    with writing() as transaction:
        user = acting(transaction, user_id, session_id)
        if user.password_hash != present:  # changed since it was looked at
            raise ApiError("token_not_valid")
        user.password_hash = hashed
        kill_all(transaction, user_id)
        sessions.end(transaction, user_id, Session.id != session_id)
        record(transaction, Happened.PASSWORD_CHANGED, visitor, user_id, session_id)
        notify(transaction, "password_changed", user, user.email, visitor)
    wake()


def forgot(email: str, visitor: Visitor) -> None:
    """Mails a reset link to the address as it is stored, where there is an account; nobody can tell whether."""
    require_mail()
    with writing() as transaction:
        user = holder(transaction, email)
        if user is not None:
            send_link(transaction, "reset", Purpose.RESET, user, email, visitor)
            record(transaction, Happened.PASSWORD_RESET_REQUESTED, visitor, user.id)
    wake()


def address_of_reset(token: str) -> str:
    """The address that a reset token is about; it is not consumed, so that the password's rule can be applied first."""
    return look_up(token, Purpose.RESET).email


def reset(token: str, new: str, visitor: Visitor) -> None:
    """Sets a password by a mail's token: every session over, and whatever was begun before it.

    Where the address had never been verified, whoever made the account need not be who reads its mail: identities
    that were linked before go too. From here on the address is verified.
    """
    hashed = hash_password(new)
    with writing() as transaction:
        redeemed = redeem(transaction, token, Purpose.RESET)
        user = locked(transaction, redeemed.user_id)
        if user is None or user.email != redeemed.email or user.disabled_at is not None:
            raise ApiError("one_time_token_not_valid")
        if not user.email_verified:
            transaction.execute(delete(Identity).where(Identity.user_id == user.id))
        user.password_hash, user.email_verified = hashed, True
        kill_all(transaction, user.id)
        sessions.end(transaction, user.id)
        record(transaction, Happened.PASSWORD_RESET, visitor, user.id)
        notify(transaction, "password_changed", user, user.email, visitor)
    wake()


def recover(token: str, visitor: Visitor) -> None:
    """What "this wasn't me" does: everyone is out, and the way back in is by mail to the address that was told.

    The sessions, what was begun by mail, the present password and whatever identity was linked since end, and so does
    what was told to others since; a changed address is put back.
    """
    try:
        _recover(token, visitor)
    except IntegrityError:  # somebody signed up with the address in between: look again
        _recover(token, visitor)
    wake()


def _recover(token: str, visitor: Visitor) -> None:
    with writing() as transaction:
        redeemed = redeem(transaction, token, Purpose.RECOVER)
        user = locked(transaction, redeemed.user_id)
        if user is None or user.disabled_at is not None:
            raise ApiError("one_time_token_not_valid")
        sessions.end(transaction, user.id)
        kill_all(transaction, user.id)
        kill_later_recoveries(transaction, redeemed)
        _unlink_since(transaction, redeemed)
        user.password_hash = None
        record(transaction, Happened.ACCOUNT_RECOVERED, visitor, user.id)
        if _put_back(transaction, user, redeemed.email):
            send_link(transaction, "reset", Purpose.RESET, user, redeemed.email, visitor)


def _unlink_since(transaction: Transaction, redeemed: Redeemed) -> None:
    since = redeemed.created_at - timedelta(seconds=1)
    transaction.execute(delete(Identity).where(Identity.user_id == redeemed.user_id, Identity.created_at >= since))


def _put_back(transaction: Transaction, user: User, email: str) -> bool:
    """Gives the account the address that was told, or none: the present one may be the thief's, and a way in.

    An account that took the address since gives it up where it never verified it, or a thief could keep it away.
    """
    other = transaction.scalar(select(User).where(User.email == email, User.id != user.id).with_for_update())
    if other is not None and other.email_verified:
        user.email, user.email_verified = None, False
        return False
    if other is not None:
        other.email = None
        kill_all(transaction, other.id)
        transaction.flush()
    user.email, user.email_verified = email, True
    return True
