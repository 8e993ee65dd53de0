"""The page behind an invitation's link where the hosted pages are off: the sign-up of the API, and no session.

What it does with the pages, a sign-in included, is in `test_signin_page.py`; its rules are the same.
"""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from authserver import errors
from authserver.accounts.invitations import invite as make_invitation
from authserver.accounts.invitations import revoke
from authserver.emails.outbox import claim_due
from authserver.extensions import db
from authserver.models import Session, User
from tests.conftest import PUBLIC_URL, MakeApp
from tests.deferred import finish
from tests.factories import PASSWORD, assert_error, log_in, sign_up
from tests.test_pages import ALLOWED, BROWSER, NEW, OURS, assert_page, send

EMAIL = "ada@example.com"
REFUSED = errors.CODES["signup_not_allowed"][1]
MADE = "<h1>Your account is made</h1>"
MAILED = "A mail with a link is on its way: confirm your address, then sign in."


@pytest.fixture
def make_app(make_app: MakeApp) -> MakeApp:
    return lambda **changes: make_app(**{"pages": False, **changes})


def invite(app: Flask, email: str = EMAIL) -> str:
    """The link, as the mail has it."""
    with app.app_context():
        return make_invitation(email, timedelta(days=7), mail=False).link


def join(client: FlaskClient, invitation: str = "", headers: dict[str, str] = OURS, **changes: str) -> TestResponse:
    """What a browser sends: every field, also the empty ones."""
    fields = {"email": EMAIL, "password": PASSWORD, "password_confirm": PASSWORD, "first_name": "", "last_name": ""}
    return send(client, "/signup", {**fields, "invitation": invitation, **changes}, headers)


def count(app: Flask, model: type[User] | type[Session]) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model)) or 0


def kinds_of_mails(app: Flask) -> list[str]:
    with app.app_context():
        return [due.kind for due in claim_due()]


def value(page: TestResponse, field: str) -> str:
    (found,) = re.findall(rf'<input id="{field}" name="{field}" type="\w+" value="([^"]*)"', page.text)
    return str(found)


@pytest.mark.parametrize("whole_link", [True, False])
def test_s69_an_invitation_works_once_by_the_page(make_app: MakeApp, whole_link: bool) -> None:
    app = make_app(signup="invited", app_url="https://app.example.com/", app_name="Acme")
    client = app.test_client()
    link = invite(app)
    assert link.startswith(f"{PUBLIC_URL}/signup#token=")
    code = link if whole_link else f" {link.partition('#token=')[2]}\t"
    made = join(client, code, first_name="Ada", last_name="Lovelace")
    assert_page(made, 200, MADE)
    assert '<a class="button" href="https://app.example.com/">Continue to Acme</a>' in made.text
    assert "<form" not in made.text
    user = log_in(client, EMAIL).get_json()["user"]
    assert (user["email_verified"], user["first_name"], user["last_name"]) == (True, "Ada", "Lovelace")
    assert_page(join(client, code), 403, REFUSED)
    assert count(app, User) == 1


def test_s69_an_invitation_is_for_its_address_only_and_stays_good_for_it(make_app: MakeApp) -> None:
    app = make_app(signup="invited")
    client = app.test_client()
    code = invite(app)
    for refused in (join(client, code, email="other@example.com"), join(client), join(client, "x")):
        assert_page(refused, 403, REFUSED)
    assert count(app, User) == 0
    assert_page(join(client, code), 200, MADE)


def test_s69_an_invitation_that_expired_or_was_revoked_is_refused(
    make_app: MakeApp, advance: Callable[[float], None]
) -> None:
    app = make_app(signup="invited")
    revoked = invite(app, "revoked@example.com")
    with app.app_context():
        revoke("revoked@example.com")
    assert_page(join(app.test_client(), revoked, email="revoked@example.com"), 403, REFUSED)
    expired = invite(app)
    advance(7 * 86400 + 1)
    assert_page(join(app.test_client(), expired), 403, REFUSED)
    assert count(app, User) == 0


def test_s69_closed_stays_closed(make_app: MakeApp) -> None:
    app = make_app(signup="closed")
    assert_page(join(app.test_client(), invite(app)), 403, REFUSED)
    assert count(app, User) == 0


def test_an_open_server_asks_for_no_code_but_takes_one(app: Flask, client: FlaskClient) -> None:
    form = client.get("/signup", headers=BROWSER)
    (field,) = re.findall(r'<input id="invitation"[^>]*>', form.text)
    assert "required" not in field
    shown = re.sub(r"<noscript>.*?</noscript>", "", form.text, flags=re.S)
    assert field not in shown, "who runs scripts has it put in by the link of a mail"
    assert 'data-takes="invitation"' in shown
    assert_page(join(client, invite(app, "invited@example.com"), email="invited@example.com"), 200, MADE)
    assert log_in(client, "invited@example.com").get_json()["user"]["email_verified"] is True
    assert_page(join(client), 200, MADE)
    assert log_in(client, EMAIL).get_json()["user"]["email_verified"] is False


