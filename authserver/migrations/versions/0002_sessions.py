"""sessions: where from, how, last use, rotation"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    # The defaults are for the sessions that are there, and go again: a column's value is the code's to give.
    added = (
        sa.Column("last_used_at", moment, nullable=False, server_default=sa.text("'1970-01-01 00:00:00+00:00'")),
        sa.Column("method", sa.String(50), nullable=False, server_default="password"),
        sa.Column("ip", sa.String(45), nullable=False, server_default=""),
        sa.Column("user_agent", sa.String(255), nullable=False, server_default=""),
        sa.Column("generation", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("rotated_at", moment),
    )
    with op.batch_alter_table("sessions") as table:
        for column in added:
            table.add_column(column)
    op.execute("UPDATE sessions SET last_used_at = created_at")
    with op.batch_alter_table("sessions") as table:
        for column in added:
            table.alter_column(column.name, server_default=None)
