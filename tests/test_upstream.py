"""Outgoing HTTP: kept-alive connections, one deadline for a request, no proxies, no redirects, 64 kB."""

import runpy
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from queue import SimpleQueue
from threading import Barrier, Event, Semaphore
from typing import Any

import httpcore2 as httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from authserver.oauth import upstream
from authserver.oauth.provider import Refused, Unavailable
from authserver.oauth.upstream import MAX_BYTES, Upstream
from tests.conftest import Clock
from tests.providers.raw_server import PATIENCE, Connection, Request, head, serving
from tests.serving import free_port


@contextmanager
def opened() -> Iterator[Upstream]:
    connections = Upstream()
    yield connections
    connections._pool.close()  # the server keeps them for life


@pytest.fixture
def connections() -> Iterator[Upstream]:
    with opened() as connections:
        yield connections


def keep_alive(request: Request, connection: Connection) -> None:
    connection.reply({"asked": request.target}, keep_alive=True)


def unavailable(call: Callable[[], object]) -> None:
    with pytest.raises(Unavailable):
        call()


def test_calls_share_one_connection_whichever_request_they_belong_to(connections: Upstream) -> None:
    with serving(keep_alive) as server:
        ask = connections.ask()
        assert ask.get(f"{server.url}/1") == {"asked": "/1"}
        assert ask.post(f"{server.url}/2", {"a": "b"}) == {"asked": "/2"}
        assert connections.ask().get(f"{server.url}/3") == {"asked": "/3"}
        assert server.paths == ["GET /1", "POST /2", "GET /3"]
        assert server.connections == 1


def test_a_connection_that_the_provider_has_closed_meanwhile_is_replaced(connections: Upstream) -> None:
    def answer_and_close(request: Request, connection: Connection) -> None:
        connection.reply("good", keep_alive=True)
        connection.close()

    with serving(answer_and_close) as server:
        for _ in range(3):
            assert connections.ask().get(server.url) == "good"
            wait_until_closed(connections)
        assert server.connections == 3


def wait_until_closed(connections: Upstream) -> None:
    """Until the provider's end of the idle connection has arrived."""
    for connection in connections._pool.connections:
        while not connection.has_expired():
            time.sleep(0.001)


@pytest.mark.parametrize("status", [400, 500])
def test_a_connection_is_kept_after_an_error_and_not_after_a_broken_answer(connections: Upstream, status: int) -> None:
    def answer(request: Request, connection: Connection) -> None:
        if request.path == "/error":
            connection.reply("error", status, keep_alive=True)
        elif request.path == "/huge":
            connection.reply(b" " * (MAX_BYTES + 1), keep_alive=True)
        else:
            connection.reply("good", keep_alive=True)

    with serving(answer) as server:
        with pytest.raises((Refused, Unavailable)):
            connections.ask().get(f"{server.url}/error")
        assert connections.ask().get(server.url) == "good"
        assert server.connections == 1
        unavailable(lambda: connections.ask().get(f"{server.url}/huge"))
        assert connections.ask().get(server.url) == "good", "not the rest of what was too large"
        assert server.connections == 2


