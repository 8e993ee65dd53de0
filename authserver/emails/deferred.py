"""Work that a request leaves to the delivery.

So neither the answer nor the time that it takes tells a stranger who has an account here.

The request writes one row into the outbox, sealed and nobody's, alike for every e-mail address. The delivery looks at
the account as it is by then, and in one transaction does what is to be done and deletes the row.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Flask, current_app
from sqlalchemy import delete
from sqlalchemy.orm import Session as Transaction

from authserver.emails import outbox
from authserver.errors import ApiError
from authserver.extensions import writing
from authserver.models import Mail
from authserver.models.mail import Deferred
from authserver.visitor import Visitor

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """Who asked for it, when, and what for."""

    visitor: Visitor
    at: datetime
    facts: Mapping[str, Any]


Finish = Callable[[Transaction, Asked], None]


def start(app: Flask, finish: Mapping[Deferred, Finish]) -> None:
    """`finish` says what to do about each: features that the delivery knows nothing of."""
    app.extensions["authserver.deferred"] = finish


def defer(transaction: Transaction, what: Deferred, visitor: Visitor, **facts: object) -> None:
    """Leaves it to the delivery, in the caller's transaction; `facts` are what JSON can hold."""
    if not outbox.mail_is_possible():
        return
    who = {"ip": visitor.ip, "user_agent": visitor.user_agent, "languages": visitor.languages}
    transaction.add(Mail(kind=what, sealed=outbox.seal({"visitor": who, "facts": facts})))


def finish_due() -> int:
    """Does what was left, and returns how much; what fails is tried again as a mail is, and given up in the end."""
    tried = 0
    for one in outbox.claim(Mail.kind.in_(list(Deferred))):
        tried += 1
        try:
            _finish(one)
        except ApiError as refusal:  # the account, or a setting, is another than when it was asked for
            log.info("%s of %s comes to nothing: %s", one.kind, one.created_at, refusal.code)
            _forget(one.id)
        except Exception as error:  # whatever it is, the others go on
            log.error("%s could not be done: %s", one.kind, type(error).__name__)
            if one.last_attempt:
                _forget(one.id)
    return tried


def _finish(one: outbox.Claimed) -> None:
    content = outbox.unsealed(one.sealed)
    if content is None:
        log.error("%s was sealed under another secret and is given up", one.kind)
        _forget(one.id)
        return
    finish: Mapping[Deferred, Finish] = current_app.extensions["authserver.deferred"]
    with writing() as transaction:
        row = transaction.get(Mail, one.id, with_for_update=True)
        if row is not None:
            asked = Asked(Visitor(**content["visitor"]), one.created_at, content["facts"])
            finish[Deferred(one.kind)](transaction, asked)
            transaction.delete(row)


def _forget(mail_id: UUID) -> None:
    with writing() as transaction:
        transaction.execute(delete(Mail).where(Mail.id == mail_id))
