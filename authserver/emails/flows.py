from uuid import UUID

from sqlalchemy import select

from authserver.emails.delivery import wake
from authserver.emails.notices import notify, send_link
from authserver.emails.outbox import mail_is_possible
from authserver.errors import ApiError
from authserver.events.record import Happened, record
from authserver.extensions import current_settings, writing
from authserver.models import User
from authserver.tokens.acting import acting, holder
from authserver.tokens.one_time import Purpose, issue
from authserver.visitor import Visitor


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
