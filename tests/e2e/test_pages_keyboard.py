"""All that one does on the hosted pages, by keyboard alone, with JavaScript and without it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e import hosted
from tests.e2e.hosted import NEW, Visit, arrived, mailed
from tests.e2e.servers import Server, call, developing, make_checkout
from tests.e2e.visiting import Visitor, photograph
from tests.factories import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

# What a screen reader would say of what has the focus, roughly.
FOCUSED = """
(({activeElement: one}) => one.id || (one.getAttribute('aria-label') ?? one.textContent).replace(/\\s+/g, ' ').trim())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with developing(make_checkout(tmp_path_factory.mktemp("keyboard") / "checkout"), {}) as server:
        yield server


@pytest.fixture
def visit(browser: "Browser") -> Iterator[Visit]:
    with hosted.visiting(browser) as visit:
        yield visit


class Keyboard:
    """Somebody who has no mouse."""

    def __init__(self, page: "Page", server: Server, scripts: bool) -> None:
        self.page = page
        self.server = server
        self.scripts = scripts

    def tab_to(self, name: str) -> None:
        """To the field of this id, or the button or link whose name begins so."""
        for _ in range(40):
            self.page.keyboard.press("Tab")
            if str(self.page.evaluate(f"{FOCUSED}(document)")).startswith(name):
                return
        pytest.fail(f"no way to {name} by Tab on {self.page.url}")

    def enter(self, name: str = "") -> None:
        """Enter, where the focus is or on the button or link of this name."""
        if name:
            self.tab_to(name)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def fill_in(self, **fields: str) -> None:
        for name, value in fields.items():
            self.tab_to(name)
            self.page.keyboard.press("Control+A")
            self.page.keyboard.type(value)
        self.enter()

    def confirm(self, email: str) -> None:
        """By the link of a mail; without JavaScript its code is typed in."""
        path, _, token = mailed(self.server, "/email/verify", email).partition("#token=")
        self.page.goto(f"{path}#token={token}" if self.scripts else path)
        if self.scripts:
            self.enter("Confirm this address")
        else:
            self.fill_in(token=token)
        arrived(self.page, "Your e‑mail address is confirmed")
        self.enter("Go to your account")

    def told(self, sentence: str) -> None:
        assert self.page.get_by_role("status").inner_text() == sentence


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_an_account_is_made_kept_and_deleted_by_keyboard_alone(
    server: Server, visit: Visit, tmp_path: Path, scripts: bool
) -> None:
    visitor = visit(java_script_enabled=scripts)
    page = visitor.open(f"{server.url}/account")
    keyboard = Keyboard(page, server, scripts)
    email, changed = f"one-{scripts}@example.com".lower(), f"another-{scripts}@example.com".lower()
    sign_up(keyboard, email)
    change_password_and_address(keyboard, changed)
    link_and_unlink(keyboard)
    end_another_session(keyboard, changed)
    assert stored(keyboard, tmp_path)["user"]["email"] == changed
    keyboard.page.goto(f"{server.url}/account")
    keyboard.enter("Sign out")
    keyboard.enter("Sign out")
    arrived(page, "You are signed out")
    keyboard.enter("Sign in again")
    keyboard.fill_in(email=changed, password=NEW)
    arrived(page, "Your account")
    let_an_hour_pass(visitor, server)
    keyboard.enter("Delete your account")
    arrived(page, "Confirm that it's you")
    keyboard.fill_in(password=NEW)
    keyboard.enter("Delete it for good")
    arrived(page, "Your account is deleted")
    visitor.assert_clean()


def test_a_password_is_shown_and_hidden_by_keyboard(server: Server, visit: Visit) -> None:
    visitor = visit()
    page = visitor.open(f"{server.url}/signup")
    keyboard = Keyboard(page, server, scripts=True)
    assert focused(page) == "email"
    keyboard.tab_to("Show the password")
    button = page.get_by_role("button", name="Show the password")
    for key, pressed, kind in (("Enter", "true", "text"), ("Space", "false", "password"), ("Space", "true", "text")):
        page.keyboard.press(key)
        assert button.get_attribute("aria-pressed") == pressed
        assert [page.locator(f"#{name}").get_attribute("type") for name in PASSWORDS] == [kind] * 2
    page.evaluate("document.forms[0].addEventListener('submit', event => event.preventDefault())")
    page.evaluate("document.forms[0].noValidate = true")
    page.locator("#password").press("Enter")
    assert page.locator("#password").get_attribute("type") == "password", "so that no browser keeps it as a text"
    without = visit(java_script_enabled=False).open(f"{server.url}/signup")
    assert not without.get_by_role("button", name="Show the password").is_visible()
    assert without.locator("#invitation").is_visible(), "the only way for an invitation's code without JavaScript"
    visitor.assert_clean()


