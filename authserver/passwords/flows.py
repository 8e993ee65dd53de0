from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as Transaction

from authserver.emails.deferred import Asked, defer
from authserver.emails.delivery import wake
from authserver.emails.flows import require_mail
from authserver.emails.notices import notify, send_link, tell
from authserver.errors import ApiError, invalid
from authserver.events.record import Happened, record
from authserver.extensions import fetch_one, writing
from authserver.limits import Limit, by_address
from authserver.limits.devices import limit_mails, used_before
from authserver.models import Identity, Session, User
from authserver.models.mail import Deferred
from authserver.passwords.hashing import hash_password, matches
from authserver.sessions import flows as sessions
from authserver.tokens.acting import acting, holder, locked
from authserver.tokens.one_time import Purpose, kill_all, look_up, redeem
from authserver.verification import Proof, become_verified
from authserver.visitor import Visitor


def reauthenticate(user_id: UUID, session_id: UUID, password: str, visitor: Visitor) -> None:
    """Raises `invalid_request` for a password that is not the account's."""
    if not matches(_present_hash(user_id), password):
        raise invalid("password", "This password is not right.")
    with writing() as transaction:
        sessions.reauthenticated(transaction, acting(transaction, user_id, session_id), session_id, visitor)


def _present_hash(user_id: UUID) -> str | None:
    """Of who is signed in; raises `token_not_valid` where the user was erased since the guard looked."""
    found = fetch_one(select(User.password_hash).where(User.id == user_id))
    if found is None:
        raise ApiError("token_not_valid")
    present: str | None = found.password_hash
    return present


def has_password(user_id: UUID) -> bool:
    found = fetch_one(select(User.password_hash).where(User.id == user_id))
    return found is not None and found.password_hash is not None


def change(user_id: UUID, session_id: UUID, current: str | None, fresh: bool, new: str, visitor: Visitor) -> None:
    """Sets another password and ends every other session; an account without one needs a fresh token instead."""
    present = _present_hash(user_id)
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
    """Has a reset link mailed to the address as it is stored, where there is an account; nobody can tell whether."""
    limit_mails(email, visitor, "", *by_address(Limit.MAIL_ADDRESS, visitor.ip))
    require_mail()
    known = used_before(email, visitor)
    with writing() as transaction:
        defer(transaction, Deferred.RESET, visitor, email=email, known=known)
    wake()


def finish_forgot(transaction: Transaction, asked: Asked) -> None:
    email = asked.facts["email"]
    user = holder(transaction, email)
    if user is not None:
        known = asked.facts["known"]
        send_link(transaction, "reset", Purpose.RESET, user, email, asked.visitor, by_known_device=known)
        record(transaction, Happened.PASSWORD_RESET_REQUESTED, asked.visitor, user.id, at=asked.at)


def address_of_reset(token: str) -> str:
    """The address that a reset token is about; it is not consumed, so that the password's rule can be applied first."""
    return look_up(token, Purpose.RESET).email


def reset(token: str, new: str, visitor: Visitor) -> Sequence[Identity]:
    """Sets a password by a mail's token: every session is over; what else becomes of the account: `verification.py`.

    Returns the identities that still sign in to it, which its owner is told of.
    """
    hashed = hash_password(new)
    with writing() as transaction:
        redeemed = redeem(transaction, token, Purpose.RESET)
        user = locked(transaction, redeemed.user_id)
        if user is None or user.email != redeemed.email or user.disabled_at is not None:
            raise ApiError("one_time_token_not_valid")
        ways = become_verified(transaction, user, Proof.RESET)
        user.password_hash = hashed
        record(transaction, Happened.PASSWORD_RESET, visitor, user.id)
        notify(transaction, "password_changed", user, user.email, visitor, **ways.facts())
    wake()
    return ways.kept


def recover(token: str, visitor: Visitor) -> None:
    """What "this wasn't me" does: everyone is out, and the way back in is by mail to the e-mail address that was told.

    A changed e-mail address is put back, which the other one is told of; what else is dropped: `verification.py`.
    """
    try:
        _recover(token, visitor)
    except IntegrityError:  # somebody signed up with the address in between: look again
        try:
            _recover(token, visitor)
        except IntegrityError:
            raise ApiError("temporarily_unavailable") from None
    wake()


def _recover(token: str, visitor: Visitor) -> None:
    with writing() as transaction:
        redeemed = redeem(transaction, token, Purpose.RECOVER)
        user = locked(transaction, redeemed.user_id)
        if user is None or user.disabled_at is not None:
            raise ApiError("one_time_token_not_valid")
        if user.email and user.email != redeemed.email:
            tell(transaction, "email_put_back", user, user.email, visitor)
        ways = become_verified(transaction, user, Proof.RECOVERY, redeemed)
        _put_back(transaction, user, redeemed.email)
        record(transaction, Happened.ACCOUNT_RECOVERED, visitor, user.id)
        if user.email:
            send_link(transaction, "reset", Purpose.RESET, user, user.email, visitor, **ways.facts())


def _put_back(transaction: Transaction, user: User, email: str) -> None:
    """Gives the account the e-mail address that was told, or none: the present one may be the thief's, and a way in.

    An account that took the e-mail address since gives it up where it never verified it, or a thief could keep it away.
    """
    other = transaction.scalar(select(User).where(User.email == email, User.id != user.id).with_for_update())
    if other is not None and other.email_verified:
        user.email, user.email_verified = None, False
        return
    if other is not None:
        other.email = None
        kill_all(transaction, other.id)
        transaction.flush()
    user.email = email
