"""The schema's history: it makes what the models say, for whoever asks, however often, and whatever kills it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url, select
from sqlalchemy.engine import Connection

from authserver import migrations
from authserver.app import create_app
from authserver.checks import described
from authserver.cli import database as commands
from authserver.cli.database import migrate_database
from authserver.clock import now
from authserver.extensions import Model, db, new_id
from authserver.models import Session, User
from authserver.models.session import browser
from authserver.sessions.devices import is_known
from authserver.settings import SettingsError
from authserver.visitor import Visitor
from tests.conftest import POSTGRES, settings_for
from tests.test_start import PATIENCE, production

NewDatabase = Callable[[], str]


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewDatabase]:
    """Makes addresses of databases that do not exist; what has come to be there is dropped in the end."""
    names: list[str] = []
    if request.param == "postgresql":
        request.getfixturevalue("postgres")  # which says what is to be done where there is no server

    def new() -> str:
        names.append(f"authserver_test_{os.getpid()}_{len(names)}")
        if request.param == "sqlite":
            return f"sqlite:///{tmp_path}/{names[-1]}/authserver.db"
        return make_url(POSTGRES).set(database=names[-1]).render_as_string(hide_password=False)

    yield new
    if request.param == "postgresql":
        with psycopg.connect(POSTGRES, autocommit=True) as server:
            for name in names:
                server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def connected(url: str) -> "closing[Connection]":
    """A connection of the test's own, not prepared in any way; closed for good after the block."""
    engine = create_engine(settings_for(url).database_url, poolclass=sa.NullPool)
    return closing(engine.connect())


def content(url: str) -> dict[str, Any]:
    """All that is in a database: its tables as the database describes them, and their rows."""
    with connected(url) as connection:
        metadata = sa.MetaData()
        metadata.reflect(connection)
        columns = {table.name: [repr(column) for column in table.columns] for table in metadata.tables.values()}
        rows = {table.name: connection.execute(table.select()).all() for table in metadata.tables.values()}
    return {name: (columns[name], rows[name]) for name in sorted(rows)}


def keys(url: str) -> int:
    return len(content(url)["signing_keys"][1])


# Models and migrations


def differences(url: str, metadata: sa.MetaData) -> list[Any]:
    with connected(url) as connection:
        options = {"compare_type": True, "compare_server_default": True}
        found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    return found


def test_migrations_make_what_the_models_say(database: str) -> None:
    assert differences(database, Model.metadata) == []


@pytest.mark.parametrize("change", ["table", "column", "type", "null", "index", "unique"])
def test_a_model_without_its_migration_is_noticed(database: str, change: str) -> None:
    """Else the comparison above might be blind."""
    metadata = sa.MetaData(naming_convention=Model.metadata.naming_convention)
    for table in Model.metadata.tables.values():
        table.to_metadata(metadata)
    users = metadata.tables["users"]
    if change == "table":
        sa.Table("more", metadata, sa.Column("id", sa.Integer, primary_key=True))
    elif change == "column":
        users.append_column(sa.Column("nickname", sa.String(20)))
    elif change == "type":
        users.columns["first_name"].type = sa.String(151)
    elif change == "null":
        users.columns["first_name"].nullable = True
    elif change == "index":
        sa.Index("ix_users_last_name", users.columns["last_name"])
    else:
        users.append_constraint(sa.UniqueConstraint("last_name"))
    assert differences(database, metadata) != []


def test_each_revision_follows_the_one_before() -> None:
    script = ScriptDirectory.from_config(migrations._config())
    assert len(script.get_heads()) == len(script.get_bases()) == 1
    files = Path(migrations.__file__).parent.glob("versions/[0-9]*.py")
    assert len(list(script.walk_revisions())) == len(list(files))


# `authserver migrate`


def test_migrating_makes_the_database_and_again_changes_nothing(new_database: NewDatabase) -> None:
    url = new_database()
    migrate_database(settings_for(url))
    before = content(url)
    assert keys(url) == 1
    migrate_database(settings_for(url))
    assert content(url) == before
    create_app(settings_for(url))


