"""Changing, forgetting and setting a password; hashes of other parameters and other servers."""

import base64
import hashlib
from collections.abc import Callable

import bcrypt
import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from authserver.extensions import db, fetch_one
from authserver.models import User
from authserver.passwords import foreign, hashing
from tests.conftest import MakeApp
from tests.each import each
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up
from tests.mails import Mails

NEW = "a quite different one"


@pytest.fixture
def app(make_app: MakeApp, mails: Mails) -> Flask:
    return make_app(mail_url=mails.url)


def alive(client: FlaskClient, person: SignedIn) -> bool:
    access = client.get("/api/me/", headers=person.bearer).status_code == 200
    refresh = client.post("/api/token/refresh/", json={"refresh": person.refresh}).status_code == 200
    assert access == refresh
    return access


def change(client: FlaskClient, person: SignedIn, **body: object) -> TestResponse:
    body = {"password": NEW, "password_confirm": NEW, **body}
    return client.post("/api/password/change/", headers=person.bearer, json=body)


def reset(client: FlaskClient, token: str, password: str = NEW) -> TestResponse:
    body = {"token": token, "password": password, "password_confirm": password}
    return client.post("/api/password/reset/", json=body)


def set_hash(app: Flask, email: str, password_hash: str | None) -> None:
    with app.app_context():
        db.session.execute(update(User).where(User.email == email).values(password_hash=password_hash))
        db.session.commit()


def stored_hash(app: Flask, email: str) -> str:
    with app.app_context():
        row = fetch_one(select(User.password_hash).where(User.email == email))
    assert row is not None
    assert isinstance(row.password_hash, str)
    return row.password_hash


def test_s19_a_changed_password_ends_all_other_sessions(app: Flask, client: FlaskClient, mails: Mails) -> None:
    person = sign_up(client)
    other = SignedIn(**log_in(client, person.user["email"]).get_json())
    assert change(client, person, current_password=PASSWORD).status_code == 204
    assert (alive(client, person), alive(client, other)) == (True, False)
    assert_error(log_in(client, person.user["email"]), 401, "no_active_account")
    assert log_in(client, person.user["email"], NEW).status_code == 200
    assert [mail.page.rpartition("/")[2] for mail in mails.take(app)] == ["verify", "recover"]


@each(
    ("body", "field"),
    [
        ({"current_password": "wrong"}, "current_password"),
        ({"current_password": ""}, "current_password"),
        ({}, "current_password"),
        ({"current_password": None}, "current_password"),
        ({"current_password": PASSWORD, "password": "short", "password_confirm": "short"}, "password"),
        ({"current_password": PASSWORD, "password_confirm": "another"}, "password_confirm"),
    ],
)
def test_what_is_wrong_with_a_change_is_said_of_its_field(
    client: FlaskClient, body: dict[str, object], field: str
) -> None:
    person = sign_up(client)
    other = SignedIn(**log_in(client, person.user["email"]).get_json())
    assert_error(change(client, person, **body), 400, "invalid_request", field)
    assert alive(client, other)
    assert log_in(client, person.user["email"]).status_code == 200


def test_an_account_without_a_password_sets_one_by_a_fresh_token(
    app: Flask, client: FlaskClient, advance: Callable[[float], None]
) -> None:
    person = sign_up(client)
    set_hash(app, person.user["email"], None)
    advance(600)
    for body in ({}, {"current_password": PASSWORD}):
        assert_error(change(client, person, **body), 403, "reauthentication_required")
    advance(-600)
    assert change(client, person).status_code == 204
    assert log_in(client, person.user["email"], NEW).status_code == 200


def test_reauthenticating_makes_the_token_fresh_in_the_same_session(
    client: FlaskClient, advance: Callable[[float], None]
) -> None:
    person = sign_up(client)
    advance(600)
    assert_error(client.delete("/api/me/", headers=person.bearer), 403, "reauthentication_required")
    for wrong in ("", "wrong"):
        answer = client.post("/api/reauthenticate/", headers=person.bearer, json={"password": wrong})
        assert_error(answer, 400, "invalid_request", "password")
    answer = client.post("/api/reauthenticate/", headers=person.bearer, json={"password": PASSWORD})
    assert answer.get_json().keys() == {"access"}
    fresh = {"Authorization": f"Bearer {answer.get_json()['access']}"}
    assert len(client.get("/api/sessions/", headers=fresh).get_json()) == 1
    assert client.delete("/api/me/", headers=fresh).status_code == 204


def test_reauthenticating_needs_a_live_session_and_a_password(app: Flask, client: FlaskClient) -> None:
    person, other = sign_up(client), sign_up(client)
    set_hash(app, other.user["email"], None)
    body = {"password": PASSWORD}
    answer = client.post("/api/reauthenticate/", headers=other.bearer, json=body)
    assert_error(answer, 400, "invalid_request", "password")
    client.post("/api/logout/", headers=person.bearer)
    assert_error(client.post("/api/reauthenticate/", headers=person.bearer, json=body), 401, "token_not_valid")
    assert_error(client.post("/api/reauthenticate/", json=body), 401, "not_authenticated")


