"""Starting, rightly and wrongly, as an operator sees it: real processes, their status and what they print."""

import http.client
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import make_url

from authserver.app import create_app
from authserver.cli import cli
from authserver.cli.database import migrate_database
from authserver.settings import SettingsError
from tests.conftest import POSTGRES, PUBLIC_URL, SECRET, settings_for
from tests.serving import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PATIENCE = 30  # seconds that any process may take before it counts as hanging
CANARY = "cAnArY-7f3e"
OTHER_SECRET = "9hQvYk3nS0xJmEwTz8LdRfUbPcGaVi5o7ZtKXy2NqHs"


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


HAS_IPV6 = has_ipv6()


def variables(home: Path, **settings: object) -> dict[str, str]:
    """The environment of a process: what it needs, and nothing of ours but `settings`."""
    # The last is coverage's, so that what a process runs counts as tested where the tests are measured.
    names = ("PATH", "LANG", "LC_ALL", "TZ", "COVERAGE_PROCESS_CONFIG")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    # HOME, since gunicorn keeps a socket there; PYTHONPATH for wsgi.py, and so that this checkout is what runs.
    fixed = {"HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "WEB_CONCURRENCY": "1"}
    return {**kept, **fixed, **{f"AUTHSERVER_{name}": str(value) for name, value in settings.items()}}


def production(home: Path, **settings: object) -> dict[str, str]:
    """As `variables`, with what production demands, and a mail server so that it warns of nothing."""
    usual = {"SECRET_KEY": SECRET, "PUBLIC_URL": PUBLIC_URL, "MAIL_URL": "smtp://127.0.0.1:9"}
    return variables(home, **{**usual, **settings})


@dataclass
class Finished:
    status: int
    output: str
    errors: str

    @property
    def sentence(self) -> str:
        """The one line that a refused start says."""
        assert self.status != 0, self
        lines = self.errors.splitlines()
        assert len(lines) == 1, self.errors
        assert lines[0].startswith("authserver: "), self.errors
        return lines[0]


def run(*arguments: str, env: dict[str, str], python: str = sys.executable) -> Finished:
    """`python -m arguments…` in an empty working directory, to its end."""
    process = subprocess.Popen(
        [python, "-m", *arguments],
        env=env,
        cwd=env["HOME"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=PATIENCE)
    finally:
        end(process)
    return Finished(process.returncode, output, errors)


def end(process: "subprocess.Popen[str]") -> None:
    """Whatever is left of the process and its children: its group has its id."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(PATIENCE)


@dataclass
class Running:
    process: "subprocess.Popen[str]"
    log: Path
    port: int

    def said(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str) -> None:
        """Until it has said so; fails when it ended before or takes too long."""
        until = time.monotonic() + PATIENCE
        while text not in self.said():
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.said()}"
            assert time.monotonic() < until, f"never said {text!r}: {self.said()}"
            time.sleep(0.02)

    def wait(self) -> int:
        """Its status, when it ends by itself."""
        return self.process.wait(PATIENCE)

    def call(
        self, path: str, body: object = None, host: str = "127.0.0.1", headers: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON of a GET or, with a body, a POST."""
        with closing(http.client.HTTPConnection(host, self.port, timeout=PATIENCE)) as connection:
            if body is None:
                connection.request("GET", path, headers=headers)
            else:
                connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), json.loads(answer.read())

    def send(self, request: bytes) -> bytes:
        """The bytes that are answered to the bytes that are sent, also where not all of these are read."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            with suppress(ConnectionError):
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while data := connection.recv(65536):
                    answer += data
        return answer


@contextmanager
def started(*arguments: str, env: dict[str, str], port: int, python: str = sys.executable) -> Iterator[Running]:
    """`python -m arguments…`, ended with the block; what it prints goes into one log."""
    log = Path(env["HOME"]) / f"log-{port}.txt"
    with log.open("w") as file:
        process = subprocess.Popen(
            [python, "-m", *arguments],
            env=env,
            cwd=env["HOME"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield Running(process, log, port)
    finally:
        end(process)


@contextmanager
def gunicorn(env: dict[str, str], application: str = "wsgi:app", python: str = sys.executable) -> Iterator[Running]:
    """`gunicorn wsgi:app` with the configuration that it reads by itself in the project's folder."""
    port = free_port()
    config = str(ROOT / "gunicorn.conf.py")
    arguments = ("gunicorn", application, "--config", config, "--bind", f"127.0.0.1:{port}")
    with started(*arguments, env=env, port=port, python=python) as server:
        yield server


def refused_by_gunicorn(env: dict[str, str]) -> str:
    """The sentence of a start that gunicorn's master gives up by itself."""
    with gunicorn(env) as server:
        assert server.wait() != 0
        said = server.said()
    assert "Traceback" not in said, said
    sentences = [line for line in said.splitlines() if line.startswith("authserver: ")]
    booted = said.count("Booting worker")
    assert (len(sentences), booted) == (1, 1), said
    return sentences[0]


# Help


def test_the_command_explains_itself_without_any_setting(tmp_path: Path) -> None:
    ran = run("authserver", "--help", env=variables(tmp_path))
    assert (ran.status, ran.errors) == (0, "")
    assert_said(ran.output, "dev ", "migrate ", "keys ", "--version")
    assert os.listdir(tmp_path) == []


def test_each_command_has_its_help_and_the_version_is_told() -> None:
    for name in cli.commands:
        assert_said(CliRunner().invoke(cli, [name, "--help"]).output, f"Usage: cli {name}", "--help")
    assert_said(CliRunner().invoke(cli, ["dev", "--help"]).output, "--port", "8000", "IPv6")
    told = CliRunner().invoke(cli, ["--version"], prog_name="authserver")
    assert (told.exit_code, told.output) == (0, f"authserver {version('authserver')}\n")


def assert_said(output: str, *texts: str) -> None:
    for text in texts:
        assert text in output


# authserver dev


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    port = free_port()
    home = tmp_path_factory.mktemp("dev")
    with started("authserver", "dev", "--port", str(port), env=variables(home), port=port) as server:
        server.wait_for("Ctrl-C")
        yield server


def test_dev_says_where_it_listens_which_is_on_both_loopback_addresses(dev: Running) -> None:
    assert f"http://localhost:{dev.port}" in dev.said()
    for host in ("127.0.0.1", "::1") if HAS_IPV6 else ("127.0.0.1",):
        assert dev.call("/.well-known/jwks.json", host=host)[0] == 200
    with pytest.raises(ConnectionRefusedError):  # what listens on all addresses does on this one
        dev.call("/.well-known/jwks.json", host="127.0.0.2")


def test_dev_prints_a_first_call_that_works(dev: Running) -> None:
    (command,) = re.findall(r"^ +(curl .*\\\n.*)$", dev.said(), re.M)
    curl, url, *options = shlex.split(command.replace("\\\n", " "))
    assert (curl, url) == ("curl", f"http://localhost:{dev.port}/api/login/")
    assert (options[:3], len(options)) == (["-H", "Content-Type: application/json", "-d"], 4)
    status, _, answer = dev.call("/api/login/", json.loads(options[3]))
    assert (status, answer.keys()) == (200, {"access", "refresh", "user"})


def test_dev_logs_method_path_and_status_and_no_query(dev: Running) -> None:
    for path in (f"/api/me/?access_token={CANARY}", f"//twice?token={CANARY}", f"/%3Fencoded?x={CANARY}"):
        dev.call(path)
    dev.call(f"/api/login/?password={CANARY}", {"email": CANARY, "password": CANARY})
    dev.wait_for("POST /api/login/ 400")
    assert "GET /api/me/ 401\n" in dev.said()
    assert CANARY not in dev.said()


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (f"GET /a?token={CANARY} b HTTP/1.1", 400),  # what curl sends of a space
        (f"GET /b?token={CANARY} HTTP/nine", 400),
        (f"GET /c?token={CANARY} HTTP/2.0", 505),
        (f"\x16\x03\x01 {CANARY}", 400),  # a browser that was sent to https://
        (f"GET /d?token={CANARY}{'x' * 70_000} HTTP/1.1", 414),
    ],
    ids=["space", "version", "http2", "tls", "long"],
)
def test_dev_answers_what_is_no_request_and_logs_neither_query_nor_traceback(
    dev: Running, request_line: str, status: int
) -> None:
    before = len(dev.said())
    answer = dev.send(request_line.encode("latin-1") + b"\r\nHost: localhost\r\n\r\n")
    said = dev.said()[before:]
    assert CANARY not in said
    assert "Traceback" not in said
    assert str(status).encode() in answer


