"""The first minute by the stopwatch: `.venv/bin/python benchmarks/first_minute.py`.

For each method a server of its own is started in an empty folder, as `make run` does once the packages are there, and
the seconds are printed from that start until it answers, and until somebody is signed in by that method. By HTTP and
without a browser: what people take to click is not counted.
"""

import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from time import monotonic, sleep
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from authserver.dev.people import PASSWORD, TAKEN
from authserver.testing.standins import Callback, StandIns, choose
from authserver.testing.standins.keys import s256

PATIENCE = 60  # seconds for a server to answer
ORIGIN = "http://localhost"
Token = Callable[[str], str]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def started(port: int) -> Iterator[None]:
    """The development server, until it is no longer needed; the block begins when it answers."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AUTHSERVER_")}
    command = [sys.executable, "-m", "authserver", "dev", "--port", str(port)]
    with tempfile.TemporaryDirectory() as folder:
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, cwd=folder, env=own, stdin=quiet, stdout=quiet, stderr=quiet)
        try:
            until = monotonic() + PATIENCE
            while not answers(port):
                if process.poll() is not None or monotonic() > until:
                    raise SystemExit(f"the server did not start: `{' '.join(command)}` says why")
                sleep(0.01)
            yield
        finally:
            process.terminate()
            process.wait()


def answers(port: int) -> bool:
    with suppress(OSError, http.client.HTTPException):
        return send(f"{ORIGIN}:{port}/healthz")[0] > 0
    return False


def send(url: str, *, body: object = None, form: dict[str, str] | None = None, **headers: str) -> tuple[int, Any, Any]:
    """Status, headers and text of one request, which follows no redirect."""
    parts = urlsplit(url)
    data = None if body is None else json.dumps(body)
    sent = {**headers, **({"Content-Type": "application/json"} if data else {})}
    if form is not None:
        data, sent["Content-Type"] = urlencode(form), "application/x-www-form-urlencoded"
    with closing(http.client.HTTPConnection("localhost", parts.port, timeout=PATIENCE)) as connection:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("GET" if data is None else "POST", path, data, sent)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()


def access(answer: tuple[int, Any, Any]) -> str:
    token: str = json.loads(answer[2])["access"]
    return token


def sign_up(url: str) -> str:
    body = {"email": "mary@example.com", "password": "somerville 1780", "password_confirm": "somerville 1780"}
    return access(send(f"{url}/api/signup/", body=body))


def log_in(url: str) -> str:
    return access(send(f"{url}/api/login/", body={"email": TAKEN, "password": PASSWORD}))


def redirect(name: str) -> Token:
    """As the home page's button does it, with somebody of the stand-in's who has a verified address."""

    def sign_in(url: str) -> str:
        verifier = secrets.token_urlsafe(32)
        query = urlencode({"next": f"{url}/", "code_challenge": s256(verifier)})
        _, began, _ = send(f"{url}/api/auth/{name}/login/?{query}")
        cookie = began["Set-Cookie"].partition(";")[0]
        came = choose(began["Location"], StandIns(url).each[name].person("verified"))
        exchange = {"code": code(came, cookie), "code_verifier": verifier}
        return access(send(f"{url}/api/auth/exchange/", body=exchange))

    def code(came: Callback, cookie: str) -> str:
        return code_in(send(came.url, form=came.form, Cookie=cookie))

    return sign_in


def code_in(answer: tuple[int, Any, Any]) -> str:
    (found,) = parse_qs(urlsplit(str(answer[1]["Location"])).query)["code"]
    return found


def hosted(url: str) -> str:
    """By our own page, as an application has people sign in there."""
    verifier = secrets.token_urlsafe(32)
    query = urlencode({"next": f"{url}/", "code_challenge": s256(verifier)})
    answer = send(f"{url}/signin?{query}", form={"email": TAKEN, "password": PASSWORD}, Origin=url)
    exchange = {"code": code_in(answer), "code_verifier": verifier}
    return access(send(f"{url}/api/auth/exchange/", body=exchange))


def client_token(url: str) -> str:
    """What the documented page's example sends, with a token that the home page gave out."""
    person = StandIns(url).google.person("verified").subject
    asked = {"provider": "google", "person": person, "kind": "access_token"}
    given = json.loads(send(f"{url}/dev/token", body=asked, Origin=url)[2])["token"]
    return access(send(f"{url}/api/auth/google/", body={"access_token": given}))


METHODS: dict[str, Token] = {
    "sign-up": sign_up,
    "password": log_in,
    "our own page": hosted,
    **{name: redirect(name) for name in StandIns(ORIGIN).each},
    "google's access_token": client_token,
}


def main() -> None:
    print(f"{'method':24}{'answers':>10}{'token':>10}   seconds")
    for name, sign_in in METHODS.items():
        port = free_port()
        began = monotonic()
        with started(port):
            up = monotonic() - began
            assert sign_in(f"{ORIGIN}:{port}")
            print(f"{name:24}{up:10.2f}{monotonic() - began:10.2f}", flush=True)


if __name__ == "__main__":
    main()
