"""How `authserver dev` listens and serves: a thread a request, for the stand-ins are asked by the server itself."""

import errno
import logging
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click
from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from authserver.dev.mailbox import NEW as NEW_MAILS
from authserver.serving.chunked import ChunkedBody
from authserver.settings import SettingsError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

log = logging.getLogger("authserver")


def listen(host: str, port: int) -> list[socket.socket]:
    """For localhost on both loopback addresses: Node asks ::1 first, curl and Python often 127.0.0.1."""
    if not host:
        raise SettingsError("--host: expected an address to listen on")
    if host != "localhost":
        return [_listening(host, port)]
    sockets = [_listening("127.0.0.1", port)]
    with suppress(OSError):  # a machine without IPv6
        sockets.append(_listening("::1", port))
    return sockets


def _listening(host: str, port: int) -> socket.socket:
    """Raises `SettingsError` for what can be put right, or `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = 9000 if port != 9000 else 9001
            reason = (
                f"port {port} is in use: stop what listens there or choose another, "
                f"with `make run PORT={other}` or `authserver dev --port {other}`"
            )
        elif error.errno in (errno.EACCES, errno.EPERM):
            reason = f"port {port} may not be used: choose one above 1023 with --port"
        elif host != "127.0.0.1" and host != "::1":
            reason = f"--host {host} is no address of this machine"
        else:
            raise
        raise SettingsError(reason) from None


def serve(app: Flask, sockets: list[socket.socket]) -> None:
    servers = [_server(app, one) for one in sockets]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    with suppress(KeyboardInterrupt):
        servers[0].serve_forever()
    click.echo("stopped")


def _server(app: Flask, listening: socket.socket) -> BaseWSGIServer:
    host, port = listening.getsockname()[:2]
    return make_server(host, port, app, threaded=True, request_handler=_Handler, fd=listening.fileno())


class _Handler(WSGIRequestHandler):
    """Logs method, path and status: a query may carry what belongs in no log."""

    def make_environ(self) -> "WSGIEnvironment":
        environ = super().make_environ()
        if "wsgi.input_terminated" in environ:  # a chunked body
            environ["wsgi.input"] = ChunkedBody(self.rfile)
        return environ

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        # A request line that could not be read has no path.
        path = getattr(self, "path", "").partition("?")[0].encode("unicode_escape").decode()
        if path == NEW_MAILS:
            return
        log.info("%s %s %s", self.command or "?", path or "?", getattr(code, "value", code))

    def log_error(self, format: str, *args: Any) -> None:
        """Nothing: it quotes the request line, query and all. `log_request` says what was answered."""
