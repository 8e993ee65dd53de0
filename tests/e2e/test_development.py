"""The first minute: what `authserver dev` shows, in Chromium, with no account anywhere and no network."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from authserver.dev.people import PASSWORD, PEOPLE
from tests.e2e.servers import Server, call, developing, make_checkout
from tests.e2e.visiting import Visitor, barriers, photograph

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

PROVIDERS = ("google", "facebook", "microsoft", "github", "apple", "gitlab", "discord", "linkedin", "acme")
Visit = Callable[[], Visitor]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with developing(make_checkout(tmp_path_factory.mktemp("development") / "checkout"), {}) as server:
        yield server


@pytest.fixture
def visit(browser: "Browser") -> Iterator[Visit]:
    contexts = []

    def arrive() -> Visitor:
        contexts.append(browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 800}))
        return Visitor(contexts[-1])

    yield arrive
    for context in contexts:
        context.close()


@pytest.fixture
def visitor(visit: Visit) -> Visitor:
    return visit()


@pytest.fixture
def home(server: Server, visitor: Visitor) -> "Page":
    return visitor.open(f"{server.url}/")


def wait_for_said(page: "Page", text: str) -> None:
    page.locator("#said").filter(has_text=text).wait_for()


def press(page: "Page", button: str) -> None:
    page.get_by_role("button", name=button).click()


def log_in(page: "Page", email: str = PEOPLE[0].email) -> None:
    press(page, email)
    wait_for_said(page, "Signed in with a password")


def calls(page: "Page") -> list[str]:
    """What the page shows as said, the first one first."""
    return page.locator("#log summary").all_text_contents()[::-1]


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_signs_in_from_the_home_page(server: Server, visitor: Visitor, home: "Page", name: str) -> None:
    home.locator(f"[data-provider={name}]").click()
    press(home, "Ada Lovelace")
    wait_for_said(home, "as Ada Lovelace.")
    assert home.url == f"{server.url}/", "the code is out of the address"
    assert calls(home) == ["POST /api/auth/exchange/ 200"]
    assert '"type": "access"' in (home.text_content("#access-claims") or "")
    assert "left" in (home.text_content("#refresh-left") or "")
    visitor.assert_clean()


@pytest.mark.parametrize(
    ("person", "said"),
    [("Donald Knuth", "access_denied"), ("Alan Turing", "provider_token_not_valid"), ("Mallory", "account_exists")],
)
def test_what_a_provider_can_do_wrong_is_said(visitor: Visitor, home: "Page", person: str, said: str) -> None:
    home.locator("[data-provider=google]").click()
    press(home, person)
    wait_for_said(home, f"({said})")
    visitor.assert_clean()


def test_signing_up_brings_a_mail_whose_link_confirms_the_address(
    server: Server, visitor: Visitor, home: "Page"
) -> None:
    mailbox = visitor.open(f"{server.url}/mailbox")
    before = mailbox.locator("article").count()
    home.get_by_label("E-mail address").nth(1).fill("mary@example.com")
    home.locator("#sign-up-password").fill("somerville 1780")
    home.get_by_label("First name").fill("Mary")
    press(home, "Sign up")
    wait_for_said(home, "Signed in with a new account as Mary.")
    mail = mailbox.locator("article.new").filter(has_text="mary@example.com")  # by itself, without a reload
    mail.wait_for()
    assert mailbox.locator("article").count() == before + 1
    mail.get_by_text("As HTML").click()
    link = mail.frame_locator("iframe").get_by_role("link")
    with visitor.context.expect_page() as opened:
        link.click()
    opened.value.get_by_role("button", name="Confirm this address").click()
    opened.value.get_by_role("heading", name="Your e‑mail address is confirmed").wait_for()
    press(home, "Who am I?")
    home.locator("#log .answer").first.filter(has_text='"email_verified": true').wait_for()
    visitor.assert_clean()


def test_an_hour_passes_in_a_click_and_the_token_comes_back(visitor: Visitor, home: "Page") -> None:
    log_in(home)
    old = home.input_value("#access-text")
    press(home, "Let an hour pass")
    home.locator("#access-left").filter(has_text="expired").wait_for()
    press(home, "Who am I?")
    wait_for_said(home, "The access token had expired: it was refreshed, and the question asked again. You are Ada")
    assert calls(home)[-3:] == ["GET /api/me/ 401", "POST /api/token/refresh/ 200", "GET /api/me/ 200"]
    assert home.input_value("#access-text") != old
    press(home, "Let a day pass")
    wait_for_said(home, "a day later")
    press(home, "Who am I?")
    wait_for_said(home, "Sign in again.")
    assert home.get_by_role("button", name="Who am I?").is_disabled()
    log_in(home)
    assert float(home.get_attribute("#access-bar", "value") or 0) > 0.9
    press(home, "Back to now")
    wait_for_said(home, "It is now again.")
    assert home.get_by_role("button", name="Back to now").is_disabled()
    press(home, "Who am I?")
    wait_for_said(home, "You are Ada")
    visitor.assert_clean(401, 401, 401)


def test_logging_out_ends_the_session(server: Server, visitor: Visitor, home: "Page") -> None:
    log_in(home)
    access = home.input_value("#access-text")
    press(home, "Log out")
    wait_for_said(home, "Logged out")
    assert call("GET", f"{server.url}/api/me/", bearer=access).status == 401
    visitor.assert_clean()


def test_the_request_that_is_shown_is_one_that_curl_can_send(visitor: Visitor, home: "Page") -> None:
    log_in(home)
    curl = home.locator("#log .curl").first.text_content() or ""
    assert curl.startswith("curl -i http://localhost:")
    assert f'"password":"{PASSWORD}"' in curl
    visitor.assert_clean()


def test_a_client_token_of_each_offline_provider_signs_in(visitor: Visitor, home: "Page") -> None:
    for name, kind in (("google", "access_token"), ("facebook", "access_token"), ("microsoft", "id_token")):
        home.select_option("#client-provider", name)
        home.select_option("#client-kind", kind)
        home.select_option("#client-person", label="Edsger Dijkstra, no e-mail address")
        press(home, "Make one")
        wait_for_said(home, "'s stand-in.")
        assert len(home.input_value("#client-text")) > 50
        press(home, "Sign in with it")
        wait_for_said(home, f"{kind} as Edsger")
    visitor.assert_clean()


def test_the_page_is_used_by_keyboard_alone(visitor: Visitor, home: "Page") -> None:
    def tab_to(element: str) -> None:
        for _ in range(60):
            home.keyboard.press("Tab")
            if home.evaluate("document.activeElement.id || document.activeElement.textContent.trim()") == element:
                return
        pytest.fail(f"no way to {element} by Tab")

    tab_to("log-in-email")
    home.keyboard.press("Enter")
    wait_for_said(home, "Signed in with a password as Ada Lovelace.")
    tab_to("me")
    home.keyboard.press("Enter")
    wait_for_said(home, "You are Ada Lovelace.")
    tab_to("log-out")
    home.keyboard.press("Enter")
    wait_for_said(home, "Logged out")
    visitor.assert_clean()


def test_the_pages_look_as_they_should(server: Server, visitor: Visitor, home: "Page") -> None:
    """To be looked at: SCREENSHOTS names a folder to keep them in."""
    photograph(home, "home")
    log_in(home)
    home.select_option("#client-provider", "google")
    press(home, "Make one")
    wait_for_said(home, "'s stand-in.")
    press(home, "Who am I?")
    wait_for_said(home, "You are Ada")
    photograph(home, "home-signed-in")
    call("POST", f"{server.url}/api/password/forgot/", {"email": PEOPLE[0].email})
    mailbox = visitor.open(f"{server.url}/mailbox")
    mailbox.locator("article").first.get_by_text("As HTML").click()
    mailbox.locator("article").first.frame_locator("iframe").get_by_role("link").wait_for()
    photograph(mailbox, "mailbox")
    home.locator("[data-provider=google]").click()
    home.get_by_role("button", name="Cancel").wait_for()
    photograph(home, "stand-in")
    home.goto(f"{server.url}/")
    with visitor.context.expect_page() as opened:
        home.get_by_role("link", name="Docs").click()
    for document in ("Frontend", "Settings", "Providers"):
        opened.value.get_by_role("link", name=document).first.click()
        opened.value.get_by_role("heading", name=document, level=1).wait_for()
        photograph(opened.value, f"docs-{document.lower()}")
        opened.value.get_by_role("link", name="All documents").click()
    visitor.assert_clean()


def test_a_barrier_is_found_where_there_is_one(visitor: Visitor) -> None:
    """Else the test above might be blind."""
    page = visitor.context.new_page()
    page.set_content("<title>A page</title><main><h1>A page</h1><input></main>")
    assert [one.partition(":")[0] for one in barriers(page)] == ["html-has-lang", "label"]
