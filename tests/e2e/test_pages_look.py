"""How every hosted page looks, and whether anything on it is in somebody's way.

To be looked at: SCREENSHOTS names a folder to keep the pictures in.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from authserver.dev.people import PASSWORD, PEOPLE
from tests.e2e import hosted
from tests.e2e.hosted import CHALLENGE, NEW, Visit, arrived, mailed, press, reset_link, send
from tests.e2e.servers import Server, call, developing, make_checkout
from tests.e2e.visiting import photograph

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

FIRST = "a good long password"

ADA, GRACE = PEOPLE[0].email, PEOPLE[1].email
ACCOUNT = ("", "profile", "password", "email", "identities", "sessions", "events", "confirm", "delete")
APPLICATION = f"?next=http://localhost:1/signed-in&code_challenge={CHALLENGE}&state=x"
PRIVATE = "com.example.application:/signed-in"
LONG = "Wolfeschlegelsteinhausenbergerdorff"
NO_BROWSER = "ExampleApplication/4.2.1 (" + "build_" * 35 + ")"
VARIABLES = {
    "AUTHSERVER_APP_NAME": "Acme",
    "AUTHSERVER_APP_URL": "http://localhost:1/app",
    "AUTHSERVER_EMAIL_VERIFICATION": "required",
    "AUTHSERVER_REDIRECT_URLS": PRIVATE,
    "AUTHSERVER_RATE_LIMIT_LOGIN_ACCOUNT": "9 per hour",
    "AUTHSERVER_RATE_LIMIT_PROVIDER_ADDRESS": "9 per hour",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with developing(make_checkout(tmp_path_factory.mktemp("look") / "checkout"), VARIABLES) as server:
        yield server


@pytest.fixture
def visit(browser: "Browser") -> Iterator[Visit]:
    with hosted.visiting(browser) as visit:
        yield visit


def test_pages_for_people_who_are_not_signed_in(server: Server, visit: Visit) -> None:
    visitor = visit()
    page = visitor.open(f"{server.url}/signin")
    photograph(page, "signin")
    page.locator("#password").fill("shown for once")
    page.get_by_role("button", name="Show the password").click()
    photograph(page, "signin-password-shown")
    send(page, email="ada@nowhere", password="x")
    photograph(page, "signin-error")
    page.goto(f"{server.url}/signin{APPLICATION}")
    send(page, email=ADA, password="wrong")
    photograph(page, "signin-application-wrong")
    send(page, email=GRACE, password=PASSWORD)
    photograph(page, "signin-not-confirmed")
    press(page, "Google")
    press(page, "Mallory")
    photograph(page, "signin-account-exists")
    page.goto(f"{server.url}/signup{APPLICATION}")
    photograph(page, "signup")
    send(page, email="new@example.com", password="short", password_confirm="other")
    photograph(page, "signup-error")
    send(page, email="new@example.com", password=NEW, password_confirm=NEW)
    arrived(page, "Confirm your e‑mail address")
    photograph(page, "signup-pending")
    for path, name in (("password/forgot", "forgot"), ("email/resend", "resend")):
        page.goto(f"{server.url}/{path}")
        photograph(page, name)
        send(page, email="ada@nowhere")
        photograph(page, f"{name}-error")
        send(page, email="new@example.com")
        photograph(page, f"{name}-done")
    page.goto(f"{server.url}/signout")
    photograph(page, "signed-out")
    visitor.assert_clean(400, 401, 403, 403, 400, 400, 400)


def test_pages_of_ones_account(server: Server, visit: Visit) -> None:
    visitor = visit()
    for agent in (NO_BROWSER, "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) Version/26.0 Safari/605.1.15"):
        body = {"email": ADA, "password": PASSWORD}
        visitor.context.request.post(f"{server.url}/api/login/", data=body, headers={"User-Agent": agent})
    page = visitor.open(f"{server.url}/account")
    send(page, email=ADA, password=PASSWORD)
    for name in ACCOUNT:
        page.goto(f"{server.url}/account/{name}")
        photograph(page, f"account-{name}".rstrip("-"))
    page.goto(f"{server.url}/account/password")
    send(page, current_password="wrong", password=NEW, password_confirm=NEW)
    photograph(page, "account-password-error")
    page.goto(f"{server.url}/account/email")
    send(page, email="nowhere@nowhere")
    photograph(page, "account-email-error")
    page.goto(f"{server.url}/account/profile")
    send(page, first_name=LONG, last_name=LONG)
    photograph(page, "account-saved")
    page.goto(f"{server.url}/account/identities")
    press(page, "Google")
    photograph(page, "account-link")
    press(page, "Continue to Google")
    press(page, "Edsger")
    photograph(page, "account-linked")
    press(page, "GitHub")
    press(page, "Continue to GitHub")
    press(page, "Cancel")
    photograph(page, "account-link-declined")
    page.goto(f"{server.url}/account/confirm?then=email")
    send(page, password="wrong")
    photograph(page, "account-confirm-error")
    page.goto(f"{server.url}/signin{APPLICATION}")
    photograph(page, "signin-again")
    page.goto(f"{server.url}/signin?next={PRIVATE}&code_challenge={CHALLENGE}")
    press(page, "Continue as")
    photograph(page, "onward")
    page.goto(f"{server.url}/signout?next=http://localhost:1/")
    photograph(page, "signout")
    page.goto(f"{server.url}/signout?next={PRIVATE}")
    press(page, "Sign out")
    photograph(page, "signed-out-private")
    visitor.assert_clean(400, 400, 401, 400)


def test_pages_of_who_has_neither_address_nor_password(server: Server, visit: Visit) -> None:
    visitor = visit()
    page = visitor.open(f"{server.url}/signin")
    press(page, "GitHub")
    press(page, "Edsger")
    for name in ("", "password", "confirm", "identities"):
        page.goto(f"{server.url}/account/{name}")
        photograph(page, f"provider-only-{name}".rstrip("-"))
    press(page, "Unlink GitHub")
    page.get_by_role("alert").filter(has_text="Nothing else would let you in").wait_for()
    photograph(page, "provider-only-unlink")
    visitor.assert_clean(409)


def test_pages_behind_the_links_of_mails(server: Server, visit: Visit) -> None:
    visitor = visit()
    email = f"{'long.' * 11}address@{'subdomain.' * 6}example.com"
    body = {"email": email, "password": FIRST, "password_confirm": FIRST}
    call("POST", f"{server.url}/api/signup/", body)
    page = visitor.open(mailed(server, "/email/verify", email))
    photograph(page, "verify")
    press(page, "Confirm this address")
    photograph(page, "verified")
    page.goto(f"{server.url}/email/verify")
    send(page, token="spent")
    photograph(page, "verify-error")
    page.goto(reset_link(server, email))
    photograph(page, "reset")
    send(page, password="password1", password_confirm="password1")
    photograph(page, "reset-error")
    send(page, password=NEW, password_confirm=NEW)
    photograph(page, "reset-done")
    page.goto(mailed(server, "/account/recover", email))
    photograph(page, "recover")
    press(page, "Secure my account")
    photograph(page, "recovered")
    page.goto(mailed(server, "/password/reset", email))
    send(page, password=FIRST, password_confirm=FIRST)
    page.goto(f"{server.url}/account")
    send(page, email=email, password=FIRST)
    photograph(page, "account-long-address")
    page.goto(f"{server.url}/account/delete")
    press(page, "Delete it")
    arrived(page, "Your account is deleted")
    photograph(page, "account-deleted")
    visitor.assert_clean(400, 400)


def test_pages_of_refusals(server: Server, visit: Visit) -> None:
    visitor = visit()
    page = visitor.open(f"{server.url}/signin?next=https://elsewhere.example&code_challenge={CHALLENGE}")
    photograph(page, "error-400")
    page.goto(f"{server.url}/signin/nobody")
    photograph(page, "error-404")
    page.goto(f"{server.url}/account/nothing")
    photograph(page, "error-account-404")
    press(page, "Go to your account")
    arrived(page, "Sign in")
    page.goto(f"{server.url}/nope")
    photograph(page, "missing")
    page.goto(f"{server.url}/standins/google/o/oauth2/v2/auth?client_id=nobody")
    photograph(page, "stand-in-error")
    while visitor.refused[-1] != 429:
        page.goto(f"{server.url}/signin")
        press(page, "Google")
    photograph(page, "error-429")
    form = f'<form method="post" action="{server.url}/signin"><input name="email"><button>Win</button></form>'
    with hosted.application("localhost", form) as foreign:
        page.goto(foreign)
        press(page, "Win")
    photograph(page, "error-403")
    visitor.assert_clean(400, 404, 404, 404, 400, 429, 403)
