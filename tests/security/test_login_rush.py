"""S77: more logins at once than can be hashed. What has no room is refused at once, and everybody else is served."""

import runpy
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Semaphore

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserver.errors import ApiError
from authserver.passwords import hashing
from tests.conftest import MakeApp
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up, signup_body
from tests.mails import Mails
from tests.pages import Browser, everything, signed_in_on_page

pytestmark = pytest.mark.slow

PATIENCE = 30  # seconds, of a machine that is busy
NEW = {"password": "another password", "password_confirm": "another password"}


@dataclass
class Hashes:
    """Stands in for the hash: each is seen, and takes until the test lets it end."""

    seen: list[str] = field(default_factory=list)
    begun: Semaphore = field(default_factory=lambda: Semaphore(0))
    may_end: Event = field(default_factory=Event)

    def verify(self, password_hash: str, password: str) -> bool:
        self.seen.append(password)
        self.begun.release()
        assert self.may_end.wait(PATIENCE)
        return password == PASSWORD


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hashes]:
    made = Hashes()
    monkeypatch.setattr(PasswordHasher, "verify", lambda _, stored, password: made.verify(stored, password))
    yield made
    made.may_end.set()


def wait_until(done: Callable[[], bool]) -> None:
    tick = Event()
    for _ in range(PATIENCE * 100):
        if done():
            return
        tick.wait(0.01)
    pytest.fail("it never happened")


@contextmanager
def crowded(hashes: Hashes, people: int = hashing.ADMITTED) -> Iterator[None]:
    """So many hash or wait for their turn, until the block ends."""
    with ThreadPoolExecutor(people) as threads:
        hashed = [threads.submit(hashing.matches, hashing.DUMMY, PASSWORD) for _ in range(people)]
        try:
            wait_until(lambda: hashing._queue._inside == people)
            yield
        finally:
            hashes.may_end.set()
        assert all(one.result() for one in hashed), "who had a place is served"


@pytest.fixture
def app(make_app: MakeApp, mails: Mails) -> Flask:
    return make_app(mail_url=mails.url, rate_limits="true")


def assert_no_room(answer: TestResponse) -> None:
    assert_error(answer, 503, "temporarily_unavailable")
    assert 1 <= int(answer.headers["Retry-After"]) <= hashing.LONGEST_RETRY


def test_s77_what_finds_no_room_is_refused_before_it_is_counted_or_hashed(
    app: Flask, client: FlaskClient, mails: Mails, hashes: Hashes
) -> None:
    hashes.may_end.set()
    person = sign_up(client)
    mails.take(app)
    client.post("/api/password/forgot/", json={"email": person.user["email"]})
    token = mails.one(app, person.user["email"]).token
    browser = signed_in_on_page(app, person)
    who = {"email": person.user["email"], "password": PASSWORD}
    hashes.may_end.clear()
    with crowded(hashes):
        before, seen = everything(app), len(hashes.seen)
        for path, body in (
            ("/api/login/", who),
            ("/api/login/", {**who, "email": "nobody@example.com"}),
            ("/api/token/", {"username": who["email"], "password": PASSWORD}),
            ("/api/signup/", signup_body()),
            ("/api/reauthenticate/", {"password": PASSWORD}),
            ("/api/password/change/", {"current_password": PASSWORD, **NEW}),
        ):
            for _ in range(20):  # more than the limits allow
                assert_no_room(client.post(path, json=body, headers=person.bearer))
        for path, fields in (
            ("/signin", who),
            ("/signup", {name: str(value) for name, value in signup_body().items()}),
            ("/account/confirm", {"password": PASSWORD}),
            ("/account/password", {"current_password": PASSWORD, **NEW}),
        ):
            shown = browser.post(path, fields)
            assert (shown.status_code, shown.mimetype) == (503, "text/html"), path
            assert int(shown.headers["Retry-After"]) > 0
        assert everything(app) == before, "nothing was counted, and nothing recorded as a failure"
        assert client.get("/api/me/", headers=person.bearer).status_code == 200
        assert client.get("/.well-known/jwks.json").status_code == 200
        assert client.post("/api/token/refresh/", json={"refresh": person.refresh}).status_code == 200
        assert client.post("/api/password/forgot/", json={"email": "nobody@example.com"}).status_code == 202
    assert len(hashes.seen) - seen <= hashing.ADMITTED
    assert log_in(client, who["email"]).status_code == 200
    assert client.post("/api/password/reset/", json={"token": token, **NEW}).status_code == 204


def test_s77_a_reset_that_finds_no_room_keeps_its_token(
    app: Flask, client: FlaskClient, mails: Mails, hashes: Hashes
) -> None:
    email = sign_up(client).user["email"]
    mails.take(app)
    client.post("/api/password/forgot/", json={"email": email})
    body = {"token": mails.one(app, email).token, **NEW}
    with crowded(hashes, hashing.PLACES):
        before = everything(app)
        assert_no_room(client.post("/api/password/reset/", json=body))
        assert Browser(app).post("/password/reset", body).status_code == 503
        assert everything(app) == before
    assert client.post("/api/password/reset/", json=body).status_code == 204


