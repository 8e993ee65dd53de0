"""One-time tokens: 256 random bits, stored as SHA-256, bound to a purpose, consumed by one conditional delete."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, delete, select
from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.errors import ApiError
from authserver.extensions import fetch_one
from authserver.models import OneTimeToken, User


class Purpose(StrEnum):
    VERIFY = "verify"
    CHANGE_EMAIL = "change_email"
    RESET = "reset"
    RECOVER = "recover"
    SIGN_IN = "sign_in"  # a code that a redirect brings; several may stand side by side
    LINK = "link"


LIFETIMES = {
    Purpose.VERIFY: timedelta(days=3),
    Purpose.CHANGE_EMAIL: timedelta(days=1),
    Purpose.RESET: timedelta(hours=1),
    Purpose.RECOVER: timedelta(days=7),
    Purpose.SIGN_IN: timedelta(seconds=60),
    Purpose.LINK: timedelta(seconds=60),
}
SEVERAL = {Purpose.RECOVER, Purpose.SIGN_IN, Purpose.LINK}


@dataclass(frozen=True)
class Redeemed:
    user_id: UUID
    purpose: Purpose
    email: str
    created_at: datetime
    code: dict[str, Any] | None


def issue(
    transaction: Transaction, user_id: UUID, purpose: Purpose, email: str, code: dict[str, Any] | None = None
) -> str:
    """A new token. It kills the older ones of its purpose, but recovery's, each good for its own week, and codes.

    `code` is what the redeemer of a code is told.
    """
    _lock(transaction, user_id)  # two at once would each leave one standing
    if purpose not in SEVERAL:
        transaction.execute(
            delete(OneTimeToken).where(OneTimeToken.user_id == user_id, OneTimeToken.purpose == purpose)
        )
    token = secrets.token_urlsafe(32)
    transaction.add(
        OneTimeToken(
            user_id=user_id,
            purpose=purpose,
            token_hash=digest(token),
            email=email,
            code=code,
            expires_at=now() + LIFETIMES[purpose],
        )
    )
    return token


def redeem(transaction: Transaction, token: str, *purposes: Purpose) -> Redeemed:
    """Consumes the token: of several at once one gets through; raises `one_time_token_not_valid`."""
    standing = _standing(token, purposes)
    owner = transaction.scalar(select(OneTimeToken.user_id).where(*standing))
    if owner is not None:
        _lock(transaction, owner)
    return _redeemed(transaction.execute(delete(OneTimeToken).where(*standing).returning(*COLUMNS)).first())


def look_up(token: str, *purposes: Purpose) -> Redeemed:
    """The same, without consuming it."""
    return _redeemed(fetch_one(select(*COLUMNS).where(*_standing(token, purposes))))


def _lock(transaction: Transaction, user_id: UUID) -> None:
    """Whoever changes an account locks the user first and the tokens after, or two could wait for each other."""
    transaction.execute(select(User.id).where(User.id == user_id).with_for_update())


COLUMNS = (OneTimeToken.user_id, OneTimeToken.purpose, OneTimeToken.email, OneTimeToken.created_at, OneTimeToken.code)


def _standing(token: str, purposes: tuple[Purpose, ...]) -> tuple[ColumnElement[bool], ...]:
    return (
        OneTimeToken.token_hash == digest(token),
        OneTimeToken.purpose.in_(purposes),
        OneTimeToken.expires_at > now(),
    )


def _redeemed(row: Row[UUID, str, str, datetime, dict[str, Any] | None] | None) -> Redeemed:
    if row is None:
        raise ApiError("one_time_token_not_valid")
    user_id, purpose, email, created_at, code = row
    return Redeemed(user_id, Purpose(purpose), email, created_at, code)


def kill_all(transaction: Transaction, user_id: UUID, *but: Purpose) -> None:
    """What a changed password or address does: nothing that was mailed before counts any more, but recovery."""
    spared = (Purpose.RECOVER, *but)
    transaction.execute(
        delete(OneTimeToken).where(OneTimeToken.user_id == user_id, OneTimeToken.purpose.not_in(spared))
    )


def kill_later_recoveries(transaction: Transaction, redeemed: Redeemed) -> None:
    """What was told after the mail that somebody disowned was told to whoever had the account then."""
    transaction.execute(
        delete(OneTimeToken).where(
            OneTimeToken.user_id == redeemed.user_id,
            OneTimeToken.purpose == Purpose.RECOVER,
            OneTimeToken.created_at >= redeemed.created_at,
        )
    )


def digest(token: str) -> str:
    """What is stored of a token. The token is random enough for a plain hash."""
    return sha256(token.encode()).hexdigest()
