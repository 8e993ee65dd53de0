"""The schema's history, and the two things asked of it: bring a database up to date, and is it?"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import Connection

LOCK = 0x61757468  # "auth": any constant of our own, for PostgreSQL's advisory lock


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def lock(connection: Connection) -> None:
    """Lets one process at a time through, until its transaction ends. On SQLite `BEGIN IMMEDIATE` already does."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})


def upgrade(connection: Connection) -> None:
    """Brings the schema up to date inside the connection's transaction."""
    command.upgrade(_config(connection), "head")


def behind(connection: Connection) -> bool:
    """Whether migrations are missing. A newer schema is not behind: nodes are replaced one after another."""
    script = ScriptDirectory.from_config(_config())
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None:
        return True
    known = [revision.revision for revision in script.walk_revisions()]
    return current in known[1:]
