"""S21, S31, S33 by redirect, and whatever else happens between the provider and the exchange."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from authserver.clock import now
from authserver.extensions import db
from authserver.models import User
from authserver.oauth import codes
from authserver.oauth import redirect as redirects
from authserver.sessions import flows as sessions
from authserver.testing.standins import StandIns
from tests.conftest import MakeApp
from tests.factories import SignedIn, assert_error, log_in, sign_up
from tests.mails import Mails
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow, parameters
from tests.providers.signing_in import settings_of
from tests.security.redirects import (
    arrive,
    changed,
    codes_asked,
    counts,
    depart,
    open_url,
    signed_in,
    stored,
)
from tests.serving import free_port
from tests.test_passwords import NEW, alive, reset

served_standins = conftest.served_standins
standins = conftest.standins
no_secret_is_logged = conftest.no_secret_is_logged

MakeFlows = Callable[..., Flask]


@pytest.fixture
def make(make_app: MakeApp, standins: StandIns, mails: Mails) -> MakeFlows:
    return lambda **changes: make_app(
        **{**settings_of(standins), "redirect_urls": NEXT, "mail_url": mails.url, **changes}
    )


@pytest.fixture
def app(make: MakeFlows) -> Flask:
    return make()


def refuse_each(app: Flask, standins: StandIns, person: str, code: str, names: set[str] | None = None) -> None:
    """At each stand-in, which has the frontend told of it and changes no row."""
    before = stored(app)
    for name in sorted(names or standins.each):
        trip = depart(app, standins, name)
        came = trip.come_back(person)
        assert (name, came["error"], came["state"]) == (name, code, trip.flow.state)
        assert came.keys() == {"error", "error_description", "state"}
    assert stored(app) == before


def test_s21_a_code_that_brings_tokens_of_another_application_signs_nobody_in(app: Flask, standins: StandIns) -> None:
    refuse_each(app, standins, "tokens of another", "provider_token_not_valid")
    assert codes_asked(standins) != []
    assert counts(app) == {}


def test_s33_an_unverified_address_of_a_providers_opens_nobodys_account(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    person = sign_up(client, email="taken@example.com")
    refuse_each(app, standins, "an account's e-mail address", "account_exists")
    assert alive(client, person)


def test_s31_a_verified_address_takes_over_only_where_the_provider_runs_the_mailbox(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    names = {"google", "acme", "github"}
    addresses = [*(f"ada@{name}.example" for name in names), "katherine@gmail.com"]
    attackers = {email: sign_up(client, email=email) for email in addresses}
    refuse_each(app, standins, "verified", "account_exists", names)
    flow, code = arrive(app, standins, "gmail")
    victim = SignedIn(**flow.exchange(client, code).get_json())
    assert victim.user["id"] == attackers["katherine@gmail.com"].user["id"]
    assert victim.user["email_verified"] is True
    assert [alive(client, one) for one in attackers.values()] == [True, True, True, False]
    assert_error(log_in(client, "katherine@gmail.com"), 401, "no_active_account")


def test_s31_a_code_that_an_attacker_has_got_dies_with_the_takeover(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    """Signed up at another provider with the victim's address, unverified, and with a code in hand."""
    mallory = replace(standins.oidc.person("unverified"), email="katherine@gmail.com")
    flow, code = arrive(app, standins, mallory, "acme")
    victim = signed_in(app, standins, "gmail")
    assert_error(flow.exchange(client, code), 400, "one_time_token_not_valid")
    assert_error(Flow().exchange(client, code), 400, "one_time_token_not_valid")
    assert depart(app, standins, "acme").come_back(mallory)["error"] == "account_exists"
    assert [len(stored(app)[table]) for table in ("users", "identities", "sessions")] == [1, 1, 1]
    assert alive(client, victim)


def disable(app: Flask) -> None:
    with app.app_context():
        db.session.execute(update(User).values(disabled_at=now()))
        db.session.commit()


def kill_by_disabling(app: Flask, person: SignedIn, mails: Mails) -> None:
    disable(app)


def kill_by_erasure(app: Flask, person: SignedIn, mails: Mails) -> None:
    assert app.test_client().delete("/api/me/", headers=person.bearer).status_code == 204


def kill_by_first_password(app: Flask, person: SignedIn, mails: Mails) -> None:
    body = {"password": NEW, "password_confirm": NEW}
    assert app.test_client().post("/api/password/change/", json=body, headers=person.bearer).status_code == 204


def kill_by_reset(app: Flask, person: SignedIn, mails: Mails) -> None:
    mails.take(app)
    app.test_client().post("/api/password/forgot/", json={"email": person.user["email"]})
    assert reset(app.test_client(), mails.take(app)[-1].token).status_code == 204


@pytest.mark.parametrize("kill", [kill_by_disabling, kill_by_erasure, kill_by_first_password, kill_by_reset])
def test_s32_a_code_does_not_outlive_what_shuts_its_bearer_out(
    app: Flask,
    client: FlaskClient,
    standins: StandIns,
    mails: Mails,
    kill: Callable[[Flask, SignedIn, Mails], None],
) -> None:
    person = signed_in(app, standins)
    flow, code = arrive(app, standins)
    kill(app, person, mails)
    before = {**stored(app), "one_time_tokens": []}
    assert_error(flow.exchange(client, code), 400, "one_time_token_not_valid")
    assert {**stored(app), "one_time_tokens": []} == before


