"""`authserver dev` and `authserver migrate`."""

import errno
import logging
import socket
import threading
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import click
from flask import Flask
from sqlalchemy import make_url
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from authserver.app import create_app, serving
from authserver.cli.database import migrate_database
from authserver.settings import PREFIX, Settings, SettingsError, environment, load

log = logging.getLogger("authserver")

WELCOME = """\
authserver {version} in development mode, on {url} (this machine only)
  database   {database}
  providers  {providers}
  mails      {url}/mailbox

A first call, from another terminal:
  curl {url}/api/signup/ -H 'Content-Type: application/json' \\
    -d '{{"email": "ada@example.com", "password": "lovelace 1815", "password_confirm": "lovelace 1815"}}'

Ctrl-C stops it.
"""


def warn(warnings: list[str]) -> None:
    for warning in warnings:
        click.echo(f"authserver: {warning}", err=True)


@click.command()
def migrate() -> None:
    """Create the database or bring it up to date.

    Safe to run by several processes at once, and again. On PostgreSQL the database itself is made too where it is
    missing and the user may. The first signing key is made here.
    """
    settings, warnings = load()
    warn(warnings)
    migrate_database(settings)
    click.echo(f"The database is up to date: {described(settings)}")


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="The port to listen on.")
def dev(port: int) -> None:
    """Serve on this machine for development.

    Listens on localhost only, IPv4 and IPv6. Prepares the database first. Needs no settings: a secret is made once
    and kept in the instance folder.
    """
    variables = environment()
    if variables.setdefault(f"{PREFIX}ENV", "development") != "development":
        raise SettingsError(f"{PREFIX}ENV: `authserver dev` is for development; production is served by gunicorn")
    variables.setdefault(f"{PREFIX}PUBLIC_URL", f"http://localhost:{port}")
    settings, warnings = load(variables)
    warn(warnings)
    sockets = listen(port)
    migrate_database(settings)
    app = serving(create_app(settings))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    click.echo(
        WELCOME.format(
            version=version("authserver"),
            url=settings.public_url,
            database=described(settings),
            providers=", ".join(sorted(settings.providers)) or "none (docs/providers.md)",
        )
    )
    serve(app, sockets)


def described(settings: Settings) -> str:
    url = make_url(settings.database_url)
    return (
        f"{url.database}"
        if url.get_backend_name() == "sqlite"
        else url.set(query={}).render_as_string(hide_password=True)
    )


def listen(port: int) -> list[socket.socket]:
    """Both loopback addresses: Node asks ::1 first, curl and Python often 127.0.0.1."""
    sockets = []
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            sockets.append(socket.create_server((host, port), family=family, backlog=128))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise SettingsError(
                    f"port {port} is in use: stop what listens there or choose another with --port"
                ) from None
            if error.errno in (errno.EACCES, errno.EPERM):
                raise SettingsError(f"port {port} may not be used: choose one above 1023 with --port") from None
            if family == socket.AF_INET:
                raise
    return sockets


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

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        # A request line that could not be read has no path.
        path = getattr(self, "path", "").partition("?")[0].encode("unicode_escape").decode()
        log.info("%s %s %s", self.command or "?", path or "?", getattr(code, "value", code))

    def log_error(self, format: str, *args: Any) -> None:
        """Nothing: it quotes the request line, query and all. `log_request` says what was answered."""
