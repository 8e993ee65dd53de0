"""S88: mails to an e-mail address that nobody proved are few, and no mail prints what a stranger chose."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from authserver.emails import render
from authserver.emails.notices import may_mail
from authserver.extensions import db, writing
from authserver.models import Mail, RateLimit
from tests.conftest import MakeApp, Run
from tests.deferred import finish
from tests.factories import PASSWORD, SignedIn, log_in, sign_up, signup_body
from tests.mails import Mails
from tests.security.guessing import counted

Advance = Callable[[float], None]
VICTIM = "victim@example.com"
MOST = 10
DAY = 86400


@pytest.fixture
def make_limited(make_app: MakeApp, mails: Mails) -> MakeApp:
    """The other limits are out of the way: what they let through is counted here."""
    plenty = "10000 per day"
    wide = {
        f"rate_limit_{name}": plenty for name in ("signup_address", "mail_account", "mail_address", "login_account")
    }
    return lambda **changes: make_app(**{"rate_limits": True, "mail_url": mails.url, **wide, **changes})


@pytest.fixture
def app(make_limited: MakeApp) -> Flask:
    return make_limited()


def queued(app: Flask) -> int:
    with app.app_context():
        return len(db.session.scalars(select(Mail.id)).all())


def erase(client: FlaskClient, person: SignedIn) -> None:
    assert client.delete("/api/me/", headers=person.bearer).status_code == 204


def test_s88_signing_up_a_stranger_and_erasing_again_and_again_sends_few_mails(
    app: Flask, client: FlaskClient, mails: Mails, advance: Advance
) -> None:
    arrived = []
    for _ in range(MOST + 5):
        person = sign_up(client, email=VICTIM)
        arrived += mails.take(app)
        erase(client, person)
    assert [mail.recipients for mail in arrived] == [[VICTIM]] * MOST
    sign_up(client, email="somebody.else@example.com")
    assert len(mails.take(app)) == 1, "others are mailed as ever"
    advance(DAY + 1)
    sign_up(client, email=VICTIM)
    assert len(mails.take(app)) == 1


def test_s88_tags_of_one_mailbox_are_counted_together(app: Flask, client: FlaskClient) -> None:
    for number in range(MOST + 5):
        sign_up(client, email=f"victim+{number}@example.com")
    assert queued(app) == MOST
    sign_up(client, email="victim+1@example.org")
    assert queued(app) == MOST + 1


def test_s88_mails_of_every_kind_are_counted_together(app: Flask, client: FlaskClient, mails: Mails, run: Run) -> None:
    invited = [run("invitations", "create", VICTIM, mail_url=mails.url) for _ in range(2)]
    assert all("It is mailed too" in one.output for one in invited)
    victim, other = sign_up(client, email=VICTIM), sign_up(client)
    assert sorted(mail.to for mail in mails.take(app)) == [other.user["email"]] + [VICTIM] * 3
    for path in ("/api/email/verify/resend/", "/api/password/forgot/"):
        assert client.post(path, json={"email": VICTIM}).status_code == 202
    changed = {"current_password": PASSWORD, "password": "another good one", "password_confirm": "another good one"}
    assert client.post("/api/password/change/", json=changed, headers=victim.bearer).status_code == 204
    log_in(client, VICTIM, "another good one")  # from the same browser, so that nobody is told
    new = {"email": "new@example.com"}
    assert client.post("/api/email/change/", json=new, headers=victim.bearer).status_code == 202
    assert sorted(mail.to for mail in mails.take(app)) == ["new@example.com"] + [VICTIM] * 4
    erase(client, victim)
    for _ in range(9):  # strangers asked for 3 before, and 7 more are sent
        answer = client.post("/api/email/change/", json={"email": VICTIM}, headers=other.bearer)
        assert (answer.status_code, answer.get_json()["detail"]) == (
            202,
            "A mail with a link is on its way to the new address.",
        )
    told = [mail.to for mail in mails.take(app)]
    assert (told.count(VICTIM), told.count(str(other.user["email"]))) == (7, 9)
    refused = run("invitations", "create", VICTIM, mail_url=mails.url)
    assert (refused.exit_code, "No mail is sent: hand it over." in refused.output) == (0, True)
    created = run("users", "create", VICTIM, "--no-password", mail_url=mails.url)
    assert (created.exit_code, "No mail can be sent: nobody" in created.output) == (0, True)
    assert mails.take(app) == []


def test_s88_who_proved_the_address_is_told_of_everything(app: Flask, client: FlaskClient, mails: Mails) -> None:
    person = sign_up(client, email=VICTIM)
    (mail,) = mails.take(app)
    assert client.post("/api/email/verify/", json={"token": mail.token}).status_code == 204
    before = counted(app)
    for number in range(MOST + 5):
        agent = {"User-Agent": f"browser {number}"}
        assert (
            client.post("/api/login/", json={"email": VICTIM, "password": PASSWORD}, headers=agent).status_code == 200
        )
    assert [mail.to for mail in mails.take(app)] == [VICTIM] * (MOST + 5)
    assert [key for key in counted(app) if "unproved" in key] == [key for key in before if "unproved" in key]
    for _ in range(MOST + 5):  # but not the new address
        answer = client.post("/api/email/change/", json={"email": "other@example.com"}, headers=person.bearer)
        assert answer.status_code == 202
    told = [mail.to for mail in mails.take(app)]
    assert (told.count(VICTIM), told.count("other@example.com")) == (MOST + 5, MOST)


def test_s88_when_no_more_is_mailed_the_answers_are_the_same_and_the_last_link_is_good(
    make_limited: MakeApp, mails: Mails
) -> None:
    app = make_limited(email_verification="required")
    client = app.test_client()
    first = client.post("/api/signup/", json=signup_body(email=VICTIM))
    answers = [client.post("/api/email/verify/resend/", json={"email": VICTIM}) for _ in range(MOST + 2)]
    assert {(one.status_code, one.data) for one in answers} == {(202, answers[0].data)}
    *_, last = mails.take(app)
    again = client.post("/api/signup/", json=signup_body(email=VICTIM))
    assert (again.status_code, again.data, sorted(again.headers)) == (202, first.data, sorted(first.headers))
    assert client.post("/api/password/forgot/", json={"email": VICTIM}).status_code == 202
    assert mails.take(app) == []
    assert client.post("/api/email/verify/", json={"token": last.token}).status_code == 204
    assert log_in(client, VICTIM).status_code == 200, "whom a stranger signed up again without a mail"


@pytest.mark.slow
def test_s88_of_many_at_once_no_more_than_the_limit_are_mailed(make_limited: MakeApp) -> None:
    apps = [make_limited(), make_limited()]
    sign_up(apps[0].test_client(), email=VICTIM)

    def ask(number: int) -> int:
        client = apps[number % 2].test_client()
        stranger = {"User-Agent": "nobody's"}
        return client.post("/api/email/verify/resend/", json={"email": VICTIM}, headers=stranger).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(ask, range(24))) == {202}
    finish(apps[0])
    assert queued(apps[0]) == MOST


def test_s88_a_count_is_undone_with_its_mail(app: Flask) -> None:
    with app.app_context():
        for _ in range(MOST + 1):
            with suppress(ZeroDivisionError), writing() as transaction:
                assert may_mail(transaction, VICTIM)
                raise ZeroDivisionError
        with writing() as transaction:
            assert [may_mail(transaction, VICTIM) for _ in range(MOST + 1)] == [True] * MOST + [False]


def test_s88_it_is_counted_in_the_database_beside_a_redis_and_has_an_end(
    make_limited: MakeApp, redis_url: str, advance: Advance
) -> None:
    app = make_limited(redis_url=redis_url)
    client = app.test_client()
    for _ in range(MOST + 2):
        erase(client, sign_up(client, email=VICTIM))
    assert len(counted(app)) == 1
    with app.app_context():
        assert db.session.scalar(select(RateLimit.count)) == MOST + 2
    advance(DAY + 1)
    client.post("/api/login/", json={"email": VICTIM, "password": PASSWORD})
    assert counted(app) == []


def test_s88_nobody_is_named_in_a_key(app: Flask, client: FlaskClient) -> None:
    sign_up(client, email=VICTIM)
    assert [key for key in counted(app) if "mail_unproved/" in key]
    assert not [key for key in counted(app) if "victim" in key or "example" in key]


SALE = "SALE! https://evil.example/ Mozilla"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"
WORDS = {
    "en": ("With: Firefox on Linux", "With: an unknown browser"),
    "de": ("Mit: Firefox unter Linux", "Mit: einem unbekannten Browser"),
    "fr": ("Avec : Firefox sous Linux", "Avec : un navigateur inconnu"),
}


@pytest.mark.parametrize("language", WORDS)
def test_s88_a_mail_names_the_browser_in_our_words(
    app: Flask, client: FlaskClient, mails: Mails, language: str
) -> None:
    assert set(WORDS) == set(render.LANGUAGES)
    person = sign_up(client, first_name="SALE", last_name="evil.example")
    mails.take(app)
    hostile = f"{SALE} {FIREFOX} <b>evil.example</b>"
    for agent, words in ((FIREFOX, 0), (SALE, 1), ("", 1), ("Linux", 1), (hostile, 0)):
        headers = {"User-Agent": agent, "Accept-Language": language, **person.bearer}
        assert client.post("/api/email/change/", json={"email": "new@example.org"}, headers=headers).status_code == 202
        for mail in mails.take(app):
            whole = mail.message.as_string() + mail.text + mail.part("html")
            assert not re.search("SALE|evil|Mozilla", whole)
            if mail.to == person.user["email"]:
                assert WORDS[language][words] in mail.text.splitlines()
                assert WORDS[language][words] in mail.part("html")


def test_s88_no_mail_is_counted_where_limits_are_switched_off(make_limited: MakeApp) -> None:
    app = make_limited(rate_limits=False)
    client = app.test_client()
    sign_up(client, email=VICTIM)
    for _ in range(MOST + 5):
        client.post("/api/email/verify/resend/", json={"email": VICTIM})
    assert queued(app) == MOST + 6
    assert counted(app) == []
