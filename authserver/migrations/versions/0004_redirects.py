"""sign-ins by redirect, and their codes"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "authorizations",
        sa.Column("id", sa.String(43), primary_key=True),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("provider", sa.String(50), nullable=False),
        sa.Column("next", sa.String(2048), nullable=False),
        sa.Column("code_challenge", sa.String(43), nullable=False),
        sa.Column("state", sa.String(512)),
        sa.Column("user_id", sa.Uuid(), sa.ForeignKey("users.id", ondelete="CASCADE"), index=True),
        sa.Column("session_id", sa.Uuid()),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False, index=True),
    )
    op.add_column("one_time_tokens", sa.Column("code", sa.JSON()))
