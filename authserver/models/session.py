from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from authserver.clock import now
from authserver.extensions import Model, new_id


class Session(Model):
    """One sign-in. Its tokens carry its id as `sid` and count only while it does."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index(
            "ix_sessions_page_hash",
            "page_hash",
            unique=True,
            postgresql_where=text("page_hash IS NOT NULL"),
            sqlite_where=text("page_hash IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_used_at: Mapped[datetime] = mapped_column(default=now)  # coarse: see sessions/flows.py
    expires_at: Mapped[datetime]  # no refreshing from then on
    revoked_at: Mapped[datetime | None]
    method: Mapped[str] = mapped_column(String(50))  # "password", or the provider's name
    ip: Mapped[str] = mapped_column(String(45))
    user_agent: Mapped[str] = mapped_column(String(255))
    generation: Mapped[int] = mapped_column(default=0)  # how often its refresh token was rotated
    rotated_at: Mapped[datetime | None]
    authenticated_at: Mapped[datetime | None]  # when its person last proved who they are; None: when it began
    # Of the cookie, where it is a page's own.
    page_hash: Mapped[str | None] = mapped_column(String(64))
    page_session_id: Mapped[UUID | None]  # the page's session that gave an application this one

    @property
    def last_authenticated_at(self) -> datetime:
        return self.authenticated_at or self.created_at
