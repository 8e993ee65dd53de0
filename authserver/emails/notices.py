"""The mails that say what was changed or begun on an account, each with a link for "this wasn't me"."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.devices import device
from authserver.emails.outbox import mail_is_possible, queue
from authserver.events.record import Happened
from authserver.extensions import current_settings
from authserver.models import Event, OneTimeToken, User
from authserver.tokens.one_time import Purpose, issue
from authserver.visitor import Visitor

NO_WAYS = {"lost": "", "lost_password": False, "kept": ""}  # what most mails say of ways to sign in
MOST_TOLD = 5  # a day, at an address that was never verified


def page(path: str) -> str:
    """One of the server's own pages."""
    return current_settings().public_url + path


@dataclass(frozen=True)
class Made:
    """When an account was made, and in which browser where that is still known: by this its owner knows it."""

    at: datetime
    device: str


def made(transaction: Transaction, user: User) -> Made:
    by = select(Event.user_agent).where(Event.user_id == user.id, Event.type == Happened.SIGNED_UP)
    return Made(user.date_joined, device(transaction.scalar(by.limit(1))))


def send_link(
    transaction: Transaction, kind: str, purpose: Purpose, user: User, to: str, visitor: Visitor, **facts: object
) -> None:
    """Mails a one-time token of that purpose, in the fragment of its page's address: no log and no Referer has it."""
    if not mail_is_possible():
        return
    settings = current_settings()
    pages = {
        Purpose.VERIFY: settings.email_verify_url or page("/email/verify"),
        Purpose.CHANGE_EMAIL: settings.email_verify_url or page("/email/verify"),
        Purpose.RESET: settings.password_reset_url or page("/password/reset"),
    }
    token = issue(transaction, user.id, purpose, to)
    account = made(transaction, user)
    queue(
        transaction,
        kind,
        to,
        visitor.languages,
        user.id,
        link=f"{pages[purpose]}#token={token}",
        token=token,
        made_at=_shown(account.at),
        made_with=account.device,
        **{**NO_WAYS, **facts},
    )


def notify(transaction: Transaction, kind: str, user: User, to: str | None, visitor: Visitor, **facts: object) -> None:
    """Tells of what happened, with time, address and browser, and with a recovery token bound to the address told."""
    if to is None or not mail_is_possible() or _told_enough(transaction, user):
        return
    token = issue(transaction, user.id, Purpose.RECOVER, to)
    queue(
        transaction,
        kind,
        to,
        visitor.languages,
        user.id,
        time=_shown(now()),
        ip=visitor.ip,
        user_agent=visitor.user_agent,
        link=f"{page('/account/recover')}#token={token}",
        token=token,
        **{**NO_WAYS, **facts},
    )


def tell(transaction: Transaction, kind: str, user: User, to: str, visitor: Visitor, **facts: object) -> None:
    """Tells of what happened, with nothing in the mail that could undo it."""
    if mail_is_possible():
        queue(transaction, kind, to, visitor.languages, user.id, time=_shown(now()), **facts)


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _told_enough(transaction: Transaction, user: User) -> bool:
    """Whether someone who never verified the address, and so may not be its owner, has mailed it enough for a day.

    Each of the mails that went there is good for undoing what is done after it.
    """
    if user.email_verified:
        return False
    told = select(func.count()).where(
        OneTimeToken.user_id == user.id,
        OneTimeToken.purpose == Purpose.RECOVER,
        OneTimeToken.created_at > now() - timedelta(days=1),
    )
    return (transaction.scalar(told) or 0) >= MOST_TOLD
