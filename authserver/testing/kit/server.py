"""A server on loopback that stands in for the provider's, gives the declared answers and can fail in many ways."""

import json
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

PATIENCE = 10.0  # seconds for which an answer is held back where the client does not hang up: more than it may wait
ELSEWHERE = "/where-a-redirect-leads"


@dataclass(frozen=True)
class Asked:
    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: str = field(repr=False)

    @property
    def question(self) -> str:
        return f"{self.method} {urlsplit(self.target).path}"

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body, keep_blank_values=True))

    @property
    def basic(self) -> list[str]:
        """The client id and its secret, if they came so (RFC 6749 §2.3.1)."""
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        return [unquote_plus(part) for part in b64decode(given).decode().split(":")] if scheme == "Basic" else []

    def carries(self, token: str) -> bool:
        """Whether the token came whole, as one parameter, one field of a JSON body or the Bearer token."""
        query = dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))
        values = [*query.values(), self.headers.get("Authorization", "").partition(" ")[2], *self.form.values()]
        with suppress(ValueError):
            values += json.loads(self.body).values()
        return token in values


@dataclass(frozen=True)
class Reply:
    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: bool = False


Fault = Callable[[Reply], Reply]  # makes a bad answer of a good one, which whoever overlooks the fault finds

FAULTS: dict[str, Fault] = {
    "a status 500": lambda good: Reply(good.body, 500),
    "a status 429": lambda good: Reply(good.body, 429),
    "HTML": lambda good: Reply(
        b"<!doctype html><title>Sign in to the Wi-Fi</title>", 200, {"Content-Type": "text/html"}
    ),
    "half a JSON": lambda good: Reply(good.body[:-1]),
    "a redirect": lambda good: Reply(good.body, 302, {"Location": ELSEWHERE}),
    "more than 64 kB": lambda good: Reply(good.body.ljust(64 * 1024 + 1)),
}


def hang(good: Reply) -> Reply:
    return Reply(good.body, hangs=True)


def of_json(value: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(value).encode(), status)


class Server:
    """Answers by `said` and `own`, spoilt by `faults`; `asked` lists what came."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.said: Mapping[str, Any] = {}
        self.own: dict[str, Callable[[Asked], Reply]] = {}  # what the kit itself answers, of OpenID and OAuth
        self.faults: Mapping[str, Fault] = {}
        self.asked: list[Asked] = []

    def knows(self, asked: Asked) -> bool:
        return asked.question in self.said or asked.question in self.own

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        said = self.said.get(asked.question)
        if asked.question in self.own:
            good = self.own[asked.question](asked)
        elif isinstance(said, int) or asked.question not in self.said:
            good = of_json({}, said or 404)
        else:
            good = of_json(said)
        fault = self.faults.get(asked.question)
        return fault(good) if fault else good


@contextmanager
def serving() -> Iterator[Server]:
    stopping = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length).decode("utf-8", "replace")
            reply = server.reply(Asked(self.command, self.path, dict(self.headers.items()), body))
            if reply.hangs:
                stopping.wait(PATIENCE)
            with suppress(OSError):  # the client has hung up
                self.send_response(reply.status)
                headers = {"Content-Type": "application/json", "Content-Length": str(len(reply.body)), **reply.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_one

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    class Listening(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    with Listening(("127.0.0.1", 0), Handler) as listening:
        server = Server(f"http://127.0.0.1:{listening.server_port}")
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            stopping.set()
            listening.shutdown()
            thread.join()