# Imported once and forked, so that a process begins at once. It ends as it stands, for to take a fork down in order
# takes longer than the migration.
MIGRATE = """
import os, random, signal, sys, time
from authserver.cli import main

def migrate():
    sys.argv = ["authserver", "migrate"]
    sys.stdout = sys.stderr
    try:
        main()
    except SystemExit as ended:
        os._exit(ended.code or 0)
    os._exit(99)
"""
AT_ONCE = """
gate, opened = os.pipe()
children = []
for _ in range(8):
    children.append(os.fork())
    if children[-1] == 0:
        os.close(opened)
        os.read(gate, 1)
        migrate()
os.close(opened)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""
# One whole migration, to know how long it takes; then others, each killed at another moment of it.
KILLED = """
def started(url):
    child = os.fork()
    if child == 0:
        os.environ["AUTHSERVER_DATABASE_URL"] = url
        migrate()
    return child

whole, *urls = sys.argv[1:]
begun = time.monotonic()
statuses = [os.waitpid(started(whole), 0)[1]]
duration = time.monotonic() - begun
for position, url in enumerate(urls):
    child = started(url)
    time.sleep(duration * (position + random.random()) / len(urls))
    os.kill(child, signal.SIGKILL)
    statuses.append(os.waitpid(child, 0)[1])
print([os.waitstatus_to_exitcode(status) for status in statuses])
"""


def script(source: str, *arguments: str, env: dict[str, str]) -> tuple[list[int], str]:
    """The statuses that the script printed, and what its children said."""
    ran = subprocess.run(
        [sys.executable, "-c", MIGRATE + source, *arguments],
        env=env,
        cwd=env["HOME"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        start_new_session=True,
        check=True,
    )
    statuses: list[int] = json.loads(ran.stdout)
    return statuses, ran.stderr


@pytest.mark.slow
def test_eight_processes_that_migrate_at_once_all_succeed_with_one_key(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    url = new_database()
    statuses, said = script(AT_ONCE, env=production(tmp_path, DATABASE_URL=url))
    assert statuses == [0] * 8, said
    assert (said.count(": made at "), said.count(": up to date at ")) == (1, 7)
    assert len(said.splitlines()) == 8
    assert keys(url) == 1
    create_app(settings_for(url))


@pytest.mark.parametrize("new_database", ["postgresql"], indirect=True)
def test_a_database_that_another_process_makes_meanwhile_is_used(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment that the test above may miss: between seeing that there is none and looking whether to make it."""
    url = new_database()

    def slow(address: sa.URL, **options: Any) -> sa.Engine:
        if address.database == "postgres":
            with psycopg.connect(POSTGRES, autocommit=True) as server:
                server.execute(f"CREATE DATABASE {make_url(url).database}")
        return create_engine(address, **options)

    monkeypatch.setattr(commands, "create_engine", slow)
    migrate_database(settings_for(url))
    assert keys(url) == 1


def state(url: str) -> str:
    """What a migration has left behind."""
    if not exists(url):
        return "nothing"
    with connected(url) as connection:
        tables = set(sa.inspect(connection).get_table_names())
        if not tables:
            return "nothing"
        if tables >= {*Model.metadata.tables, "alembic_version"}:
            counts = [
                connection.scalar(sa.text(f"SELECT count(*) FROM {table}"))
                for table in ("alembic_version", "signing_keys")
            ]
            return "all" if counts == [1, 1] else f"{counts} rows"
        return f"only {sorted(tables)}"


