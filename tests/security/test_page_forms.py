"""S65: every form of every hosted page is accepted from our own pages alone, and no page can be framed.

The forms are those of the application's URL map, so that a new one is tried without anybody's thinking of it.
"""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.extensions import db
from authserver.models import Identity, Session
from authserver.pages.render import POLICY
from authserver.pages.views import HOSTED, PATHS
from authserver.testing.standins import StandIns
from tests.conftest import PUBLIC_URL, MakeApp
from tests.factories import NOBODYS_ID, PASSWORD, SignedIn, assert_error, sign_up
from tests.pages import HTML, Browser, assert_leads, assert_page, everything, joining, signed_in_on_page
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow
from tests.providers.signing_in import settings_of

served_standins = conftest.served_standins
standins = conftest.standins
no_secret_is_logged = conftest.no_secret_is_logged

ALLOWED = "https://app.example.com"
NAMES = ("google", "apple")  # of what has `<name>` in its address
FOREIGN = [
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": ALLOWED},
    {"Origin": f"{PUBLIC_URL}.evil.example"},
    {"Origin": f"{PUBLIC_URL}:444"},
    {"Origin": f"{PUBLIC_URL}/"},
    {"Origin": f"{PUBLIC_URL} {ALLOWED}"},
    {"Origin": PUBLIC_URL.upper()},
    {"Origin": PUBLIC_URL.replace("https", "http")},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "", "Sec-Fetch-Site": "same-origin"},
    {"Origin": ALLOWED, "X-Auth-Transport": "cookie"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "Same-Origin"},
    {"Referer": f"{PUBLIC_URL}/signin"},
]


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns) -> Flask:
    return make_app(**settings_of(standins), redirect_urls=NEXT, cors_origins=ALLOWED, mail_url="smtp://127.0.0.1:9")


@pytest.fixture
def person(client: FlaskClient) -> SignedIn:
    return sign_up(client)


def paths(app: Flask, method: str) -> list[str]:
    found = []
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(\w+:)?\w+>", NAMES[0], rule.rule)
        if method in (rule.methods or ()) and (HOSTED.fullmatch(path) or PATHS.fullmatch(path)):
            found.append(path)
    return sorted(found)


def forms(app: Flask) -> list[str]:
    return [path for path in paths(app, "POST") if not path.startswith("/api/")]


def filled_in(app: Flask, person: SignedIn, session: Session) -> dict[str, str]:
    """What makes each form do what it is for, were it ours."""
    with app.app_context():
        linked = Identity(user_id=session.user_id, provider="google", tenant="", subject="1")
        db.session.add(linked)
        db.session.commit()
        identity = str(linked.id)
    return {
        **joining(first_name="Ada"),
        "user": person.user["id"],
        "session": "others",
        "provider": "google",
        "identity": identity,
        "current_password": PASSWORD,
        "password": PASSWORD,
        "password_confirm": PASSWORD,
        "token": NOBODYS_ID,
    }


def test_the_forms_are_found(app: Flask) -> None:
    assert set(forms(app)) >= {
        *("/signin", "/signin/continue", "/signup", "/signout", "/password/forgot", "/email/resend"),
        *("/password/reset", "/email/verify", "/account/recover", "/account/profile", "/account/password"),
        *("/account/email", "/account/delete", "/account/confirm", "/account/sessions", "/account/identities"),
        "/account/identities/unlink",
    }


def test_s65_no_form_of_another_page_changes_anything(app: Flask, person: SignedIn) -> None:
    browser = signed_in_on_page(app, person)
    fields = filled_in(app, person, browser.session())
    before = everything(app)
    for path in forms(app):
        for number, headers in enumerate(FOREIGN):
            for query in ("", f"?{Flow().query()}", "?state=x&code=y", "?then=delete") if number < 2 else ("",):
                said = (path, headers, query)
                answer = browser.post(f"{path}{query}", fields, HTML | headers)
                assert (said, answer.status_code) == (said, 403)
                assert_page(answer, 403)
                assert "Set-Cookie" not in answer.headers
            assert_error(browser.post(path, fields, headers), 403, "origin_not_allowed")
    assert everything(app) == before
    for path in ("/account/profile", "/account/sessions", "/signout"):  # else the refusals would show nothing
        assert browser.post(path, fields).status_code in (200, 303)
        assert everything(app) != before


def test_s65_nor_from_a_browser_in_which_nobody_is_signed_in(app: Flask, person: SignedIn) -> None:
    """Logging the victim in as the attacker is what such a form would be for."""
    browser = Browser(app)
    fields = {**joining(), "email": person.user["email"], "password": PASSWORD}
    before = everything(app)
    for path in forms(app):
        for headers in FOREIGN:
            answer = browser.post(path, fields, HTML | headers)
            assert (path, headers, answer.status_code) == (path, headers, 403)
            assert browser.cookie is None
    assert everything(app) == before
    assert browser.post("/signin", fields, HTML | {"Sec-Fetch-Site": "same-origin"}).status_code == 303
    assert browser.cookie


def test_s65_a_foreign_form_begins_no_link(app: Flask, person: SignedIn) -> None:
    browser = signed_in_on_page(app, person)
    before = everything(app)
    for headers in FOREIGN:
        answer = browser.post("/account/identities", {"provider": "google"}, HTML | headers)
        assert_page(answer, 403)
        assert "ticket" not in answer.text
    assert everything(app) == before
    assert "ticket" in browser.post("/account/identities", {"provider": "google"}).text


def test_s65_no_page_can_be_framed(app: Flask, person: SignedIn) -> None:
    signed_in = signed_in_on_page(app, person)
    shown = set()
    for browser in (signed_in, Browser(app)):
        for path in paths(app, "GET"):
            for query in ("", "?done=profile&before=", "?state=x", "?next=https://evil.example"):
                answer = browser.get(f"{path}{query}")
                if answer.mimetype == "text/html" and answer.status_code not in (302, 303):
                    assert_page(answer, answer.status_code)
                    shown.add(path)
                assert answer.headers["Cache-Control"] == "no-store"
    assert shown >= {"/signin", "/signup", "/signout", "/account", "/account/identities", "/account/delete"}
    assert browser.get("/account").status_code == 303


def test_a_form_may_lead_to_an_application_where_one_asked_and_else_nowhere(app: Flask) -> None:
    query = Flow().query()
    for path in ("/signin", "/signup"):
        policy = Browser(app).get(f"{path}?{query}").headers["Content-Security-Policy"]
        assert policy == POLICY.format("'self' https:")
        assert Browser(app).get(path).headers["Content-Security-Policy"] == POLICY.format("'self'")
    refused = Browser(app).post(f"/signin?{query}", {"email": "nobody@example.com", "password": "x"})
    assert refused.headers["Content-Security-Policy"] == POLICY.format("'self' https:")


def test_a_form_changes_nothing_where_somebody_else_has_signed_in_since_it_was_shown(
    app: Flask, person: SignedIn
) -> None:
    """Two tabs: the first shows one account, and its button would act on another."""
    browser = signed_in_on_page(app, sign_up(app.test_client(), email="bob@example.com"))
    fields = filled_in(app, person, browser.session())
    before = everything(app)
    for path in forms(app):
        if path.startswith("/account/") and path != "/account/recover":
            for shown in (person.user["id"], ""):
                assert_leads(browser.post(path, {**fields, "user": shown}), "/account?done=other")
    assert everything(app) == before
    assert "Nothing was changed" in browser.get("/account?done=other").text