def test_s77_more_than_the_places_never_wait(hashes: Hashes) -> None:
    """Whoever calls the hash, and whatever they looked at before."""
    with crowded(hashes, hashing.PLACES):
        for hashed in (
            lambda: hashing.matches(hashing.DUMMY, PASSWORD),
            lambda: hashing.matches(None, PASSWORD),
            lambda: hashing.hash_password(PASSWORD),
        ):
            with pytest.raises(ApiError, match="temporarily_unavailable"):
                hashed()
        assert hashing._queue._inside == hashing.PLACES, "a refusal takes no place, and frees none"
    assert hashing.matches(hashing.DUMMY, PASSWORD)


def test_s77_a_place_is_free_again_after_whatever_was_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: PasswordHasher, password: str, *, salt: bytes | None = None) -> str:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(PasswordHasher, "hash", broken)
        for _ in range(hashing.PLACES + 1):
            with pytest.raises(MemoryError):
                hashing.hash_password(PASSWORD)
    assert hashing.hash_password(PASSWORD)


def test_s77_the_places_are_a_share_of_the_threads_that_gunicorn_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "1")  # it would set it
    threads = runpy.run_path("gunicorn.conf.py")["threads"]
    assert hashing.ADMITTED < hashing.PLACES == threads * 3 / 4


@dataclass
class Connection:
    """A client's, as gunicorn hands it to the application."""

    theirs: socket.socket
    ours: socket.socket

    def log_in(self, client: FlaskClient, person: SignedIn) -> TestResponse:
        body = {"email": person.user["email"], "password": PASSWORD}
        return client.post("/api/login/", json=body, environ_overrides={"gunicorn.socket": self.ours})


@pytest.fixture
def connection() -> Iterator[Connection]:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as theirs:
        ours, _ = server.accept()
        with ours:
            yield Connection(theirs, ours)


def reset_by_peer(theirs: socket.socket) -> None:
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    theirs.close()


@pytest.mark.parametrize("leave", [socket.socket.close, reset_by_peer])
@pytest.mark.parametrize("timeout", [None, 0.0, 5.0])
def test_s77_nothing_is_hashed_or_counted_for_a_client_that_has_gone(
    app: Flask,
    client: FlaskClient,
    hashes: Hashes,
    connection: Connection,
    leave: Callable[[socket.socket], None],
    timeout: float | None,
) -> None:
    person = sign_up(client)
    before = everything(app)
    connection.ours.settimeout(timeout)
    leave(connection.theirs)
    wait_until(lambda: connection.log_in(client, person).status_code == 503)
    assert hashes.seen == []
    assert everything(app) == before


def test_s77_nor_for_one_that_leaves_while_it_waits_for_its_turn(
    app: Flask, client: FlaskClient, hashes: Hashes, connection: Connection
) -> None:
    person = sign_up(client)
    with crowded(hashes, hashing.CORES), ThreadPoolExecutor(1) as thread:
        for _ in range(hashing.CORES):
            assert hashes.begun.acquire(timeout=PATIENCE)
        waiting = thread.submit(connection.log_in, app.test_client(), person)
        wait_until(lambda: hashing._queue._inside == hashing.CORES + 1)
        connection.theirs.close()
        hashes.may_end.set()
        assert waiting.result().status_code == 503
    assert len(hashes.seen) == hashing.CORES


@pytest.mark.parametrize("sends", [b"", b"GET /api/me/ HTTP/1.1\r\n"])
@pytest.mark.parametrize("timeout", [None, 0.0, 5.0])
def test_s77_a_client_that_waits_is_served_and_keeps_what_it_sent(
    client: FlaskClient, connection: Connection, sends: bytes, timeout: float | None
) -> None:
    """As the next request of a connection that is kept alive."""
    person = sign_up(client)
    connection.ours.settimeout(timeout)
    connection.theirs.sendall(sends)
    assert connection.log_in(client, person).status_code == 200
    connection.theirs.close()
    connection.ours.settimeout(PATIENCE)
    assert connection.ours.recv(100) == sends


def test_s77_where_nobody_can_say_whether_a_client_has_gone_it_is_served(
    client: FlaskClient, connection: Connection
) -> None:
    person = sign_up(client)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with context.wrap_socket(connection.ours, server_side=True, do_handshake_on_connect=False) as tls:
        connection.theirs.close()
        assert Connection(connection.theirs, tls).log_in(client, person).status_code == 200
        for odd in (None, object(), "a socket"):
            overrides = {"gunicorn.socket": odd}
            body = {"email": person.user["email"], "password": PASSWORD}
            assert client.post("/api/login/", json=body, environ_overrides=overrides).status_code == 200
    closed = Connection(connection.theirs, connection.ours)
    assert closed.log_in(client, person).status_code == 200, "what is closed on this side says nothing of theirs"
