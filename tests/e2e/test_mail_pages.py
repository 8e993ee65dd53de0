"""The pages behind the links in mails, in Chromium, followed from the mail that the server shows."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.e2e.hosted import NEW, mailed, reset_link
from tests.e2e.servers import Server, call, developing, make_checkout, sign_up
from tests.factories import PASSWORD, SignedIn

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

VIOLATIONS = """
window.violations = [];
addEventListener('securitypolicyviolation', event => violations.push(event.violatedDirective + ' ' + event.blockedURI));
"""
Open = Callable[..., "Page"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    checkout = make_checkout(tmp_path_factory.mktemp("mails") / "checkout")
    variables = {"AUTHSERVER_APP_URL": "http://localhost:1/app", "AUTHSERVER_APP_NAME": "Acme"}
    with developing(checkout, variables) as server:
        yield server


@pytest.fixture
def person(server: Server) -> SignedIn:
    return sign_up(server)


@pytest.fixture
def new_page(browser: "Browser") -> Iterator[Open]:
    """A page of a new visitor: `new_page(java_script_enabled=False)`."""
    contexts = []

    def make(**options: object) -> "Page":
        contexts.append(browser.new_context(locale="en-GB", **options))  # type: ignore[arg-type]
        contexts[-1].add_init_script(VIOLATIONS)
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        return page

    yield make
    for context in contexts:
        context.close()


def complaints_of(page: "Page") -> list[str]:
    """What goes wrong on the page from here on."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def logs_in(server: Server, person: SignedIn, password: str) -> bool:
    body = {"email": person.user["email"], "password": password}
    return call("POST", f"{server.url}/api/login/", body).status == 200


def focused(page: "Page") -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.tagName"))


def test_a_password_is_reset_by_keyboard_alone(server: Server, person: SignedIn, new_page: Open) -> None:
    page = new_page()
    complaints = complaints_of(page)
    link = reset_link(server, person.user["email"])
    page.goto(link)
    assert page.input_value("#token") == link.partition("#token=")[2]
    assert page.url == f"{server.url}/password/reset"
    assert not page.is_visible("#token")
    assert focused(page) == "password"
    page.keyboard.type(NEW)
    page.keyboard.press("Tab")
    page.keyboard.type(NEW)
    page.keyboard.press("Tab")  # to the button that shows them
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Set this password"
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.get_by_role("heading", name="Your new password is set").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.href") == "http://localhost:1/app"
    assert page.evaluate("violations") == complaints == []
    assert (logs_in(server, person, NEW), logs_in(server, person, PASSWORD)) == (True, False)


def test_a_refused_password_keeps_the_token_and_leads_to_the_field(
    server: Server, person: SignedIn, new_page: Open
) -> None:
    page = new_page()
    page.goto(reset_link(server, person.user["email"]))
    for password, repeated in (("password1", "password1"), (NEW, NEW)):
        page.get_by_label("New password", exact=True).fill(password)
        page.get_by_label("New password again").fill(repeated)
        page.get_by_role("button", name="Set this password").click()
        if password != NEW:
            page.get_by_text("This password is too common.").wait_for()
            assert focused(page) == "password"
            assert not page.is_visible("#token")
    page.get_by_role("heading", name="Your new password is set").wait_for()
    assert page.evaluate("violations") == []
    assert logs_in(server, person, NEW)


def test_without_javascript_the_token_is_pasted(server: Server, person: SignedIn, new_page: Open) -> None:
    page = new_page(java_script_enabled=False, viewport={"width": 360, "height": 640})
    link = reset_link(server, person.user["email"])
    page.goto(link.partition("#")[0])
    assert focused(page) == "token"
    for value in (link.partition("#token=")[2], NEW, NEW):
        page.keyboard.insert_text(value)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Your new password is set").wait_for()
    assert logs_in(server, person, NEW)


def test_the_other_pages_need_two_keys(server: Server, person: SignedIn, new_page: Open) -> None:
    page = new_page(viewport={"width": 360, "height": 640})
    complaints = complaints_of(page)
    email = person.user["email"]
    for path, done in (("/email/verify", "Your e‑mail address is confirmed"), ("/account/recover", "Your account is")):
        if path == "/account/recover":
            body = {"current_password": PASSWORD, "password": NEW, "password_confirm": NEW}
            call("POST", f"{server.url}/api/password/change/", body, person.access)
        page.goto(mailed(server, path, email))
        page.keyboard.press("Tab")
        assert focused(page) == "BUTTON"
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        page.keyboard.press("Enter")
        page.get_by_role("heading", name=done).wait_for()
        assert page.evaluate("violations") == []
    assert complaints == []
    assert not logs_in(server, person, NEW)


def test_an_account_is_made_by_keyboard_from_an_invitations_link(server: Server, new_page: Open) -> None:
    page = new_page(viewport={"width": 360, "height": 640})
    complaints = complaints_of(page)
    page.goto(f"{server.url}/signup#token=a-code")
    assert page.input_value("#invitation") == "a-code"
    assert page.url == f"{server.url}/signup"
    assert not page.is_visible("#invitation")
    assert focused(page) == "email"
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for field, typed in {
        "email": "invited@example.com",
        "password": PASSWORD,
        "password_confirm": PASSWORD,
        "BUTTON": "",  # which shows them
        "first_name": "Ada",
        "last_name": "Lovelace",
    }.items():
        assert focused(page) == field
        page.keyboard.type(typed)
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Make this account"
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Your account", exact=True).wait_for()
    assert page.evaluate("violations") == complaints == []
    body = {"email": "invited@example.com", "password": PASSWORD}
    assert call("POST", f"{server.url}/api/login/", body).status == 200
    page.goto(f"{server.url}/signup")
    assert page.locator("#invitation").count() == 0, "nobody needs one here"


def test_taking_the_code_out_of_the_address_leaves_what_an_application_asked_for(
    server: Server, new_page: Open
) -> None:
    page = new_page()
    query = f"next=http%3A%2F%2Flocalhost%3A1%2F&code_challenge={'a' * 43}"
    page.goto(f"{server.url}/signup?{query}#token=a-code")
    assert page.input_value("#invitation") == "a-code"
    assert page.url == f"{server.url}/signup?{query}"


def test_another_link_in_the_same_tab_takes_the_place_of_the_first(server: Server, new_page: Open) -> None:
    page = new_page()
    page.goto(f"{server.url}/email/verify#token=first")
    page.evaluate("location.hash = '#token=second'")
    page.wait_for_function("document.getElementById('token').value === 'second'")
    assert page.url == f"{server.url}/email/verify"


def test_the_form_of_a_foreign_page_is_refused(server: Server, person: SignedIn, new_page: Open) -> None:
    """Also from an origin that CORS allows, as every loopback one in development."""
    page = new_page()
    link = reset_link(server, person.user["email"])
    page.route(
        "http://localhost:1/",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f'<form method="post" action="{server.url}/password/reset">'
            f'<input name="token" value="{link.partition("#token=")[2]}">'
            f'<input name="password" value="{NEW}"><input name="password_confirm" value="{NEW}">'
            "<button>Win</button></form>",
        ),
    )
    page.goto("http://localhost:1/")
    page.get_by_role("button").click()
    page.get_by_text("This was sent from a page that is not allowed to.").wait_for()
    assert logs_in(server, person, PASSWORD)