def test_s32_a_code_does_not_outlive_the_identity_that_brought_it(
    app: Flask, client: FlaskClient, standins: StandIns, mails: Mails
) -> None:
    kill_by_first_password(app, signed_in(app, standins), mails)
    owner = SignedIn(**log_in(client, "ada@google.example", NEW).get_json())
    flow, code = arrive(app, standins)
    (identity,) = client.get("/api/identities/", headers=owner.bearer).get_json()
    assert client.delete(f"/api/identities/{identity['id']}/", headers=owner.bearer).status_code == 204
    before = stored(app)
    assert_error(flow.exchange(client, code), 400, "one_time_token_not_valid")
    assert stored(app) == before


def test_s7_a_mails_token_is_no_code_and_stays_good(
    app: Flask, client: FlaskClient, standins: StandIns, mails: Mails
) -> None:
    signed_in(app, standins, "unverified")
    client.post("/api/password/forgot/", json={"email": "grace@google.example"})
    tokens = {mail.page.rpartition("/")[2]: mail.token for mail in mails.take(app)}
    assert tokens.keys() == {"verify", "reset"}
    before = stored(app)
    for token in tokens.values():
        assert_error(Flow().exchange(client, token), 400, "one_time_token_not_valid")
    assert stored(app) == before
    assert reset(client, tokens["reset"]).status_code == 204


def test_a_disabled_account_gets_no_code(app: Flask, standins: StandIns) -> None:
    for name in standins.each:
        signed_in(app, standins, "no e-mail address", name)
    disable(app)
    refuse_each(app, standins, "no e-mail address", "no_active_account")


def test_where_verification_is_required_an_unverified_address_gets_a_mail_and_no_code(
    make: MakeFlows, standins: StandIns, mails: Mails
) -> None:
    app = make(email_verification="required", rate_limits="true")
    client = app.test_client()
    for number in range(5):
        came = depart(app, standins).come_back("unverified")
        assert came["error"] == "email_not_verified"
        mail = mails.one(app, "grace@google.example")
        assert mail.page.endswith("/email/verify")
        assert counts(app) == {"users": 1, "identities": 1, "one_time_tokens": 1}, number
    refuse_each(app, standins, "unverified", "throttled", {"google"})
    assert mails.take(app) == []
    assert client.post("/api/email/verify/", json={"token": mail.token}).status_code == 204
    trip = depart(app, standins, "google")
    assert "code" in trip.come_back(), "of another address"


def test_s69_closed_and_limited_sign_up_stays_so_by_redirect(make: MakeFlows, standins: StandIns) -> None:
    known: SignedIn | None = None
    for changes in ({"signup": "closed"}, {"signup": "invited"}, {"signup_domains": "other.example"}):
        app = make(**changes)
        for person in ("verified", "unverified", "no e-mail address"):
            names = {"google"} if known else None
            refuse_each(app, standins, person, "signup_not_allowed", names)
        if known is None:
            sign_up(make().test_client(), email="taken@example.com")
            known = signed_in(make(), standins, "gmail")
        refuse_each(app, standins, "an account's e-mail address", "signup_not_allowed", {"google", "facebook"})
        assert signed_in(app, standins, "gmail").user == known.user


def test_what_a_provider_answers_instead_of_a_code_comes_back_as_an_error_of_ours(
    app: Flask, standins: StandIns
) -> None:
    for said, code in {
        "access_denied": "access_denied",
        "user_cancelled_authorize": "access_denied",
        "server_error": "provider_unavailable",
        "temporarily_unavailable": "provider_unavailable",
        "invalid_scope": "provider_token_not_valid",
        "login_required": "provider_token_not_valid",
        "": "provider_token_not_valid",
        "canary<script>\r\n&code=x": "provider_token_not_valid",
    }.items():
        for also in ({"code": None}, {}):
            trip = depart(app, standins)
            url = changed(trip.callback(), error=said, error_description="canary<script>", **also)
            came = parameters(open_url(trip.browser, url))
            assert (came["error"], came["state"]) == (code, trip.flow.state)
            assert came.keys() == {"error", "error_description", "state"}
            assert "canary" not in came["error_description"]
    assert codes_asked(standins) == []
    assert counts(app) == {}


def test_a_provider_that_is_down_is_told_to_the_application(make: MakeFlows, standins: StandIns) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    app = make(providers__github__base_url=nowhere, providers__acme__issuer=nowhere)
    refuse_each(app, standins, "verified", "provider_unavailable", {"github"})
    flow = Flow()
    answer = flow.begin(app.test_client(), "acme")
    came = parameters(answer)
    assert (came["error"], came["state"]) == ("provider_unavailable", flow.state)
    assert "Set-Cookie" not in answer.headers
    assert counts(app).keys() <= {"authorizations"}


def fail(*_: object, **__: object) -> None:
    raise OperationalError("SELECT canary", {}, Exception("the server closed the connection"))


def test_s60_a_database_that_fails_on_the_way_is_told_to_the_application_and_leaves_nothing_half(
    app: Flask, client: FlaskClient, standins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    trip = depart(app, standins)
    flow, code = arrive(app, standins, "gmail")
    before = stored(app)
    with monkeypatch.context() as broken:
        broken.setattr(sessions, "start", fail)
        assert_error(flow.exchange(client, code), 503, "temporarily_unavailable")
    assert stored(app) == before, "the code is still good"
    with monkeypatch.context() as broken:
        broken.setattr(redirects, "begin", fail)
        began = flow.begin(app.test_client(), "google")
    assert parameters(began)["error"] == "temporarily_unavailable"
    assert "Set-Cookie" not in began.headers
    with monkeypatch.context() as broken:
        broken.setattr(codes, "issue", fail)
        came = trip.come_back()
    assert (came["error"], came["state"]) == ("temporarily_unavailable", trip.flow.state)
    assert {**stored(app), "authorizations": before["authorizations"]} == before
    assert flow.exchange(client, code).status_code == 200
