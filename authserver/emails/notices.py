"""The mails that say what was changed or begun on an account, each with a link for "this wasn't me"."""

from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.emails.outbox import mail_is_possible, queue
from authserver.extensions import current_settings
from authserver.models import User
from authserver.tokens.one_time import Purpose, issue
from authserver.visitor import Visitor


def page(path: str) -> str:
    """One of the server's own pages."""
    return current_settings().public_url + path


def send_link(transaction: Transaction, kind: str, purpose: Purpose, user: User, to: str, visitor: Visitor) -> None:
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
    queue(transaction, kind, to, visitor.languages, user.id, link=f"{pages[purpose]}#token={token}", token=token)


def notify(transaction: Transaction, kind: str, user: User, to: str | None, visitor: Visitor, **facts: object) -> None:
    """Tells of what happened, with time, address and browser, and with a recovery token bound to the address told."""
    if to is None or not mail_is_possible():
        return
    token = issue(transaction, user.id, Purpose.RECOVER, to)
    queue(
        transaction,
        kind,
        to,
        visitor.languages,
        user.id,
        time=now().strftime("%Y-%m-%d %H:%M UTC"),
        ip=visitor.ip,
        user_agent=visitor.user_agent,
        link=f"{page('/account/recover')}#token={token}",
        token=token,
        **facts,
    )
