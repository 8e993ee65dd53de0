from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from authserver.clock import now
from authserver.extensions import Model, new_id


class Deferred(StrEnum):
    """Kinds of deferred work. The delivery looks for the account first, and then decides what to mail to whom."""

    RESET = "reset_asked"
    VERIFY = "verify_asked"
    CHANGE_EMAIL = "change_email_asked"
    SIGN_UP = "sign_up_asked"
    PROVIDER_SIGN_IN = "provider_sign_in_asked"


class Mail(Model):
    """A mail that a change committed and that is still to be delivered; `sealed`, since it may hold a token."""

    __tablename__ = "mails"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(40))  # its template's name, or one of `Deferred`, which is of no user
    sealed: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None] = mapped_column(default=now, index=True)  # null: delivered, or given up
    delivered_at: Mapped[datetime | None]  # kept in development alone, where mails are read here
