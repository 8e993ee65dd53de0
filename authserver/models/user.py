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
    password_hash: Mapped[str | None] = mapped_column(String(255))
    first_name: Mapped[str] = mapped_column(String(150), default="")
    last_name: Mapped[str] = mapped_column(String(150), default="")
    date_joined: Mapped[datetime] = mapped_column(default=now)
    disabled_at: Mapped[datetime | None]
