from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from authserver.clock import now
from authserver.extensions import Model


class Authorization(Model):
    """A sign-in by redirect that is under way: a browser was sent to a provider and has not come back yet."""

    __tablename__ = "authorizations"

    id: Mapped[str] = mapped_column(String(43), primary_key=True)  # the `state`; it names the cookie too
    secret_hash: Mapped[str] = mapped_column(String(64))  # of the cookie's value, which only that browser has
    provider: Mapped[str] = mapped_column(String(50))
    next: Mapped[str] = mapped_column(String(2048))
    code_challenge: Mapped[str] = mapped_column(String(43))
    state: Mapped[str | None] = mapped_column(String(512))  # the application's own
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    session_id: Mapped[UUID | None]  # with the user: whose session links an identity
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime] = mapped_column(index=True)
