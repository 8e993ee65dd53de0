"""The client in Chromium where the page may store nothing: cookies are blocked, or a frame is sandboxed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.client_page import PATIENCE, Recorder, Tab, hosting, recording, write_page
from tests.e2e.conftest import CHROMIUM
from tests.e2e.page import tool
from tests.e2e.servers import Server, developing, make_checkout
from tests.factories import signup_body

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Frame, Page

pytestmark = pytest.mark.browser

BLOCKING = {"profile": {"default_content_setting_values": {"cookies": 2}}}  # Chromium's "block all cookies"
REFUSED = """() => Promise.all([
  (async () => sessionStorage)(), (async () => localStorage)(), navigator.locks.request('x', () => {}),
].map((one) => one.then(() => 'allowed', (error) => error.name)))"""
# The API refuses the first request that it gets, so that the client renews its token at once.
SIGN_IN = """async ([person, api]) => {
  const seen = { start: auth.user, warned: auth.error.code };
  seen.signedUp = (await auth.signup(person)).email;
  seen.error = auth.error;
  seen.me = (await (await auth.fetch('/api/me/')).json()).email;
  seen.renewed = (await auth.fetch(api)).status;
  seen.redirect = await auth.signIn().catch(({ name, code, message }) => [name, code, message]);
  await auth.logout();
  seen.left = [auth.user, (await auth.fetch('/api/me/')).status];
  seen.again = (await auth.login(person)).email;
  return seen;
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A frame without an origin is allowed by `*` alone, which gives no cookies to anybody."""
    checkout = make_checkout(tmp_path_factory.mktemp("blocked") / "checkout")
    variables = {"AUTHSERVER_CORS_ORIGINS": "*", "AUTHSERVER_REFRESH_ROTATION": "true"}
    with developing(checkout, variables) as server:
        yield server


@pytest.fixture
def api() -> Iterator[Recorder]:
    with recording() as recorder:
        recorder.refuses = lambda path: len(recorder.tokens) == 1
        yield recorder


@pytest.fixture(scope="module")
def blocking(browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator["BrowserContext"]:
    profile = tmp_path_factory.mktemp("profile")
    (profile / "Default").mkdir()
    (profile / "Default" / "Preferences").write_text(json.dumps(BLOCKING))
    launch = browser.browser_type.launch_persistent_context
    with launch(profile, executable_path=tool("chromium"), args=CHROMIUM) as context:
        yield context


def assert_signed_in_in_memory(page: "Page | Frame", api: Recorder) -> None:
    page.wait_for_function("window.auth", timeout=PATIENCE)
    page.evaluate("() => auth.ready")
    assert page.evaluate(REFUSED) == ["SecurityError"] * 3
    person = signup_body()
    seen: dict[str, Any] = page.evaluate(SIGN_IN, [person, api.url])
    name, code, message = seen.pop("redirect")
    assert (name, code) == ("AuthError", "storage_blocked")
    assert message.startswith("This browser blocks cookies and storage for this page")
    assert seen == {
        "start": None,
        "warned": "storage_blocked",
        "signedUp": person["email"],
        "error": None,
        "me": person["email"],
        "renewed": 200,
        "left": [None, 401],
        "again": person["email"],
    }
    first, second = (token for _, token in api.tokens)
    assert first
    assert second
    assert first != second


def test_with_all_cookies_blocked_a_sign_in_lasts_as_long_as_the_page(
    blocking: "BrowserContext", server: Server, api: Recorder, tmp_path: Path
) -> None:
    write_page(tmp_path / "index.html", server.url, apis=[api.url])
    with hosting(tmp_path) as origin:
        tab = Tab(blocking, server, origin)
        assert_signed_in_in_memory(tab.page, api)
        assert tab.crashes == []
        assert blocking.cookies() == []
        tab.reload()
        assert tab.user() is None
        assert tab.js("() => auth.error.code") == "storage_blocked"
        assert tab.crashes == []


def test_in_a_sandboxed_frame_a_sign_in_lasts_as_long_as_the_frame(
    browser: "Browser", server: Server, api: Recorder, tmp_path: Path
) -> None:
    write_page(tmp_path / "index.html", server.url, apis=[api.url])
    (tmp_path / "around.html").write_text('<!doctype html><iframe sandbox="allow-scripts" src="/"></iframe>')
    with hosting(tmp_path) as origin, browser.new_context() as context:
        page = context.new_page()
        crashes: list[str] = []
        page.on("pageerror", lambda error: crashes.append(str(error)))
        page.goto(f"{origin}/around.html")
        frame = page.frames[1]
        assert frame.evaluate("() => origin") == "null"
        assert_signed_in_in_memory(frame, api)
        assert crashes == []