@pytest.mark.slow
def test_a_killed_migration_leaves_all_or_nothing_and_can_be_repeated(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    urls = [new_database() for _ in range(5)]
    statuses, said = script(KILLED, *urls, env=production(tmp_path))
    assert statuses[0] == 0, said
    assert -signal.SIGKILL in statuses
    for url in urls:
        assert state(url) in ("nothing", "all"), statuses
        migrate_database(settings_for(url))
        assert state(url) == "all"
        create_app(settings_for(url))


def exists(url: str) -> bool:
    """Whether there is anything to look at; looking would make an empty SQLite file."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        return Path(address.database or "").exists()
    with psycopg.connect(POSTGRES) as server:
        found = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [address.database])
        return found.fetchone() is not None


def test_browsers_that_were_used_before_their_hash_was_stored_are_known(new_database: NewDatabase) -> None:
    """In more than one batch; those of a session last used more than 90 days ago need none."""
    settings = settings_for(new_database())
    moments = dict.fromkeys(("created_at", "last_used_at", "expires_at"), now())
    person: dict[str, Any] = {
        "id": new_id(),
        "email_verified": False,
        "first_name": "",
        "last_name": "",
        "date_joined": now(),
    }
    session = {**moments, "user_id": person["id"], "method": "password", "generation": 0}
    rows = [{**session, "ip": f"2001:db8:{n:x}::1", "user_agent": f"Böld {n}"} for n in range(1001)]
    rows.append({**session, "ip": "::1", "user_agent": "old", "last_used_at": now() - timedelta(days=91)})
    with commands.exclusive(settings, create=True) as connection:
        command.upgrade(migrations._config(connection), "0005")
        connection.execute(older(User, person).insert(), person)
        connection.execute(older(Session, rows[0]).insert(), [{"id": new_id(), **row} for row in rows])
    migrate_database(settings)
    with create_app(settings).app_context():
        found = {one.user_agent: one for one in db.session.scalars(select(Session))}
        assert len(found) == len(rows)
        assert found.pop("old").browser is None
        assert all(one.browser == browser(one.ip, one.user_agent) for one in found.values())
        visitor = Visitor(ip="2001:db8:5:ffff::2", user_agent="Böld 5")
        assert is_known(db.session(), person["id"], visitor)
        assert not is_known(db.session(), person["id"], replace(visitor, user_agent="Böld 6"))
        db.session.remove()
        db.engine.dispose()


def older(model: type[Model], row: dict[str, Any]) -> sa.TableClause:
    """The model's table as far as the row goes."""
    columns = model.__table__.columns
    return sa.table(model.__tablename__, *(sa.column(name, columns[name].type) for name in {"id": 1, **row}))


# Versions that differ


@pytest.fixture
def next_version(tmp_path: Path) -> Callable[[pytest.MonkeyPatch], None]:
    """Makes the code one revision newer than it is, for as long as the patch lasts."""
    folder = tmp_path / "newer"
    shutil.copytree(Path(migrations.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (head,) = ScriptDirectory.from_config(migrations._config()).get_heads()
    (folder / "versions" / "9999_next.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision = '9999'\ndown_revision = {head!r}\n"
        "def upgrade():\n"
        "    op.add_column('users', sa.Column('nickname', sa.String(20)))\n"
    )
    return lambda patch: patch.setattr(migrations, "__file__", str(folder / "__init__.py"))


def test_a_schema_that_is_behind_is_refused_until_it_is_migrated(
    new_database: NewDatabase, next_version: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    settings = settings_for(url)
    migrate_database(settings)
    key = content(url)["signing_keys"][1]
    next_version(monkeypatch)
    with pytest.raises(SettingsError, match=r"not up to date \(at 0007, .* needs 9999\): run `authserver migrate`"):
        create_app(settings)
    assert [str(migrate_database(settings)) for _ in range(2)] == ["migrated from 0007 to 9999", "up to date at 9999"]
    create_app(settings)
    after = content(url)
    assert after["signing_keys"][1] == key, "and the key stays"
    assert any("nickname" in column for column in after["users"][0])


def test_a_schema_that_is_newer_serves_the_nodes_that_are_not_and_is_left_alone(
    new_database: NewDatabase, next_version: Callable[[pytest.MonkeyPatch], None], caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(new_database())
    with pytest.MonkeyPatch.context() as newer:
        next_version(newer)
        migrate_database(settings)
    create_app(settings)
    made = f"a newer version of authserver made the database {described(settings)}: it is at 9999"
    assert caplog.messages[-1].startswith(made)
    with pytest.raises(SettingsError, match=f"^{re.escape(made)}, .* 0007 .*: install that version, or use another"):
        migrate_database(settings)


@pytest.mark.parametrize("table", ["alembic_version", None])
def test_a_database_without_a_version_is_refused(new_database: NewDatabase, table: str | None) -> None:
    url = new_database()
    migrate_database(settings_for(url))
    with connected(url) as connection:
        if table:
            connection.execute(sa.text("DELETE FROM alembic_version"))
        else:
            metadata = sa.MetaData()
            metadata.reflect(connection)
            metadata.drop_all(connection)
        connection.commit()
    with pytest.raises(SettingsError, match="run `authserver migrate`"):
        create_app(settings_for(url))


@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
def test_sqlite_is_as_it_must_be_for_many_writers(new_database: NewDatabase) -> None:
    url = new_database()
    migrate_database(settings_for(url))
    app = create_app(settings_for(url))
    with app.app_context(), db.engine.connect() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
        db.engine.dispose()
    assert pragma == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 5000}
