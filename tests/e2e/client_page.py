"""Pages that use the client, from an origin of their own, and servers that write down what they are sent."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from authserver.oauth.provider import unverified_claims
from tests.e2e.servers import Server
from tests.factories import signup_body

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Response

PATIENCE = 20_000  # milliseconds
PAGE = """<!doctype html>
<title>The client</title>
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<script type="module">
import { createClient } from '%s/authserver.js';
window.changes = [];
window.auth = createClient('%s', %s);
auth.onChange((user) => changes.push(user && user.email));
</script>
"""
WITHOUT_LOCKS = "delete Navigator.prototype.locks;"
# What a script on the page can get at of its own requests: every body sent and answered.
LISTENING = """
window.bodies = [];
const send = window.fetch;
window.fetch = async (url, init) => {
  bodies.push(String(init?.body ?? ''));
  bodies.push(JSON.stringify(Object.values(sessionStorage)));
  const response = await send(url, init);
  bodies.push(await response.clone().text());
  return response;
};
"""


def write_page(path: Path, server: str, *, at: str = "", **options: object) -> None:
    """A page that uses the client for the server, or for what serves its API at `at`."""
    path.write_text(PAGE % (server, at or server, json.dumps(options)), "utf-8")


@contextmanager
def hosting(folder: Path) -> Iterator[str]:
    """Serves the folder's files until the block ends, at the origin that the block is given."""
    with _listening(partial(_Files, directory=str(folder))) as port:
        yield f"http://localhost:{port}"


@dataclass
class Recorder:
    """A server that answers every page, says yes to every preflight, and writes down who came with which token."""

    url: str = ""
    tokens: list[tuple[str, str | None]] = field(default_factory=list)  # path and Authorization
    redirects: dict[str, str] = field(default_factory=dict)  # from path to URL
    refuses: Callable[[str], bool] = lambda path: False


@contextmanager
def recording() -> Iterator[Recorder]:
    recorder = Recorder()
    with _listening(partial(_Recording, recorder)) as port:
        recorder.url = f"http://localhost:{port}"
        yield recorder


@contextmanager
def _listening(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what the browser asked for, the test records."""


class _Recording(BaseHTTPRequestHandler):
    def __init__(self, recorder: Recorder, *arguments: Any) -> None:
        self.recorder = recorder
        super().__init__(*arguments)

    def answer(self) -> None:
        self.recorder.tokens.append((self.path, self.headers["Authorization"]))
        target = self.recorder.redirects.get(self.path.partition("?")[0])
        self.send_response(302 if target else 401 if self.recorder.refuses(self.path) else 200)
        self._allow()
        if target:
            self.send_header("Location", target)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = answer

    def do_OPTIONS(self) -> None:
        self.send_response(204)
        self._allow()
        self.end_headers()

    def _allow(self) -> None:
        self.send_header("Access-Control-Allow-Origin", self.headers["Origin"] or "*")
        self.send_header("Access-Control-Allow-Headers", "Authorization, Content-Type")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what came, the test reads from the recorder."""


class Tab:
    """A tab with the client in `auth`, and all that it asked of the server."""

    def __init__(self, context: "BrowserContext", server: Server, url: str) -> None:
        self.server = server
        self.url = url
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.responses: list[Response] = []
        self.crashes: list[str] = []
        self.page.on("response", self._note)
        self.page.on("pageerror", lambda error: self.crashes.append(str(error)))
        self.open(url)

    def _note(self, response: "Response") -> None:
        if response.url.startswith(f"{self.server.url}/api/") and response.request.method != "OPTIONS":
            self.responses.append(response)

    def open(self, url: str) -> None:
        self.page.goto(url)
        self.settle()

    def reload(self) -> None:
        self.page.reload()
        self.settle()

    def settle(self) -> None:
        self.page.wait_for_function("window.auth")
        self.js("() => auth.ready")

    def js(self, code: str, given: object = None) -> Any:
        return self.page.evaluate(code, given)

    def sign_up(self, **changes: object) -> dict[str, Any]:
        user: dict[str, Any] = self.js("(person) => auth.signup(person)", signup_body(**changes))
        return user

    def user(self) -> Any:
        """Whoever is signed in, as the page has it; "unknown" for undefined."""
        return self.js("() => auth.user === undefined ? 'unknown' : auth.user")

    def get(self, path: str = "/api/me/") -> Any:
        """The status and the answer."""
        return self.js("async (path) => { const r = await auth.fetch(path); return [r.status, await r.json()]; }", path)

    def failure(self, code: str) -> Any:
        """The code or name of the error that the promise is rejected with."""
        return self.js("(code) => eval(code).then(() => 'none', (error) => error.code ?? error.name)", code)

    def calls(self) -> list[str]:
        return [f"{one.request.method} {urlsplit(one.url).path} {one.status}" for one in self.responses]

    def refreshes(self) -> int:
        return len([one for one in self.calls() if one == "POST /api/token/refresh/ 200"])

    def access(self) -> str:
        """The newest access token that this tab was answered with."""
        answers = (one.json() for one in reversed(self.responses) if one.request.method == "POST" and one.ok)
        return str(next(answer["access"] for answer in answers if "access" in answer))

    def wait_until(self, condition: str) -> None:
        self.page.wait_for_function(condition)


class NewVisitor(Protocol):
    def __call__(self, script: str = "") -> "Visitor": ...


class Visitor:
    """Someone's browser, with nothing in it, and its tabs."""

    def __init__(self, context: "BrowserContext", server: Server, origin: str) -> None:
        self.context = context
        self.server = server
        self.origin = origin
        self.tabs: list[Tab] = []

    def tab(self, path: str = "/", origin: str = "") -> Tab:
        self.tabs.append(Tab(self.context, self.server, (origin or self.origin) + path))
        return self.tabs[-1]

    def cookie(self) -> str:
        """The refresh token that the browser keeps for the server, "" for none."""
        kept = [one for one in self.context.cookies(self.server.url) if one.get("name", "").endswith("_refresh")]
        assert len(kept) <= 1
        return str(kept[0]["value"]) if kept else ""


def subject(token: str) -> str:
    return str(unverified_claims(token)["sub"])


def expires(token: str) -> float:
    return float(unverified_claims(token)["exp"])


@contextmanager
def visitors(browser: "Browser", server: Server, origin: str) -> Iterator[NewVisitor]:
    """Makes visitors; when the block ends, no script of a page of theirs may have failed."""
    made: list[Visitor] = []

    def make(script: str = "") -> Visitor:
        made.append(Visitor(browser.new_context(), server, origin))
        if script:
            made[-1].context.add_init_script(script)
        return made[-1]

    try:
        yield make
        assert [crash for one in made for tab in one.tabs for crash in tab.crashes] == []
    finally:
        for one in made:
            one.context.close()
