"""The hosted pages in Chromium: a server of theirs, and what a person does on them."""

import base64
import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.e2e.servers import Server, call
from tests.e2e.visiting import Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

VERIFIER = "an-application-keeps-this-to-itself-until-it-redeems"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
NEW = "a new and better password"
Visit = Callable[..., Visitor]
_followed: set[str] = set()


@contextmanager
def visiting(browser: "Browser") -> Iterator[Visit]:
    """Makes visitors with a browser of their own: `visit(java_script_enabled=False)`."""
    contexts = []

    def visit(**options: object) -> Visitor:
        size = {"width": 1280, "height": 800}
        contexts.append(browser.new_context(**{"locale": "en-GB", "viewport": size, **options}))  # type: ignore[arg-type]
        return Visitor(contexts[-1])

    try:
        yield visit
    finally:
        for context in contexts:
            context.close()


class _Application(BaseHTTPRequestHandler):
    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b'<!doctype html><link rel="icon" href="data:,"><title>An application</title>' + self.body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what came, the test reads from the browser."""


@contextmanager
def application(host: str, body: str = "") -> Iterator[str]:
    """An application's pages at a loopback address, until the block ends: `http://[::1]:8001`."""
    handler = type("Application", (_Application,), {"body": body.encode()})
    six = ":" in host
    kind = type("Server", (ThreadingHTTPServer,), {"address_family": socket.AF_INET6 if six else socket.AF_INET})
    with kind(("127.0.0.1" if host == "localhost" else host, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{f'[{host}]' if six else host}:{server.server_port}"
        finally:
            server.shutdown()


def mailed(server: Server, path: str, email: str) -> str:
    """The link to that page in a new mail to the address, which a development server shows in its console."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        mails = [mail for mail in server.log.read_text().split("mail to ") if mail.startswith(email)]
        for link in re.findall(rf"\S+{path}#token=\S+", "".join(mails)):
            if link not in _followed:
                _followed.add(link)
                return str(link)
        time.sleep(0.05)
    pytest.fail(f"no mail to {email} with a link to {path}")


def send(page: "Page", **fields: str) -> None:
    """Fills these fields in and presses the button of their form."""
    for name, value in fields.items():
        page.locator(f"#{name}").fill(value)
    form = page.locator("form").filter(has=page.locator(f"#{next(iter(fields))}"))
    with page.expect_navigation():
        form.locator("button:not([type=button])").click()


def press(page: "Page", name: str) -> None:
    """A button or a link; the first, where there are several of that name."""
    with page.expect_navigation():
        page.locator("button, a").filter(has_text=name).first.click()


def arrived(page: "Page", heading: str) -> None:
    page.get_by_role("heading", name=heading, exact=True).wait_for()


def reset_link(server: Server, email: str) -> str:
    call("POST", f"{server.url}/api/password/forgot/", {"email": email})
    return mailed(server, "/password/reset", email)
