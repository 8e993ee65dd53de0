"""The database as commands need it: before the application can start, and by one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from authserver import migrations
from authserver.checks import newer, one_sentence
from authserver.environment import private_file, private_folder
from authserver.extensions import engine_options, prepare_engine
from authserver.settings import Settings, SettingsError
from authserver.tokens.keys import ensure_key

PATIENCE = 60  # seconds to wait for another process's migration


@dataclass(frozen=True)
class Migrated:
    """The revisions before and after `migrate_database`. They are the same where nothing had to be done."""

    before: str | None  # None where there was no schema
    after: str

    def __str__(self) -> str:
        if self.before == self.after:
            return f"up to date at {self.after}"
        return f"migrated from {self.before} to {self.after}" if self.before else f"made at {self.after}"


def migrate_database(settings: Settings) -> Migrated:
    """Creates the database where there is none, brings its schema up to date and makes the first signing key.

    One transaction: safe to run at once from several processes, and after a kill.
    """
    with exclusive(settings, create=True) as connection:
        found = migrations.revisions(connection)
        if found.unknown:
            raise SettingsError(f"{newer(settings, found)}: install that version, or use another database")
        if found.behind:
            migrations.upgrade(connection)
        ensure_key(connection, settings)
    return Migrated(found.current, found.newest)


@contextmanager
def exclusive(settings: Settings, *, create: bool = False) -> Iterator[Connection]:
    """A transaction that lets no other migration or key command in beside it."""
    with one_sentence(settings):
        engine = _engine(settings, create)
        try:
            with engine.connect().execution_options(begin="IMMEDIATE") as connection, connection.begin():
                migrations.lock(connection)
                yield connection
        finally:
            engine.dispose()


def _engine(settings: Settings, create: bool) -> Engine:
    url = make_url(settings.database_url)
    options = engine_options(settings.database_url)
    if url.get_backend_name() == "sqlite":
        options["connect_args"]["timeout"] = PATIENCE
        path = Path(url.database or "")
        try:
            private_folder(path.parent)
            if create:
                private_file(path)  # SQLite's own would be as open as the umask says
        except OSError as error:
            raise SettingsError(
                f"the database {path} cannot be made ({error.strerror}: {error.filename}): expected "
                "AUTHSERVER_DATABASE_URL or AUTHSERVER_INSTANCE_PATH to name a place that this user may write to"
            ) from None
    engine = create_engine(url, **options)
    prepare_engine(engine, create=create)
    if create and url.get_backend_name() == "postgresql":
        _create_if_missing(engine)
    return engine


def _create_if_missing(engine: Engine) -> None:
    """Makes the PostgreSQL database where the server has none of that name and we may."""
    try:
        engine.connect().close()
    except OperationalError as unreachable:
        try:
            maintenance = engine.url.set(database="postgres")
            server = create_engine(
                maintenance, isolation_level="AUTOCOMMIT", poolclass=NullPool, connect_args={"connect_timeout": 5}
            )
            with server.connect() as connection:
                name = engine.url.database
                if connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}):
                    return  # another process was faster; what else is wrong is said where it is connected to
                quoted = engine.dialect.identifier_preparer.quote_identifier(name or "")
                with suppress(ProgrammingError, IntegrityError):  # another process was faster
                    connection.execute(text(f"CREATE DATABASE {quoted}"))
        except OperationalError:
            raise unreachable from None
