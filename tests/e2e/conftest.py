"""The documented page's own code, run against servers that are started as the documents say."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.client_page import NewVisitor, visitors
from tests.e2e.frontend import NewVisit, visits
from tests.e2e.page import missing, tool
from tests.e2e.servers import Server, make_checkout

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE ::1",
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make_checkout(tmp_path / "checkout")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    chromium = tool("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        missing("playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def new_visit(browser: "Browser") -> Iterator[NewVisit]:
    with visits(browser) as new_visit:
        yield new_visit


@pytest.fixture
def new_visitor(browser: "Browser", server: Server, origin: str) -> Iterator[NewVisitor]:
    """Of the test's own `server` and `origin`; a script that is given runs before a page's own."""
    with visitors(browser, server, origin) as make:
        yield make
