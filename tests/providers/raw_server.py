"""A server on loopback that says what it is told to, HTTP or not, and remembers what it was asked."""

import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 5.0  # seconds that a script goes on for where the client does not hang up: much more than any deadline here


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: str

    @property
    def path(self) -> str:
        return urlsplit(self.target).path


class Connection:
    def __init__(self, connected: socket.socket, stopping: threading.Event) -> None:
        self._socket = connected
        self._unread = connected.makefile("rb")
        self.stopping = stopping
        self.open = True

    def next_request(self) -> Request | None:
        """The next request as it came, or None when the client has hung up."""
        lines = []
        while (line := self._unread.readline()).strip():
            lines.append(line.decode("latin-1").strip())
        if not lines:
            return None
        method, target, _ = lines[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = self._unread.read(int(headers.get("content-length", "0")))
        return Request(method, target, headers, body.decode())

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def reply(
        self, value: object, status: int = 200, headers: Mapping[str, str] | None = None, *, keep_alive: bool = False
    ) -> None:
        """A whole answer; what is not bytes is sent as JSON."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        usual = {"content_length": str(len(body)), "connection": "keep-alive" if keep_alive else "close"}
        self.send(head(status, **{**usual, **(headers or {})}) + body)
        if not keep_alive:
            self.close()

    def close(self) -> None:
        self.open = False
        self._unread.close()
        with suppress(OSError):  # the client may have been first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def wait_for_hang_up(self) -> bool:
        """Says nothing more; whether the client gave up before this server's patience ended."""
        self._socket.settimeout(PATIENCE)
        try:
            return self._socket.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True

    def drip(self, piece: bytes, pause: float = 0.02) -> bool:
        """Sends the piece again and again, slowly; whether the client gave up before this server's patience ended."""
        for _ in range(int(PATIENCE / pause)):
            try:
                self.send(piece)
            except OSError:
                return True
            if self.stopping.wait(pause):
                break
        return False


Script = Callable[[Request, Connection], object]


@dataclass
class RawServer:
    url: str
    port: int
    asked: list[Request] = field(default_factory=list)
    connections: int = 0

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.asked]


def head(status: int, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


@contextmanager
def serving(script: Script, tls: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    """Answers each request by the script until the block ends."""
    stopping = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            server.connections += 1
            connected = tls.wrap_socket(self.request, server_side=True) if tls else self.request
            connection = Connection(connected, stopping)
            try:
                while connection.open and (request := connection.next_request()):
                    server.asked.append(request)
                    script(request, connection)
            finally:
                connection.close()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True  # one may still wait on a connection that the client keeps alive
        allow_reuse_address = True
        request_queue_size = 128  # many connect at once: with the usual 5 some would wait a second

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Nothing: a client that gives up is what many of these tests are about."""

    with Server(("127.0.0.1", 0), Handler) as listening:
        port: int = listening.server_address[1]
        server = RawServer(f"{'https' if tls else 'http'}://127.0.0.1:{port}", port)
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            stopping.set()
            listening.shutdown()
            thread.join()
