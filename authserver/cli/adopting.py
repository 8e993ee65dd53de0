"""The database of an older `authserver dev`, which had production's file name: it goes on under development's own."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import click
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from authserver.settings import DEVELOPMENT_DATABASE, PRODUCTION_DATABASE, Settings, SettingsError
from authserver.tokens.keys import KeyRing


def adopt_former_database(settings: Settings) -> None:
    """Renames the file where it is surely `authserver dev`'s: the secret that lies beside it opens its signing keys."""
    folder = settings.instance_path.absolute()
    former, present = folder / PRODUCTION_DATABASE, folder / DEVELOPMENT_DATABASE
    if settings.production or settings.database_files[:1] != [present]:
        return
    if os.path.exists(present) or not os.path.exists(former) or not _opens(settings, former):
        return
    try:
        _rename(former, present)
    except (OSError, sqlite3.Error) as error:
        raise SettingsError(
            f"the database {former} of an older `authserver dev` cannot become {present} ({error}): end the server "
            "that uses it, and start again"
        ) from None
    click.echo(f"authserver: the database {former} of an older `authserver dev` is {present} now", err=True)


def _opens(settings: Settings, path: Path) -> bool:
    ring = KeyRing(settings)
    try:
        if path.with_name("secret_key").read_text() != settings.secret_key:
            return False
        with create_engine(f"sqlite:///{path}", poolclass=NullPool).connect() as connection:
            ring.read(connection)
        return bool(ring.signing())
    except (OSError, UnicodeError, SettingsError, DBAPIError):
        return False


def _rename(former: Path, present: Path) -> None:
    """Puts all into the one file first, which SQLite does only where nobody else has it open."""
    with closing(sqlite3.connect(former, timeout=0)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    os.link(former, present)  # unlike a rename it leaves a file alone that another process made meanwhile
    former.unlink()
