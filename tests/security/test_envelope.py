"""S71: a mail goes to the e-mail address that is stored, or the e-mail address is refused."""

import json
import string
from contextlib import suppress
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from authserver.body import email_address
from authserver.emails import outbox
from authserver.emails.delivery import send
from authserver.emails.render import Message
from authserver.extensions import db, writing
from authserver.models import Invitation, Mail, User
from authserver.settings import SettingsError
from tests.conftest import MakeApp, Run
from tests.each import each
from tests.factories import assert_error, sign_up, signup_body
from tests.mails import Arrived, Mails
from tests.pages import Browser

ENCODED = "=?utf-8?q?attacker=40evil.example=3e?="
LONGEST = "=?utf-8?q?attacker=40evil.example=3e?=" + "c" * 26  # 64 characters, the most that a local part has
HOSTILE = [
    ENCODED,
    f"{ENCODED}c",
    f"c{ENCODED}",
    f"c.{ENCODED}",
    LONGEST,
    ENCODED.upper(),
    "=?us-ascii?q?attacker=40evil.example?=",
    "=?iso-8859-1*en?q?attacker=40evil.example?=",
    "=?utf-8?b?YXR0YWNrZXJAZXZpbC5leGFtcGxlPg==?=",
    "=?utf-8?q?attacker?==?utf-8?q?=40evil.example?=",
    "=?utf-8?q?attacker",
    "=?",
]
NOT_ENCODED = [
    f'"{ENCODED}"',
    '"attacker@evil.example"',
    '"a b"',
    "(attacker@evil.example)c",
    "c(comment)",
    "attacker%evil.example",
    "evil.example!attacker",
    "@evil.example:attacker",
    "attacker,",
    "attacker;",
    "evil:attacker",
    "\\attacker",
    "?=c=?",
    "a=b?c",
]


@pytest.fixture
def app(make_app: MakeApp, mails: Mails) -> Flask:
    return make_app(mail_url=mails.url)


def assert_exact(mail: Arrived, email: str) -> None:
    assert mail.recipients == [email]
    assert mail.sender == "no-reply@auth.example.com"
    head = mail.content.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert [line for line in head if line.lower().startswith((b"to:", b"cc:", b"bcc:", b"from:"))] == [
        b"From: no-reply@auth.example.com",
        b"To: " + email.encode(),
    ]


def test_s71_no_call_and_no_page_takes_an_encoded_word(make_app: MakeApp, mails: Mails) -> None:
    app = make_app(mail_url=mails.url, email_verification="required", signup_domains="allowed.example")
    client = app.test_client()
    for local in HOSTILE:
        email = f"{local}@allowed.example"
        for path in ("/api/signup/", "/api/password/forgot/", "/api/email/verify/resend/"):
            assert_error(client.post(path, json=signup_body(email=email)), 400, "invalid_request", "email")
        form = {name: str(value) for name, value in signup_body(email=email).items()}
        assert Browser(app).post("/signup", form).status_code == 400
    assert_nothing_is_stored(app)


def test_s71_no_command_takes_an_encoded_word(app: Flask, mails: Mails, run: Run, tmp_path: Path) -> None:
    email = f"{ENCODED}@allowed.example"
    assert run("users", "create", email, "--no-password", mail_url=mails.url).exit_code == 2
    assert run("invitations", "create", email, mail_url=mails.url).exit_code == 2
    (tmp_path / "people.jsonl").write_text(json.dumps({"email": email}))
    assert run("users", "import", "people.jsonl").exit_code == 1
    assert_nothing_is_stored(app)


def assert_nothing_is_stored(app: Flask) -> None:
    with app.app_context():
        for model in (User, Invitation, Mail):
            assert db.session.scalars(select(model)).all() == []


