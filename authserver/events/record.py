"""What is recorded of an account, each in the transaction of the change that it tells of."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.models import Event
from authserver.visitor import Visitor


class Happened(StrEnum):
    SIGNED_UP = "signed_up"
    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    REAUTHENTICATED = "reauthenticated"
    SESSION_ENDED = "session_ended"
    OTHER_SESSIONS_ENDED = "other_sessions_ended"
    ALL_SESSIONS_ENDED = "all_sessions_ended"
    REFRESH_REUSED = "refresh_reused"
    PASSWORD_CHANGED = "password_changed"
    PASSWORD_RESET_REQUESTED = "password_reset_requested"
    PASSWORD_RESET = "password_reset"
    EMAIL_VERIFIED = "email_verified"
    EMAIL_CHANGE_REQUESTED = "email_change_requested"
    EMAIL_CHANGED = "email_changed"
    IDENTITY_LINKED = "identity_linked"
    IDENTITY_UNLINKED = "identity_unlinked"
    ACCOUNT_RECOVERED = "account_recovered"
    ACCOUNT_CREATED = "account_created"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_ENABLED = "account_enabled"
    ACCOUNT_ERASED = "account_erased"


def record(
    transaction: Transaction,
    what: Happened,
    visitor: Visitor,
    user_id: UUID | None,
    session_id: UUID | None = None,
    at: datetime | None = None,
) -> None:
    """`user_id` is None for a failed sign-in to no account, which costs the same row, so that none can tell.

    `at` where it happened before now.
    """
    transaction.add(
        Event(
            user_id=user_id,
            type=what,
            session_id=session_id,
            ip=visitor.ip or None,
            user_agent=visitor.user_agent or None,
            created_at=at or now(),
        )
    )
