"""Every test that touches the database runs on SQLite and on PostgreSQL, through the real migrations."""

import gc
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import psycopg
import pytest
import redis
from click.testing import CliRunner, Result
from flask import Flask
from flask.testing import FlaskClient
from psycopg.sql import SQL, Identifier
from sqlalchemy import make_url

from authserver import clock, limits
from authserver.app import create_app
from authserver.cli import cli
from authserver.cli.database import migrate_database
from authserver.extensions import db
from authserver.limits import stores
from authserver.models import SigningKey
from authserver.oauth.documents import Documents
from authserver.settings import Settings, load
from authserver.tokens.keys import KeyRing
from tests.cheaper import certificates_read_once as certificates_read_once
from tests.cheaper import cheap_hashes as cheap_hashes
from tests.cheaper import real_hashes as real_hashes
from tests.cheaper import routes_compiled_once as routes_compiled_once
from tests.mails import mails as mails
from tests.mails import running_smtp as running_smtp
from tests.mails import smtp as smtp

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
SECRET = "tOtnVPGQf6OQKyUuWcNnCzJb8XrVv0AiRz3yEGhsdl4"
PUBLIC_URL = "https://auth.example.com"

MakeSettings = Callable[..., Settings]
MakeApp = Callable[..., Flask]
Run = Callable[..., Result]


def pytest_configure() -> None:
    """A shell starts `make test &` with Ctrl-C ignored, and so would be each process that a test interrupts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What was imported and collected lives as long as the run: the garbage collector need not look at it each time."""
    gc.collect()
    gc.freeze()


def variables(database: str, **changes: object) -> dict[str, str]:
    """Production's settings as they are in the environment; `changes` are named as in `Settings`.

    Rate limits are off unless a test is about them: many sign up from one address here.
    """
    usual = {"secret_key": SECRET, "public_url": PUBLIC_URL, "database_url": database, "rate_limits": "false"}
    settings = {**usual, **changes}
    return {f"AUTHSERVER_{name.upper()}": str(value) for name, value in settings.items()}


def settings_for(database: str, **changes: object) -> Settings:
    return load(variables(database, **changes))[0]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """An empty database of this run's own. Skipped by name where no PostgreSQL runs, except in CI."""
    name = f"authserver_test_{os.getpid()}"
    try:
        server = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        if os.environ.get("CI"):
            raise
        pytest.skip("no PostgreSQL at TEST_POSTGRES_URL")
    with server:
        drop_left_behind(server)
        server.execute(f"CREATE DATABASE {name}")
        # Nothing here has to survive a crash of the machine, and waiting for its disk took a third of the time.
        server.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        yield make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def drop_left_behind(server: psycopg.Connection) -> None:
    """Drops the databases of processes that were killed before they could do so."""
    for (name,) in server.execute(
        r"SELECT datname FROM pg_database WHERE datname LIKE 'authserver\_test\_%'"
    ).fetchall():
        try:
            os.kill(int(re.findall(r"\d+", name)[0]), 0)
        except ProcessLookupError:
            server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def migrated_postgres(postgres: str) -> str:
    migrate_database(settings_for(postgres))
    return postgres


@pytest.fixture(scope="session")
def emptying(migrated_postgres: str) -> Callable[[], None]:
    """Deletes all rows but the keys: many times faster than TRUNCATE, which makes new files for each table."""
    names = [table.name for table in reversed(db.metadata.sorted_tables) if table.name != SigningKey.__tablename__]
    delete = SQL("; ").join(SQL("DELETE FROM {}").format(Identifier(name)) for name in names)

    def empty() -> None:
        with psycopg.connect(migrated_postgres, autocommit=True) as connection:
            connection.execute(delete)

    return empty


@pytest.fixture(scope="session")
def sqlite_folder() -> Iterator[Path]:
    """In memory where the system offers that: nothing here has to survive a crash of the machine."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(prefix="authserver_test_", dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def migrated_sqlite(sqlite_folder: Path) -> Path:
    path = sqlite_folder / "migrated.db"
    migrate_database(settings_for(f"sqlite:///{path}"))
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a migrated database without people, which is the same for each test of a process."""
    if request.param == "sqlite":
        migrated: Path = request.getfixturevalue("migrated_sqlite")
        folder = migrated.parent / "copy"
        folder.mkdir()
        shutil.copy(migrated, folder / "authserver.db")
        yield f"sqlite:///{folder}/authserver.db"
        shutil.rmtree(folder)
        return
    request.getfixturevalue("emptying")()
    yield request.getfixturevalue("migrated_postgres")