@each("local", NOT_ENCODED)
def test_s71_an_address_that_is_taken_is_mailed_to_as_it_is_stored(
    app: Flask, client: FlaskClient, mails: Mails, local: str
) -> None:
    answer = client.post("/api/signup/", json=signup_body(email=f"{local}@allowed.example"))
    if answer.status_code == 400:
        assert_error(answer, 400, "invalid_request", "email")
        assert mails.take(app) == []
        return
    stored = answer.get_json()["user"]["email"]
    assert stored == f"{local}@allowed.example"
    (mail,) = mails.take(app)
    assert_exact(mail, stored)


@pytest.mark.parametrize("local", HOSTILE)
def test_s71_an_address_that_was_stored_before_is_mailed_to_as_it_is_stored(
    app: Flask, client: FlaskClient, mails: Mails, local: str
) -> None:
    """By an older version, or by somebody at the database: its owner is told of a new sign-in, and nobody else."""
    person, stored = sign_up(client), f"{local}@allowed.example"
    mails.take(app)
    with app.app_context(), writing() as transaction:
        transaction.execute(update(User).values(email=stored))
    changed = {"current_password": "correct horse battery staple", "password": "another good one"}
    body = {**changed, "password_confirm": "another good one"}
    assert client.post("/api/password/change/", headers=person.bearer, json=body).status_code == 204
    (mail,) = mails.take(app)
    assert_exact(mail, stored)


BREAKING_OUT = [
    "a>@b.example",
    "a@b.example> X",
    "<a@b.example",
    "a@b.example\r\nRCPT TO:<c@d.example>",
    "\u00e4@b.example",
]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("stored", BREAKING_OUT)
def test_s71_what_would_end_the_envelopes_address_early_is_not_sent(app: Flask, mails: Mails, stored: str) -> None:
    queue(app, stored)
    assert mails.take(app) == []


def queue(app: Flask, to: str) -> None:
    with app.app_context(), writing() as transaction:
        link = {"link": "https://auth.example.com/#token=t", "token": "t"}
        outbox.queue(transaction, "reset", to, "", None, **link)


ATOMS = string.ascii_lowercase + string.digits + "!#$%&'*+/=?^_`{|}~.-"
PIECES = ["=?", "?=", "=40", "=3e", "utf-8", "?q?", "?b?", "%", "!", "evil.example", *'"()\\ ,:;@']
HOSTILE_LOCALS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(ATOMS, min_size=1)), min_size=1, max_size=8)


@given(pieces=HOSTILE_LOCALS)
@hypothesis_settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_s71_the_envelope_has_the_address_to_the_letter_whether_or_not_it_would_be_taken(
    app: Flask, mails: Mails, pieces: list[str]
) -> None:
    email = f"{''.join(pieces)}@allowed.example"
    with suppress(ValueError):
        assert "=?" not in email_address(email)
        assert email_address(email) == email.strip()
    with app.app_context():
        send(Message(email, "subject", "text", "<p>html</p>"))
    assert_exact(mails.server.arrived.pop(), email)


SENDERS_REFUSED = [
    f"{ENCODED}@allowed.example",
    f"{ENCODED}a@allowed.example",
    '"a@b"@allowed.example',
    "a(b)@allowed.example",
    "a@b@c.example",
    "\u00e4@b.example",
    "a@\u00e4.example",
]
SENDERS = ["no-reply@example.com", "a+b=c?d@sub.example.com", "no-reply@localhost", "x@[192.0.2.1]"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_s71_a_sender_that_could_be_read_otherwise_stops_the_start(make_app: MakeApp) -> None:
    for sender in SENDERS_REFUSED:
        with pytest.raises(SettingsError) as refused:
            make_app(mail_from=sender)
        assert str(refused.value) == "AUTHSERVER_MAIL_FROM: expected one e-mail address, such as no-reply@example.com"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_s71_the_sender_is_in_the_envelope_as_it_is_set(make_app: MakeApp, mails: Mails) -> None:
    for sender in SENDERS:
        app = make_app(mail_url=mails.url, mail_from=sender)
        sign_up(app.test_client())
        (mail,) = mails.take(app)
        assert mail.sender == sender
        assert mail.content.startswith(f"From: {sender}\r\n".encode())
