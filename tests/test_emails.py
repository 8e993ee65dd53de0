"""Verifying an address, in the three modes, and changing it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import PUBLIC_URL, MakeApp
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up, signup_body
from tests.mails import Mails


@pytest.fixture
def app(make_app: MakeApp, mails: Mails) -> Flask:
    return make_app(mail_url=mails.url)


def required(make_app: MakeApp, mails: Mails) -> Flask:
    return make_app(mail_url=mails.url, email_verification="required")


def me(client: FlaskClient, person: SignedIn) -> tuple[str, bool]:
    user = client.get("/api/me/", headers=person.bearer).get_json()
    return user["email"], user["email_verified"]


def verify(client: FlaskClient, token: str, person: SignedIn | None = None, **body: str) -> int:
    """`person` is who is signed in."""
    headers = person.bearer if person else {}
    return client.post("/api/email/verify/", json={"token": token, **body}, headers=headers).status_code


def test_verification_is_mailed_and_all_works_meanwhile(app: Flask, client: FlaskClient, mails: Mails) -> None:
    person = sign_up(client)
    mail = mails.one(app, person.user["email"])
    assert me(client, person) == (person.user["email"], False)
    assert verify(client, mail.token) == 204
    assert me(client, person) == (person.user["email"], True)
    assert_error(client.post("/api/email/verify/", json={"token": mail.token}), 400, "one_time_token_not_valid")


def test_verification_can_be_off(make_app: MakeApp, mails: Mails) -> None:
    app = make_app(mail_url=mails.url, email_verification="off")
    sign_up(app.test_client())
    assert mails.take(app) == []


def test_required_verification_answers_new_and_taken_addresses_alike(make_app: MakeApp, mails: Mails) -> None:
    app = required(make_app, mails)
    client = app.test_client()
    body = signup_body()
    new = client.post("/api/signup/", json=body)
    first = mails.one(app, str(body["email"]))
    taken = client.post(
        "/api/signup/", json={**body, "password": "not the owner's", "password_confirm": "not the owner's"}
    )
    assert new.status_code == taken.status_code == 202
    assert new.data == taken.data
    assert sorted(new.headers.items()) == sorted(taken.headers.items())
    second = mails.one(app, str(body["email"]))
    assert (first.page, second.page) == (f"{PUBLIC_URL}/email/verify", f"{PUBLIC_URL}/password/reset")
    assert_error(log_in(client, str(body["email"]), "not the owner's"), 401, "no_active_account")
    assert_error(log_in(client, str(body["email"]), "wrong"), 401, "no_active_account")
    # Whoever signed up first need not be who reads the mail: their password and their link are over.
    assert_error(log_in(client, str(body["email"])), 401, "no_active_account")
    assert verify(client, first.token) == 400
    chosen = {"token": second.token, "password": "owner of the mailbox", "password_confirm": "owner of the mailbox"}
    assert client.post("/api/password/reset/", json=chosen).status_code == 204
    mails.take(app)
    client.post("/api/signup/", json=body)  # verified by now: nothing of the owner's ends
    assert mails.one(app, str(body["email"])).page == f"{PUBLIC_URL}/password/reset"
    assert log_in(client, str(body["email"]), "owner of the mailbox").status_code == 200


@pytest.mark.parametrize("setting", [{"email_verification": "required"}, {"signup_domains": "example.com"}])
def test_signing_up_again_with_the_same_password_costs_nothing(
    make_app: MakeApp, mails: Mails, setting: dict[str, str]
) -> None:
    app = make_app(mail_url=mails.url, **setting)
    client = app.test_client()
    body = signup_body(password="cafe\u0301 crème", password_confirm="cafe\u0301 crème")
    email, composed = str(body["email"]), "caf\u00e9 crème"
    first = client.post("/api/signup/", json=body)
    again = client.post("/api/signup/", json={**body, "password": composed, "password_confirm": composed})
    assert (first.status_code, first.data) == (again.status_code, again.data) == (202, again.data)
    sent = mails.take(app)
    assert [mail.page for mail in sent] == [f"{PUBLIC_URL}/email/verify"] * 2
    assert_error(log_in(client, email, composed), 403, "email_not_verified")
    assert (verify(client, sent[0].token), verify(client, sent[1].token)) == (400, 204), "the newest link alone counts"
    person = SignedIn(**log_in(client, email, composed).get_json())
    assert recorded(client, person) == ["signed_in", "email_verified", "signed_up"]
    client.post("/api/signup/", json=body)  # verified by now: its owner is told
    assert mails.one(app, email).page == f"{PUBLIC_URL}/password/reset"
    assert recorded(client, person)[0] == "password_reset_requested"
    assert log_in(client, email, composed).status_code == 200


def recorded(client: FlaskClient, person: SignedIn) -> list[str]:
    return [event["type"] for event in client.get("/api/events/", headers=person.bearer).get_json()]


def test_a_password_that_was_lost_to_another_sign_up_does_not_come_back(make_app: MakeApp, mails: Mails) -> None:
    """Whatever is left of the first sign-up: who reads the mail sets the password."""
    app = required(make_app, mails)
    client = app.test_client()
    body = signup_body()
    email = str(body["email"])
    for password in (body["password"], "another password", body["password"]):
        client.post("/api/signup/", json={**body, "password": password, "password_confirm": password})
    assert mails.take(app)[-1].page == f"{PUBLIC_URL}/email/verify", "for it was sent before the password was lost"
    client.post("/api/signup/", json=body)
    assert mails.one(app, email).page == f"{PUBLIC_URL}/password/reset"
    for password in (str(body["password"]), "another password"):
        assert_error(log_in(client, email, password), 401, "no_active_account")


@pytest.mark.slow
@pytest.mark.usefixtures("real_hashes")
def test_of_sign_ups_at_once_with_the_same_password_all_are_one(make_app: MakeApp, mails: Mails) -> None:
    app = required(make_app, mails)
    body = signup_body()

    def one(_: int) -> int:
        return app.test_client().post("/api/signup/", json=body).status_code

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(one, range(4))) == [202] * 4
    sent = mails.take(app)
    assert {mail.page for mail in sent} == {f"{PUBLIC_URL}/email/verify"}
    client = app.test_client()
    assert_error(log_in(client, str(body["email"])), 403, "email_not_verified")
    assert 204 in [verify(client, mail.token) for mail in sent]
    assert log_in(client, str(body["email"])).status_code == 200


def test_required_verification_lets_in_only_who_followed_the_link(make_app: MakeApp, mails: Mails) -> None:
    app = required(make_app, mails)
    client = app.test_client()
    body = signup_body()
    client.post("/api/signup/", json=body)
    assert_error(log_in(client, str(body["email"]), "wrong"), 401, "no_active_account")
    assert_error(log_in(client, str(body["email"])), 403, "email_not_verified")
    assert verify(client, mails.one(app, str(body["email"])).token) == 204
    assert log_in(client, str(body["email"])).status_code == 200


def test_the_owner_who_signed_up_again_gets_in_by_setting_a_password(make_app: MakeApp, mails: Mails) -> None:
    app = required(make_app, mails)
    client = app.test_client()
    body = signup_body()
    for password in (body["password"], "another password"):
        client.post("/api/signup/", json={**body, "password": password, "password_confirm": password})
    _, again = mails.take(app)
    new = {"token": again.token, "password": "owner of the mailbox", "password_confirm": "owner of the mailbox"}
    assert client.post("/api/password/reset/", json=new).status_code == 204
    assert_error(log_in(client, str(body["email"])), 401, "no_active_account")
    assert log_in(client, str(body["email"]), "owner of the mailbox").status_code == 200


def test_resend_answers_alike_and_kills_the_older_link(app: Flask, client: FlaskClient, mails: Mails) -> None:
    waiting, verified = sign_up(client), sign_up(client)
    first, other = mails.take(app)
    verify(client, other.token)
    answers = [
        client.post("/api/email/verify/resend/", json={"email": email})
        for email in (waiting.user["email"], verified.user["email"], "nobody@example.com")
    ]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.data for answer in answers}) == 1
    second = mails.one(app, waiting.user["email"])
    assert (verify(client, first.token), verify(client, second.token)) == (400, 204)


def change(client: FlaskClient, person: SignedIn, email: str) -> int:
    return client.post("/api/email/change/", headers=person.bearer, json={"email": email}).status_code


def test_an_address_changes_when_its_mail_is_confirmed(app: Flask, client: FlaskClient, mails: Mails) -> None:
    person = sign_up(client)
    old = person.user["email"]
    mails.take(app)
    assert change(client, person, "New@Example.com") == 202
    asked, told = sorted(mails.take(app), key=lambda mail: mail.to != "new@example.com")
    assert (asked.to, told.to) == ("new@example.com", old)
    assert "new@example.com" in told.text
    assert me(client, person) == (old, False)
    assert verify(client, asked.token, person) == 204
    assert me(client, person) == ("new@example.com", True)
    confirmed = mails.one(app, old)
    assert "new@example.com" in confirmed.text
    assert confirmed.page == told.page == f"{PUBLIC_URL}/account/recover"
    assert_error(log_in(client, old), 401, "no_active_account")
    assert log_in(client, "new@example.com").status_code == 200


def test_a_change_of_address_needs_a_fresh_token(
    app: Flask, client: FlaskClient, mails: Mails, advance: Callable[[float], None]
) -> None:
    person = sign_up(client)
    mails.take(app)
    refreshed = client.post("/api/token/refresh/", json={"refresh": person.refresh}).get_json()["access"]
    for wait, access in ((0, refreshed), (600, person.access)):
        advance(wait)
        bearer = {"Authorization": f"Bearer {access}"}
        answer = client.post("/api/email/change/", headers=bearer, json={"email": "new@example.com"})
        assert_error(answer, 403, "reauthentication_required")
    assert mails.take(app) == []
    assert_error(client.post("/api/email/change/", json={"email": "new@example.com"}), 401, "not_authenticated")


def test_an_address_that_was_taken_in_between_is_a_409(app: Flask, client: FlaskClient, mails: Mails) -> None:
    person = sign_up(client)
    change(client, person, "new@example.com")
    token = next(mail.token for mail in mails.take(app) if mail.to == "new@example.com")
    other = sign_up(client, email="new@example.com")
    answer = client.post("/api/email/verify/", json={"token": token}, headers=person.bearer)
    assert_error(answer, 409, "account_exists")
    assert me(client, person)[0] == person.user["email"]
    assert change(client, person, other.user["email"]) == 409


def test_where_verification_is_required_a_taken_address_is_not_told_by_a_change(
    make_app: MakeApp, mails: Mails
) -> None:
    app = required(make_app, mails)
    client = app.test_client()
    people = [signup_body(), signup_body()]
    for body in people:
        client.post("/api/signup/", json=body)
    for mail in mails.take(app):
        verify(client, mail.token)
    one = SignedIn(**log_in(client, str(people[0]["email"])).get_json())
    assert change(client, one, str(people[1]["email"])) == change(client, one, "free@example.com") == 202
    sent = {(mail.to, mail.page.removeprefix(PUBLIC_URL)) for mail in mails.take(app)}
    told = (people[0]["email"], "/account/recover")
    assert sent == {("free@example.com", "/email/verify"), (people[1]["email"], "/password/reset"), told}


def test_only_the_newest_asked_for_address_counts(app: Flask, client: FlaskClient, mails: Mails) -> None:
    person = sign_up(client)
    for email in ("first@example.com", "second@example.com"):
        change(client, person, email)
    links = {mail.to: mail for mail in mails.take(app)}
    assert verify(client, links["first@example.com"].token, person) == 400
    assert verify(client, links["second@example.com"].token, person) == 204
    assert me(client, person) == ("second@example.com", True)


def test_s72_only_who_is_signed_in_to_an_account_or_has_its_password_confirms_its_change(
    app: Flask, client: FlaskClient, mails: Mails
) -> None:
    """A person whose e-mail address a hijacker asked for must not hand it over by pressing the mail's button."""
    hijacker, reader = sign_up(client), sign_up(client)
    change(client, hijacker, "reader@example.com")
    token = next(mail.token for mail in mails.take(app) if mail.to == "reader@example.com")
    for headers in ({}, reader.bearer):
        answer = client.post("/api/email/verify/", json={"token": token}, headers=headers)
        assert_error(answer, 401, "not_authenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    stale = {"Authorization": "Bearer stale"}
    answer = client.post("/api/email/verify/", json={"token": token}, headers=stale)
    assert_error(answer, 401, "token_not_valid")
    for headers in ({}, reader.bearer, stale):
        answer = client.post("/api/email/verify/", json={"token": token, "password": "wrong"}, headers=headers)
        assert_error(answer, 400, "invalid_request", "password")
    assert me(client, hijacker)[0] == hijacker.user["email"]
    assert mails.take(app) == []
    assert verify(client, token, password=PASSWORD) == 204, "no refusal used the link up"
    assert me(client, hijacker) == ("reader@example.com", True)


def test_the_password_of_a_change_is_guessed_no_more_often_than_at_login(make_app: MakeApp, mails: Mails) -> None:
    app = make_app(mail_url=mails.url, rate_limits=True)
    client = app.test_client()
    person = sign_up(client)
    change(client, person, "new@example.com")
    token = next(mail.token for mail in mails.take(app) if mail.to == "new@example.com")
    body = {"token": token, "password": "a guess"}
    answers = [client.post("/api/email/verify/", json=body) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [400] * 10 + [429]


def test_a_stale_sign_in_is_no_obstacle_to_a_sign_ups_link(app: Flask, client: FlaskClient, mails: Mails) -> None:
    person = sign_up(client)
    token = mails.one(app, person.user["email"]).token
    answer = client.post("/api/email/verify/", json={"token": token}, headers={"Authorization": "Bearer stale"})
    assert answer.status_code == 204
    assert me(client, person) == (person.user["email"], True)


def test_a_mail_names_the_account_by_the_day_and_the_browser_it_was_made_in(
    app: Flask, client: FlaskClient, mails: Mails
) -> None:
    linux = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    answer = client.post("/api/signup/", json=signup_body(), headers={"User-Agent": linux})
    person = SignedIn(**answer.get_json())
    client.post("/api/email/verify/resend/", json={"email": person.user["email"]}, headers={"User-Agent": "another"})
    change(client, person, "new@example.com")
    made = f"was made on {person.user['date_joined'][:16].replace('T', ' ')} UTC from Firefox on Linux."
    arrived = [mail for mail in mails.take(app) if mail.page.endswith("/email/verify")]
    assert len(arrived) == 3
    for mail in arrived:
        assert made in mail.text
    confirmed = client.post("/email/verify", data={"token": arrived[1].token}, headers={"Origin": PUBLIC_URL})
    assert "Firefox on Linux" in confirmed.text
    assert person.user["date_joined"][:16].replace("T", " ") in confirmed.text
