from datetime import datetime
from uuid import UUID

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from authserver.clock import now
from authserver.extensions import Model, new_id


class User(Model):
    """A person. The e-mail is in the one spelling of `body.email_address`, or null where a provider gave none."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    email: Mapped[str | None] = mapped_column(String(254), unique=True)
    email_verified: Mapped[bool] = mapped_column(default=False)
    # By the link of a sign-up's mail and nothing more; null once the owner has set what signs in: verification.py.
    verified_by_link_at: Mapped[datetime | None]
    password_hash: Mapped[str | None] = mapped_column(String(255))
    first_name: Mapped[str] = mapped_column(String(150), default="")
    last_name: Mapped[str] = mapped_column(String(150), default="")
    date_joined: Mapped[datetime] = mapped_column(default=now)
    disabled_at: Mapped[datetime | None]
    signup_identity_id: Mapped[UUID | None]  # the identity that the account was made by, which may be unlinked since

    @property
    def owner_proved(self) -> bool:
        """True when the person who set this account's ways to sign in has proved that they read its mail."""
        return self.email_verified and self.verified_by_link_at is None
