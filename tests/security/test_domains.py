"""S74: where only some domains may join, no e-mail address counts before it is verified, and every change obeys."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from authserver.accounts import admin, flows
from authserver.clock import now
from authserver.errors import CODES
from authserver.extensions import db
from authserver.models import Invitation
from authserver.testing.standins import Person, StandIns
from tests.conftest import MakeApp
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up, signup_body
from tests.mails import Mails
from tests.pages import Browser, assert_page, code_of, everything, exchanged, joining, signed_in_on_page
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow
from tests.providers.signing_in import post, settings_of
from tests.security.test_passwords import change_user
from tests.test_joining import TOKEN, invite

served_standins = conftest.served_standins
standins = conftest.standins

COMPANY = "company.example"
OURS, THEIRS = f"nobody@{COMPANY}", "mallory@elsewhere.example"
Make = Callable[..., Flask]


@pytest.fixture
def make(make_app: MakeApp, mails: Mails) -> Make:
    """Applications on one database: of the company, unless it is said otherwise."""
    usual = {"mail_url": mails.url, "redirect_urls": NEXT, "signup_domains": COMPANY}
    return lambda **changes: make_app(**{**usual, **changes})


def no_tokens(answer: TestResponse, status: int, code: str) -> None:
    assert_error(answer, status, code)
    assert "Set-Cookie" not in answer.headers


def ask(client: FlaskClient, person: SignedIn, email: str) -> TestResponse:
    return client.post("/api/email/change/", headers=person.bearer, json={"email": email})


def confirm(client: FlaskClient, person: SignedIn, token: str) -> TestResponse:
    return client.post("/api/email/verify/", headers=person.bearer, json={"token": token})


@pytest.mark.parametrize("verification", ["off", "optional"])
def test_s74_nobody_gets_tokens_before_the_address_is_verified(make: Make, mails: Mails, verification: str) -> None:
    app = make(email_verification=verification)
    client, body = app.test_client(), signup_body(email=OURS)
    joined = client.post("/api/signup/", json=body)
    assert (joined.status_code, joined.get_json().keys()) == (202, {"detail"})
    mail = mails.one(app, OURS)
    no_tokens(log_in(client, OURS), 403, "email_not_verified")
    for name in ("email", "username"):
        no_tokens(client.post("/api/token/", json={name: OURS, "password": PASSWORD}), 403, "email_not_verified")
    assert everything(app)["sessions"] == []
    assert client.post("/api/email/verify/", json={"token": mail.token}).status_code == 204
    assert log_in(client, OURS).get_json()["user"]["email_verified"] is True
    again = client.post("/api/signup/", json=body)
    assert (again.status_code, again.data) == (202, joined.data), "a taken e-mail address is not told from a free one"


def test_s74_the_pages_let_nobody_in_before_that_either(make: Make, mails: Mails) -> None:
    app = make(email_verification="off")
    flow, browser, fields = Flow(), Browser(app), joining(email=OURS)
    query = f"?{flow.query()}"
    assert_page(browser.post(f"/signup{query}", fields))
    assert_page(browser.sign_in(OURS, query=query), 403)
    assert (browser.cookie, everything(app)["sessions"]) == (None, [])
    assert_page(browser.post("/email/verify", {"token": mails.one(app, OURS).token}))
    assert exchanged(app, browser.sign_in(OURS, query=query), flow).user["email_verified"] is True
    assert_page(browser.post("/signup", joining(email=THEIRS)), 403)
    for taken_or_free in (OURS, THEIRS):
        answer = browser.post("/account/email", {"email": taken_or_free.replace(COMPANY, "elsewhere.example")})
        assert_page(answer, 403)
        assert CODES["signup_not_allowed"][1] in answer.text
    assert mails.take(app) == []


@pytest.fixture
def member(make: Make, mails: Mails) -> SignedIn:
    app = make()
    invite(app, f"member@{COMPANY}")
    member = sign_up(app.test_client(), email=f"member@{COMPANY}", invitation=TOKEN)
    mails.take(app)
    return member


@pytest.mark.parametrize("mail", [True, False])
def test_s74_no_change_leaves_the_domains_and_none_tells_who_is_here(
    make: Make, make_app: MakeApp, member: SignedIn, mails: Mails, mail: bool
) -> None:
    sign_up(make(signup_domains="").test_client(), email=THEIRS)
    app = make() if mail else make_app(signup_domains=COMPANY)
    mails.take(make())
    client, before = app.test_client(), everything(app)
    foreign = (
        THEIRS,
        "free@elsewhere.example",
        f"free@sub.{COMPANY}",
        f"free@x{COMPANY}",
        f"free@{COMPANY}.evil.example",
    )
    answers = [ask(client, member, email) for email in foreign]
    for answer in answers:
        assert_error(answer, 403, "signup_not_allowed")
    assert len({answer.data for answer in answers}) == 1
    assert everything(app) == before
    assert ask(client, member, f"Other@{COMPANY.upper()}").status_code == (202 if mail else 503)


def test_s74_a_change_that_was_asked_for_before_is_looked_at_again(make: Make, member: SignedIn, mails: Mails) -> None:
    before = make(signup_domains="")
    for email in ("member@elsewhere.example", f"other@{COMPANY}"):
        assert ask(before.test_client(), member, email).status_code == 202
        token = next(mail.token for mail in mails.take(before) if mail.to == email)
        app = make()
        unchanged = everything(app)
        answer = confirm(app.test_client(), member, token)
        if email.endswith(COMPANY):
            assert answer.status_code == 204
            continue
        assert_error(answer, 403, "signup_not_allowed")
        assert everything(app) == unchanged
    assert log_in(make().test_client(), f"other@{COMPANY}").status_code == 200


@pytest.mark.parametrize("rotation", [False, True])
def test_s74_a_session_from_before_gives_no_tokens_until_its_address_is_verified(
    make: Make, mails: Mails, rotation: bool
) -> None:
    open_to_all = make(signup_domains="", refresh_rotation=rotation)
    person = sign_up(open_to_all.test_client(), email=OURS)
    token = mails.one(open_to_all, OURS).token
    browser = signed_in_on_page(open_to_all, person)
    app, flow = make(refresh_rotation=rotation), Flow()
    client, query = app.test_client(), f"?{flow.query()}"
    browser.app, page = app, browser.client.get_cookie("__Host-page", "auth.example.com")
    assert page
    browser.client = app.test_client()
    browser.client.set_cookie("__Host-page", page.value, domain="auth.example.com", secure=True)

    def refresh() -> TestResponse:
        return client.post("/api/token/refresh/", json={"refresh": person.refresh})

    before = everything(app)
    no_tokens(refresh(), 401, "token_not_valid")
    no_tokens(client.post("/api/token/verify/", json={"token": person.refresh}), 401, "token_not_valid")
    again = client.post("/api/reauthenticate/", headers=person.bearer, json={"password": PASSWORD})
    no_tokens(again, 403, "email_not_verified")
    no_tokens(log_in(client, OURS), 403, "email_not_verified")
    assert everything(app) == before
    no_tokens(flow.exchange(client, code_of(browser.go_on(person, query), flow)), 403, "email_not_verified")
    assert client.post("/api/email/verify/", json={"token": token}).status_code == 204
    assert refresh().status_code == 200
    assert exchanged(app, browser.go_on(person, query), flow).user["id"] == person.user["id"]


def test_s74_without_mail_nobody_can_sign_up_but_by_a_provider_or_an_invitation(
    make_app: MakeApp, standins: StandIns
) -> None:
    app = make_app(signup_domains=COMPANY, **settings_of(standins))
    client = app.test_client()
    person = Person(subject="1", email=f"ada@{COMPANY}", email_verified=True)
    assert post(client, "google", standins.google.token(person)).status_code == 200
    before = everything(app)
    answers = [client.post("/api/signup/", json=signup_body(email=email)) for email in (person.email, OURS)]
    for answer in answers:
        assert_error(answer, 503, "mail_unavailable")
    assert answers[0].data == answers[1].data
    assert_error(client.post("/api/signup/", json=signup_body(email=THEIRS)), 403, "signup_not_allowed")
    assert_page(Browser(app).post("/signup", joining(email=OURS)), 503)
    assert everything(app) == before
    invite(app, THEIRS)
    assert sign_up(client, email=THEIRS, invitation=TOKEN).user["email_verified"] is True


def test_s74_a_foreign_address_does_not_join_by_an_invitation_that_was_revoked_meanwhile(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make()
    invite(app, THEIRS)

    def revoke_meanwhile(*_: object) -> str:
        db.session.execute(update(Invitation).values(revoked_at=now()))
        db.session.commit()
        return "hashed"

    monkeypatch.setattr(flows, "hash_password", revoke_meanwhile)
    answer = app.test_client().post("/api/signup/", json=signup_body(email=THEIRS, invitation=TOKEN))
    assert_error(answer, 403, "signup_not_allowed")
    assert everything(app)["users"] == []


def test_s74_who_came_by_a_provider_before_verifies_first_and_who_has_no_address_cannot(
    make: Make, standins: StandIns, mails: Mails
) -> None:
    open_to_all = make(signup_domains="", **settings_of(standins))
    people = [Person(subject="1001", email=OURS), Person(subject="1002")]
    for person in people:
        assert post(open_to_all.test_client(), "facebook", standins.facebook.token(person)).status_code == 200
    mails.take(open_to_all)
    app = make(email_verification="off", **settings_of(standins))
    client = app.test_client()
    unverified, nameless = (standins.facebook.token(person) for person in people)
    no_tokens(post(client, "facebook", unverified), 403, "email_not_verified")
    assert client.post("/api/email/verify/", json={"token": mails.one(app, OURS).token}).status_code == 204
    assert post(client, "facebook", unverified).status_code == 200
    assert post(client, "facebook", nameless).status_code == 200, "joined before, and has nothing to verify"
    stranger = standins.facebook.token(Person(subject="1003", email=f"stranger@{COMPANY}"))
    no_tokens(post(client, "facebook", stranger), 403, "signup_not_allowed")


def test_s74_the_operator_lets_in_anybody_and_an_account_from_before_stays(make: Make) -> None:
    before = make(signup_domains="")
    known = sign_up(before.test_client(), email="known@elsewhere.example")
    change_user(before, known.user["email"], email_verified=True)
    app = make()
    with app.app_context():
        admin.create(THEIRS, PASSWORD, verified=True)
        admin.create(OURS, PASSWORD)
    for email in (THEIRS, known.user["email"]):
        assert log_in(app.test_client(), email).status_code == 200
    no_tokens(log_in(app.test_client(), OURS), 403, "email_not_verified")
