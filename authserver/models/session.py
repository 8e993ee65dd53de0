from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from authserver.clock import now
from authserver.extensions import Model, current_settings, new_id
from authserver.visitor import neighbourhood

# How long a session is kept after its end, and how long its browser is known after its last use: no longer, or the
# browser would be forgotten with the session.
REMEMBERED = timedelta(days=90)


def browser(ip: str, user_agent: str) -> str:
    """Hashes the user agent and the network that it comes from, so that one index entry finds the browser again."""
    return sha256(f"{neighbourhood(ip)}\n{user_agent}".encode()).hexdigest()[:32]


def _browser_of_row(context: Any) -> str:
    row = context.get_current_parameters()
    return browser(row["ip"], row["user_agent"])


def _few(column: str) -> dict[str, Any]:
    """Makes an index of those rows alone that have a value in the column."""
    return {f"{dialect}_where": text(f"{column} IS NOT NULL") for dialect in ("postgresql", "sqlite")}


class Session(Model):
    """One sign-in. Its tokens carry its id as `sid` and count only while it does."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_page_hash", "page_hash", unique=True, **_few("page_hash")),
        # A person's sessions that count, and the browsers that a person used: however many rows there are of them.
        Index(
            "ix_sessions_user_id_expires_at",
            "user_id",
            "expires_at",
            postgresql_where=text("revoked_at IS NULL"),
            sqlite_where=text("revoked_at IS NULL"),
        ),
        Index(None, "user_id", "browser", "last_used_at"),
        # Those that are over, for who deletes them.
        Index(None, "expires_at"),
        Index("ix_sessions_revoked_at", "revoked_at", **_few("revoked_at")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_used_at: Mapped[datetime] = mapped_column(default=now)  # coarse: see sessions/flows.py
    expires_at: Mapped[datetime]  # no refreshing from then on
    revoked_at: Mapped[datetime | None]
    method: Mapped[str] = mapped_column(String(50))  # "password", or the provider's name
    ip: Mapped[str] = mapped_column(String(45))
    user_agent: Mapped[str] = mapped_column(String(255))
    # A hash of the two. None where a node wrote the row that was not brought up to date yet.
    browser: Mapped[str | None] = mapped_column(String(32), default=_browser_of_row)
    generation: Mapped[int] = mapped_column(default=0)  # how often its refresh token was rotated
    rotated_at: Mapped[datetime | None]
    authenticated_at: Mapped[datetime | None]  # when its person last proved who they are; None: when it began
    # Of the cookie, where it is a page's own.
    page_hash: Mapped[str | None] = mapped_column(String(64))
    page_session_id: Mapped[UUID | None]  # the page's session that gave an application this one

    @property
    def last_authenticated_at(self) -> datetime:
        return self.authenticated_at or self.created_at

    @staticmethod
    def counts_after() -> datetime:
        """Returns the moment that a session has to end after, to count still.

        Nothing refreshes from its end on, but an access token that was got just before lives out its own lifetime.
        """
        return now() - timedelta(seconds=current_settings().access_token_lifetime)

    @classmethod
    def counting(cls) -> tuple[ColumnElement[bool], ...]:
        """Selects the sessions of which any token counts still: they are listed, and can be ended."""
        return cls.revoked_at.is_(None), cls.expires_at > cls.counts_after()