def test_parameters_are_encoded_and_added_to_an_address_once(connections: Upstream) -> None:
    with serving(keep_alive) as server:
        ask = connections.ask()
        odd = {"a b": "c&d=e", "$select": "id,mail", "ü": "\r\n#?/%00"}
        encoded = "a+b=c%26d%3De&%24select=id%2Cmail&%C3%BC=%0D%0A%23%3F%2F%2500"
        ask.get(server.url, odd, bearer="token")
        ask.get(f"{server.url}/path", {})
        ask.post(f"{server.url}/path", odd, bearer="token")
        query, bare, form = server.asked
    assert (query.target, query.body) == (f"/?{encoded}", "")
    assert (bare.target, bare.headers.get("authorization")) == ("/path", None)
    assert (form.target, form.body) == ("/path", encoded)
    assert form.headers["content-type"] == "application/x-www-form-urlencoded"
    assert query.headers["authorization"] == form.headers["authorization"] == "Bearer token"
    for request in server.asked:
        assert (request.headers["accept"], request.headers["accept-encoding"]) == ("application/json", "identity")


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(keep_alive) as proxy, serving(keep_alive) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.upper(), proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        with opened() as connections:
            assert connections.ask().get(f"{server.url}/x") == {"asked": "/x"}
        assert (proxy.connections, server.connections) == (0, 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(connections: Upstream, status: int) -> None:
    with serving(keep_alive) as other:
        locations = iter(["/other", "other", f"{other.url}/", f"{other.url}/one?x=1"] * 2)
        with serving(
            lambda request, connection: connection.reply("x", status, {"location": next(locations)})
        ) as server:
            for _ in range(4):
                unavailable(lambda: connections.ask().get(f"{server.url}/one"))
                unavailable(lambda: connections.ask().post(f"{server.url}/one", {"a": "b"}))
            assert server.paths == ["GET /one", "POST /one"] * 4
        assert other.connections == 0


@pytest.mark.parametrize("chunked", [False, True])
def test_64_kb_are_taken_and_not_a_byte_more(connections: Upstream, chunked: bool) -> None:
    def answer(request: Request, connection: Connection) -> None:
        body = b'"good"'.ljust(MAX_BYTES + (request.path == "/more"))
        if chunked:
            connection.send(head(200, transfer_encoding="chunked", connection="close"))
            connection.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        else:
            connection.reply(body)

    with serving(answer) as server:
        assert connections.ask().get(server.url) == "good"
        unavailable(lambda: connections.ask().get(f"{server.url}/more"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the deadlines, which only the test's server moves."""
    clock = Clock()
    monkeypatch.setattr(upstream, "monotonic", clock)
    return clock


def test_the_calls_of_one_request_have_one_deadline_together(connections: Upstream, clock: Clock) -> None:
    def take_long(request: Request, connection: Connection) -> None:
        clock.now += upstream.TOTAL * 0.4
        connection.reply("good", keep_alive=True)

    with serving(take_long) as server:
        ask = connections.ask()
        assert [ask.get(server.url), ask.get(server.url)] == ["good", "good"]
        clock.now += upstream.TOTAL * 0.2
        unavailable(lambda: ask.get(server.url))
        assert len(server.asked) == 2, "nothing is asked when no time is left"
        assert connections.ask().get(server.url) == "good", "another request has a deadline of its own"
        assert server.connections == 1


def test_the_deadline_ends_an_answer_that_has_begun(connections: Upstream, clock: Clock) -> None:
    gave_up: SimpleQueue[bool] = SimpleQueue()

    def begin_late(request: Request, connection: Connection) -> None:
        clock.now += upstream.TOTAL * 0.6
        if request.path == "/first":
            connection.reply("good")
        else:
            connection.send(head(200, content_length="6"))
            gave_up.put(connection.wait_for_hang_up())

    with serving(begin_late) as server:
        ask = connections.ask()
        assert ask.get(f"{server.url}/first") == "good"
        unavailable(lambda: ask.get(f"{server.url}/second"))
        assert gave_up.get(timeout=2 * PATIENCE)


def fail_to_resolve(*_: object, **__: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_a_host_without_an_address_is_unavailable(
    connections: Upstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", fail_to_resolve)
    unavailable(lambda: connections.ask().get("http://provider.example/path?token=canary", {"token": "canary"}))
    assert "upstream provider.example/path: ConnectError" in caplog.text
    assert "canary" not in caplog.text


def resolve_to(*addresses: str) -> Callable[[str, int], list[Any]]:
    return lambda host, port: [(None, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


def test_a_host_whose_first_address_refuses_is_reached_by_its_second(
    connections: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "_resolve", resolve_to("::1", "127.0.0.1"))
    with serving(keep_alive) as server:
        assert connections.ask().get(f"http://provider.example:{server.port}/") == {"asked": "/"}
        assert server.asked[0].headers["host"] == f"provider.example:{server.port}"
    unavailable(lambda: connections.ask().get(f"http://provider.example:{free_port()}/"))


def test_addresses_that_do_not_answer_share_the_time_to_connect(
    connections: Upstream, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    tried: list[tuple[str, float]] = []

    def time_out(self: object, host: str, port: int, timeout: float, *_: object) -> None:
        tried.append((host, timeout))
        clock.now += timeout
        raise httpcore.ConnectTimeout

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", time_out)
    monkeypatch.setattr(upstream, "_resolve", resolve_to("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"))
    begun = clock.now
    unavailable(lambda: connections.ask().get("https://provider.example/"))
    assert [host for host, _ in tried] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"], "none twice"
    assert [timeout for _, timeout in tried] == pytest.approx([upstream.CONNECT / 3] * 3)
    assert clock.now - begun == pytest.approx(upstream.CONNECT)


def test_connecting_takes_no_longer_than_is_left_of_the_deadline(
    connections: Upstream, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    timeouts: list[float] = []

    def time_out(self: object, host: str, port: int, timeout: float, *_: object) -> None:
        timeouts.append(timeout)
        raise httpcore.ConnectTimeout

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", time_out)
    monkeypatch.setattr(upstream, "_resolve", resolve_to("192.0.2.1"))
    ask = connections.ask()
    clock.now += upstream.TOTAL - 1
    unavailable(lambda: ask.get("https://provider.example/"))
    assert timeouts == pytest.approx([1.0])


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "provider.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "certificate.pem"
    path.write_bytes(private + certificate.public_bytes(encoding))
    return path


def test_a_certificate_counts_only_if_it_is_trusted_and_of_the_hosts_name(
    certificate: Path, connections: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with serving(keep_alive, tls) as server:
        unavailable(lambda: connections.ask().get(f"{server.url}/"))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with opened() as trusting_connections:
            assert trusting_connections.ask().get(f"{server.url}/") == {"asked": "/"}
            unavailable(lambda: trusting_connections.ask().get(f"{server.url.replace('127.0.0.1', 'localhost')}/"))
        assert server.paths == ["GET /"], "nothing is said to who cannot prove its name"


def take(connections: Upstream, places: ExitStack, provider: str, times: int) -> None:
    for _ in range(times):
        places.enter_context(connections.place(provider))


def test_no_more_requests_wait_for_one_provider_than_half_the_threads(connections: Upstream) -> None:
    with ExitStack() as places:
        take(connections, places, "slow", upstream.MOST_OF_ONE)
        with pytest.raises(Unavailable, match="slow"), connections.place("slow"):
            pytest.fail("it waits")
        take(connections, places, "other", 1)
    with connections.place("slow"), connections.place("other"):
        """Each place is free again."""


def test_nor_for_all_providers_together_than_three_quarters(connections: Upstream) -> None:
    with ExitStack() as places:
        take(connections, places, "slow", upstream.MOST_OF_ONE)
        take(connections, places, "slower", upstream.MOST_IN_ALL - upstream.MOST_OF_ONE)
        for provider in ("slow", "slower", "good"):
            with pytest.raises(Unavailable), connections.place(provider):
                pytest.fail("it waits")
        places.close()
        take(connections, places, "good", 1)


def test_a_place_is_free_again_after_whatever_was_raised(connections: Upstream) -> None:
    for error in (Unavailable(), Refused(), KeyError(), SystemExit(), GeneratorExit()):
        for _ in range(upstream.MOST_IN_ALL + 1):
            with pytest.raises(type(error)), connections.place("slow"):
                raise error
    with ExitStack() as places:
        take(connections, places, "slow", upstream.MOST_OF_ONE)
        for _ in range(upstream.MOST_IN_ALL):
            with pytest.raises(Unavailable), connections.place("slow"):
                pytest.fail("a refusal takes no place, and frees none")


def test_places_are_counted_across_threads(connections: Upstream) -> None:
    ready, leave = Barrier(64, timeout=2 * PATIENCE), Event()

    def wait(_: int) -> bool:
        ready.wait()
        try:
            with connections.place("slow"):
                return leave.wait(2 * PATIENCE)
        except Unavailable:
            refused.release()
            return False

    refused = Semaphore(0)
    with ThreadPoolExecutor(64) as threads:
        waiting = threads.map(wait, range(64))
        for _ in range(64 - upstream.MOST_OF_ONE):
            assert refused.acquire(timeout=2 * PATIENCE)
        leave.set()
        assert sorted(waiting) == [False] * (64 - upstream.MOST_OF_ONE) + [True] * upstream.MOST_OF_ONE


def test_the_places_are_shares_of_the_threads_that_gunicorn_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "1")  # it would set it
    threads = runpy.run_path("gunicorn.conf.py")["threads"]
    assert (threads / 2, threads * 3 / 4) == (upstream.MOST_OF_ONE, upstream.MOST_IN_ALL)
