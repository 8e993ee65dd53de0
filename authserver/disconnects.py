"""Connections that are of no use any more: the server closed them or takes no writes over them, or the file is gone.

The pool drops such connections. What came first on one is repeated on a new connection, so that nobody notices a
restart or a failover: in `fetch_one`, at the beginning of `writing`, and at the first read of a session.
"""

import os
import sqlite3
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError

# SQLSTATEs of PostgreSQL: https://www.postgresql.org/docs/current/errcodes-appendix.html
READ_ONLY = "25006"  # since a failover the server is a standby: for SQLAlchemy that is no disconnect
# With these the server says that the statement was not done: it refused it (25006), it had closed the idle connection
# (57P05), or it undid what had begun and closed the connection (57P01). After the crash of another of its processes
# (57P02), or where the connection broke without a word, nobody knows.
NOT_DONE = {READ_ONLY, "57P01", "57P05"}

# SQLite's result codes (https://sqlite.org/rescode.html) after which a new connection may succeed where this one will
# not: one that was opened while its file was read-only, for example, stays so.
RENEWED = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOTADB,
}


class Damaged(OperationalError):
    """SQLite's file is damaged, or is no database: an outage until somebody puts another in its place."""


def may_repeat_read(error: DBAPIError) -> bool:
    return error.connection_invalidated


def may_repeat_write(error: DBAPIError) -> bool:
    """Tells whether the statement is known not to have been done."""
    sqlstate, code = getattr(error.orig, "sqlstate", None), sqlite_code(error.orig)
    return error.connection_invalidated and (sqlstate in NOT_DONE or code == sqlite3.SQLITE_READONLY)


def drop_useless_connections(engine: Engine) -> None:
    """Renews the pool after an error that says so, and makes each of these errors the one that is answered by a 503."""

    @event.listens_for(engine, "handle_error")
    def handle_error(context: ExceptionContext) -> Exception | None:
        error, code = context.original_exception, sqlite_code(context.original_exception)
        if context.connection is not None and (getattr(error, "sqlstate", None) == READ_ONLY or code in RENEWED):
            context.is_disconnect = True
        useless = context.is_disconnect or code in RENEWED
        if not useless or isinstance(context.sqlalchemy_exception, OperationalError | InterfaceError | None):
            return None
        kind = OperationalError if code is None else Damaged
        return kind(context.statement, None, error, hide_parameters=True, connection_invalidated=context.is_disconnect)


def follow_file(engine: Engine, path: str, *, create: bool) -> None:
    """Opens the database's file anew where it was replaced, and nothing where it was removed.

    A connection goes on reading and writing the file that it opened: what is written there is lost.
    """

    @event.listens_for(engine, "do_connect")
    def refuse_missing(*_: Any) -> None:
        if not create and _identity(path) is None:
            raise sqlite3.OperationalError("unable to open database file")  # SQLite would make an empty one

    @event.listens_for(engine, "connect")
    def remember(connection: object, record: Any) -> None:
        record.info["file"] = _identity(path)

    @event.listens_for(engine, "checkout")
    def compare(connection: object, record: Any, proxy: object) -> None:
        if record.info["file"] != _identity(path):
            raise DisconnectionError("the database's file is another one")


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def sqlite_code(error: BaseException | None) -> int | None:
    """SQLite's primary result code, without the higher bits, which say more."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
