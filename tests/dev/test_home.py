import time
from datetime import timedelta

import jwt
import pytest
from sqlalchemy import delete, select, update
from werkzeug.test import TestResponse

from authserver import clock
from authserver.app import create_app
from authserver.dev import home, moving
from authserver.dev.people import PASSWORD, PEOPLE, TAKEN, seed, still_here
from authserver.extensions import db
from authserver.models import RateLimit, Session, User
from tests.conftest import MakeApp, MakeSettings
from tests.dev.conftest import Development
from tests.factories import PASSWORD as FACTORY_PASSWORD
from tests.factories import assert_error, log_in, sign_up

HOUR = {"seconds": 3600}
DAY = {"seconds": 86400}


def test_the_home_page_tells_what_runs_and_where_its_data_lies(development: Development) -> None:
    page = development.client.get("/", base_url=development.url)
    assert page.status_code == 200
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    assert page.headers["X-Frame-Options"] == "DENY"
    for told in ("somewhere.db", "secret_key", "/mailbox", PASSWORD, *(one.email for one in PEOPLE)):
        assert told in page.text
    for name in development.offline:
        assert f"{development.url}/api/auth/{name}/login/" in page.text


def test_under_another_loopback_name_the_home_page_leads_to_the_public_url(development: Development) -> None:
    answer = development.client.get("/", base_url="http://127.0.0.1:1")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{development.url}/")


def test_nothing_on_the_pages_is_loaded_from_elsewhere(development: Development) -> None:
    for path in ("/", "/mailbox"):
        text = development.client.get(path, base_url=development.url).text
        assert 'src="http' not in text
        assert "<style" not in text
        assert "style=" not in text
        assert text.count("<script ") == text.count('<script src="/dev/') == 1


def test_the_seeded_people_are_what_their_roles_say(development: Development) -> None:
    client = development.client
    verified, unverified, disabled = PEOPLE
    for person in (verified, unverified):
        user = log_in(client, person.email, PASSWORD).get_json()["user"]
        assert (user["email_verified"], user["first_name"]) == (person.verified, person.first_name)
    assert_error(log_in(client, disabled.email, PASSWORD), 401, "no_active_account")


def test_a_seeded_persons_button_says_what_became_of_them(development: Development) -> None:
    with development.app.app_context():
        db.session.execute(update(User).values(email_verified=True, disabled_at=None))
        db.session.execute(delete(User).where(User.email == TAKEN))
        db.session.commit()
        assert [one.role for one in still_here()] == ["verified e-mail address"] * 2


def test_people_are_made_in_an_empty_database_alone(make_app: MakeApp) -> None:
    app = make_app(env="development", public_url="http://localhost:8000")
    sign_up(app.test_client(), email="first@example.com")
    assert not seed(app)
    assert_error(log_in(app.test_client(), TAKEN, PASSWORD), 401, "no_active_account")


def test_an_hour_that_passes_ends_access_tokens_and_a_day_refresh_tokens(development: Development) -> None:
    client = development.client
    person = sign_up(client)
    assert development.press("/dev/time", HOUR).get_json()["offset"] == 3600
    assert_error(client.get("/api/me/", headers=person.bearer), 401, "token_not_valid")
    access = client.post("/api/token/refresh/", json={"refresh": person.refresh}).get_json()["access"]
    assert client.get("/api/me/", headers={"Authorization": f"Bearer {access}"}).status_code == 200
    development.press("/dev/time", DAY)
    assert_error(client.post("/api/token/refresh/", json={"refresh": person.refresh}), 401, "token_not_valid")


def test_an_api_of_ones_own_takes_the_tokens_of_a_server_that_is_ahead(development: Development) -> None:
    """Its clock is the real one, as PyJWT's is."""
    development.press("/dev/time", DAY)
    token = sign_up(development.client).access
    key = jwt.PyJWKClient(f"{development.url}/.well-known/jwks.json").get_signing_key_from_jwt(token)
    claims = jwt.decode(token, key, ["ES256"], audience=development.url, issuer=development.url)
    assert claims["iat"] <= time.time() < claims["exp"] - 86400


def test_back_to_now_keeps_everybody_signed_in(development: Development) -> None:
    before = sign_up(development.client)
    development.press("/dev/time", DAY)
    ahead, browser, form = sign_up(development.client), development.client, {"base_url": development.url}
    fields = {"email": ahead.user["email"], "password": FACTORY_PASSWORD}
    assert browser.post("/signin", data=fields, headers={"Origin": development.url}, **form).status_code == 303
    assert development.press("/dev/time", None, method="DELETE").get_json()["offset"] == 0
    for person in (before, ahead):
        assert development.client.get("/api/me/", headers=person.bearer).status_code == 200
        assert development.client.post("/api/token/refresh/", json={"refresh": person.refresh}).status_code == 200
    assert browser.get("/account", **form).status_code == 200


def test_back_to_now_nothing_waits_for_the_time_that_was_ahead(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the limits, nor a token that was rotated ahead and is handed out again."""
    app = make_app(refresh_rotation=True, rate_limits="true")
    client = app.test_client()
    person = sign_up(client)

    def refresh(token: str) -> TestResponse:
        return client.post("/api/token/refresh/", json={"refresh": token})

    monkeypatch.setattr(clock, "ahead", timedelta(hours=1))
    assert refresh(person.refresh).status_code == 200
    with app.app_context():
        moving.back_to_now()
        assert db.session.scalars(select(RateLimit)).all() == []
        assert db.session.scalars(select(Session.last_used_at)).one() <= clock.now()
    assert refresh(refresh(person.refresh).get_json()["refresh"]).status_code == 200


@pytest.mark.parametrize("origin", ["", "null", "http://localhost:1", "http://127.0.0.1", "https://evil.example.com"])
def test_what_another_page_sends_moves_no_time_and_gets_no_token(development: Development, origin: str) -> None:
    body = {"provider": "google", "person": development.offline["google"].people[0].subject, "kind": "access_token"}
    assert_error(development.press("/dev/time", HOUR, origin), 403, "origin_not_allowed")
    assert_error(development.press("/dev/time", None, origin, "DELETE"), 403, "origin_not_allowed")
    assert_error(development.press("/dev/token", body, origin), 403, "origin_not_allowed")
    assert clock.ahead == timedelta(0)
    assert not development.offline["google"].grants


@pytest.mark.parametrize("seconds", [0, -1, 32 * 86400, 1.5, "3600", True, None])
def test_time_goes_forward_alone_and_a_month_at_most(development: Development, seconds: object) -> None:
    assert_error(development.press("/dev/time", {"seconds": seconds}), 400, "invalid_request", "seconds")
    assert clock.ahead == timedelta(0)


def test_time_does_not_go_past_what_dates_can_say(development: Development) -> None:
    clock.ahead = moving.FURTHEST
    assert_error(development.press("/dev/time", HOUR), 400, "invalid_request", "seconds")


def test_the_home_page_is_never_installed_in_production(make_settings: MakeSettings) -> None:
    app = create_app(make_settings())
    with pytest.raises(ValueError, match="not for production"):
        home.install(app, home.Running("somewhere.db", {}))
    assert not {"home"} & app.blueprints.keys()
