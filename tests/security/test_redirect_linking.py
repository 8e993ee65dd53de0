"""S70: a link by redirect ends in the session that began it, while that lives, and begins with a fresh token."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserver.testing.standins import StandIns
from tests.conftest import PUBLIC_URL, MakeApp
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up
from tests.mails import Mails
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow
from tests.providers.signing_in import settings_of
from tests.security.redirects import (
    Trip,
    assert_refused,
    counts,
    depart,
    open_url,
    signed_in,
    stored,
    with_cookies,
)
from tests.test_passwords import reset

served_standins = conftest.served_standins
standins = conftest.standins
no_secret_is_logged = conftest.no_secret_is_logged

Advance = Callable[[float], None]


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns, mails: Mails) -> Flask:
    changes = {"redirect_urls": NEXT, "mail_url": mails.url, "email_verification": "off"}
    return make_app(**settings_of(standins), **changes)


@pytest.fixture
def person(client: FlaskClient) -> SignedIn:
    return sign_up(client)


def ask(client: FlaskClient, bearer: dict[str, str], name: str = "google", **changes: object) -> TestResponse:
    flow = Flow()
    body = {"next": NEXT, "code_challenge": flow.challenge, **changes}
    return client.post(f"/api/identities/{name}/login/", json=body, headers=bearer)


def ticket_url(client: FlaskClient, person: SignedIn, name: str = "google", flow: Flow | None = None) -> str:
    answer = ask(client, person.bearer, name, code_challenge=(flow or Flow()).challenge)
    assert answer.status_code == 200, answer.text
    url: str = answer.get_json()["url"]
    assert url.startswith(f"{PUBLIC_URL}/api/auth/{name}/login/?ticket=")
    return url


def link_trip(app: Flask, standins: StandIns, person: SignedIn, name: str = "google") -> Trip:
    flow, browser = Flow(), app.test_client()
    began = open_url(browser, ticket_url(app.test_client(), person, name, flow))
    assert began.status_code == 302, began.text
    return Trip(standins, browser, began.headers["Location"], name, flow)


def linked(client: FlaskClient, person: SignedIn) -> int:
    return len(client.get("/api/identities/", headers=person.bearer).get_json())


def test_s70_each_provider_is_linked_by_redirect_to_the_session_that_asked(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn
) -> None:
    """Else the refusals below would show nothing."""
    for number, name in enumerate(standins.each):
        trip = link_trip(app, standins, person, name)
        code = trip.come_back()["code"]
        assert linked(client, person) == number
        answer = trip.flow.exchange(client, code, **person.bearer)
        assert (answer.status_code, answer.get_json()["provider"]) == (201, name)
        assert_error(trip.flow.exchange(client, code, **person.bearer), 400, "one_time_token_not_valid")
    trip = link_trip(app, standins, person)
    assert trip.flow.exchange(client, trip.come_back()["code"], **person.bearer).status_code == 201, "once more"
    assert [len(stored(app)[table]) for table in ("users", "identities", "sessions")] == [1, len(standins.each), 1]


def test_s70_a_link_begins_with_a_fresh_token_of_a_live_session(
    app: Flask, client: FlaskClient, person: SignedIn, advance: Advance
) -> None:
    refreshed = client.post("/api/token/refresh/", json={"refresh": person.refresh}).get_json()["access"]
    before = stored(app)
    assert_error(ask(client, {}), 401, "not_authenticated")
    assert_error(ask(client, {"Authorization": f"Bearer {person.refresh}"}), 401, "token_not_valid")
    assert_error(ask(client, {"Authorization": f"Bearer {refreshed}"}), 403, "reauthentication_required")
    assert_error(ask(client, person.bearer, "nowhere"), 404, "not_found")
    for changes, blamed in (
        ({"next": None}, "next"),
        ({"next": [NEXT]}, "next"),
        ({"code_challenge": None}, "code_challenge"),
        ({"code_challenge": Flow().challenge + "="}, "code_challenge"),
        ({"code_challenge": Flow().challenge[:-1]}, "code_challenge"),
        ({"state": "x" * 513}, "state"),
        ({"state": "canary\0"}, "state"),
        ({"state": 7}, "state"),
    ):
        assert_error(ask(client, person.bearer, **changes), 400, "invalid_request", blamed)
    advance(600)
    assert_error(ask(client, person.bearer), 403, "reauthentication_required")
    assert stored(app) == before
    again = client.post("/api/reauthenticate/", json={"password": PASSWORD}, headers=person.bearer).get_json()["access"]
    assert ask(client, {"Authorization": f"Bearer {again}"}).status_code == 200


def test_s70_a_ticket_begins_once_in_time_and_at_its_provider(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn, advance: Advance
) -> None:
    late = ticket_url(client, person)
    used = ticket_url(client, person)
    assert open_url(app.test_client(), used).status_code == 302
    assert_refused(open_url(app.test_client(), used))
    mine = ticket_url(client, person)
    assert_refused(open_url(app.test_client(), mine.replace("/google/", "/acme/")))
    assert_refused(open_url(app.test_client(), mine))
    before = stored(app)
    login = f"{PUBLIC_URL}/api/auth/google/login/"
    for ticket in ("", "unknown", "%00", late[-10:], late.partition("=")[2].swapcase(), "ticket", "a" * 999):
        assert_refused(open_url(app.test_client(), f"{login}?ticket={ticket}"))
        assert_refused(open_url(app.test_client(), f"{login}?ticket={ticket}&{Flow().query()}"))
    assert stored(app) == before
    advance(600)
    assert_refused(open_url(app.test_client(), late))
    assert linked(client, person) == 0


def test_s70_a_ticket_is_no_state_and_a_state_no_ticket(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn
) -> None:
    url = ticket_url(client, person)
    ticket, trip = url.partition("=")[2], depart(app, standins)
    before = stored(app)
    assert_refused(open_url(app.test_client(), f"{PUBLIC_URL}/api/auth/google/login/?ticket={trip.state}"))
    callback = f"{PUBLIC_URL}/api/auth/google/callback/?code=canary&state={ticket}"
    for secret in ("", "ticket", ticket, trip.secret):
        assert_refused(with_cookies(app, callback, f"__Host-flow-{ticket}={secret}"))
    assert_refused(open_url(app.test_client(), callback))
    assert stored(app) == before
    assert open_url(app.test_client(), url).status_code == 302
    assert "code" in trip.come_back()


def test_s70_a_link_under_another_host_is_led_to_the_public_url_with_its_ticket_unused(
    app: Flask, client: FlaskClient, person: SignedIn
) -> None:
    url, browser = ticket_url(client, person), app.test_client()
    before = stored(app)
    moved = browser.get(url.removeprefix(PUBLIC_URL), base_url="https://evil.example")
    assert moved.headers["Location"] == f"{url}&moved=1"
    assert stored(app) == before
    assert open_url(browser, moved.headers["Location"]).status_code == 302


def test_s70_a_link_is_not_finished_without_the_bearer_token_of_its_session(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn, advance: Advance
) -> None:
    trip = link_trip(app, standins, person)
    advance(540)  # the provider took its time
    code = trip.come_back()["code"]
    before = stored(app)
    for headers, said in (
        ({}, "not_authenticated"),
        ({"Authorization": "Basic canary"}, "not_authenticated"),
        ({"Authorization": "Bearer canary"}, "token_not_valid"),
        ({"Authorization": f"Bearer {person.refresh}"}, "token_not_valid"),
    ):
        answer = trip.flow.exchange(client, code, **headers)
        assert_error(answer, 401, said)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert stored(app) == before
    assert trip.flow.exchange(client, code, **person.bearer).status_code == 201


def test_s70_who_lets_the_access_token_expire_refreshes_and_finishes_the_link(
    make_app: MakeApp, standins: StandIns, advance: Advance
) -> None:
    app = make_app(**settings_of(standins), redirect_urls=NEXT, access_token_lifetime=30)
    client = app.test_client()
    person = sign_up(client)
    trip = link_trip(app, standins, person)
    code = trip.come_back()["code"]
    advance(30)
    assert_error(trip.flow.exchange(client, code, **person.bearer), 401, "token_not_valid")
    access = client.post("/api/token/refresh/", json={"refresh": person.refresh}).get_json()["access"]
    assert trip.flow.exchange(client, code, Authorization=f"Bearer {access}").status_code == 201


def test_s70_another_session_never_finishes_a_link(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn
) -> None:
    own = SignedIn(**log_in(client, person.user["email"]).get_json())
    for other in (own, sign_up(client)):
        trip = link_trip(app, standins, person)
        code = trip.come_back()["code"]
        answer = trip.flow.exchange(client, code, **other.bearer)
        assert_error(answer, 401, "token_not_valid")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert_error(trip.flow.exchange(client, code, **person.bearer), 400, "one_time_token_not_valid")
    assert counts(app) == {"users": 2, "sessions": 3}


def test_s70_a_link_without_its_verifier_is_used_up(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn
) -> None:
    for verifier in ("canary", "c" * 43):
        trip = link_trip(app, standins, person)
        code = trip.come_back()["code"]
        answer = Flow(verifier=verifier).exchange(client, code, **person.bearer)
        assert_error(answer, 400, "one_time_token_not_valid")
        assert_error(trip.flow.exchange(client, code, **person.bearer), 400, "one_time_token_not_valid")
    assert counts(app) == {"users": 1, "sessions": 1}


def test_s70_a_victim_who_is_led_into_an_attackers_link_gives_away_nothing(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn
) -> None:
    """Their own application has neither the verifier nor the attacker's session, the attacker not the code."""
    victim = signed_in(app, standins)
    before = stored(app)["identities"]
    code = link_trip(app, standins, person).come_back("gmail")["code"]
    answer = Flow().exchange(client, code, **victim.bearer)
    assert_error(answer, 401, "token_not_valid")
    assert stored(app)["identities"] == before


