"""The page's complete React example, clicked through in Chromium, with stand-ins for the three providers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from authserver.testing import standins as providers
from authserver.testing.standins import Person, StandIns
from tests.e2e.page import ADDRESS, filled
from tests.e2e.react_site import Site, as_module, build, example, serving
from tests.e2e.servers import developing, make_checkout, sign_up, wait_until_expired
from tests.factories import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

pytestmark = pytest.mark.browser

SIGN_UP = ("grace@example.com", PASSWORD, "Grace", "Hopper")
EMAIL = "ada@example.com"
PEOPLE = {
    "Google": Person(subject="1001", email="alan@gmail.com", email_verified=True, first_name="Alan"),
    "Facebook": Person(subject="1002", email="barbara@example.com", first_name="Barbara"),
    "Microsoft": Person(subject="1003", email="donald@example.com", first_name="Donald"),
}
PATIENCE = 20_000  # milliseconds
# Playwright's own routes would answer the preflights themselves, and these are the server's to answer.
HOLD_PROFILE = """
const send = window.fetch;
const released = new Promise(release => { window.releaseProfile = release; });
window.fetch = async (url, options) => {
  if (url.endsWith('/api/me/')) await released;
  return send(url, options);
};
"""


@pytest.fixture(scope="module")
def standins() -> Iterator[StandIns]:
    with providers.serve() as standins:
        yield standins


@contextmanager
def site_of(folder: Path, standins: StandIns, **settings: str) -> Iterator[Site]:
    """The example, built for a server of its own that has one person with a password, Ada."""
    code = example()
    placeholders = {
        "GOOGLE_TOKEN": standins.google.token(PEOPLE["Google"]),
        "FACEBOOK_TOKEN": standins.facebook.token(PEOPLE["Facebook"]),
        "MICROSOFT_TOKEN": standins.microsoft.token(PEOPLE["Microsoft"]),
        "'[email\u00a0protected]'": f"'{EMAIL}'",  # with the no-break space that the page has
        "'password'": f"'{PASSWORD}'",
    }
    with developing(make_checkout(folder / "checkout"), standins.variables() | settings) as server:
        sign_up(server, email=EMAIL, first_name="Ada")
        build(folder, as_module(filled(code, {ADDRESS: server.url, **placeholders}), SIGN_UP))
        with serving(folder, server) as site:
            yield site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, standins: StandIns) -> Iterator[Site]:
    with site_of(tmp_path_factory.mktemp("site"), standins) as site:
        yield site


def is_profile(message: "ConsoleMessage") -> bool:
    return message.text.startswith("Profile:")


class Visit:
    """One visitor's page, and all that went over the wire and to the console meanwhile."""

    def __init__(self, page: "Page", site: Site) -> None:
        self.page = page
        self.site = site
        self.messages: list[ConsoleMessage] = []
        self.crashes: list[str] = []
        self.requests: list[Request] = []
        self.responses: list[Response] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: self.messages.append(message))
        page.on("pageerror", lambda error: self.crashes.append(str(error)))
        page.on("request", lambda request: self.requests.append(request))
        page.on("response", lambda response: self.responses.append(response))

    def click(self, button: str) -> None:
        self.page.get_by_role("button", name=button, exact=True).click()

    def sign_in(self, button: str) -> dict[str, Any]:
        """Clicks the button and returns the profile that the example then logs."""
        with self.page.expect_console_message(is_profile) as logged:
            self.click(button)
        profile: dict[str, Any] = logged.value.args[1].json_value()
        return profile

    def profiles(self) -> list[dict[str, Any]]:
        return [message.args[1].json_value() for message in filter(is_profile, self.messages)]

    def complaints(self) -> list[str]:
        return [message.text for message in self.messages if message.type in ("error", "warning")]

    def welcomes(self, first_name: str, email: str) -> bool:
        self.page.get_by_role("heading", name=f"Welcome, {first_name}!").wait_for()
        return self.page.get_by_text(f"Email: {email}", exact=True).is_visible()

    def answers(self) -> "list[Response]":
        return [response for response in self.responses if response.url.startswith(self.site.server.url)]

    def calls(self) -> list[str]:
        return [f"{one.request.method} {urlsplit(one.url).path} {one.status}" for one in self.answers()]

    def statuses(self, token: str) -> list[int]:
        """What was answered to the requests that carried this access token."""
        return [one.status for one in self.answers() if one.request.headers.get("authorization") == f"Bearer {token}"]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        for _ in range(PATIENCE // 50):
            if condition():
                return
            self.page.wait_for_timeout(50)
        pytest.fail(f"waited in vain; the calls so far: {self.calls()}")

    def assert_clean(self, refused: int = 0) -> None:
        """Nothing went wrong but as many 401s as are expected, which Chromium reports as errors too."""
        complaints = self.complaints()
        assert len(complaints) == refused, complaints
        assert all("the server responded with a status of 401" in complaint for complaint in complaints), complaints
        assert self.crashes == []
        assert {urlsplit(request.url).hostname for request in self.requests} == {"localhost"}
        for answer in self.answers():
            assert answer.all_headers()["access-control-allow-origin"] == self.site.origin, answer.url


@pytest.fixture
def visit(browser: "Browser") -> Iterator[Callable[..., Visit]]:
    """Opens a site as a new visitor: `visit(site)`, with a script that runs before the site's own if one is given."""
    contexts = []

    def open_site(site: Site, script: str = "") -> Visit:
        contexts.append(browser.new_context())
        page = contexts[-1].new_page()
        if script:
            page.add_init_script(script)
        visit = Visit(page, site)
        page.goto(site.origin)
        return visit

    yield open_site
    for context in contexts:
        context.close()


def test_signing_up_signs_in(site: Site, visit: Callable[..., Visit]) -> None:
    visitor = visit(site)
    profile = visitor.sign_in("Sign up")
    assert visitor.welcomes("Grace", "grace@example.com")
    assert (profile["email"], profile["first_name"], profile["last_name"]) == ("grace@example.com", "Grace", "Hopper")
    assert visitor.calls() == ["POST /api/signup/ 201", "GET /api/me/ 200"]
    visitor.assert_clean()


def test_signing_in_with_email_fetches_the_profile(site: Site, visit: Callable[..., Visit]) -> None:
    visitor = visit(site)
    profile = visitor.sign_in("Sign in with Email")
    assert visitor.welcomes("Ada", EMAIL)
    assert (profile["email"], profile["first_name"]) == (EMAIL, "Ada")
    assert visitor.calls() == ["POST /api/login/ 200", "GET /api/me/ 200"]
    visitor.assert_clean()


@pytest.mark.parametrize("provider", PEOPLE)
def test_signing_in_with_a_provider_fetches_the_profile(site: Site, visit: Callable[..., Visit], provider: str) -> None:
    person = PEOPLE[provider]
    visitor = visit(site)
    profile = visitor.sign_in(f"Sign in with {provider}")
    assert visitor.welcomes(person.first_name, person.email or "")
    assert (profile["email"], profile["first_name"]) == (person.email, person.first_name)
    assert visitor.calls() == [f"POST /api/auth/{provider.lower()}/ 200", "GET /api/me/ 200"]
    visitor.assert_clean()


def test_logging_out_leads_back_to_the_sign_in_buttons(site: Site, visit: Callable[..., Visit]) -> None:
    visitor = visit(site)
    visitor.sign_in("Sign in with Email")
    visitor.click("Logout")
    visitor.page.get_by_role("button", name="Sign in with Email").wait_for()
    assert visitor.page.get_by_role("button").count() == 5
    assert visitor.messages[-1].text == "Logged out successfully"
    visitor.assert_clean()


def test_an_expired_token_is_refreshed_silently(
    tmp_path: Path, standins: StandIns, visit: Callable[..., Visit]
) -> None:
    """The example asks for the profile once it has a new token, so that request is held back until it has expired."""
    with site_of(tmp_path, standins, AUTHSERVER_ACCESS_TOKEN_LIFETIME="3") as site:
        visitor = visit(site, HOLD_PROFILE)
        with visitor.page.expect_response(f"{site.server.url}/api/login/") as login:
            visitor.click("Sign in with Email")
        old = login.value.json()["access"]
        wait_until_expired(old)
        with visitor.page.expect_response(f"{site.server.url}/api/token/refresh/") as refresh:
            visitor.page.evaluate("releaseProfile()")
        visitor.wait_until(lambda: len(visitor.profiles()) == 2 and len(visitor.complaints()) == 2)

        # The retry still carries the old token, which the example's closure holds; the new one asks on its own.
        assert visitor.calls()[:3] == ["POST /api/login/ 200", "GET /api/me/ 401", "POST /api/token/refresh/ 200"]
        assert sorted(visitor.calls()[3:]) == ["GET /api/me/ 200", "GET /api/me/ 401"]
        assert visitor.statuses(old) == [401, 401]
        assert visitor.statuses(refresh.value.json()["access"]) == [200]
        assert sorted(one.get("email", "none") for one in visitor.profiles()) == [EMAIL, "none"]
        assert visitor.welcomes("Ada", EMAIL)
        visitor.assert_clean(refused=2)