def test_ctrl_c_ends_dev_with_status_0(tmp_path: Path) -> None:
    port = free_port()
    with started("authserver", "dev", "--port", str(port), env=variables(tmp_path), port=port) as server:
        server.wait_for("Ctrl-C")
        server.call("/nowhere")  # it serves, and has not only said so
        # A terminal's Ctrl-C reaches the whole group.
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.wait() == 0
        assert "Traceback" not in server.said()
    socket.create_server(("127.0.0.1", port)).close()  # the port is free again


@pytest.mark.parametrize(
    ("family", "host"),
    [
        (socket.AF_INET, "127.0.0.1"),
        pytest.param(socket.AF_INET6, "::1", marks=pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 here")),
    ],
)
def test_dev_says_that_its_port_is_taken(tmp_path: Path, family: socket.AddressFamily, host: str) -> None:
    with socket.create_server((host, 0), family=family) as taken:
        port = taken.getsockname()[1]
        ran = run("authserver", "dev", "--port", str(port), env=variables(tmp_path))
    assert f"port {port} is in use" in ran.sentence
    assert "`make run PORT=9000`" in ran.sentence
    assert "`authserver dev --port 9000`" in ran.sentence


def test_dev_listens_on_another_address_only_by_name_and_says_what_that_exposes(tmp_path: Path) -> None:
    port = free_port()
    arguments = ("authserver", "dev", "--port", str(port), "--host", "127.0.0.2")
    with started(*arguments, env=variables(tmp_path), port=port) as server:
        server.wait_for("Ctrl-C")
        assert server.call("/api/auth/", host="127.0.0.2")[0] == 200
        assert "others than this machine" not in server.said()  # this is loopback too
        with pytest.raises(ConnectionRefusedError):
            server.call("/api/auth/")
    with started(*arguments[:-1], "0.0.0.0", env=variables(tmp_path), port=port) as server:
        server.wait_for("Ctrl-C")
        assert "authserver: on 0.0.0.0 others than this machine can reach a server in development" in server.said()
        assert server.call("/api/auth/")[2] == [], "stand-ins are for loopback alone"
        assert server.call("/standins/google/.well-known/openid-configuration")[0] == 404


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", ""])
def test_dev_says_that_an_address_is_not_this_machines(tmp_path: Path, host: str) -> None:
    ran = run("authserver", "dev", "--port", str(free_port()), "--host", host, env=variables(tmp_path))
    assert "--host" in ran.sentence


def test_dev_begins_with_people_once_and_with_stand_ins_for_what_is_not_set(tmp_path: Path) -> None:
    port = free_port()
    own = {"PROVIDERS__GOOGLE__CLIENT_ID": "ours.apps.googleusercontent.com"}
    for first in (True, False):
        env = variables(tmp_path, **({} if first else own))
        with started("authserver", "dev", "--port", str(port), env=env, port=port) as server:
            server.wait_for("Ctrl-C")
            assert ("  people     ada@example.org, " in server.said()) is first
            assert ("offline    google, facebook, microsoft, github" in server.said()) is first
            login = {"email": "ada@example.org", "password": "analytical engine"}
            assert server.call("/api/login/", login)[0] == 200
            found = server.call("/standins/google/.well-known/openid-configuration")[0]
            assert found == (200 if first else 404)


def test_s89_no_other_server_starts_in_development(tmp_path: Path) -> None:
    """Nor in a folder whose `.env` says so. Others than these two import `wsgi:app` likewise, and so get its status."""
    (tmp_path / ".env").write_text("AUTHSERVER_ENV=development\n")
    env = variables(tmp_path)
    assert "`authserver dev`" in refused_by_gunicorn(env)
    flask = run("flask", "--app", "wsgi", "run", "--port", str(free_port()), env=env)
    assert (flask.status, "`authserver dev`" in flask.sentence) == (3, True)


def test_dev_refuses_to_serve_production(tmp_path: Path) -> None:
    ran = run("authserver", "dev", env=production(tmp_path, ENV="production"))
    assert "AUTHSERVER_ENV" in ran.sentence
    assert "gunicorn" in ran.sentence


# Databases


def closed_port_url() -> str:
    return f"postgresql://user:{CANARY}@127.0.0.1:{free_port()}/database"


@pytest.mark.parametrize("command", ["dev", "migrate"])
def test_a_database_that_cannot_be_reached_is_said_in_a_sentence(tmp_path: Path, command: str) -> None:
    env = production(tmp_path, DATABASE_URL=closed_port_url())
    if command == "dev":
        env = variables(tmp_path, DATABASE_URL=closed_port_url())
    options = ["--port", str(free_port())] if command == "dev" else []
    ran = run("authserver", command, *options, env=env)
    assert "database" in ran.sentence
    assert CANARY not in ran.output + ran.errors


def test_a_file_that_is_no_database_is_said_in_a_sentence(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("This is no database.\n" * 100)
    notes.chmod(0o600)
    env = production(tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/notes.txt")
    assert "database" in run("authserver", "migrate", env=env).sentence
    with pytest.raises(SettingsError, match="database"):
        create_app(settings_for(env["AUTHSERVER_DATABASE_URL"]))


def test_a_database_that_takes_no_tables_is_said_in_a_sentence(tmp_path: Path, postgres: str) -> None:
    """As PostgreSQL 15 and newer answer a role that does not own the database, here without such a role."""
    url = make_url(postgres).update_query_dict({"options": "-csearch_path=nowhere"})
    env = production(tmp_path, DATABASE_URL=url.render_as_string(hide_password=False))
    assert "database" in run("authserver", "migrate", env=env).sentence


def test_a_password_in_the_addresss_query_is_not_printed(tmp_path: Path, migrated_postgres: str) -> None:
    url = make_url(migrated_postgres)
    url = url.set(password=None, query={**url.query, "password": url.password or CANARY, "application_name": CANARY})
    env = production(tmp_path, DATABASE_URL=url.render_as_string(hide_password=False))
    ran = run("authserver", "migrate", env=env)
    assert ran.status == 0, ran.errors
    assert str(url.database) in ran.output
    assert CANARY not in ran.output + ran.errors


def test_a_database_that_is_not_migrated_stops_gunicorn(tmp_path: Path) -> None:
    sentence = refused_by_gunicorn(production(tmp_path))
    assert "`authserver migrate`" in sentence
    assert not list(tmp_path.glob("**/*.db")), "and no empty file is made"


class Forwarder:
    """A port that is closed until `open`, and leads to PostgreSQL from then on."""

    def __init__(self, port: int) -> None:
        self.port = port
        url = make_url(POSTGRES)
        self._upstream = (url.host or "127.0.0.1", url.port or 5432)

    @contextmanager
    def open(self) -> Iterator[None]:
        listening = socket.create_server(("127.0.0.1", self.port))
        thread = threading.Thread(target=self._accept, args=(listening,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)  # wakes `accept`
            thread.join()
            listening.close()

    def _accept(self, listening: socket.socket) -> None:
        ends: list[socket.socket] = []
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                far = socket.create_connection(self._upstream)
                ends += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_copy, args=(source, target), daemon=True).start()
        for one in ends:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_gunicorn_starts_without_its_database_answers_503_and_recovers_by_itself(
    tmp_path: Path, migrated_postgres: str
) -> None:
    forwarder = Forwarder(free_port())
    url = make_url(migrated_postgres).set(host="127.0.0.1", port=forwarder.port).render_as_string(hide_password=False)
    login = {"email": "nobody@example.com", "password": "correct horse battery staple"}
    with gunicorn(production(tmp_path, DATABASE_URL=url)) as server:
        server.wait_for("database cannot be reached")
        for _ in range(2):
            status, headers, answer = server.call("/api/login/", login)
            assert (status, answer["code"]) == (503, "temporarily_unavailable")
            assert int(headers["Retry-After"]) > 0
            assert headers["Cache-Control"] == "no-store"
        assert server.call("/nowhere")[0] == 404, "what needs no database is answered as ever"
        with forwarder.open():
            assert server.call("/api/login/", login)[2]["code"] == "no_active_account"
            assert server.call("/.well-known/jwks.json")[2]["keys"]
        status, _, answer = server.call("/api/login/", login)
        assert (status, answer["code"]) == (503, "temporarily_unavailable"), "and gone again"
        with forwarder.open():
            assert server.call("/api/login/", login)[2]["code"] == "no_active_account"
        assert server.process.poll() is None
        assert "Traceback" not in server.said()


def test_a_lost_secret_is_said_and_keys_reset_repairs_it(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/authserver.db"
    migrate_database(settings_for(database))
    env = production(tmp_path, DATABASE_URL=database, SECRET_KEY=OTHER_SECRET)
    assert "`authserver keys reset`" in refused_by_gunicorn(env)
    with pytest.raises(SettingsError, match="`authserver keys reset`"):
        migrate_database(settings_for(database, secret_key=OTHER_SECRET))
    ran = run("authserver", "keys", "reset", "--yes", env=env)
    assert (ran.status, ran.output, ran.errors) == (0, "1 deleted, 1 made.\n", "")
    create_app(settings_for(database, secret_key=OTHER_SECRET))
    with pytest.raises(SettingsError, match="authserver keys reset"):
        create_app(settings_for(database))


@pytest.mark.parametrize("answer", ["", "n\n", "\n"])
def test_keys_reset_without_a_yes_changes_nothing(tmp_path: Path, answer: str) -> None:
    database = f"sqlite:///{tmp_path}/authserver.db"
    migrate_database(settings_for(database))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        env = production(tmp_path, DATABASE_URL=database)
        ran = CliRunner().invoke(cli, ["keys", "reset"], input=answer, env=env)
    assert (ran.exit_code, ran.exception.__class__) == (1, SystemExit)
    assert "everybody is signed out" in ran.output
    create_app(settings_for(database))