def test_s42_forgot_answers_alike_whoever_is_asked_for_even_when_mail_fails(
    app: Flask, client: FlaskClient, mails: Mails
) -> None:
    person, disabled = sign_up(client), sign_up(client)
    with app.app_context():
        db.session.execute(
            update(User).where(User.email == disabled.user["email"]).values(disabled_at=User.date_joined)
        )
        db.session.commit()
    mails.take(app)
    answers = []
    for refuse in ("", "554 no"):
        mails.server.refuse = refuse
        for email in (person.user["email"], "nobody@example.com", disabled.user["email"]):
            answers.append(client.post("/api/password/forgot/", json={"email": email}))
        assert [mail.to for mail in mails.take(app)] == ([] if refuse else [person.user["email"]])
    assert {answer.status_code for answer in answers} == {202}
    assert len({(answer.data, str(sorted(answer.headers.items()))) for answer in answers}) == 1


def test_s19_a_reset_ends_every_session_and_verifies_the_address(app: Flask, client: FlaskClient, mails: Mails) -> None:
    person = sign_up(client)
    others = [SignedIn(**log_in(client, person.user["email"]).get_json()) for _ in range(2)]
    mails.take(app)
    client.post("/api/password/forgot/", json={"email": person.user["email"].upper()})
    assert reset(client, mails.one(app, person.user["email"]).token).status_code == 204
    assert [alive(client, one) for one in (person, *others)] == [False] * 3
    assert_error(log_in(client, person.user["email"]), 401, "no_active_account")
    assert log_in(client, person.user["email"], NEW).get_json()["user"]["email_verified"] is True
    assert mails.one(app, person.user["email"]).page.endswith("/account/recover")


@pytest.mark.usefixtures("real_hashes")
def test_a_login_replaces_a_hash_of_other_parameters(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = sign_up(client).user["email"]
    assert log_in(client, email).status_code == 200
    before = stored_hash(app, email)
    assert log_in(client, email).status_code == 200
    assert stored_hash(app, email) == before
    monkeypatch.setattr(hashing, "_hasher", PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1))
    assert_error(log_in(client, email, "wrong"), 401, "no_active_account")
    assert stored_hash(app, email) == before
    assert log_in(client, email).status_code == 200
    assert stored_hash(app, email).startswith("$argon2id$v=19$m=1024,t=1,p=1$")
    assert log_in(client, email).status_code == 200


def pbkdf2(password: str) -> str:
    computed = hashlib.pbkdf2_hmac("sha256", password.encode(), b"salt", 1000)
    return f"pbkdf2_sha256$1000$salt${base64.b64encode(computed).decode()}"


def bcrypt_sha256(password: str) -> str:
    digest = hashlib.sha256(password.encode()).hexdigest().encode()
    return f"bcrypt_sha256${bcrypt.hashpw(digest, bcrypt.gensalt(4)).decode()}"


def plain_bcrypt(password: str) -> str:
    return bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()


def django_argon2(password: str) -> str:
    return f"argon2{PasswordHasher(time_cost=1, memory_cost=1024).hash(password)}"


FOREIGN = [pbkdf2, bcrypt_sha256, plain_bcrypt, django_argon2]
# Published by Django, for `lètmein` with the salt `seasalt` (tests/auth_tests/test_hashers.py).
DJANGOS = "pbkdf2_sha256$1500000$seasalt$P4UiMPVduVWIL/oS1GzH+IofsccjJNM5hUTikBvi5to="


@pytest.mark.slow
@pytest.mark.usefixtures("real_hashes")
@each("hashed", FOREIGN)
@each("password", [PASSWORD, "pässword wïth áccents", "x" * 80])
def test_hashes_of_other_servers_are_taken_and_replaced_at_the_first_login(
    app: Flask, client: FlaskClient, hashed: Callable[[str], str], password: str
) -> None:
    email = sign_up(client).user["email"]
    set_hash(app, email, hashed(password))
    assert foreign.objection(hashed(password)) is None
    assert_error(log_in(client, email, f"y{password}"), 401, "no_active_account")
    assert foreign.is_foreign(stored_hash(app, email))
    for _ in range(2):
        assert log_in(client, email, password).status_code == 200
        assert stored_hash(app, email).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.slow
def test_a_hash_that_django_made_matches() -> None:
    assert foreign.matches(DJANGOS, "lètmein")
    assert not foreign.matches(DJANGOS, "letmein")


@each(
    "broken",
    [
        "",
        "plain",
        "md5$salt$00",
        "pbkdf2_sha256$99999999$salt$" + "A" * 43 + "=",
        "pbkdf2_sha256$0$salt$" + "A" * 43 + "=",
        "pbkdf2_sha256$10$salt$",
        "$2b$31$" + "a" * 53,
        "bcrypt_sha256$x",
        "argon2$argon2id$v=19$broken",
        "!" + "x" * 40,
    ],
)
def test_a_hash_that_cannot_be_checked_matches_nothing(broken: str) -> None:
    assert not hashing.matches(broken, PASSWORD)
    assert not hashing.matches(broken, "")
