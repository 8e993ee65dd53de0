"""The extensions, bare; `app.py` binds them. And the two ways to the database: `fetch_one` and `writing`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar, TypeVarTuple
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from flask_cors import CORS
from flask_jwt_extended import JWTManager
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine, Result
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, ORMExecuteState, Session
from sqlalchemy.sql.selectable import TypedReturnsRows
from uuid_utils.compat import uuid7

from authserver.disconnects import drop_useless_connections, follow_file, may_repeat_read, may_repeat_write
from authserver.looking import require_more_than_a_look
from authserver.settings import Settings, SettingsError

Columns = TypeVarTuple("Columns")
Taken = TypeVar("Taken")


class UTCDateTime(sa.TypeDecorator[datetime]):
    """A moment in UTC with its zone, on both databases and whatever the server's own zone is."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        return PostgresMoment() if dialect.name == "postgresql" else self.impl_instance

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Adds the zone: SQLite stores none, and PostgreSQL is asked for the time in UTC."""
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value and value.astimezone(UTC)


class PostgresMoment(postgresql.TIMESTAMP):
    """PostgreSQL's `timestamptz`, read in UTC.

    PostgreSQL sends a moment in the zone of the database, role or connection, in which the first and the last day of
    the calendar may be in the year 0 or 10000, and psycopg raises for those.
    """

    render_bind_cast = True  # as psycopg's own type has it, whose place this takes

    def __init__(self) -> None:
        super().__init__(timezone=True)

    def adapt(self, cls: Any, **kw: Any) -> Any:
        """Stays what it is, where the dialect would put psycopg's type in its place."""
        return PostgresMoment()

    def column_expression(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.func.timezone(sa.literal_column("'UTC'"), column, type_=column.type)


class Model(DeclarativeBase):
    """The base of every table, typed, which `db.Model` is not for mypy."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {datetime: UTCDateTime}


INSERTS: dict[str, Callable[[type[Model]], sqlite.Insert | postgresql.Insert]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
cors = CORS()
db = SQLAlchemy(metadata=Model.metadata, session_options={"expire_on_commit": False})
jwt = JWTManager()


def current_settings() -> Settings:
    settings: Settings = current_app.extensions["authserver.settings"]
    return settings


def provider_label(name: str) -> str:
    """Returns what people call a provider; one that is no longer enabled is called by its name."""
    enabled = current_app.extensions["authserver.providers"].get(name)
    return enabled.provider.label if enabled else name


def new_id() -> UUID:
    """UUIDv7: in the order of time, so that an index grows at its end."""
    return uuid7()


def fetch_one(
    statement: TypedReturnsRows[*Columns], parameters: dict[str, Any] | None = None
) -> sa.Row[*Columns] | None:
    """One row by one statement outside any transaction, which on PostgreSQL saves the round trips around it.

    A statement that writes is a transaction of its own, over when this returns. Where the connection was of no use it
    is repeated on a new one: a read always, a write where it is known not to have been done.
    """
    return _taken(statement, parameters, lambda result: result.first())


def fetch_all(statement: TypedReturnsRows[*Columns], parameters: dict[str, Any]) -> Sequence[sa.Row[*Columns]]:
    """Fetches all the rows in the same way."""
    return _taken(statement, parameters, lambda result: result.all())


def _taken(
    statement: TypedReturnsRows[*Columns],
    parameters: dict[str, Any] | None,
    take: Callable[[Result[*Columns]], Taken],
) -> Taken:
    try:
        return _once(statement, parameters, take)
    except DBAPIError as error:
        if not (may_repeat_read(error) if statement.is_select else may_repeat_write(error)):
            raise
    return _once(statement, parameters, take)


def _once(
    statement: TypedReturnsRows[*Columns],
    parameters: dict[str, Any] | None,
    take: Callable[[Result[*Columns]], Taken],
) -> Taken:
    reader: Engine = current_app.extensions["authserver.reader"]
    with reader.connect() as connection:
        return take(connection.execute(statement, parameters))


@event.listens_for(db.session, "do_orm_execute")
def repeat_first_read(state: ORMExecuteState) -> Result[Any] | None:
    """A session's first read is repeated likewise; what comes later in its transaction builds on what was read."""
    if state.session.in_transaction() or not state.is_select:
        return None
    try:
        return state.invoke_statement()
    except DBAPIError as error:
        if not may_repeat_read(error):
            raise
    state.session.rollback()
    return state.invoke_statement()


def upsert(model: type[Model]) -> sqlite.Insert | postgresql.Insert:
    """Begins an INSERT that can say what to do where the row is there already; each database spells it its own way."""
    return INSERTS[db.engine.dialect.name](model)


@contextmanager
def writing() -> Iterator[Session]:
    """The one writing transaction of a request: committed at the end of the block, rolled back by an error.

    On SQLite it takes the write lock before its first read, for a transaction that reads first fails at once with
    "database is locked" when another wrote in between.
    """
    require_more_than_a_look()
    try:
        try:
            _begin()
        except DBAPIError as error:  # the connection may be of no use, and nothing was written yet
            if not error.connection_invalidated:
                raise
            _begin()
        yield db.session()
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise


# In the one round trip of the limit: whether the server takes writes, or is a standby since a failover.
BEGINNING = "SHOW transaction_read_only; SET LOCAL lock_timeout = '5s'"


def _begin() -> None:
    db.session.rollback()  # what was read before is over: look again inside
    connection = db.session.connection(execution_options={"begin": "IMMEDIATE"})
    if connection.dialect.name == "postgresql" and connection.exec_driver_sql(BEGINNING).scalar() == "on":
        connection.invalidate()
        db.engine.dispose()
        reason = Exception("the server takes no writes")
        raise OperationalError(BEGINNING, None, reason, connection_invalidated=True)


def engine_options(url: str) -> dict[str, Any]:
    """Bounded waits everywhere: an unreachable database is a 503 in seconds, not a hanging worker."""
    try:
        sa.make_url(url)
    except sa.exc.ArgumentError:
        raise SettingsError("AUTHSERVER_DATABASE_URL: expected postgresql://user:password@host/database") from None
    common = {"hide_parameters": True, "pool_timeout": 5, "pool_size": 5, "max_overflow": 15}
    if url.startswith("sqlite"):
        return {**common, "connect_args": {"timeout": 5}}
    connect_args = {
        "connect_timeout": 5,
        # A host that vanishes without a word is noticed too.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        "prepare_threshold": None,  # a prepared statement is connection state, which PgBouncer does not carry over
    }
    return {**common, "connect_args": connect_args, "pool_recycle": 600}


def prepare_engine(engine: Engine, *, create: bool = False) -> Engine:
    """Readies the engine and returns its reader, which opens no transactions. `create`: SQLite may make its file."""
    drop_useless_connections(engine)
    if engine.dialect.name != "sqlite":
        return engine.execution_options(isolation_level="AUTOCOMMIT")
    if engine.url.database:
        follow_file(engine, engine.url.database, create=create)
    _prepare_sqlite(engine)
    return engine.execution_options(begin=None)


def _prepare_sqlite(engine: Engine) -> None:
    """WAL, foreign keys, and transactions begun by us: sqlite3's own begin would come too late (see `writing`)."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")  # NORMAL can lose an acknowledged commit at a power cut

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("begin", "DEFERRED")
        if mode:
            connection.exec_driver_sql(f"BEGIN {mode}")
