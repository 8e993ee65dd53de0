"""Checks the database at a start: its file, its schema's version, whether it takes writes, and who is in it."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from sqlalchemy import delete, false, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from authserver import migrations
from authserver.dev import people
from authserver.disconnects import Damaged, sqlite_code
from authserver.errors import database_reason
from authserver.extensions import db
from authserver.models import User
from authserver.settings import Settings, SettingsError
from authserver.tokens.keys import key_ring

log = logging.getLogger(__name__)

# SQLite's errors for a file that this user may not open or change. A retry does not help.
NOT_ALLOWED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}


def check_database(app: Flask, settings: Settings, *, command: bool) -> None:
    """Refuses a database that cannot be used, or whose schema is behind; raises `SettingsError`.

    One that cannot be reached stops a command alone. A server starts, and answers 503 until the database is back: a
    worker that is respawned during an outage would otherwise end gunicorn's master.
    """
    with app.app_context():
        try:
            _require_file(settings)
            _require_schema(db.engine, settings)
            key_ring().signing()
            if not command:
                _require_writable(db.engine)
                _require_no_published_password(settings)
        except DBAPIError as error:
            lasting = isinstance(error, Damaged) or sqlite_code(error.orig) in NOT_ALLOWED
            if command or lasting or not isinstance(error, OperationalError):
                raise unusable(settings, error) from None
            log.error(
                "The database cannot be reached, requests that need it are answered with 503: %s",
                database_reason(error),
            )
        finally:
            db.session.remove()
            db.engine.dispose()  # no connection is carried over a fork


def _require_file(settings: Settings) -> None:
    """SQLite would make an empty file."""
    path = _file(settings)
    if path and not os.path.exists(path):
        reason = obstacle(path) or "it does not exist: run `authserver migrate`"
        raise SettingsError(f"the database {path} cannot be used: {reason}")


def _require_schema(engine: Engine, settings: Settings) -> None:
    """A newer schema serves: nodes are replaced one after another."""
    with engine.connect() as connection:
        revisions = migrations.revisions(connection)
    if revisions.behind:
        raise SettingsError(
            f"the database {described(settings)} is not up to date (at {revisions.current or 'nothing'}, this version "
            f"needs {revisions.newest}): run `authserver migrate`"
        )
    if revisions.unknown:
        log.warning("%s", newer(settings, revisions))


def _require_writable(engine: Engine) -> None:
    """SQLite opens a file that may only be read, and would then refuse each sign-in."""
    if engine.dialect.name == "sqlite":
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA busy_timeout = 0")
                connection.execute(delete(User).where(false()))  # no row, yet a write
        except OperationalError as error:
            if sqlite_code(error.orig) != sqlite3.SQLITE_BUSY:  # then somebody else writes
                raise


def _require_no_published_password(settings: Settings) -> None:
    """The example people of `authserver dev` have a password that everybody can read."""
    if settings.production and (found := people.with_published_password()):
        raise SettingsError(
            f"in the database {described(settings)} {' and '.join(found)} can sign in with the password that is "
            "published for `authserver dev`: use another database in production, or remove them by "
            "`authserver users erase`"
        )


def newer(settings: Settings, revisions: migrations.Revisions) -> str:
    return (
        f"a newer version of authserver made the database {described(settings)}: it is at {revisions.current}, and "
        f"this version knows {revisions.newest} as the last"
    )


def described(settings: Settings) -> str:
    """Names the database, without its password."""
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)


def unusable(settings: Settings, error: DBAPIError) -> SettingsError:
    """The sentence for what a database refused, with the file that is in the way."""
    path, reason = _file(settings), database_reason(error)
    found = obstacle(path) if path else ""
    return SettingsError(
        f"the database {described(settings)} cannot be used: {reason}" + (f" ({found})" if found else "")
    )


def obstacle(path: str) -> str:
    """Says what keeps this user from SQLite's file; empty where nothing does."""
    folder = there = os.path.dirname(path)
    while not os.path.isdir(there) and there != os.path.dirname(there):
        there = os.path.dirname(there)
    if not _allowed(there, os.W_OK | os.X_OK if there == folder else os.X_OK):
        return f"this user may not write in the folder {there}"
    if os.path.exists(path) and not _allowed(path, os.R_OK | os.W_OK):
        return "this user may not write to it"
    return ""


def _allowed(path: str, mode: int) -> bool:
    """Tells whether this process may use the path so, as its effective user where the system can check that."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _file(settings: Settings) -> str | None:
    """The file of an embedded database."""
    return str(settings.database_files[0]) if settings.database_files else None


@contextmanager
def one_sentence(settings: Settings) -> Iterator[None]:
    """Raises what the database refuses as a `SettingsError` that names it."""
    try:
        yield
    except DBAPIError as error:
        raise unusable(settings, error) from None
