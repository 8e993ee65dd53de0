"""S42-S45 on the hosted pages: what is tried there counts together with what is tried by the API."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.testing.standins import StandIns
from tests.conftest import MakeApp
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up
from tests.page_trips import CLICK
from tests.pages import Browser, assert_page, holds, joining, signed_in_on_page
from tests.providers import conftest
from tests.providers.signing_in import settings_of
from tests.security.guessing import hashes as hashes

served_standins = conftest.served_standins
standins = conftest.standins


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns) -> Flask:
    return make_app(
        **settings_of(standins),
        mail_url="smtp://127.0.0.1:9",
        rate_limits="true",
        rate_limit_login_account="4 per hour",
        rate_limit_login_address="8 per hour",
        rate_limit_mail_account="4 per hour",
        rate_limit_signup_address="3 per hour",
        rate_limit_provider_address="3 per hour",
    )


@pytest.fixture
def person(client: FlaskClient) -> SignedIn:
    return sign_up(client)


def assert_throttled(answer: object) -> None:
    assert_page(answer, 429)  # type: ignore[arg-type]
    assert 0 < int(answer.headers["Retry-After"]) <= 3600  # type: ignore[attr-defined]


def test_s43_guesses_on_the_page_and_by_the_api_are_counted_together(
    app: Flask, client: FlaskClient, person: SignedIn, hashes: list[str]
) -> None:
    email, browser = person.user["email"], Browser(app)
    for _ in range(2):
        assert_page(browser.sign_in(email, "a guess"), 401)
        assert_error(log_in(client, email, "a guess"), 401, "no_active_account")
    assert len(hashes) == 4
    assert_throttled(browser.sign_in(email, PASSWORD))
    assert_throttled(browser.sign_in(email.upper(), PASSWORD))
    assert_error(log_in(client, email), 429, "throttled")
    assert len(hashes) == 4, "none is hashed once there were too many"
    assert browser.cookie is None


def test_s43_an_address_is_limited_across_accounts_on_both(app: Flask, client: FlaskClient, hashes: list[str]) -> None:
    browser = Browser(app)
    for number in range(4):
        assert_page(browser.sign_in(f"page{number}@example.com", "a guess"), 401)
        assert log_in(client, f"api{number}@example.com", "a guess").status_code == 401
    assert_throttled(browser.sign_in("another@example.com", "a guess"))
    assert_error(log_in(client, "another@example.com"), 429, "throttled")
    assert len(hashes) == 8


def test_s43_confirming_on_the_page_is_limited_with_reauthenticating(
    app: Flask, client: FlaskClient, person: SignedIn, hashes: list[str]
) -> None:
    browser = signed_in_on_page(app, person)
    hashes.clear()
    for _ in range(2):
        assert_page(browser.post("/account/confirm", {"password": "a guess"}), 400)
        client.post("/api/reauthenticate/", json={"password": "a guess"}, headers=person.bearer)
    assert len(hashes) == 4
    assert_throttled(browser.post("/account/confirm", {"password": PASSWORD}))
    new = {"current_password": PASSWORD, "password": "another good one", "password_confirm": "another good one"}
    assert_throttled(browser.post("/account/password", new))
    assert len(hashes) == 4
    assert holds(browser)


@pytest.mark.parametrize(
    ("page", "api"), [("/password/forgot", "/api/password/forgot/"), ("/email/resend", "/api/email/verify/resend/")]
)
def test_s44_mails_asked_for_on_the_page_count_with_the_apis(
    app: Flask, client: FlaskClient, person: SignedIn, page: str, api: str
) -> None:
    answers = set()
    for email in (person.user["email"], "nobody@example.com"):
        for _ in range(2):
            asked = Browser(app).post(page, {"email": email})
            assert_page(asked)
            answers.add(asked.text)
            assert client.post(api, json={"email": email}).status_code == 202
        assert_throttled(Browser(app).post(page, {"email": email}))
        assert_error(client.post(api, json={"email": email}), 429, "throttled")
    assert len(answers) == 1, "alike for every address"


def test_s45_sign_ups_count_together(app: Flask, client: FlaskClient) -> None:
    sign_up(client)
    for _ in range(2):
        assert Browser(app).post("/signup", joining()).status_code == 303
    assert_throttled(Browser(app).post("/signup", joining()))


def test_ways_to_providers_count_together(app: Flask, person: SignedIn) -> None:
    browser = signed_in_on_page(app, person)
    for _ in range(2):
        assert browser.get("/signin/google", **CLICK).status_code == 302
    assert_page(browser.post("/account/identities", {"provider": "google"}))
    assert_throttled(browser.get("/signin/google", **CLICK))
    assert_throttled(browser.post("/account/identities", {"provider": "google"}))


def test_what_is_only_looked_at_counts_for_nothing(app: Flask, person: SignedIn) -> None:
    for _ in range(10):
        for path in ("/signin", "/signup", "/password/forgot", "/account/confirm"):
            Browser(app).get(path)
    assert signed_in_on_page(app, person).cookie
