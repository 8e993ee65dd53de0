"""The docs' examples of an API of one's own, asked by the client from a page of another origin, in Chromium."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.blocks import block
from tests.e2e.client_page import hosting, visitors, write_page
from tests.e2e.page import ADDRESS, filled, tool
from tests.e2e.servers import Server, developing, end, environment, make_checkout, wait_until_listening
from tests.npm import installed
from tests.serving import free_port
from tests.test_verifiers import NODE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

FRONTEND = "http://localhost:5173"  # as the examples write it
HELLO = """(urls) => Promise.all(urls.map((url) => auth.fetch(`${url}/hello/`).then(
  async (response) => [response.status, (await response.json()).you_are],
  (error) => [error.name],
)))"""


@dataclass(frozen=True)
class Example:
    """An API's folder, in which its files say where our server and the frontend are, and its port."""

    folder: Path
    port: int
    here: dict[str, str]

    def write(self, name: str, code: str, *placeholders: str) -> None:
        (self.folder / name).write_text(filled(code, {one: self.here[one] for one in placeholders}))


def flask(example: Example) -> list[str]:
    example.write("api.py", block("README.md", "python", "PyJWKClient"), ADDRESS, FRONTEND)
    return [sys.executable, "-m", "flask", "--app", "api", "run", "--port", str(example.port)]


def fastapi(example: Example) -> list[str]:
    example.write("api.py", block("docs/verifying.md", "python", "fastapi"), ADDRESS, FRONTEND)
    return [sys.executable, "-m", "uvicorn", "api:app", "--port", str(example.port)]


def express(example: Example) -> list[str]:
    example.write("auth.js", block("docs/verifying.md", "js", "jose"), ADDRESS)
    example.write("api.js", block("docs/verifying.md", "js", "express"), FRONTEND, "3000")
    example.write("package.json", '{"type": "module"}')
    (example.folder / "node_modules").symlink_to(installed(NODE))
    return [tool("node"), "api.js"]


@contextmanager
def listening(command: list[str], folder: Path, port: int) -> Iterator[str]:
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(folder, {}), stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_until_listening(port, process, folder / "log")
            yield f"http://localhost:{port}"
        finally:
            end(process)


@contextmanager
def apis(folder: Path, origin: str, auth: str) -> Iterator[list[str]]:
    """The addresses of all three."""
    with ExitStack() as stack:
        urls = []
        for make in (flask, fastapi, express):
            own, port = folder / make.__name__, free_port()
            own.mkdir()
            command = make(Example(own, port, {ADDRESS: auth, FRONTEND: origin, "3000": str(port)}))
            urls.append(stack.enter_context(listening(command, own, port)))
        yield urls


def test_each_example_answers_the_client_on_another_origin_and_tells_an_outage_from_a_bad_token(
    browser: "Browser", tmp_path: Path
) -> None:
    port, checkout, pages = free_port(), make_checkout(tmp_path / "checkout"), tmp_path / "pages"
    pages.mkdir()
    auth = f"http://localhost:{port}"
    with hosting(pages) as origin, apis(tmp_path, origin, auth) as urls:
        write_page(pages / "index.html", auth, apis=urls)
        with visitors(browser, Server(auth, tmp_path), origin) as new_visitor:
            with developing(checkout, {}, port):
                tab = new_visitor().tab()
                assert tab.js(HELLO, urls) == [[401, None]] * 3, "nobody is signed in"
                person = tab.sign_up()["id"]
            assert tab.js(HELLO, urls) == [[503, None]] * 3, "the keys cannot be fetched"
            with developing(checkout, {}, port):
                assert tab.js(HELLO, urls) == [[200, person]] * 3
