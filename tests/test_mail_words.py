"""The words and links of mails: every kind in every language, and nothing in them that a stranger put there."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from authserver.emails import render
from authserver.extensions import db
from authserver.models import Mail, User
from tests.conftest import PUBLIC_URL, MakeApp
from tests.factories import PASSWORD, SignedIn, assert_error, sign_up, signup_body
from tests.mails import Mails


@pytest.fixture
def app(make_app: MakeApp, mails: Mails) -> Flask:
    return make_app(mail_url=mails.url)


LANGUAGES = [
    ("", "Confirm"),
    ("*", "Confirm"),
    ("nl", "Confirm"),
    ("en;q=0.1,de-AT;q=0.9", "Bestätigen"),
    ("fr, de", "Confirmez"),
    ("de;q=0, FR", "Confirmez"),
    ("../../etc, \x00, " + "x" * 4000, "Confirm"),
]


def test_mails_are_in_the_readers_language_as_text_and_html(app: Flask, client: FlaskClient, mails: Mails) -> None:
    for accepted, word in LANGUAGES:
        headers = {"Accept-Language": accepted.replace("\x00", "")}
        answer = client.post("/api/signup/", json=signup_body(), headers=headers)
        assert answer.status_code == 201
        mail = mails.one(app, answer.get_json()["user"]["email"])
        assert mail.subject.split()[0] == word, accepted
        assert mail.link in mail.part("html")
        assert f'href="{mail.link}"' in mail.part("html")
        assert mail.token in mail.text.replace(mail.link, "")
        assert mail.message["Auto-Submitted"] == "auto-generated"
        assert mail.message["From"] == "no-reply@auth.example.com"


FACTS = {
    "link": "https://auth.example.com/x#token=abc",
    "token": "abc",
    "time": "2026-01-01 00:00 UTC",
    "ip": "192.0.2.1",
    "user_agent": "<b>curl & co</b>",
    "new_email": "new@example.com",
    "expires": "2026-01-02",
    "provider": "google",
    "made_at": "2025-12-31 00:00 UTC",
    "made_with": "Firefox, Linux",
    "lost": "Google, GitHub",
    "lost_password": True,
    "kept": "Microsoft (ada@example.com)",
}
NOTHING_TO_PRESS = {"email_put_back", "ways_lost"}  # what these tell of cannot be undone
KINDS = sorted(path.stem for path in (render.TEMPLATES / "en").glob("[a-z]*.txt"))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_every_mail_is_there_in_every_language(app: Flask) -> None:
    assert render.LANGUAGES == ["de", "en", "fr"]
    assert len(KINDS) == 13
    subjects = set()
    for language in render.LANGUAGES:
        assert sorted(path.stem for path in (render.TEMPLATES / language).glob("[a-z]*.txt")) == KINDS
        for kind in KINDS:
            with app.app_context():
                message = render.render(kind, "ada@example.com", language, **FACTS)
            assert message.subject
            paragraphs = message.text.split("\n\n")
            code = [one for one in paragraphs if one.strip().endswith(f": {FACTS['token']}")]
            assert (FACTS["link"] in paragraphs, bool(code)) == (kind not in NOTHING_TO_PRESS,) * 2, "each on its own"
            assert f'<html lang="{language}">' in message.html
            assert "<b>" not in message.html
            assert "{" not in message.subject + message.text
            subjects.add((message.subject, message.text))
    assert len(subjects) == 3 * len(KINDS)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_operators_own_words_come_first(make_app: MakeApp, mails: Mails, tmp_path: Path) -> None:
    own = tmp_path / "own" / "emails" / "en"
    own.mkdir(parents=True)
    (own / "verify.txt").write_text("Welcome to {{ app_name }}\nOpen\n\n{{ link }}\n\nAnd <enjoy>.\n")
    app = make_app(mail_url=mails.url, template_path=own.parents[1], app_name="Ada's <Shop>")
    client = app.test_client()
    person = sign_up(client)
    mail = mails.one(app, person.user["email"])
    assert (mail.subject, mail.text.splitlines()[0]) == ("Welcome to Ada's <Shop>", "Open")
    assert "And &lt;enjoy&gt;." in mail.part("html")
    assert "<Shop>" not in mail.part("html")
    client.post("/api/password/forgot/", json={"email": person.user["email"]})
    assert mails.one(app, person.user["email"]).subject == "Set a new password for Ada's <Shop>"


BREAKS = ["\r\n", "\n", "\r", "\x85", "\u2028", "\x0b", "\x00", "%0d%0a"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_s37_nothing_that_is_typed_in_makes_a_header(make_app: MakeApp, mails: Mails) -> None:
    for number, line_break in enumerate(BREAKS):
        evil = f"x{line_break}Bcc: evil@example.com{line_break}{line_break}body"
        app = make_app(mail_url=mails.url, app_name=evil)
        client = app.test_client()
        for refused in ({"email": f"{evil}@example.com"}, {"first_name": f"Ada{evil}"} if number < 7 else {}):
            if refused:
                answer = client.post("/api/signup/", json=signup_body(**refused))
                assert_error(answer, 400, "invalid_request", *refused)
        person = sign_up(client)
        mail = mails.one(app, person.user["email"])
        names = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}
        assert set(mail.message.keys()) - {"X-Peer", "X-MailFrom", "X-RcptTo"} == names
        assert mail.recipients == [person.user["email"]]


@pytest.mark.parametrize("proxies", [0, 1])
def test_s50_a_poisoned_host_changes_no_link(make_app: MakeApp, mails: Mails, proxies: int) -> None:
    app = make_app(mail_url=mails.url, trusted_proxies=proxies)
    poisoned = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
    client = app.test_client()
    email = client.post("/api/signup/", json=signup_body(), headers=poisoned).get_json()["user"]["email"]
    client.post("/api/password/forgot/", json={"email": email}, headers=poisoned)
    signed_in = SignedIn(
        **client.post("/api/login/", json={"email": email, "password": PASSWORD}, headers=poisoned).get_json()
    )
    client.post("/api/email/change/", headers={**poisoned, **signed_in.bearer}, json={"email": "new@example.com"})
    arrived = mails.take(app)
    assert len(arrived) == 4
    for mail in arrived:
        assert re.fullmatch(rf"{PUBLIC_URL}/[a-z/]+#token=[\w-]{{43}}", mail.link)
        assert "evil" not in mail.message.as_string()


def test_links_lead_to_the_frontends_pages_by_setting(make_app: MakeApp, mails: Mails) -> None:
    pages = {
        "email_verify_url": "https://app.example.com/verify",
        "password_reset_url": "https://app.example.com/reset/",
    }
    app = make_app(mail_url=mails.url, **pages)
    client = app.test_client()
    person = sign_up(client)
    client.post("/api/password/forgot/", json={"email": person.user["email"]})
    assert [mail.page for mail in mails.take(app)] == list(pages.values())


def test_where_no_mail_can_be_sent_the_calls_for_one_say_so_alike(make_app: MakeApp) -> None:
    app = make_app()
    client = app.test_client()
    person = sign_up(client)
    answers = [
        client.post(path, json={"email": email}, headers=headers)
        for path, headers in (
            ("/api/password/forgot/", {}),
            ("/api/email/verify/resend/", {}),
            ("/api/email/change/", person.bearer),
        )
        for email in (person.user["email"], "nobody@example.com")
    ]
    for answer in answers:
        assert_error(answer, 503, "mail_unavailable")
    assert len({answer.data for answer in answers}) == 1
    changed = {"current_password": PASSWORD, "password": "another good one", "password_confirm": "another good one"}
    assert client.post("/api/password/change/", headers=person.bearer, json=changed).status_code == 204
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Mail)) == 0
        assert db.session.scalar(select(func.count()).select_from(User)) == 1
