"""The configuration of nginx in docs/operating.md, in front of a server that notes what reaches it, and when."""

import getpass
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.blocks import block
from tests.e2e.page import filled, tool
from tests.e2e.servers import running
from tests.serving import free_port

pytestmark = pytest.mark.slow

FRAME = """
user %s;
daemon off;
pid %s/nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    %s
    %s
}
"""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def upstream(begun: list[tuple[str, str | None]]) -> Iterator[int]:
    """Its port. It notes path and `X-Forwarded-For` as soon as it has a request's head."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.respond()

        def do_POST(self) -> None:
            begun.append((self.path, self.headers["X-Forwarded-For"]))
            self.rfile.read(int(self.headers["Content-Length"]))
            self.respond()

        def respond(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_port
        server.shutdown()


def request(path: bytes) -> bytes:
    return (
        b"POST %b HTTP/1.1\r\nHost: auth.example.com\r\nX-Forwarded-For: 1.2.3.4\r\n"
        b"Connection: close\r\nContent-Length: 4\r\n\r\nbody" % path
    )


def answer(connection: socket.socket) -> bytes:
    heard = b""
    while data := connection.recv(65536):
        heard += data
    return heard


def test_the_guides_nginx_hands_on_whole_requests_and_says_who_asks(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin") or tool("nginx")
    begun: list[tuple[str, str | None]] = []
    port = free_port()
    with upstream(begun) as behind:
        here = {
            "listen 443 ssl": f"listen 127.0.0.1:{port}",
            "ssl_certificate /etc/ssl/auth.example.com.pem;": "",
            "ssl_certificate_key /etc/ssl/auth.example.com.key;": "",
            "127.0.0.1:8000": f"127.0.0.1:{behind}",
        }
        server = filled(block("docs/operating.md", "nginx"), here)
        temporary = " ".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in TEMPORARY)
        (tmp_path / "nginx.conf").write_text(FRAME % (getpass.getuser(), tmp_path, temporary, server))
        command = [nginx, "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
        where = ("127.0.0.1", port)
        with (
            running(command, tmp_path, port, {}),
            socket.create_connection(where, timeout=30) as slow,
            socket.create_connection(where, timeout=30) as quick,
        ):
            slow.sendall(request(b"/slow")[:-1])
            quick.sendall(request(b"/quick"))
            assert answer(quick).startswith(b"HTTP/1.1 204 ")
            assert begun == [("/quick", "127.0.0.1")]
            slow.sendall(request(b"/slow")[-1:])
            assert answer(slow).startswith(b"HTTP/1.1 204 ")
            assert begun == [("/quick", "127.0.0.1"), ("/slow", "127.0.0.1")]
