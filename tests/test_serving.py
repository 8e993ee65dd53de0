"""The reception before gunicorn's threads: where a request ends, who waits for whom, and until when."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.serving import exchange, reception
from authserver.serving.connection import CONTINUE, Connection
from authserver.serving.framing import MOST_BODY, MOST_HEAD, Arrival, ArrivingRequest
from authserver.serving.reception import Reception
from authserver.visitor import _is_closed

PATIENCE = 30
HEAD = b"POST /api/login/ HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

WHOLE = {
    "no body": GET,
    "a length": HEAD + b"content-length:  5 \r\n\r\n12345",
    "a length of nothing": HEAD + b"Content-Length: 0\r\n\r\n",
    "chunks": CHUNKED + b"5\r\nGET /\r\n0a;name=value\r\n\r\n0\r\n\r\n\r\n.\r\n0\r\n\r\n",
    "no chunks": CHUNKED + b"0\r\n\r\n",
    "trailers": CHUNKED + b"1\r\n1\r\n0\r\nOne: 1\r\nTwo: 2\r\n\r\n",
    "the largest body": HEAD + b"Content-Length: %d\r\n\r\n" % MOST_BODY + b"x" * MOST_BODY,
    "the largest chunk": CHUNKED + b"%x\r\n" % MOST_BODY + b"x" * MOST_BODY + b"\r\n0\r\n\r\n",
}
# What is no HTTP, with how much of it is handed over.
BROKEN = {
    "both lengths": (HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"1"),
    "two lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", b"1"),
    "a signed length": (HEAD + b"Content-Length: +1\r\n\r\n", b"1"),
    "another coding": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", b"0\r\n\r\n"),
    "a body that is too long": (HEAD + b"Content-Length: %d\r\n\r\n" % (MOST_BODY + 1), b"x"),
    "0x": (CHUNKED + b"1\r\n1\r\n", b"0x1\r\n1\r\n0\r\n\r\n"),
    "an underscore": (CHUNKED, b"0_1\r\n1\r\n0\r\n\r\n"),
    "a sign": (CHUNKED, b"-1\r\n1\r\n0\r\n\r\n"),
    "a space": (CHUNKED, b" 1\r\n1\r\n0\r\n\r\n"),
    "no size": (CHUNKED, b"\r\n1\r\n0\r\n\r\n"),
    "bare LF": (CHUNKED, b"1\n1\n0\n\n"),
    "LF after the data": (CHUNKED, b"1\r\n1\n0\r\n\r\n"),
    "nothing after the data": (CHUNKED, b"1\r\n10\r\n\r\n"),
    "a long size": (CHUNKED, b"1" * 17 + b"\r\n"),
    "an endless size": (CHUNKED, b"0" * 2000),
    "an endless extension": (CHUNKED, b"1;" + b"x" * 2000 + b"\r\n1\r\n0\r\n\r\n"),
    "a trailer that is none": (CHUNKED + b"1\r\n1\r\n", b"0\r\nnothing\r\n\r\n"),
    "LF after a trailer": (CHUNKED + b"1\r\n1\r\n", b"0\r\nOne: 1\n\r\n"),
    "endless trailers": (CHUNKED, b"0\r\n" + b"One: 1\r\n" * 200),
    "endless chunks": (CHUNKED + b"1\r\n1\r\n" * 21845, b"1\r\n1\r\n"),
}


@pytest.mark.parametrize("request_", WHOLE.values(), ids=WHOLE.keys())
def test_a_request_ends_where_it_ends_and_not_a_byte_earlier_or_later(request_: bytes) -> None:
    arriving = ArrivingRequest()
    assert (arriving.add(request_[:-1]), arriving.arrival) == (len(request_) - 1, Arrival.PART)
    assert arriving.add(request_[-1:] + GET) == 1
    assert (arriving.arrival, bytes(arriving.raw)) == (Arrival.WHOLE, request_)


@given(st.sampled_from([one for one in WHOLE.values() if len(one) < 1000]), st.lists(st.integers(1, 40)))
def test_how_the_bytes_are_spread_changes_nothing(request_: bytes, sizes: list[int]) -> None:
    arriving, rest = ArrivingRequest(), request_ + GET
    for size in [*sizes, *[7] * len(rest)]:
        if arriving.arrival is Arrival.PART:
            rest = rest[arriving.add(rest[:size]) :]
    assert (arriving.arrival, bytes(arriving.raw), rest) == (Arrival.WHOLE, request_, GET)


@pytest.mark.parametrize("each", [1, 10**6], ids=["by bytes", "at once"])
@pytest.mark.parametrize(("kept", "dropped"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_http_is_cut_off_before_it(kept: bytes, dropped: bytes, each: int) -> None:
    arriving, sent = ArrivingRequest(), kept + dropped
    for at in range(0, len(sent), each):
        if arriving.arrival is Arrival.PART:
            arriving.add(sent[at : at + each])
    assert (arriving.arrival, bytes(arriving.raw)) == (Arrival.BROKEN, kept)


def test_of_chunks_that_are_too_long_as_much_is_kept_as_shows_that() -> None:
    arriving = ArrivingRequest()
    arriving.add(CHUNKED + b"ffffffffffffffff\r\n")
    while arriving.arrival is Arrival.PART:
        arriving.add(b"x" * 1000)
    assert arriving.arrival is Arrival.BROKEN
    assert MOST_BODY < arriving.raw.count(b"x") < MOST_BODY + 2000


@pytest.mark.parametrize("sent", [CHUNKED + b"1\r\n1\r\n0\r\n", CHUNKED + b"1\r\n1\r\n0\r\nOne: 1\r\n"])
def test_a_chunked_body_that_breaks_off_in_its_end_does_not_look_whole(sent: bytes) -> None:
    arriving = ArrivingRequest()
    arriving.add(sent)
    arriving.end_here()
    assert arriving.raw == CHUNKED + b"1\r\n1\r\n"


# The reception, with clients on one end of a socket and in gunicorn's place a function that answers


@dataclass
class Conn:
    """What gunicorn hands over."""

    sock: Connection


class Client:
    def __init__(self, submit: Callable[[Conn], Future[object]]) -> None:
        self.socket, served = socket.socketpair()
        self.socket.settimeout(PATIENCE)
        self.conn = Conn(Connection(served))
        self.done = submit(self.conn)

    def says(self, data: bytes) -> "Client":
        self.socket.sendall(data)
        return self

    def hears(self, size: int = 0) -> bytes:
        """All that the server sends, or so many bytes."""
        heard = b""
        while (not size or len(heard) < size) and (data := self.socket.recv(size or 65536)):
            heard += data
        return heard

    def failure(self) -> type[BaseException | None]:
        """With which it is given back to gunicorn, which closes the connection then."""
        return type(self.done.exception(PATIENCE))


@dataclass
class Hall:
    """A reception with one thread."""

    reception: Reception
    handle: Callable[[object], object]
    clients: list[Client]
    stopping: threading.Event

    def enter(self) -> Client:
        self.clients.append(Client(lambda conn: self.reception.submit(self.handle, conn)))
        return self.clients[-1]


def echo(conn: object) -> bool:
    """Answers with the request."""
    assert isinstance(conn, Conn)
    while data := conn.sock.recv(8192):
        conn.sock.sendall(data)
    return True


@pytest.fixture
def hall(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hall]:
    monkeypatch.setattr(reception, "TICK", 0.01)
    stopping = threading.Event()
    hall = Hall(Reception(1, 50, stopping.is_set), echo, [], stopping)
    yield hall
    for client in hall.clients:
        client.socket.close()
    hall.reception.shutdown(wait=True)
    for client in hall.clients:
        client.conn.sock.close()


def test_whoever_has_sent_all_is_answered_while_others_drip(hall: Hall) -> None:
    for sent in (b"", b"G", HEAD, CHUNKED + b"1\r\n1", HEAD + b"Content-Length: 2\r\n\r\n1") * 5:
        hall.enter().says(sent)
    for request in WHOLE.values():
        assert hall.enter().says(request).hears(len(request)) == request


def test_the_rest_is_read_when_it_comes(hall: Hall) -> None:
    client = hall.enter()
    for byte in WHOLE["trailers"]:
        client.says(bytes([byte]))
    assert client.hears(len(WHOLE["trailers"])) == WHOLE["trailers"]


def test_the_next_requests_bytes_are_left_to_gunicorns_poller(hall: Hall) -> None:
    client = hall.enter().says(GET + WHOLE["chunks"])
    assert client.hears(len(GET)) == GET
    again = hall.reception.submit(hall.handle, client.conn)
    assert client.hears(len(WHOLE["chunks"])) == WHOLE["chunks"]
    assert again.result(PATIENCE) is True


@pytest.mark.parametrize("sent", [b"G", GET[:-1], CHUNKED + b"1\r\n1", HEAD + b"Content-Length: 2\r\n\r\n1"])
def test_what_has_not_arrived_in_time_is_a_408(hall: Hall, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(exchange, "TO_ARRIVE", 0.1)
    client = hall.enter().says(sent)
    head, _, body = client.hears().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert body == b'{"detail": "The request did not arrive in time.", "code": "invalid_request"}'
    client.socket.close()
    assert client.failure() is ConnectionAbortedError


def test_who_has_said_nothing_in_time_hears_nothing(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "TO_ARRIVE", 0.1)
    client = hall.enter()
    assert client.failure() is TimeoutError
    client.conn.sock.close()
    assert client.hears() == b""


def test_a_head_without_end_is_a_431(hall: Hall) -> None:
    client = hall.enter().says(HEAD + b"X: " + b"x" * MOST_HEAD)
    assert client.hears().startswith(b"HTTP/1.1 431 ")
    client.socket.close()
    assert client.failure() is ConnectionAbortedError


def test_who_leaves_in_the_middle_is_forgotten(hall: Hall) -> None:
    client = hall.enter().says(GET[:-1])
    client.socket.shutdown(socket.SHUT_WR)
    assert client.failure() is ConnectionAbortedError


def test_a_body_that_breaks_off_is_handed_over_and_ends_the_connection(hall: Hall) -> None:
    client = hall.enter().says(HEAD + b"Content-Length: 2\r\n\r\n1")
    client.socket.shutdown(socket.SHUT_WR)
    assert client.hears() == HEAD + b"Content-Length: 2\r\n\r\n1"
    assert client.done.result(PATIENCE) is True
    assert not client.conn.sock.whole


def test_when_too_many_wait_the_longest_waiting_goes(hall: Hall) -> None:
    crowd = [hall.enter().says(b"G") for _ in range(60)]
    assert {client.failure() for client in crowd[:10]} == {ConnectionAbortedError}
    assert hall.enter().says(GET).hears(len(GET)) == GET
    assert not any(client.done.done() for client in crowd[11:]), "one more may have gone, for the last to come"


def test_who_does_not_read_the_response_holds_no_thread(hall: Hall) -> None:
    large = b"x" * 4_000_000

    def handle(conn: object) -> bool:
        assert isinstance(conn, Conn)
        while conn.sock.recv(8192):
            pass
        conn.sock.sendall(large)
        return True

    hall.handle = handle
    slow = [hall.enter().says(GET) for _ in range(3)]
    hall.handle = echo
    assert hall.enter().says(GET).hears(len(GET)) == GET
    assert not any(client.done.done() for client in slow)
    for client in slow:
        assert client.hears(len(large)) == large
        assert client.done.result(PATIENCE) is True


def test_who_never_reads_the_response_is_left_in_the_end(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "TO_LEAVE", 0.1)

    def handle(conn: object) -> bool:
        assert isinstance(conn, Conn)
        conn.sock.sendall(b"x" * 4_000_000)
        return True

    hall.handle = handle
    assert hall.enter().says(GET).failure() is TimeoutError


def test_a_client_that_asks_before_it_sends_its_body_is_told_once_to_go_on(hall: Hall) -> None:
    head = HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"

    def handle(conn: object) -> bool:
        assert isinstance(conn, Conn)
        assert conn.sock.send(CONTINUE) == len(CONTINUE)  # as gunicorn does for each such request
        return echo(conn)

    hall.handle = handle
    client = hall.enter().says(head)
    assert client.hears(len(CONTINUE)) == CONTINUE
    client.says(b"ok")
    assert client.hears(len(head) + 2) == head + b"ok"
    client.done.result(PATIENCE)
    again = hall.reception.submit(hall.handle, client.says(head + b"ok").conn)
    assert client.hears(len(CONTINUE + head) + 2) == CONTINUE + head + b"ok", "the second request has its own"
    assert again.result(PATIENCE) is True


def test_a_stopping_worker_waits_for_what_is_arriving_and_for_nothing_else(hall: Hall) -> None:
    idle, arriving = hall.enter(), hall.enter().says(GET[:-1])
    hall.stopping.set()
    hall.reception.shutdown()
    assert idle.failure() is TimeoutError
    assert arriving.says(GET[-1:]).hears(len(GET)) == GET


def test_an_error_in_a_thread_gives_the_connection_back(hall: Hall) -> None:
    def handle(conn: object) -> bool:
        raise RuntimeError

    hall.handle = handle
    assert hall.enter().says(GET).failure() is RuntimeError


def test_a_refused_client_may_send_on_until_it_reads_the_refusal(hall: Hall) -> None:
    """Closing while bytes arrive would reset the connection, and the client might never see why."""

    def handle(conn: object) -> bool:
        assert isinstance(conn, Conn)
        conn.sock.sendall(b"refused")
        return False

    hall.handle = handle
    client = hall.enter().says(HEAD + b"Content-Length: 9000000\r\n\r\n")
    client.says(b"x" * 9_000_000)
    assert client.hears() == b"refused"
    client.socket.close()
    assert client.done.result(PATIENCE) is False


def test_whether_the_client_is_still_there_is_seen_past_the_request_and_takes_nothing() -> None:
    """By this nothing is hashed for who has left, and something is for who sent the next request already."""
    client, server = socket.socketpair()
    conn = Connection(server)
    conn.arrived += b"the request"
    assert not _is_closed(conn)
    client.sendall(b"the next one")
    assert not _is_closed(conn)
    assert conn.recv(100) == b"the request"
    assert not _is_closed(conn)
    client.close()
    with suppress(BlockingIOError):
        while socket.socket.recv(conn, 100):
            pass
    assert _is_closed(conn)
    conn.close()
