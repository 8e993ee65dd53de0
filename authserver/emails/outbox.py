"""The outbox: a mail is a row that is committed with the change it tells of, and delivered later, outside the request.

Each row is claimed by one conditional update, which also sets when the next attempt is due: a process that is killed
while it sends loses nothing, and of several one sends.
"""

import json
import logging
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.emails.render import Message, render
from authserver.extensions import current_settings, db, writing
from authserver.models import Mail
from authserver.models.mail import Deferred

log = logging.getLogger(__name__)

# Between attempts; after the last of them the mail is given up.
PAUSES = [timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240, 720)]
BATCH = 20


@dataclass(frozen=True)
class Claimed:
    """A row that is this process's until its next attempt is due."""

    id: UUID
    kind: str
    sealed: str
    created_at: datetime
    last_attempt: bool


@dataclass(frozen=True)
class Due:
    id: UUID
    kind: str
    message: Message
    last_attempt: bool


def mail_is_possible() -> bool:
    """Whether mails are sent, or in development shown; in production without a mail server none is queued."""
    settings = current_settings()
    return bool(settings.mail_url) or not settings.production


def queue(transaction: Transaction, kind: str, to: str, languages: str, user_id: UUID | None, **facts: object) -> None:
    """Queues a mail in the caller's transaction; `facts` are what its template names."""
    if not mail_is_possible():
        return
    message = render(kind, to, languages, **facts)
    transaction.add(Mail(user_id=user_id, kind=kind, sealed=seal(asdict(message))))


def claim_due() -> Iterator[Due]:
    """The mails whose turn it is."""
    for one in claim(Mail.kind.not_in(list(Deferred))):
        content = unsealed(one.sealed)
        if content is None:
            log.error("mail %s (%s) was sealed under another secret and is given up", one.id, one.kind)
            _give_up(one.id)
        else:
            yield Due(one.id, one.kind, Message(**content), one.last_attempt)


def claim(which: ColumnElement[bool]) -> Iterator[Claimed]:
    """Yields the rows whose turn it is, each claimed when it is asked for, until its next attempt is due.

    A batch that was claimed at once would be due again while a slow server still takes its first mails.
    """
    moment = now()
    due = select(Mail.id, Mail.next_attempt_at).where(which, Mail.next_attempt_at <= moment)
    seen = db.session.execute(due.order_by(Mail.next_attempt_at).limit(BATCH)).all()
    db.session.rollback()
    for row in seen:
        if (one := _claim(row.id, row.next_attempt_at)) is not None:
            yield one


def _claim(mail_id: UUID, seen: object) -> Claimed | None:
    with writing() as transaction:
        mail = transaction.scalar(
            select(Mail).where(Mail.id == mail_id, Mail.next_attempt_at == seen).with_for_update(skip_locked=True)
        )
        if mail is None:
            return None
        last = mail.attempts >= len(PAUSES)
        mail.next_attempt_at = now() + PAUSES[min(mail.attempts, len(PAUSES) - 1)]
        mail.attempts += 1
        return Claimed(mail.id, mail.kind, mail.sealed, mail.created_at, last)


def unseal(mail: Mail) -> Message | None:
    """The mail's content; None where it is none yet, or was sealed under a secret that is gone."""
    content = None if mail.kind in list(Deferred) else unsealed(mail.sealed)
    return Message(**content) if content else None


def delivered(mail_id: UUID) -> None:
    """Forgets the mail; in development it is kept, for it is read here."""
    with writing() as transaction:
        if current_settings().production:
            transaction.execute(delete(Mail).where(Mail.id == mail_id))
        else:
            transaction.execute(update(Mail).where(Mail.id == mail_id).values(delivered_at=now(), next_attempt_at=None))


def failed(due: Due, reason: str) -> None:
    if not due.last_attempt:
        log.warning("mail %s (%s) could not be sent and is tried again later: %s", due.id, due.kind, reason)
        return
    log.error("mail %s (%s) is given up after %d attempts: %s", due.id, due.kind, len(PAUSES) + 1, reason)
    _give_up(due.id)


def _give_up(mail_id: UUID) -> None:
    with writing() as transaction:
        transaction.execute(update(Mail).where(Mail.id == mail_id).values(next_attempt_at=None))


def seal(content: dict[str, Any]) -> str:
    return _sealer().encrypt(json.dumps(content).encode()).decode()


def unsealed(sealed: str) -> dict[str, Any] | None:
    """None where it was sealed under a secret that is gone."""
    try:
        content: dict[str, Any] = json.loads(_sealer().decrypt(sealed))
    except InvalidToken:
        return None
    return content


def _sealer() -> MultiFernet:
    return MultiFernet([Fernet(urlsafe_b64encode(key)) for key in current_settings().derived_keys("mails")])
