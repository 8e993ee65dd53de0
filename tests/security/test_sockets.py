"""S77 and S79 at real servers: requests that arrive slowly, and bodies that are no HTTP."""

import json
import os
import shutil
import signal
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from flask.testing import FlaskClient

from tests.conftest import PUBLIC_URL
from tests.factories import assert_error
from tests.serving import free_port
from tests.test_start import PATIENCE, ROOT, Running, production, started

pytestmark = pytest.mark.slow

LOGIN = {"email": "nobody@example.com", "password": "a wrong password"}
BODY = json.dumps(LOGIN).encode()
SIZE = b"%x" % len(BODY)
HEAD = b"POST /api/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
KEYS = b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
SLOW, OTHERS = 200, 40

COMMANDS = {
    "folder's": ["gunicorn", "wsgi:app", "--config", str(ROOT / "gunicorn.conf.py")],
    "package's": ["gunicorn", "authserver:create_app()", "-c", "python:authserver.serving.config"],
    "development": ["authserver", "dev"],
}


@contextmanager
def serving(folder: Path, database: Path, name: str) -> Iterator[Running]:
    """A server, with one worker, from when it answers."""
    path, port = shutil.copy(database, folder / "authserver.db"), free_port()
    env = production(folder, DATABASE_URL=f"sqlite:///{path}", RATE_LIMITS="false")
    if name == "development":
        env |= {"AUTHSERVER_ENV": "development", "AUTHSERVER_PUBLIC_URL": f"http://localhost:{port}"}
        where = ["--port", str(port)]
    else:
        where = ["--bind", f"127.0.0.1:{port}"]
    with started(*COMMANDS[name], *where, env=env, port=port) as server:
        server.wait_for("Ctrl-C" if name == "development" else "Booting worker")
        assert server.call("/.well-known/jwks.json")[0] == 200
        assert "slow clients" not in server.said()
        yield server


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[dict[str, Running]]:
    """Each of them, started when it is asked for."""
    with ExitStack() as stack:

        class Servers(dict[str, Running]):
            def __missing__(self, name: str) -> Running:
                folder = tmp_path_factory.mktemp("server")
                self[name] = stack.enter_context(serving(folder, migrated_sqlite, name))
                return self[name]

        yield Servers()


