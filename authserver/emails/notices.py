"""The mails that say what was changed or begun on an account, each with a link for "this wasn't me"."""

import logging
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.devices import device
from authserver.emails.outbox import mail_is_possible, queue
from authserver.emails.render import best_language
from authserver.events.record import Happened
from authserver.extensions import current_settings
from authserver.limits import Limit, is_within
from authserver.limits.counters import Budget
from authserver.models import Event, User
from authserver.tokens.one_time import Purpose, issue
from authserver.visitor import Visitor

log = logging.getLogger(__name__)


def page(path: str) -> str:
    """One of the server's own pages."""
    return current_settings().public_url + path


class Share(StrEnum):
    """Divides the mails that an unproved e-mail address may get: nobody uses up another's share."""

    STRANGERS = ""
    KNOWN_DEVICE = " known device"  # what a browser asked for that used the account before
    NOTICES = " notices"  # of what was done to the account


def may_mail(transaction: Transaction, to: str, user: User | None = None, share: Share = Share.STRANGERS) -> bool:
    """Tells whether a mail may be queued, and counts it where its account has not proved the e-mail address.

    Whoever types in a stranger's address makes no more than a few mails go there. The count is the e-mail address's
    and not the account's, so that erasing the account and making it again begins no new one.
    """
    if not mail_is_possible():
        return False
    if user is not None and user.email_verified and user.email == to:
        return True
    if is_within(transaction, Budget(Limit.MAIL_UNPROVED, _mailbox(to) + share)):
        return True
    log.info("a mail is not sent, for there were too many to an e-mail address that nobody proved")
    return False


def _mailbox(email: str) -> str:
    """Without a tag: most mail servers put ada+anything@example.com into ada's mailbox."""
    local, _, domain = email.rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


@dataclass(frozen=True)
class Made:
    """When an account was made, and by which browser where that is still known: by this its owner knows it."""

    at: datetime
    user_agent: str | None


def made(transaction: Transaction, user: User) -> Made:
    """Finds out how the account was made."""
    by = select(Event.user_agent).where(Event.user_id == user.id, Event.type == Happened.SIGNED_UP)
    return Made(user.date_joined, transaction.scalar(by.limit(1)))


def send_link(
    transaction: Transaction,
    kind: str,
    purpose: Purpose,
    user: User,
    to: str,
    visitor: Visitor,
    *,
    token: str = "",
    by_known_device: bool = False,
    **facts: object,
) -> bool:
    """Mails a one-time token of that purpose, in the fragment of its page's address: no log and no Referer has it.

    `token` where one was issued already, which killed the one before. Returns whether it did; where no more mails may
    go there and none was issued, the link of the last one stays good.
    """
    if not may_mail(transaction, to, user, Share.KNOWN_DEVICE if by_known_device else Share.STRANGERS):
        return False
    settings = current_settings()
    pages = {
        Purpose.VERIFY: settings.email_verify_url or page("/email/verify"),
        Purpose.CHANGE_EMAIL: settings.email_verify_url or page("/email/verify"),
        Purpose.RESET: settings.password_reset_url or page("/password/reset"),
    }
    token = token or issue(transaction, user.id, purpose, to)
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
        made_with=device(account.user_agent, best_language(visitor.languages)),
        **facts,
    )
    return True


def notify(transaction: Transaction, kind: str, user: User, to: str | None, visitor: Visitor, **facts: object) -> None:
    """Tells of what happened, with time, address and browser, and with a recovery token bound to the address told.

    The browser in words of ours, for whoever did it wrote the user agent. Where no more mails may go there, each of
    those before is good for undoing what is done after it.
    """
    if to is None or not may_mail(transaction, to, user, Share.NOTICES):
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
        user_agent=device(visitor.user_agent, best_language(visitor.languages)),
        link=f"{page('/account/recover')}#token={token}",
        token=token,
        **facts,
    )


def tell(transaction: Transaction, kind: str, user: User, to: str, visitor: Visitor, **facts: object) -> None:
    """Tells of what happened, with nothing in the mail that could undo it."""
    if may_mail(transaction, to, user, Share.NOTICES):
        queue(transaction, kind, to, visitor.languages, user.id, time=_shown(now()), **facts)


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
