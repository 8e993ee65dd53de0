"""S81: what a server closed, or takes no writes any more, is replaced, and nobody who is served notices."""

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from time import sleep
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, func, insert, make_url, select, text
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from authserver.clock import now
from authserver.extensions import db, fetch_one, new_id, writing
from authserver.models import RateLimit, User
from tests.conftest import MakeApp
from tests.factories import SignedIn, assert_error, log_in, sign_up
from tests.forwarder import Forwarder

pytestmark = pytest.mark.slow

on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class Server:
    """The PostgreSQL that the test's database is on, as its operator has it before them."""

    def __init__(self, url: str) -> None:
        self.database = make_url(url).database
        self.connection = psycopg.connect(
            make_url(url).set(database="postgres").render_as_string(hide_password=False), autocommit=True
        )

    def connections(self, which: str = "true") -> list[int]:
        """The process ids of the database's connections."""
        found = self.connection.execute(
            f"SELECT pid FROM pg_stat_activity WHERE datname = %s AND {which}", [self.database]
        )
        return [pid for (pid,) in found]

    def wait(self, until: Callable[[], object]) -> None:
        for _ in range(1000):
            if until():
                return
            sleep(0.01)
        raise AssertionError("it never came to that")

    def terminate(self) -> None:
        standing = self.connections()
        for pid in standing:
            self.connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        self.wait(lambda: not {*standing} & {*self.connections()})

    def set(self, setting: str, value: str | None) -> None:
        """For connections that are opened from now on."""
        to = "RESET {}" if value is None else "SET {} = {}"
        self.connection.execute(f"ALTER DATABASE {self.database} " + to.format(setting, value))


@pytest.fixture
def server(database: str) -> Iterator[Server]:
    server = Server(database)
    with server.connection:
        yield server
        for setting in ("default_transaction_read_only", "idle_session_timeout"):
            server.set(setting, None)


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(rate_limits="true")  # which are counted by a write of `fetch_one`


REQUESTS: dict[str, Callable[[FlaskClient, SignedIn], TestResponse]] = {
    "one statement that reads": lambda client, person: client.get("/api/me/", headers=person.bearer),
    "a session's first read": lambda client, person: client.get("/api/sessions/", headers=person.bearer),
    "a transaction": lambda client, person: client.patch("/api/me/", headers=person.bearer, json={"last_name": "L"}),
    "a refresh": lambda client, person: client.post("/api/token/refresh/", json={"refresh": person.refresh}),
    "all of them, by a login": lambda client, person: log_in(client, person.user["email"]),
}


def fill_pool(app: Flask) -> None:
    """Several connections, which all wait in the pool."""
    with app.app_context():
        held = [db.engine.connect() for _ in range(4)]
        for one in held:
            one.close()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]


