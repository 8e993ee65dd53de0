from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from authserver.clock import now
from authserver.extensions import Model, new_id


class Identity(Model):
    """A provider's account that signs a user in, found by provider, tenant and subject and by nothing else."""

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("provider", "tenant", "subject"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    provider: Mapped[str] = mapped_column(String(50))
    tenant: Mapped[str] = mapped_column(String(255))  # "" where the provider's subjects are unique by themselves
    subject: Mapped[str] = mapped_column(String(255))
    email: Mapped[str | None] = mapped_column(String(254))  # as the provider gave it at the first sign-in
    created_at: Mapped[datetime] = mapped_column(default=now)
