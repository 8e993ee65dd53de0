"""sessions: their browsers; and indexes by which what is over is found and deleted"""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

BATCH = 1000
REMEMBERED = timedelta(days=90)
sessions = sa.table(
    "sessions",
    sa.column("id", sa.Uuid()),
    sa.column("ip", sa.String()),
    sa.column("user_agent", sa.String()),
    sa.column("last_used_at", sa.DateTime(timezone=True)),
    sa.column("browser", sa.String()),
)


def upgrade() -> None:
    op.add_column("sessions", sa.Column("browser", sa.String(32)))
    _name_browsers(op.get_bind())
    op.drop_index("ix_sessions_user_id", "sessions")  # the second of these begins with the same column
    standing = sa.text("revoked_at IS NULL")
    _index("sessions", "user_id", "expires_at", where=standing)
    _index("sessions", "user_id", "browser", "last_used_at")
    _index("sessions", "expires_at")
    _index("sessions", "revoked_at", where=sa.text("revoked_at IS NOT NULL"))
    _index("one_time_tokens", "expires_at")
    _index("invitations", "expires_at")
    _index("invitations", "accepted_at")
    _index("invitations", "revoked_at")
    _index("mails", "created_at")
    _index("events", "created_at")


def _index(table: str, *columns: str, where: sa.TextClause | None = None) -> None:
    few: dict[str, Any] = {} if where is None else {"postgresql_where": where, "sqlite_where": where}
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns), **few)


def _name_browsers(connection: sa.Connection) -> None:
    """Names the browser of each recent session, so that nobody is mailed about a browser that they already use."""
    row = sessions.c
    recent = sa.select(row.id, row.ip, row.user_agent).where(row.last_used_at > datetime.now(UTC) - REMEMBERED)
    named = sa.update(sessions).where(row.id == sa.bindparam("of")).values(browser=sa.bindparam("named"))
    some = connection.execute(recent.order_by(row.id).limit(BATCH)).all()
    while some:
        connection.execute(named, [{"of": one.id, "named": _browser(one.ip, one.user_agent)} for one in some])
        some = connection.execute(recent.where(row.id > some[-1].id).order_by(row.id).limit(BATCH)).all()


def _browser(ip: str, user_agent: str) -> str:
    """Hashes a browser as models/session.py does at this revision."""
    try:
        known = ip_address(ip)
        network = str(ip_network(f"{known}/{24 if known.version == 4 else 48}", strict=False))
    except ValueError:
        network = ip
    return sha256(f"{network}\n{user_agent}".encode()).hexdigest()[:32]
