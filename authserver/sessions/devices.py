"""Whether a sign-in comes from a browser that this person used before. No cookie says so, since none may be set."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.models import Session, User
from authserver.models.session import REMEMBERED, browser
from authserver.visitor import Visitor


def is_known(transaction: Transaction, user_id: UUID, visitor: Visitor) -> bool:
    """Returns whether the person used this user agent from this network in the last 90 days."""
    return _any(
        transaction,
        Session.user_id == user_id,
        Session.browser == browser(visitor.ip, visitor.user_agent),
        Session.last_used_at > now() - REMEMBERED,
    )


def is_news(transaction: Transaction, user: User, visitor: Visitor) -> bool:
    """Returns whether the person is to be told of this sign-in: by a browser not known, and not their very first.

    After a longer absence every browser is unknown: nobody would notice a thief's sign-in less. The sessions from
    before it are deleted by then, so an account without any is a new one only where it is younger than they get.
    """
    if is_known(transaction, user.id, visitor):
        return False
    young = _here_since(user) > now() - REMEMBERED
    return not young or _any(transaction, Session.user_id == user.id)


def _any(transaction: Transaction, *which: ColumnElement[bool]) -> bool:
    return bool(transaction.scalar(select(exists().where(*which))))


def _here_since(user: User) -> datetime:
    """Returns when the account was made here, where an import says when its person joined elsewhere.

    Its id tells: it is a UUIDv7, which begins with the milliseconds since 1970 (RFC 9562).
    """
    if user.id.version != 7:
        return user.date_joined
    return max(user.date_joined, datetime.fromtimestamp((user.id.int >> 80) / 1000, UTC))
