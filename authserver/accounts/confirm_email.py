"""Confirming an e-mail address by the link of a mail; what becomes of the account is decided in `verification.py`."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as Transaction

from authserver.emails.delivery import wake
from authserver.emails.flows import check_domain
from authserver.emails.notices import Made, made, notify, tell
from authserver.errors import ApiError, invalid
from authserver.events.record import Happened, record
from authserver.extensions import fetch_one, writing
from authserver.limits import Limit, limit_account
from authserver.models import User
from authserver.passwords.hashing import matches, require_room
from authserver.tokens.acting import locked
from authserver.tokens.one_time import Purpose, Redeemed, look_up, redeem
from authserver.verification import Proof, become_verified
from authserver.visitor import Visitor

LINKS = (Purpose.VERIFY, Purpose.CHANGE_EMAIL)


def needs_account(token: str) -> bool:
    """Tells whether the link changes an account's e-mail address, which only who is signed in to it may confirm.

    Raises `one_time_token_not_valid`.
    """
    return look_up(token, *LINKS).purpose is Purpose.CHANGE_EMAIL


def confirm_email(token: str, signed_in: UUID | None, password: str | None, visitor: Visitor) -> Made:
    """Makes the e-mail address of the link verified, or the account's own where a change was asked for.

    `signed_in` is the user whose session asks. Returns how the account was made. Raises `one_time_token_not_valid`,
    `account_exists` where another account took the address since, and for a change `not_authenticated`, or
    `invalid_request` for a wrong password.
    """
    link = look_up(token, *LINKS)
    if link.purpose is Purpose.CHANGE_EMAIL and link.user_id != signed_in:
        _check_password(link.user_id, password)
    try:
        with writing() as transaction:
            redeemed = redeem(transaction, token, link.purpose)
            user = locked(transaction, redeemed.user_id)
            if user is None or user.disabled_at is not None:
                raise ApiError("one_time_token_not_valid")
            if redeemed.purpose is Purpose.VERIFY:
                _verify(transaction, user, redeemed, signed_in, visitor)
            else:
                _change(transaction, user, redeemed, visitor)
            confirmed = made(transaction, user)
    except IntegrityError:  # somebody else took the address in the meantime
        raise ApiError("account_exists") from None
    wake()
    return confirmed


def _check_password(user_id: UUID, password: str | None) -> None:
    if password is None:
        raise ApiError("not_authenticated", "Sign in to the account that asked for this change, or send its password.")
    require_room()
    limit_account(Limit.LOGIN_ACCOUNT, user_id)
    found = fetch_one(select(User.password_hash).where(User.id == user_id))
    if not matches(found.password_hash if found else None, password):
        raise invalid("password", "This password is not right.")


def _verify(transaction: Transaction, user: User, redeemed: Redeemed, signed_in: UUID | None, visitor: Visitor) -> None:
    if user.email != redeemed.email:  # changed while the mail was being queued
        raise ApiError("one_time_token_not_valid")
    if user.email_verified:  # by another way, since the mail was sent
        return
    proof = Proof.SIGNUP_LINK_SIGNED_IN if user.id == signed_in else Proof.SIGNUP_LINK
    ways = become_verified(transaction, user, proof)
    record(transaction, Happened.EMAIL_VERIFIED, visitor, user.id)
    if ways:
        tell(transaction, "ways_lost", user, redeemed.email, visitor, **ways.facts())


def _change(transaction: Transaction, user: User, redeemed: Redeemed, visitor: Visitor) -> None:
    check_domain(redeemed.email)  # the settings may be others than when the change was asked for
    # While that e-mail address is the account's own: others' mails to it use up no budget of a verified one.
    notify(transaction, "email_changed", user, user.email, visitor, new_email=redeemed.email)
    become_verified(transaction, user, Proof.CHANGE_LINK)
    user.email = redeemed.email
    record(transaction, Happened.EMAIL_CHANGED, visitor, user.id)