def test_the_code_is_asked_for_where_it_lets_somebody_in(make_app: MakeApp) -> None:
    for settings, required in (({"signup": "invited"}, True), ({"signup_domains": "example.com"}, False)):
        form = make_app(**settings).test_client().get("/signup", headers=BROWSER)
        assert (" required " in re.findall(r'<input id="invitation"[^>]*>', form.text)[0]) == required
        assert "<noscript>" not in form.text


def test_the_first_field_has_the_focus_and_with_an_error_the_first_wrong_one(client: FlaskClient) -> None:
    focused = r'<input id="(\w+)"[^>]* autofocus'
    assert re.findall(focused, client.get("/signup", headers=BROWSER).text) == ["email"]
    assert re.findall(focused, join(client, email="nobody", last_name="x" * 151).text) == ["email"]
    assert re.findall(focused, join(client, password="short", password_confirm="short").text) == ["password"]
    join(client)
    assert re.findall(focused, join(client).text) == [], "what is wrong with it all stands above the form"


def test_no_session_is_left_behind_and_the_first_sign_in_is_no_news(make_app: MakeApp) -> None:
    app = make_app(mail_url="smtp://127.0.0.1:9")
    made = join(app.test_client())
    assert_page(made, 200, MADE)
    assert "Set-Cookie" not in made.headers
    assert count(app, Session) == 0
    assert kinds_of_mails(app) == ["verify"]
    log_in(app.test_client(), EMAIL)
    assert kinds_of_mails(app) == []


def test_where_verification_is_required_the_page_is_alike_for_taken_addresses(make_app: MakeApp) -> None:
    app = make_app(mail_url="smtp://127.0.0.1:9", email_verification="required", app_url="https://app.example.com/")
    client = app.test_client()
    pages = [join(client), join(client)]
    for page in pages:
        assert_page(page, 200, MAILED)
    assert pages[0].text == pages[1].text
    assert 'class="button"' not in pages[0].text, "nobody can sign in yet"
    finish(app)
    assert kinds_of_mails(app) == ["verify", "verify"], "a double click is no other person's attempt"
    other = join(client, password=NEW, password_confirm=NEW)
    assert (other.status_code, other.text) == (200, pages[0].text)
    finish(app)
    assert kinds_of_mails(app) == ["account_exists"]
    assert_page(join(client, invite(app, "grace@example.com"), email="grace@example.com"), 200, MADE)


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"email": "nobody"}, "email", "Enter a valid e-mail address."),
        ({"password": "short", "password_confirm": "short"}, "password", "Use at least 8 characters."),
        ({"password": EMAIL, "password_confirm": EMAIL}, "password", "Your e-mail address cannot be your password."),
        ({"password_confirm": "another"}, "password_confirm", "The two passwords are not the same."),
        ({"first_name": "A\x07da"}, "first_name", "This may not contain control characters."),
        ({"last_name": "x" * 151}, "last_name", "This is too long."),
        ({"invitation": "ä"}, "invitation", "This has characters that are not allowed here."),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_stays(
    app: Flask, client: FlaskClient, changes: dict[str, str], field: str, sentence: str
) -> None:
    typed = {"first_name": "Ada", "last_name": "Lovelace", "invitation": "a-code", **changes}
    answer = join(client, headers=OURS, **typed)
    assert_page(answer, 400, sentence)
    assert re.search(
        rf'<input id="{field}" [^>]*aria-invalid="true" autofocus aria-describedby="[^"]*{field}-error', answer.text
    )
    for name in ("email", "first_name", "last_name", "invitation"):
        assert value(answer, name) == {"email": EMAIL, **typed}[name]
    assert (value(answer, "password"), value(answer, "password_confirm")) == ("", "")
    assert PASSWORD not in answer.text
    assert count(app, User) == 0


def test_a_taken_address_and_too_many_sign_ups_are_said(make_app: MakeApp) -> None:
    client = make_app(rate_limits="true", rate_limit_signup_address="2 per hour").test_client()
    sign_up(client, email=EMAIL)
    assert_page(join(client, password="short", password_confirm="short"), 400, "Use at least 8 characters.")
    taken = join(client, first_name="Ada")
    assert_page(taken, 409, errors.CODES["account_exists"][1])
    assert value(taken, "first_name") == "Ada"
    throttled = join(client, email="new@example.com")
    assert_page(throttled, 429, errors.CODES["throttled"][1])
    assert 0 < int(throttled.headers["Retry-After"]) <= 3600


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ALLOWED, None])
def test_s65_a_form_of_another_page_makes_no_account(make_app: MakeApp, origin: str | None) -> None:
    app = make_app(signup="invited", cors_origins=ALLOWED)
    client, code = app.test_client(), invite(app)
    headers = {"Origin": origin} if origin else {}
    assert_page(join(client, code, BROWSER | headers), 403, errors.CODES["origin_not_allowed"][1])
    assert_error(join(client, code, headers), 403, "origin_not_allowed")
    assert count(app, User) == 0
    assert_page(join(client, code), 200, MADE)
