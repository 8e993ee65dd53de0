"""sessions of the hosted pages"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("authenticated_at", sa.DateTime(timezone=True)))
    op.add_column("sessions", sa.Column("page_hash", sa.String(64)))
    op.add_column("sessions", sa.Column("page_session_id", sa.Uuid()))
    few = sa.text("page_hash IS NOT NULL")  # so that it is made at once, and no other session costs an entry
    op.create_index(
        "ix_sessions_page_hash", "sessions", ["page_hash"], unique=True, postgresql_where=few, sqlite_where=few
    )