@on_postgresql
@pytest.mark.parametrize("how", ["terminated", "idle for too long"])
def test_s81_connections_that_the_server_closed_are_replaced_unnoticed(
    make_app: MakeApp, server: Server, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    if how == "idle for too long":
        server.set("idle_session_timeout", "'50ms'")
    app = make_app(rate_limits="true")
    client = app.test_client()
    person = sign_up(client)
    for name, request in REQUESTS.items():
        fill_pool(app)
        if how == "terminated":
            server.terminate()
        else:
            server.wait(lambda: not server.connections())
        answer = request(client, person)
        assert answer.status_code == 200, (name, answer.text)
    assert errors(caplog) == []


@on_postgresql
def test_s81_connections_that_broke_without_a_word_are_replaced_unnoticed(
    make_app: MakeApp, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As by a pooler or a load balancer that was started anew."""
    forwarder = Forwarder("127.0.0.1", make_url(database).port or 5432)
    url = make_url(database).set(host="127.0.0.1", port=forwarder.port)
    app = make_app(rate_limits="true", database_url=url.render_as_string(hide_password=False))
    client = app.test_client()
    person = sign_up(client)
    for name, request in REQUESTS.items():
        fill_pool(app)
        forwarder.cut()
        answer = request(client, person)
        assert answer.status_code == 200, (name, answer.text)
    assert errors(caplog) == []
    forwarder.stop()
    assert_error(client.get("/api/me/", headers=person.bearer), 503, "temporarily_unavailable")
    assert len(errors(caplog)) == 1


@on_postgresql
def test_s81_a_server_without_writes_is_a_503_until_it_takes_them_again(
    app: Flask, client: FlaskClient, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """As a standby since a failover. Connections that are opened to it meanwhile stay read-only."""
    person = sign_up(client)
    for name, request in REQUESTS.items():
        server.set("default_transaction_read_only", "on")
        server.terminate()
        fill_pool(app)
        reads = name in ("one statement that reads", "a session's first read", "a refresh")
        caplog.clear()
        for _ in range(2):
            answer = request(client, person)
            if reads:
                assert answer.status_code == 200, (name, answer.text)
            else:
                assert_error(answer, 503, "temporarily_unavailable")
                assert answer.headers["Retry-After"]
        assert len(errors(caplog)) == (0 if reads else 2), "one line each"
        fill_pool(app)
        server.set("default_transaction_read_only", None)
        answer = request(client, person)
        assert answer.status_code == 200, (name, answer.text)


def add_user(email: str, *before: sa.TextClause) -> None:
    with writing() as transaction:
        for statement in before:
            transaction.execute(statement)
        transaction.add(User(email=email))


@on_postgresql
def test_s81_a_transaction_that_may_write_no_more_is_a_503_and_the_next_one_has_a_new_connection(
    app: Flask, server: Server
) -> None:
    with app.app_context():
        fill_pool(app)
        before = set(server.connections())
        with pytest.raises(OperationalError):
            add_user("a@example.com", text("SET TRANSACTION READ ONLY"))
        add_user("b@example.com")
        fill_pool(app)
        assert len(before) == len(server.connections()) == 4
        assert not before & set(server.connections()), "none that was opened before"
        assert list(db.session.scalars(select(User.email))) == ["b@example.com"]


@contextmanager
def executed(app: Flask) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


SLEEPING = "state = 'active' AND query LIKE '%%pg_sleep%%'"


def under_way(app: Flask, server: Server, statement: Any, meanwhile: Callable[[], None]) -> sa.Row[Any] | None:
    """What a statement brings during which something happens."""

    def run() -> sa.Row[Any] | None:
        with app.app_context():
            return fetch_one(statement)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run)
        server.wait(lambda: server.connections(SLEEPING))
        meanwhile()
        return running.result()


def a_write() -> Any:
    values = {"key": str(new_id()), "count": 7, "expires_at": now() + timedelta(minutes=1)}
    return insert(RateLimit).values(**values).returning(RateLimit.count, func.pg_sleep(0.3))


def counted(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(RateLimit)) or 0


@on_postgresql
def test_s81_a_statement_that_is_cut_off_is_repeated_only_where_that_changes_nothing_twice(
    make_app: MakeApp, database: str, server: Server
) -> None:
    forwarder = Forwarder("127.0.0.1", make_url(database).port or 5432)
    url = make_url(database).set(host="127.0.0.1", port=forwarder.port)
    app = make_app(database_url=url.render_as_string(hide_password=False))

    with executed(app) as statements:
        assert under_way(app, server, select(func.pg_sleep(0.3), sa.literal(7)), forwarder.cut)
        assert len(statements) == 2, "a read"
        statements.clear()
        row = under_way(app, server, a_write(), server.terminate)
        assert (row and row[0], len(statements), counted(app)) == (7, 2, 1), "undone, says the server"
        statements.clear()
        with pytest.raises(OperationalError):
            under_way(app, server, a_write(), forwarder.cut)
        assert len([one for one in statements if one.startswith("INSERT")]) == 1, "nobody knows"
    forwarder.stop()


def copied(file: Path) -> Path:
    """The database as it is now, under another name."""
    copy = file.with_name("copy.db")
    with sqlite3.connect(file) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    for one in (source, target):
        one.close()
    return copy


@pytest.fixture
def file(database: str) -> Path:
    return Path(database.removeprefix("sqlite:///"))


def remove(file: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{file}{suffix}").unlink(missing_ok=True)


@on_sqlite
def test_s81_a_file_that_was_removed_is_a_503_and_one_in_its_place_is_used_at_once(
    app: Flask, client: FlaskClient, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    person = sign_up(client)
    backup = copied(file)
    later = sign_up(client)
    for name, request in REQUESTS.items():
        fill_pool(app)
        remove(file)
        caplog.clear()
        assert_error(request(client, person), 503, "temporarily_unavailable")
        assert not file.exists(), "an empty one would look like an answer"
        assert len(errors(caplog)) == 1
        shutil.copy(backup, file)
        answer = request(client, person)
        assert answer.status_code == 200, (name, answer.text)
        assert_error(client.get("/api/me/", headers=later.bearer), 401, "token_not_valid")


@on_sqlite
def test_s81_a_connection_that_was_opened_while_the_file_was_read_only_is_replaced_unnoticed(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    person = sign_up(client)
    for name, request in REQUESTS.items():
        fill_pool(app)
        with app.app_context():
            held = [db.engine.connect() for _ in range(4)]
            for one in held:
                one.exec_driver_sql("PRAGMA query_only = ON")
                one.close()
        answer = request(client, person)
        assert answer.status_code == 200, (name, answer.text)
    assert errors(caplog) == []


@on_sqlite
def test_s81_a_file_that_is_no_database_is_a_503_until_there_is_one(
    app: Flask, client: FlaskClient, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    person = sign_up(client)
    backup = copied(file)
    for request in REQUESTS.values():
        remove(file)
        file.write_bytes(os.urandom(8192))
        caplog.clear()
        assert_error(request(client, person), 503, "temporarily_unavailable")
        assert len(errors(caplog)) == 1
        os.replace(backup, file)
        assert request(client, person).status_code == 200
        backup = copied(file)


@on_sqlite
@pytest.mark.parametrize("sticky", [False, True])
def test_s81_an_error_of_the_disk_is_a_503_unless_another_connection_gets_around_it(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture, sticky: bool
) -> None:
    person = sign_up(client)
    failing: list[bool] = []

    def fail(*_: object) -> None:
        if failing:
            failing[:] = failing if sticky else []
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR | 10 << 8
            raise error

    with app.app_context():
        engine = db.engine
    # In the place of the driver, since SQLAlchemy asks its listeners before it looks for errors.
    event.listen(engine, "do_execute", fail)
    event.listen(engine, "do_execute_no_params", fail)
    for name, request in REQUESTS.items():
        failing.append(True)
        caplog.clear()
        answer = request(client, person)
        if sticky:
            assert_error(answer, 503, "temporarily_unavailable")
            assert len(errors(caplog)) == 1
        else:
            assert answer.status_code == 200, (name, answer.text)
        failing.clear()
        assert request(client, person).status_code == 200


def test_s81_what_is_no_outage_stays_an_error_of_ours(app: Flask) -> None:
    """A statement that cannot be right is not repeated, and its connection is not thrown away."""
    with app.app_context(), executed(app) as statements:
        with pytest.raises(sa.exc.DBAPIError) as raised:
            fetch_one(select(sa.literal_column("nothing").label("x")))
        assert not raised.value.connection_invalidated
        assert len(statements) == 1


@on_postgresql
def test_s81_what_was_read_before_a_transaction_does_not_keep_it_from_a_new_connection(
    app: Flask, server: Server
) -> None:
    """While a password is hashed, say, the connection of an earlier look may be closed."""
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(User)) == 0
        server.terminate()
        add_user("a@example.com")
        assert db.session.scalar(select(func.count()).select_from(User)) == 1


@on_postgresql
@pytest.mark.parametrize(
    "read",
    [
        lambda: db.session.scalars(select(User.email)).all(),
        lambda: db.session.execute(select(User.email)).all(),
        lambda: db.session.get(User, new_id()),
    ],
)
def test_s81_a_session_whose_first_read_meets_a_closed_connection_reads_by_a_new_one(
    app: Flask, server: Server, read: Callable[[], object]
) -> None:
    """As in a command or the delivery of mails, where no statement of another kind comes before."""
    with app.app_context():
        fill_pool(app)
        server.terminate()
        assert not read()
        server.terminate()
        with pytest.raises(OperationalError):
            read()  # in the same transaction, which may have read what is no more
        db.session.rollback()
        assert not read()