def connected(server: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


def hears(connection: socket.socket, until: bytes = b"") -> bytes:
    """Until the server closes, or has said that."""
    heard = b""
    while not (until and heard.endswith(until)) and (data := connection.recv(65536)):
        heard += data
    return heard


def statuses(heard: bytes) -> list[int]:
    return [int(line.split()[1]) for line in heard.splitlines() if line.startswith(b"HTTP/1.")]


# What slow clients send at first: to each of these any number of spaces can be added.
BEGINNINGS = [
    HEAD + b"X: ",
    HEAD + b"Content-Length: 60000\r\n\r\n",
    CHUNKED + b"ea60\r\n",
    CHUNKED + b"1;",
    b"",
]


class Slow:
    """A client that comes back when it is sent away."""

    def __init__(self, server: Running, beginning: bytes) -> None:
        self.server, self.beginning = server, beginning
        self.connect()

    def connect(self) -> None:
        self.socket = connected(self.server)
        self.socket.sendall(self.beginning)

    def drip(self) -> None:
        try:
            if self.beginning:
                self.socket.send(b" ")
        except OSError:
            self.socket.close()
            with suppress(OSError):
                self.connect()


@contextmanager
def slow_clients(server: Running) -> Iterator[None]:
    over = threading.Event()
    crowd = [Slow(server, BEGINNINGS[number % len(BEGINNINGS)]) for number in range(SLOW)]

    def drip() -> None:
        while not over.wait(0.2):
            for one in crowd:
                one.drip()

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for one in crowd:
            one.socket.close()


@pytest.mark.parametrize("name", ["folder's", "package's"])
def test_s77_two_hundred_slow_requests_keep_nobody_waiting(tmp_path: Path, migrated_sqlite: Path, name: str) -> None:
    """Of each kind there are more than the worker has threads."""
    answered: Counter[int] = Counter()
    with serving(tmp_path, migrated_sqlite, name) as server, slow_clients(server):
        for _ in range(OTHERS // 2):
            answered[server.call("/.well-known/jwks.json")[0]] += 1
            answered[server.call("/api/token/refresh/", {"refresh": "none"})[0]] += 1
    assert answered == {200: OTHERS // 2, 401: OTHERS // 2}


def test_s77_a_server_that_slow_clients_can_hold_up_says_so(tmp_path: Path, migrated_sqlite: Path) -> None:
    env, port = production(tmp_path, DATABASE_URL=f"sqlite:///{migrated_sqlite}"), free_port()
    command = ["gunicorn", "authserver:create_app()", "--threads", "32", "--bind", f"127.0.0.1:{port}"]
    with started(*command, env=env, port=port) as server:
        server.wait_for("authserver: slow clients can hold up")


def test_tls_by_gunicorn_itself_works_with_a_warning(tmp_path: Path, migrated_sqlite: Path) -> None:
    env, port = production(tmp_path, DATABASE_URL=f"sqlite:///{migrated_sqlite}"), free_port()
    certificate = self_signed(tmp_path)
    tls = ["--certfile", str(certificate), "--keyfile", str(certificate), "--bind", f"127.0.0.1:{port}"]
    with started(*COMMANDS["package's"], *tls, env=env, port=port) as server:
        server.wait_for("leave these protocols to a proxy in front")
        server.wait_for("Booting worker")
        context = ssl.create_default_context(cafile=str(certificate))
        with context.wrap_socket(connected(server), server_hostname="localhost") as connection:
            for _ in range(2):
                connection.sendall(KEYS)
                assert statuses(hears(connection, b"}\n")) == [200]


def self_signed(folder: Path) -> Path:
    """A certificate of localhost, and its key, in one file."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]),
    )
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), today, today + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / "certificate.pem"
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return path


# The client sends this after the head, and no more when the second is true.
MALFORMED = {
    "0x": (b"0x" + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n", False),
    "an underscore": (b"0_" + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n", False),
    "a plus": (b"+" + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n", False),
    "a negative size": (b"-" + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n", False),
    "a space": (b" " + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n", False),
    "no size": (b"\r\n" + BODY + b"\r\n0\r\n\r\n", False),
    "no number": (b"size\r\n" + BODY + b"\r\n0\r\n\r\n", False),
    "bare LF": (SIZE + b"\n" + BODY + b"\n0\n\n", False),
    "LF after the size": (SIZE + b"\n" + BODY + b"\r\n0\r\n\r\n", False),
    "LF after the data": (SIZE + b"\r\n" + BODY + b"\n0\r\n\r\n", False),
    "nothing after the data": (SIZE + b"\r\n" + BODY + b"0\r\n\r\n", False),
    "a trailer that is none": (SIZE + b"\r\n" + BODY + b"\r\n0\r\nnothing\r\n\r\n", False),
    "a trailer with LF": (SIZE + b"\r\n" + BODY + b"\r\n0\r\nX: y\n\r\n", False),
    "a request as a trailer": (SIZE + b"\r\n" + BODY + b"\r\n0\r\n" + KEYS, False),
    "an endless size": (b"0" * 20000, True),
    "an endless extension": (SIZE + b";" + b"x" * 20000 + b"\r\n" + BODY + b"\r\n0\r\n\r\n", True),
    "a size without end": (SIZE, True),
    "data without end": (SIZE + b"\r\n" + BODY[:-1], True),
    "no last chunk": (SIZE + b"\r\n" + BODY + b"\r\n", True),
    "no last line": (SIZE + b"\r\n" + BODY + b"\r\n0\r\n", True),
    "a trailer without end": (SIZE + b"\r\n" + BODY + b"\r\n0\r\nX: y\r\n", True),
    "nothing": (b"", True),
    "a request behind it": (b"0x" + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n" + KEYS, False),
}


@pytest.mark.parametrize("name", ["package's", "development"])
@pytest.mark.parametrize(("sent", "ends"), MALFORMED.values(), ids=MALFORMED.keys())
def test_s79_a_malformed_chunked_body_is_a_400_of_one_line(
    servers: dict[str, Running], name: str, sent: bytes, ends: bool
) -> None:
    server = servers[name]
    heard, lines = refused(server, CHUNKED + sent, ends)
    head, _, body = heard.partition(b"\r\n\r\n")
    assert statuses(heard) == [400], "and the server has closed the connection, with nothing behind it"
    assert b"\r\nConnection: close" in head
    assert json.loads(body)["code"] == "invalid_request"
    assert len(lines) == 1
    assert lines[0].startswith("A request's body cannot be read: "), lines


@pytest.mark.parametrize("name", ["package's", "development"])
@pytest.mark.parametrize("length", [len(BODY) + 1, 60000])
def test_s79_a_body_that_is_shorter_than_its_length_is_a_400_of_one_line(
    servers: dict[str, Running], name: str, length: int
) -> None:
    """Though what has come of it would do."""
    heard, lines = refused(servers[name], HEAD + b"Content-Length: %d\r\n\r\n" % length + BODY, ends=True)
    assert (statuses(heard), len(lines)) == ([400], 1)


class NoSuchSize(Exception):
    """As gunicorn's errors are, which have no class in common with Python's own."""


class Failing:
    """What a server lets the application read a body from."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, size: int = -1) -> bytes:
        raise self.error


@pytest.mark.parametrize("error", [NoSuchSize("canary"), ValueError("canary"), OSError("canary")], ids=repr)
def test_s79_whatever_reading_a_body_raises_is_a_400_of_one_line(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    for path in ("/api/login/", "/api/logout/", "/api/token/refresh/", "/signin"):
        caplog.clear()
        kind = "application/x-www-form-urlencoded" if path == "/signin" else "application/json"
        environ = {
            "wsgi.input": Failing(error),
            "wsgi.input_terminated": True,
            "HTTP_TRANSFER_ENCODING": "chunked",
            "HTTP_ORIGIN": PUBLIC_URL,
        }
        answer = client.post(path, content_type=kind, environ_overrides=environ)
        assert answer.status_code == 400
        if path != "/signin":
            assert_error(answer, 400, "invalid_request")
        (record,) = caplog.records
        assert record.getMessage().startswith("A request's body cannot be read: "), record
        assert "canary" not in caplog.text, "what a stranger sent is in no log, nor is a traceback"


def refused(server: Running, request: bytes, ends: bool) -> tuple[bytes, list[str]]:
    """What is heard until the server closes, and what it says in its log but for the paths that were asked for."""
    before = len(server.said())
    with connected(server) as connection:
        connection.sendall(request)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        heard = hears(connection)
    said = server.said()[before:].splitlines()
    return heard, [line for line in said if line != "POST /api/login/ 400"]


@pytest.mark.parametrize("name", ["package's", "development"])
@pytest.mark.parametrize("body", ["Content-Length: 60000", "Transfer-Encoding: chunked"])
def test_s79_a_client_that_leaves_in_mid_body_leaves_no_traceback(
    servers: dict[str, Running], name: str, body: str
) -> None:
    server = servers[name]
    for reset in (False, True):
        with connected(server) as connection:
            if reset:  # closing sends no end but a reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(HEAD + body.encode() + b"\r\n\r\n" + b"ea60\r\n{")
    assert server.call("/.well-known/jwks.json")[0] == 200
    assert "Traceback" not in server.said()


@pytest.mark.parametrize("name", ["package's", "development"])
def test_chunks_extensions_and_trailers_are_read(servers: dict[str, Running], name: str) -> None:
    halves = b"".join(b'%x;name="value"\r\n%b\r\n' % (len(one), one) for one in (BODY[:20], BODY[20:]))
    with connected(servers[name]) as connection:
        connection.sendall(CHUNKED + halves + b"0\r\nX: y\r\n\r\n")
        assert statuses(hears(connection, b"}\n")) == [401]


# What the server did before and has to go on doing


def test_a_connection_serves_several_requests_also_such_as_come_at_once(servers: dict[str, Running]) -> None:
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    with connected(servers["package's"]) as connection:
        for _ in range(2):
            connection.sendall(request)
            assert statuses(hears(connection, b"}\n")) == [401]
        connection.sendall(request + KEYS + request)
        heard = b""
        while len(statuses(heard)) < 3 or not heard.endswith(b"}\n"):
            heard += connection.recv(65536)
        assert statuses(heard) == [401, 200, 401]


def test_a_client_that_asks_before_it_sends_its_body_is_told_once_to_go_on(servers: dict[str, Running]) -> None:
    with connected(servers["package's"]) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert statuses(hears(connection, b"\r\n\r\n")) == [100]
        connection.sendall(BODY)
        assert statuses(hears(connection, b"}\n")) == [401]


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nf4240\r\n"]
)
def test_a_body_that_is_too_large_is_a_413_that_the_client_sees(servers: dict[str, Running], framing: bytes) -> None:
    """It is not read, yet closing the connection while the client sends could take the response from it."""
    with connected(servers["package's"]) as connection:
        connection.sendall(HEAD + framing + b"\r\n")
        connection.sendall(b"x" * 1_000_000)
        assert statuses(hears(connection)) == [413]


def test_a_server_that_is_stopped_waits_for_what_is_arriving(tmp_path: Path, migrated_sqlite: Path) -> None:
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    with (
        serving(tmp_path, migrated_sqlite, "package's") as server,
        connected(server),  # which says nothing
        connected(server) as arriving,
    ):
        arriving.sendall(request[:-1])
        server.call("/.well-known/jwks.json")
        os.kill(server.process.pid, signal.SIGTERM)
        server.wait_for("Handling signal: term")
        arriving.sendall(request[-1:])
        assert statuses(hears(arriving)) == [401]
        assert server.wait() == 0
        assert "Traceback" not in server.said()
