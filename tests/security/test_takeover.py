"""S31, S32: what the first holder of an unverified address prepared does not outlive its owner's coming."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserver.extensions import db
from authserver.models import Identity, OneTimeToken, Session
from authserver.testing.standins import Person, StandIns
from tests.conftest import MakeApp
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up
from tests.mails import Mails
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow, come_back, parameters
from tests.providers.signing_in import post, settings_of, sign_in
from tests.security.test_passwords import change_user
from tests.security.test_races import at_once
from tests.test_passwords import NEW, alive, reset

served_standins = conftest.served_standins
standins = conftest.standins
no_secret_is_logged = conftest.no_secret_is_logged

OWNER = Person(subject="1", email="owner@gmail.com", email_verified=True, first_name="Olive", last_name="Owner")
THIEF = Person(subject="666", email="thief@example.com", first_name="Theo", last_name="Thief")
ROUNDS = 5


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns, mails: Mails) -> Flask:
    return make_app(**settings_of(standins), redirect_urls=NEXT, mail_url=mails.url, refresh_rotation=True)


class Thief:
    """Signs up with the owner's address and prepares every way to come back by."""

    def __init__(self, app: Flask, standins: StandIns, mails: Mails, email: str = OWNER.email or "") -> None:
        self.app, self.standins, self.mails, self.email = app, standins, mails, email
        self.client = app.test_client()
        first = sign_up(self.client, email=email, first_name="Theo", last_name="Thief")
        self.sessions = [first, SignedIn(**log_in(self.client, email).get_json())]
        self.bearer = first.bearer

    def prepare(self) -> None:
        assert self.link("google", replace(THIEF, email=self.email)).status_code == 201
        assert self.link("facebook", THIEF).status_code == 201
        self.sessions.append(sign_in(self.client, "facebook", self.standins.facebook.token(THIEF)))
        self.client.post("/api/email/change/", headers=self.bearer, json={"email": THIEF.email})
        self.client.post("/api/password/forgot/", json={"email": self.email})
        self.tokens = [mail.token for mail in self.mails.take(self.app)]
        self.flows = [self.flow(linking=False), self.flow(linking=True)]
        self.ticket = self.ask_to_link(Flow(), "microsoft")

    def link(self, provider: str, person: Person) -> TestResponse:
        body = {"access_token": self.standins.each[provider].token(person)}
        return self.client.post(f"/api/identities/{provider}/", headers=self.bearer, json=body)

    def ask_to_link(self, flow: Flow, provider: str) -> str:
        body = {"next": NEXT, "code_challenge": flow.challenge}
        answer = self.client.post(f"/api/identities/{provider}/login/", headers=self.bearer, json=body)
        url: str = answer.get_json()["url"]
        return url

    def flow(self, *, linking: bool) -> tuple[Flow, str]:
        """A code that is on its way back from the provider."""
        flow = Flow()
        began = self.client.get(self.ask_to_link(flow, "microsoft")) if linking else flow.begin(self.client, "facebook")
        at = self.standins.microsoft if linking else self.standins.facebook
        return flow, parameters(come_back(self.client, at.authorize(began.headers["Location"], THIEF)))["code"]


def my(client: FlaskClient, person: SignedIn, what: str) -> list[dict[str, object]]:
    answer: list[dict[str, object]] = client.get(f"/api/{what}/", headers=person.bearer).get_json()
    return answer


def tables(app: Flask) -> dict[str, list[str]]:
    """What there is that lets somebody in."""
    with app.app_context():
        return {
            "identities": list(db.session.scalars(select(Identity.subject))),
            "tokens": list(db.session.scalars(select(OneTimeToken.purpose))),
            "sessions": list(db.session.scalars(select(Session.method).where(Session.revoked_at.is_(None)))),
        }


def test_s31_nothing_of_the_first_ones_survives_the_owner(
    app: Flask, client: FlaskClient, standins: StandIns, mails: Mails
) -> None:
    thief = Thief(app, standins, mails)
    thief.prepare()
    events = my(client, thief.sessions[0], "events")
    assert len(thief.tokens) >= 6
    owner = sign_in(client, "google", standins.google.token(OWNER))
    told = mails.take(app)
    assert {mail.to for mail in told} == {OWNER.email}

    assert owner.user["id"] == thief.sessions[0].user["id"]
    shown = (owner.user["email"], owner.user["email_verified"], owner.user["first_name"], owner.user["last_name"])
    assert shown == (OWNER.email, True, "Olive", "Owner")
    assert [one["email"] for one in my(client, owner, "identities")] == [OWNER.email]
    assert len(my(client, owner, "sessions")) == 1
    assert my(client, owner, "events")[-len(events) :] == events, "what happened stays"

    assert [alive(client, one) for one in thief.sessions] == [False] * 3
    assert_error(log_in(client, thief.email), 401, "no_active_account")
    for token in thief.tokens:
        for path in ("/api/email/verify/", "/api/account/recover/"):
            assert_error(client.post(path, json={"token": token}), 400, "one_time_token_not_valid")
        assert_error(reset(client, token), 400, "one_time_token_not_valid")
    for flow, code in thief.flows:
        assert_error(flow.exchange(client, code, **thief.bearer), 400, "one_time_token_not_valid")
        assert_error(flow.exchange(client, code, **owner.bearer), 400, "one_time_token_not_valid")
    began = thief.client.get(thief.ticket)
    callback = standins.microsoft.authorize(began.headers["Location"], THIEF)
    assert parameters(come_back(thief.client, callback))["error"] == "token_not_valid"
    for at, person in (("google", replace(THIEF, email=thief.email)), ("facebook", replace(THIEF, email=thief.email))):
        assert_error(post(client, at, standins.each[at].token(person)), 409, "account_exists")
    assert sign_in(client, "facebook", standins.facebook.token(THIEF)).user["id"] != owner.user["id"]
    assert alive(client, owner)


