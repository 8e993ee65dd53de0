"""S36-S39: addresses, races and extra fields at sign-up and sign-in."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from authserver.extensions import db
from authserver.models import Session, User
from tests.conftest import MakeApp
from tests.each import each
from tests.factories import assert_error, log_in, sign_up, signup_body
from tests.mails import Mails


def count(app: Flask, model: type[User] | type[Session]) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model)) or 0


LOOKALIKES = [
    "mi\u212ae@example.com",  # Kelvin sign: NFC and lower() both make a k of it
    "m\u0131ke@example.com",  # dotless i: upper() makes an I of it
    "\uff4dike@example.com",  # full width: NFKC
    "mike\u200b@example.com",
    "mike@ex\u0430mple.com",  # Cyrillic a: another domain
    "mi\u0138e@example.com",
]


@pytest.mark.parametrize(
    "variant", ["ADA@example.com", "ada@EXAMPLE.com", "Ada@Example.Com", "ada@ｅxample.com", "ada@example。com"]
)
def test_s36_spellings_of_one_mailbox_are_one_account(client: FlaskClient, variant: str) -> None:
    person = sign_up(client, email="ada@example.com")
    assert_error(client.post("/api/signup/", json=signup_body(email=variant)), 409, "account_exists")
    assert log_in(client, variant).get_json()["user"]["id"] == person.user["id"]


@pytest.mark.parametrize("lookalike", LOOKALIKES)
def test_s36_an_address_that_looks_alike_never_reaches_anothers_account(client: FlaskClient, lookalike: str) -> None:
    person = sign_up(client, email="mike@example.com")
    answer = log_in(client, lookalike)
    assert answer.status_code in (400, 401)
    joined = client.post("/api/signup/", json=signup_body(email=lookalike))
    if joined.status_code == 201:
        assert joined.get_json()["user"]["email"] != person.user["email"]
    else:
        assert_error(joined, 400, "invalid_request", "email")


def test_s36_a_reset_is_mailed_to_the_stored_address_alone(make_app: MakeApp, mails: Mails) -> None:
    app = make_app(mail_url=mails.url)
    client = app.test_client()
    sign_up(client, email="mike@example.com")
    mails.take(app)
    for typed in ("mike@example.com", "MIKE@example.com", " mike@EXAMPLE.com"):
        assert client.post("/api/password/forgot/", json={"email": typed}).status_code in (202, 400)
    assert {(mail.to, *mail.recipients) for mail in mails.take(app)} == {("mike@example.com",) * 2}
    for lookalike in LOOKALIKES:
        assert client.post("/api/password/forgot/", json={"email": lookalike}).status_code in (202, 400)
    assert mails.take(app) == []


@each(
    "email",
    [
        ["a@example.com", "b@example.com"],
        "a@example.com,b@example.com",
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com\n",
        "Ada <a@example.com>",
        "<a@example.com>",
        "a@b@example.com",
        "a@localhost",
        "a@example",
        "a@test",
        "a" * 243 + "@example.com",
        "a@" + "b" * 64 + ".com",
        "@example.com",
        "a@",
        "a",
        "",
        " ",
        '"a b"@example.com',
        "a@[127.0.0.1]",
        "a@example..com",
        ".a@example.com",
        "a@-example.com",
        "a\0@example.com",
        None,
        7,
        True,
        {"address": "a@example.com"},
    ],
)
def test_s37_what_is_no_single_address_is_refused(app: Flask, client: FlaskClient, email: object) -> None:
    assert_error(client.post("/api/signup/", json=signup_body(email=email)), 400, "invalid_request", "email")
    answer = client.post("/api/login/", json={"email": email, "password": "x"})
    assert_error(answer, 400, "invalid_request", "email")
    assert count(app, User) == 0


@pytest.mark.parametrize("email", ["a@example.test", "o'hara+tag@sub.example.co.uk", "a@xn--bcher-kva.example"])
def test_s37_unusual_addresses_that_are_valid_are_taken(client: FlaskClient, email: str) -> None:
    assert sign_up(client, email=email).user["email"] == email


@pytest.mark.slow
@pytest.mark.usefixtures("real_hashes")
def test_s38_of_twenty_sign_ups_of_one_address_one_succeeds(app: Flask) -> None:
    body = signup_body()

    def one(_: int) -> int:
        return app.test_client().post("/api/signup/", json=body).status_code

    with ThreadPoolExecutor(20) as threads:
        statuses = sorted(threads.map(one, range(20)))
    assert statuses == [201] + [409] * 19
    assert (count(app, User), count(app, Session)) == (1, 1)


def test_s39_extra_fields_are_ignored(client: FlaskClient) -> None:
    wanted = {"id": "01234567-89ab-7def-8123-456789abcdef", "is_admin": True, "email_verified": True, "sid": "x"}
    person = sign_up(client, **wanted, date_joined="2001-01-01T00:00:00Z", password_hash="x", disabled_at=1)
    assert person.user["id"] != wanted["id"]
    assert person.user["email_verified"] is False
    assert person.user.keys() == {"id", "email", "email_verified", "first_name", "last_name", "date_joined"}
    assert not person.user["date_joined"].startswith("2001")
    changed = client.patch("/api/me/", headers=person.bearer, json=wanted).get_json()
    assert changed == person.user