@pytest.fixture
def redis_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Redis, under keys of this test's own. Skipped by name where none runs, except in CI."""
    prefix = f"authserver_test_{uuid4().hex}"
    monkeypatch.setattr(stores, "REDIS_PREFIX", prefix)
    monkeypatch.setattr(stores, "REDIS_TIMEOUT", 10.0)  # a busy machine is no outage
    with redis.Redis.from_url(REDIS, socket_connect_timeout=3) as server:
        try:
            server.ping()
        except redis.RedisError:
            if os.environ.get("CI"):
                raise
            pytest.skip("no Redis at TEST_REDIS_URL")
        yield REDIS
        for key in server.scan_iter(f"{prefix}:*"):
            server.delete(key)


@pytest.fixture
def make_settings(database: str) -> MakeSettings:
    return lambda **changes: settings_for(database, **changes)


@pytest.fixture
def new_app(make_settings: MakeSettings) -> Iterator[MakeApp]:
    """Applications of the test's own, for a test that changes the application itself or is about its start."""
    apps: list[Flask] = []

    def make(**changes: object) -> Flask:
        providers = changes.pop("factories", None)
        apps.append(create_app(make_settings(**changes), providers, unsafe_development=True))  # type: ignore[arg-type]
        return apps[-1]

    yield make
    for app in apps:
        disconnect(app)


def disconnect(app: Flask) -> None:
    with app.app_context():
        db.engine.dispose()


class Lender:
    """Keeps applications for the next test with the same settings: making one takes 10 ms, longer than many tests."""

    MOST = 30  # of those that nobody has right now

    def __init__(self) -> None:
        self.kept: list[tuple[object, Flask]] = []

    def take(self, key: object, settings: Settings) -> Flask:
        """One that remembers nothing of the test before."""
        place = next((place for place, (own, _) in enumerate(self.kept) if own == key), None)
        app = create_app(settings, unsafe_development=True) if place is None else self.kept.pop(place)[1]
        app.extensions["authserver.keys"] = KeyRing(settings)
        limits.start(app, settings)
        if settings.providers:
            app.extensions["authserver.documents"] = Documents()
        return app

    def give_back(self, key: object, app: Flask) -> None:
        disconnect(app)
        self.kept = [*self.kept[1 - self.MOST :], (key, app)]


@pytest.fixture(scope="session")
def lender() -> Lender:
    return Lender()


@pytest.fixture
def make_app(database: str, lender: Lender, new_app: MakeApp) -> Iterator[MakeApp]:
    """Applications on the test's database, with settings of their own: `make_app(access_token_lifetime=5)`.

    Other tests have used them, and will; two calls in one test bring two.
    """
    lent: list[tuple[object, Flask]] = []

    def make(**changes: object) -> Flask:
        if "factories" in changes:
            return new_app(**changes)
        key = tuple(sorted(variables(database, **changes).items()))
        lent.append((key, lender.take(key, settings_for(database, **changes))))
        return lent[-1][1]

    yield make
    for key, app in lent:
        lender.give_back(key, app)


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


class Clock:
    """A monotonic one, which only the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def advance(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the one source of time forward by seconds."""

    def move(seconds: float) -> None:
        monkeypatch.setattr(clock, "offset", clock.offset + timedelta(seconds=seconds))

    return move


@pytest.fixture
def run(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command, called in this process: `run("users", "list", signup="closed")`, settings by keyword."""
    monkeypatch.chdir(tmp_path)  # where no `.env` is

    def call(*arguments: str, stdin: str | bytes | None = None, **settings: object) -> Result:
        environment = variables(database, **{"rate_limits": "true", **settings})
        return CliRunner().invoke(cli, arguments, input=stdin, env=environment, prog_name="authserver")

    return call
