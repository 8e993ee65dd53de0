from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Transaction

from authserver.emails.deferred import Asked, defer
from authserver.emails.delivery import wake
from authserver.emails.notices import notify, send_link
from authserver.emails.outbox import mail_is_possible
from authserver.errors import ApiError
from authserver.events.record import Happened, record
from authserver.extensions import current_settings, writing
from authserver.limits import Limit, by_address
from authserver.limits.counters import Budget
from authserver.limits.devices import limit_mails, used_before
from authserver.models import User
from authserver.models.mail import Deferred
from authserver.tokens.acting import acting, holder
from authserver.tokens.one_time import Purpose, issue, kill_all
from authserver.visitor import Visitor


def resend(email: str, visitor: Visitor) -> None:
    """Has a new verification mail sent, where there is an account that needs one; nobody can tell whether there is."""
    limit_mails(email, visitor, "", *by_address(Limit.MAIL_ADDRESS, visitor.ip))
    require_mail()
    known = used_before(email, visitor)
    with writing() as transaction:
        defer(transaction, Deferred.VERIFY, visitor, email=email, known=known)
    wake()


def finish_resend(transaction: Transaction, asked: Asked) -> None:
    email = asked.facts["email"]
    user = holder(transaction, email)
    if user is not None and not user.email_verified:
        known = asked.facts["known"]
        send_link(transaction, "verify", Purpose.VERIFY, user, email, asked.visitor, by_known_device=known)


def request_change(user_id: UUID, session_id: UUID, email: str, visitor: Visitor) -> None:
    """Has a link mailed to the new address and tells the old one; nothing changes before the link is used.

    Where it has to be verified first, nobody learns whether the new address has an account: its owner does, by mail.
    """
    check_domain(email)
    limit_mails(email, visitor, "change to", Budget(Limit.MAIL_ACCOUNT, str(user_id)))
    require_mail()
    hidden = current_settings().must_verify
    with writing() as transaction:
        user = acting(transaction, user_id, session_id)
        if not hidden and transaction.scalar(select(User.id).where(User.email == email)) is not None:
            raise ApiError("account_exists")
        token = issue(transaction, user.id, Purpose.CHANGE_EMAIL, email)
        defer(transaction, Deferred.CHANGE_EMAIL, visitor, user_id=str(user.id), email=email, token=token)
        record(transaction, Happened.EMAIL_CHANGE_REQUESTED, visitor, user.id, session_id)
        notify(transaction, "email_change_requested", user, user.email, visitor, new_email=email)
    wake()


def check_domain(email: str) -> None:
    """Raises `signup_not_allowed` for an e-mail address that no account here may change to."""
    if not current_settings().takes_domain_of(email):
        raise ApiError("signup_not_allowed")


def finish_change(transaction: Transaction, asked: Asked) -> None:
    """Mails the link, which may have been replaced meanwhile; of an address that has an account, its owner is told."""
    email, token = asked.facts["email"], asked.facts["token"]
    user = transaction.get(User, UUID(asked.facts["user_id"]))
    if user is None or user.disabled_at is not None:
        return
    if transaction.scalar(select(User.id).where(User.email == email)) is None:
        send_link(transaction, "change_email", Purpose.CHANGE_EMAIL, user, email, asked.visitor, token=token)
    elif current_settings().must_verify:  # elsewhere the address was free when it was asked for
        tell_owner(transaction, email, asked.visitor)


def tell_owner(transaction: Transaction, email: str, visitor: Visitor) -> None:
    """Mails a link to set the password to who has an account of an e-mail address that somebody else wanted to use.

    Whoever reads the mail gets in, and whoever signed up before them is out.
    """
    user = holder(transaction, email)
    if user is None:
        return
    mailed = send_link(transaction, "account_exists", Purpose.RESET, user, email, visitor)
    if mailed and not user.email_verified:  # whoever made it need not be who reads this: their link and password end
        kill_all(transaction, user.id, Purpose.RESET)
        user.password_hash = None


def require_mail() -> None:
    if not mail_is_possible():
        raise ApiError("mail_unavailable")