def test_s31_the_owner_may_disown_even_that(app: Flask, client: FlaskClient, standins: StandIns, mails: Mails) -> None:
    """Whoever came by the provider was let in for what the provider said: the mailbox itself has the last word."""
    sign_up(client, email=OWNER.email)
    mails.take(app)
    person = sign_in(client, "google", standins.google.token(OWNER))
    told = mails.take(app)
    linked = next(mail for mail in told if mail.subject.startswith("A sign-in with Google"))
    assert client.post("/api/account/recover/", json={"token": linked.token}).status_code == 204
    assert not alive(client, person)
    assert tables(app) == {"identities": [], "tokens": ["reset"], "sessions": []}


@pytest.mark.parametrize("verified", [False, True])
def test_s32_a_reset_ends_what_was_there_before_the_address_was_proved(
    app: Flask, client: FlaskClient, standins: StandIns, mails: Mails, verified: bool
) -> None:
    thief = Thief(app, standins, mails)
    thief.prepare()
    change_user(app, thief.email, email_verified=verified)
    client.post("/api/password/forgot/", json={"email": thief.email})
    assert reset(client, mails.one(app, thief.email).token).status_code == 204
    assert [alive(client, one) for one in thief.sessions] == [False] * 3
    for flow, code in thief.flows:
        assert_error(flow.exchange(client, code, **thief.bearer), 400, "one_time_token_not_valid")
    for token in thief.tokens:
        assert_error(client.post("/api/email/verify/", json={"token": token}), 400, "one_time_token_not_valid")
    left = tables(app)
    assert (sorted(left["identities"]), left["sessions"]) == (["666", "666"] if verified else [], [])
    assert set(left["tokens"]) == {"recover"}
    assert log_in(client, thief.email, NEW).status_code == 200


Act = Callable[[Thief], TestResponse]
ACTS: dict[str, Act] = {
    "log in": lambda thief: log_in(thief.app.test_client(), thief.email),
    "link": lambda thief: thief.link("facebook", THIEF),
    "change the address": lambda thief: thief.app.test_client().post(
        "/api/email/change/", headers=thief.bearer, json={"email": THIEF.email}
    ),
    "set a password": lambda thief: thief.app.test_client().post(
        "/api/password/change/",
        headers=thief.bearer,
        json={"current_password": PASSWORD, "password": NEW, "password_confirm": NEW},
    ),
    "refresh": lambda thief: thief.app.test_client().post(
        "/api/token/refresh/", json={"refresh": thief.sessions[0].refresh}
    ),
    "ask for a reset": lambda thief: thief.app.test_client().post("/api/password/forgot/", json={"email": thief.email}),
}


@pytest.mark.slow
@pytest.mark.usefixtures("real_hashes")
def test_s31_what_the_first_one_does_at_that_moment_comes_before_or_not_at_all(
    app: Flask, standins: StandIns, mails: Mails
) -> None:
    for number in range(ROUNDS):
        owner = replace(OWNER, subject=f"1{number}", email=f"owner{number}@gmail.com")
        thief = Thief(app, standins, mails, owner.email or "")
        acts = [partial(act, thief) for act in ACTS.values()]

        def come(owner: Person = owner) -> TestResponse:
            return post(app.test_client(), "google", standins.google.token(owner))

        *first, came, again = at_once(*((lambda act=act: act().status_code) for act in (*acts, come, acts[0])))
        assert came == 200, came
        assert set(first) | {again} <= {200, 201, 202, 204, 401}, first
        mails.take(app)
        left = tables(app)
        assert left["identities"] == [owner.subject]
        assert left["sessions"] == ["google"]
        assert set(left["tokens"]) <= {"recover", "reset"}, "the owner's, who gets the mail of a reset"
        for password in (PASSWORD, NEW):
            assert_error(log_in(thief.client, thief.email, password), 401, "no_active_account")
        with app.app_context():
            for model in (Identity, OneTimeToken, Session):
                for row in db.session.scalars(select(model)):
                    db.session.delete(row)
            db.session.commit()