def end_by_logout(app: Flask, person: SignedIn, mails: Mails) -> None:
    assert app.test_client().post("/api/logout/", headers=person.bearer).status_code == 204


def end_by_reset(app: Flask, person: SignedIn, mails: Mails) -> None:
    mails.take(app)
    app.test_client().post("/api/password/forgot/", json={"email": person.user["email"]})
    assert reset(app.test_client(), mails.take(app)[-1].token, PASSWORD).status_code == 204


def end_by_another_session(app: Flask, person: SignedIn, mails: Mails) -> None:
    client = app.test_client()
    other = SignedIn(**log_in(client, person.user["email"]).get_json())
    assert client.delete("/api/sessions/", headers=other.bearer).status_code == 204


@pytest.mark.parametrize("end", [end_by_logout, end_by_reset, end_by_another_session])
def test_s70_a_link_ends_with_its_session_wherever_it_is(
    app: Flask,
    client: FlaskClient,
    standins: StandIns,
    mails: Mails,
    person: SignedIn,
    end: Callable[[Flask, SignedIn, Mails], None],
) -> None:
    url = ticket_url(client, person)
    at_provider = link_trip(app, standins, person)
    trip = link_trip(app, standins, person)
    code = trip.come_back()["code"]
    end(app, person, mails)
    later = SignedIn(**log_in(client, person.user["email"]).get_json())
    for one in (person, later):
        answer = trip.flow.exchange(client, code, **one.bearer)
        if end is end_by_reset:
            assert_error(answer, 400, "one_time_token_not_valid")
        else:
            assert_error(answer, 401, "token_not_valid")
    assert at_provider.come_back()["error"] == "token_not_valid"
    browser = app.test_client()
    began = open_url(browser, url)
    assert Trip(standins, browser, began.headers["Location"]).come_back()["error"] == "token_not_valid"
    assert linked(client, later) == 0


def test_s70_s35_an_identity_of_another_account_is_not_linked_and_the_code_is_gone(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn
) -> None:
    signed_in(app, standins, "gmail")
    trip = link_trip(app, standins, person)
    code = trip.come_back("gmail")["code"]
    before = {**stored(app), "one_time_tokens": []}
    assert_error(trip.flow.exchange(client, code, **person.bearer), 409, "account_exists")
    assert stored(app) == before
    assert_error(trip.flow.exchange(client, code, **person.bearer), 400, "one_time_token_not_valid")


def test_s70_a_link_is_no_sign_in_and_a_sign_in_no_link(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn
) -> None:
    """Whatever Bearer token comes along: a sign-in's code makes a session of the identity's own account."""
    trip = depart(app, standins)
    answer = trip.flow.exchange(client, trip.come_back("gmail")["code"], **person.bearer)
    assert answer.status_code == 200
    assert answer.get_json()["user"]["id"] != person.user["id"]
    assert linked(client, person) == 0
    trip = link_trip(app, standins, person)
    assert trip.come_back("tokens of another")["error"] == "provider_token_not_valid"
    assert linked(client, person) == 0