PASSWORDS = ("password", "password_confirm")


def focused(page: "Page") -> str:
    return str(page.evaluate(f"{FOCUSED}(document)"))


def test_a_double_click_makes_one_account(server: Server, visit: Visit) -> None:
    visitor = visit()
    page = visitor.open(f"{server.url}/signup")
    for name, value in {"email": "double@example.com", **dict.fromkeys(PASSWORDS, PASSWORD)}.items():
        page.locator(f"#{name}").fill(value)
    page.get_by_role("button", name="Make this account").dblclick()
    arrived(page, "Your account")
    assert page.get_by_role("alert").count() == 0
    visitor.assert_clean()


def sign_up(keyboard: Keyboard, email: str) -> None:
    keyboard.enter("Make an account")
    keyboard.fill_in(email=email, password=PASSWORD, password_confirm=PASSWORD, first_name="Ada")
    arrived(keyboard.page, "Your account")
    if keyboard.scripts:
        photograph(keyboard.page, "account-not-confirmed")
    keyboard.confirm(email)
    keyboard.enter("Name")
    keyboard.fill_in(last_name="Lovelace")
    keyboard.told("Your name is saved.")
    assert keyboard.page.get_by_text(f"Ada Lovelace ({email})").is_visible()


def change_password_and_address(keyboard: Keyboard, changed: str) -> None:
    keyboard.enter("Password")
    keyboard.fill_in(current_password=PASSWORD, password=NEW, password_confirm=NEW)
    keyboard.told("Your new password is set, and everybody else is signed out.")
    keyboard.enter("E‑mail address")
    keyboard.fill_in(email=changed)
    keyboard.confirm(changed)
    assert keyboard.page.get_by_text(f"({changed})").is_visible()


def link_and_unlink(keyboard: Keyboard) -> None:
    keyboard.enter("Other ways to sign in")
    keyboard.enter("Link Google")
    keyboard.enter("Continue to Google")
    keyboard.enter("Edsger Dijkstra")
    keyboard.told("Linked: that account signs you in from now on.")
    keyboard.enter("Unlink Google")
    keyboard.told("Unlinked: that account no longer signs you in.")


def end_another_session(keyboard: Keyboard, email: str) -> None:
    body = {"email": email, "password": NEW}
    elsewhere = call("POST", f"{keyboard.server.url}/api/login/", body).body["access"]
    keyboard.page.goto(f"{keyboard.server.url}/account")
    keyboard.enter("Where you are signed in")
    keyboard.enter("Sign out there")
    keyboard.told("Done: nobody is signed in there any more.")
    assert call("GET", f"{keyboard.server.url}/api/me/", bearer=elsewhere).status == 401
    assert keyboard.page.get_by_role("button").count() == 0
    keyboard.page.goto(f"{keyboard.server.url}/account/events")
    happened = keyboard.page.get_by_role("strong").all_inner_texts()
    assert happened[0] == "Signed out"
    assert happened[-1] == "Account made"


def let_an_hour_pass(visitor: Visitor, server: Server) -> None:
    """Whoever signed in before is not fresh any more."""
    ours = {"Origin": server.url}
    assert visitor.context.request.post(f"{server.url}/dev/time", data={"seconds": 3600}, headers=ours).ok


def stored(keyboard: Keyboard, folder: Path) -> dict[str, dict[str, str]]:
    """What the file holds that one is given."""
    keyboard.page.goto(f"{keyboard.server.url}/account")
    keyboard.tab_to("Your data as a file")
    with keyboard.page.expect_download() as download:
        keyboard.page.keyboard.press("Enter")
    download.value.save_as(folder / "account.json")
    found: dict[str, dict[str, str]] = json.loads((folder / "account.json").read_text())
    return found
