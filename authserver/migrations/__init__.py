"""The schema's history, and the two things asked of it: bring a database up to date, and where does it stand?"""

from dataclasses import dataclass
from functools import cache
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
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _folder() -> Path:
    return Path(__file__).parent


def lock(connection: Connection) -> None:
    """Lets one process at a time through, until its transaction ends. On SQLite `BEGIN IMMEDIATE` already does."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})


def upgrade(connection: Connection) -> None:
    """Brings the schema up to date inside the connection's transaction."""
    command.upgrade(_config(connection), "head")


@dataclass(frozen=True)
class Revisions:
    """The revision of a database, and the revisions that this version knows."""

    current: str | None  # None before the first migration
    known: tuple[str, ...]  # to this version, the newest first

    @property
    def newest(self) -> str:
        return self.known[0]

    @property
    def behind(self) -> bool:
        """Tells whether migrations are missing."""
        return self.current is None or self.current in self.known[1:]

    @property
    def unknown(self) -> bool:
        """Tells whether a newer version migrated the database."""
        return self.current is not None and self.current not in self.known


def revisions(connection: Connection) -> Revisions:
    return Revisions(MigrationContext.configure(connection).get_current_revision(), _known(_folder()))


@cache
def _known(folder: Path) -> tuple[str, ...]:
    """Returns the revisions, the newest first. The files are read once a process: each start asks for them."""
    return tuple(revision.revision for revision in ScriptDirectory(folder).walk_revisions())
