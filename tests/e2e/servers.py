"""Servers as processes of their own, started as an operator starts them, and what the tests ask of them."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from authserver.oauth.provider import unverified_claims
from tests.e2e.page import ROOT
from tests.factories import SignedIn, signup_body
from tests.serving import free_port

PATIENCE = 30  # seconds for a server to come up
FAREWELL = 15  # seconds for it to end
# What a command reads from the checkout. Its `.env` and `instance` are the developer's own.
CHECKOUT = ("Makefile", "setup.cfg", "pyproject.toml", "wsgi.py", "gunicorn.conf.py")


@dataclass(frozen=True)
class Server:
    url: str
    log: Path


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any


def make_checkout(folder: Path) -> Path:
    """A folder in which `make run` and `gunicorn wsgi:app` do what they do in the repository, with this environment."""
    folder.mkdir()
    for name in CHECKOUT:
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def environment(home: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Only what a program needs to run at all, and `variables`: no setting of whoever runs the tests."""
    kept = ("PATH", "LANG", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"HOME": str(home), **variables}


@contextmanager
def running(command: Sequence[str], folder: Path, port: int, variables: Mapping[str, str]) -> Iterator[Server]:
    """Runs the command in the folder until the block ends; the block begins when the server answers at the port."""
    if listening(port):
        pytest.fail(f"port {port} is taken: this test serves there, stop what listens on it")
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(folder, variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(f"http://localhost:{port}", log)
    try:
        wait_for(server, process)
        yield server
    finally:
        end(process)
        sys.stdout.write(log.read_text(errors="replace"))  # shown by pytest where a test fails


def developing(folder: Path, variables: Mapping[str, str], port: int = 0) -> AbstractContextManager[Server]:
    """The development server, on a free port where none is named."""
    port = port or free_port()
    return running([sys.executable, "-m", "authserver", "dev", "--port", str(port)], folder, port, variables)


def wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            call("GET", f"{server.url}/api/me/")
            return
        time.sleep(0.05)
    how = "did not answer in time" if process.returncode is None else f"ended with status {process.returncode}"
    pytest.fail(f"{process.args!r} {how}; it said:\n{server.log.read_text(errors='replace')}")


def wait_until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """For a program that is no server of ours."""
    until = time.monotonic() + PATIENCE
    while not listening(port):
        if time.monotonic() > until or process.poll() is not None:
            pytest.fail(f"{process.args!r} does not listen; it said:\n{log.read_text(errors='replace')}")
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and its children, which are a group of their own, and nobody else."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(FAREWELL)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(FAREWELL)


def listening(port: int) -> bool:
    """Whether anybody answers at the port, on either address of localhost."""
    for host in ("127.0.0.1", "::1"):
        with suppress(OSError), closing(socket.create_connection((host, port), timeout=2)):
            return True
    return False


def call(method: str, url: str, body: object = None, bearer: str | None = None) -> Answer:
    """One request, past any proxy."""
    parts = urlsplit(url)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)) as connection:
        connection.request(method, parts.path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        raw = response.read()
        return Answer(response.status, dict(response.getheaders()), json.loads(raw) if raw else None)


def sign_up(server: Server, **changes: object) -> SignedIn:
    answer = call("POST", f"{server.url}/api/signup/", signup_body(**changes))
    assert answer.status == 201, answer
    return SignedIn(**answer.body)


def wait_until_expired(token: str) -> None:
    expires: float = unverified_claims(token)["exp"]
    while (left := expires - time.time()) > 0:
        time.sleep(min(left, 1) + 0.01)
