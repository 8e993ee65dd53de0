"""A frontend on an origin of its own, which signs in by redirect with the JavaScript of docs/endpoints.md."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from tests.blocks import block
from tests.e2e.react_site import Site, serving
from tests.e2e.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Cookie, Page, Request

FRONTEND = Path(__file__).with_name("frontend")
PATIENCE = 20_000  # milliseconds


def documented_script() -> str:
    return block("docs/endpoints.md", "js", "export async function begin(")


@contextmanager
def frontend(folder: Path, server: Server) -> Iterator[Site]:
    shutil.copytree(FRONTEND, folder)
    (folder / "redirect.js").write_text(documented_script(), "utf-8")
    (folder / "server.js").write_text(f"export const server = {json.dumps(server.url)};\n", "utf-8")
    with serving(folder, server) as site:
        yield site


class Visit:
    """One tab of a visitor's, and what it asked for over the wire."""

    def __init__(self, context: "BrowserContext", site: Site) -> None:
        self.context = context
        self.site = site
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.requests: list[Request] = []
        self.crashes: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request))
        self.page.on("pageerror", lambda error: self.crashes.append(str(error)))

    def open(self) -> None:
        self.page.goto(f"{self.site.origin}/")

    def click(self, button: str) -> None:
        self.page.get_by_role("button", name=button, exact=True).click()

    def begin(self, provider: str) -> None:
        """From the frontend to the provider's page, or back at once where nobody is asked."""
        self.open()
        self.click(f"Sign in with {provider}")

    def outcome(self) -> dict[str, Any]:
        """What the frontend made of it, once the browser is back there and nothing of it is left in the address."""
        self.page.wait_for_url(f"{self.site.origin}/")
        self.page.wait_for_function("document.getElementById('outcome').textContent")
        outcome: dict[str, Any] = json.loads(self.page.inner_text("#outcome"))
        assert self.page.url == f"{self.site.origin}/"
        assert self.page.evaluate("sessionStorage.length") == 0
        assert self.crashes == []
        return outcome

    def signed_in(self) -> dict[str, Any]:
        """Who is signed in, as the exchange says and /api/me/ with the token that came of it."""
        outcome = self.outcome()
        assert outcome.get("user"), outcome
        assert outcome["user"] == outcome["me"]
        return outcome

    def callback(self) -> "Request":
        """The request with which the provider's answer came last."""
        return [one for one in self.requests if urlsplit(one.url).path.endswith("/callback/")][-1]

    def came_back_with(self) -> dict[str, str]:
        """What stood in the frontend's address when the browser came back last."""
        queries = [urlsplit(one.url).query for one in self.requests if one.url.startswith(f"{self.site.origin}/?")]
        return dict(parse_qsl(queries[-1], strict_parsing=True))

    def referers(self) -> list[str]:
        return [one.all_headers().get("referer", "") for one in self.requests]

    def server_cookies(self) -> "list[Cookie]":
        """Those that the server has set, and those of localhost's other ports, which share them."""
        return [cookie for cookie in self.context.cookies() if cookie.get("domain") == "localhost"]


NewVisit = Callable[[Site], Visit]


@contextmanager
def visits(browser: "Browser") -> Iterator[NewVisit]:
    """Makes tabs, each a new visitor's."""
    contexts: list[BrowserContext] = []

    def make(site: Site) -> Visit:
        contexts.append(browser.new_context(locale="en-GB"))
        return Visit(contexts[-1], site)

    yield make
    for context in contexts:
        context.close()
