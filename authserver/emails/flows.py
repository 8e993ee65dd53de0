from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from authserver.emails.delivery import wake
from authserver.emails.notices import notify, send_link
from authserver.emails.outbox import mail_is_possible
from authserver.errors import ApiError
from authserver.events.record import Happened, record
from authserver.extensions import current_settings, writing
from authserver.models import User
from authserver.tokens.acting import acting, holder
from authserver.tokens.one_time import Purpose, issue, kill_all, redeem
from authserver.visitor import Visitor


def verify(token: str, visitor: Visitor) -> None:
    """The address of a mail's link is verified; for an asked-for change it becomes the account's from here on."""
    try:
        with writing() as transaction:
            redeemed = redeem(transaction, token, Purpose.VERIFY, Purpose.CHANGE_EMAIL)
            user = transaction.get_one(User, redeemed.user_id, with_for_update=True)
            if redeemed.purpose is Purpose.VERIFY:
                if user.email != redeemed.email:  # changed while the mail was being queued
                    raise ApiError("one_time_token_not_valid")
                user.email_verified = True
                record(transaction, Happened.EMAIL_VERIFIED, visitor, user.id)
                return
            check_domain(redeemed.email)  # the settings may be others than when the change was asked for
            old, user.email, user.email_verified = user.email, redeemed.email, True
            kill_all(transaction, user.id)
            record(transaction, Happened.EMAIL_CHANGED, visitor, user.id)
            notify(transaction, "email_changed", user, old, visitor, new_email=redeemed.email)
    except IntegrityError:  # somebody else took the address in the meantime
        raise ApiError("account_exists") from None
    wake()


def resend(email: str, visitor: Visitor) -> None:
    """A new verification mail, where there is an account that needs one; nobody can tell whether there is."""
    require_mail()
    with writing() as transaction:
        user = holder(transaction, email)
        if user is not None and not user.email_verified:
            send_link(transaction, "verify", Purpose.VERIFY, user, email, visitor)
    wake()


def request_change(user_id: UUID, session_id: UUID, email: str, visitor: Visitor) -> None:
    """Mails a link to the new address and tells the old one; nothing changes before the link is used."""
    check_domain(email)
    require_mail()
    with writing() as transaction:
        user = acting(transaction, user_id, session_id)
        if transaction.scalar(select(User.id).where(User.email == email)) is None:
            send_link(transaction, "change_email", Purpose.CHANGE_EMAIL, user, email, visitor)
        elif current_settings().must_verify:
            issue(transaction, user.id, Purpose.CHANGE_EMAIL, email)  # who has an account here is not said
        else:
            raise ApiError("account_exists")
        record(transaction, Happened.EMAIL_CHANGE_REQUESTED, visitor, user.id, session_id)
        notify(transaction, "email_change_requested", user, user.email, visitor, new_email=email)
    wake()


def check_domain(email: str) -> None:
    """Raises `signup_not_allowed` for an e-mail address that no account here may change to."""
    if not current_settings().takes_domain_of(email):
        raise ApiError("signup_not_allowed")


def require_mail() -> None:
    if not mail_is_possible():
        raise ApiError("mail_unavailable")
