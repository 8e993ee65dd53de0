"""S75: who has an account is told neither by an answer, nor by how long it takes, nor by an export after it."""

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, select, update
from werkzeug.test import TestResponse

from authserver.errors import ApiError
from authserver.extensions import db
from authserver.models import Event, Identity, Mail, User
from authserver.oauth import linking, provider
from authserver.testing.standins import Person, StandIns
from authserver.visitor import Visitor
from tests.conftest import MakeApp
from tests.deferred import finish
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, signup_body
from tests.mails import Mails
from tests.providers import conftest
from tests.providers.signing_in import post, settings_of
from tests.security.test_races import counted
from tests.security.timing import BOUND, Ask, area, told_apart

pytestmark = pytest.mark.slow

served_standins = conftest.served_standins
standins = conftest.standins

MEMBERS = [f"member{number}@example.com" for number in range(20)]
STRANGERS = [f"stranger{number}@example.com" for number in range(20)]


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Verification is required, which is when nobody is told; twenty people have an account."""
    app = make_app(mail_url="smtp://127.0.0.1:9", email_verification="required")
    join(app, *MEMBERS)
    return app


def join(app: Flask, *emails: str) -> None:
    for email in emails:
        assert app.test_client().post("/api/signup/", json=signup_body(email=email)).status_code == 202
    finish(app)
    with app.app_context():
        db.session.execute(update(User).values(email_verified=True))
        db.session.commit()


def bearer(client: FlaskClient) -> dict[str, str]:
    return SignedIn(**log_in(client, MEMBERS[0]).get_json()).bearer


def by_provider(app: Flask, email: str, subject: str) -> None:
    """A sign-in, once the provider has said who this is: of an address that it does not vouch for."""
    identity = provider.Identity(subject=subject, email=email, email_verified=False)
    with app.app_context(), suppress(ApiError):
        linking.sign_in("facebook", identity, Visitor("192.0.2.1", "a browser"))


def mailing(path: str) -> Callable[[Flask], tuple[Ask, Ask]]:
    def kinds(app: Flask) -> tuple[Ask, Ask]:
        client = app.test_client()
        return (
            lambda n: client.post(path, json={"email": MEMBERS[n % 20]}),
            lambda n: client.post(path, json={"email": STRANGERS[n % 20]}),
        )

    return kinds


def signing_up(app: Flask) -> tuple[Ask, Ask]:
    client = app.test_client()
    return (
        lambda n: client.post("/api/signup/", json=signup_body(email=MEMBERS[n % 20])),
        lambda n: client.post("/api/signup/", json=signup_body(email=f"new{n:05}@example.com")),
    )


def changing(app: Flask) -> tuple[Ask, Ask]:
    client = app.test_client()
    headers = bearer(client)
    return (
        lambda n: client.post("/api/email/change/", headers=headers, json={"email": MEMBERS[1 + n % 19]}),
        lambda n: client.post("/api/email/change/", headers=headers, json={"email": STRANGERS[1 + n % 19]}),
    )


def coming_by_a_provider(app: Flask) -> tuple[Ask, Ask]:
    return (
        lambda n: by_provider(app, MEMBERS[n % 20], f"{n}"),
        lambda n: by_provider(app, f"new{n:05}@example.com", f"{n}"),
    )


def coming_by_a_provider_again(app: Flask) -> tuple[Ask, Ask]:
    """The first time made an account for the stranger, and none for who came with a member's address."""

    def member(n: int) -> None:
        by_provider(app, MEMBERS[n % 20], f"1{n % 20}")

    def stranger(n: int) -> None:
        by_provider(app, STRANGERS[n % 20], f"2{n % 20}")

    for number in range(20):
        member(number)
        stranger(number)
    finish(app)
    with app.app_context():
        assert len(db.session.scalars(select(Identity)).all()) == 20
    return member, stranger


KINDS = {
    "forgot": mailing("/api/password/forgot/"),
    "resend": mailing("/api/email/verify/resend/"),
    "sign-up": signing_up,
    "change": changing,
    "provider": coming_by_a_provider,
    "provider again": coming_by_a_provider_again,
}


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_s75_known_and_unknown_addresses_take_the_same_time(
    app: Flask, kinds: Callable[[Flask], tuple[Ask, Ask]]
) -> None:
    assert told_apart(*kinds(app)) < BOUND


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_s75_known_and_unknown_addresses_cost_the_same_statements(
    app: Flask, kinds: Callable[[Flask], tuple[Ask, Ask]]
) -> None:
    """Which holds where a busy machine hides what the time would tell."""
    runs = []
    for number, ask in enumerate([*kinds(app), *kinds(app)]):
        with counted(app) as statements:
            ask(number)
        runs.append(statements)
    assert "INSERT INTO mails" in " ".join(runs[0])
    assert runs == [runs[0]] * 4


def test_s75_a_second_sign_up_costs_the_same_statements_whatever_its_password(app: Flask) -> None:
    client, runs = app.test_client(), []
    client.post("/api/signup/", json=signup_body(email="waiting@example.com"))
    for email, password in (("waiting", PASSWORD), ("waiting", "another password"), ("stranger", PASSWORD)):
        body = signup_body(email=f"{email}@example.com", password=password, password_confirm=password)
        with counted(app) as statements:
            assert client.post("/api/signup/", json=body).status_code == 202
        runs.append(statements)
    assert runs == [runs[0]] * 3


def test_a_difference_is_noticed() -> None:
    """Else the test above might be blind."""
    assert told_apart(lambda n: sum(range(20_000)), lambda n: sum(range(60_000))) > 0.7
    assert area([1.0, 3.0], [2.0, 4.0]) == area([2.0, 4.0], [1.0, 3.0]) == 0.75


def test_s75_the_export_after_a_change_says_nothing_of_the_new_address(app: Flask) -> None:
    client = app.test_client()
    headers = bearer(client)

    def exports(email: str) -> Iterator[object]:
        """Right after it was asked for, and when the delivery has begun."""
        with app.app_context():
            for table in (Mail, Event):
                db.session.execute(delete(table))
            db.session.commit()
        assert client.post("/api/email/change/", headers=headers, json={"email": email}).status_code == 202
        for _ in range(2):
            export = client.get("/api/me/export/", headers=headers).get_json()
            mails = [mail["kind"] for mail in export["mails"]]
            links = [link["purpose"] for link in export["mailed_links"] if link["email"] == email]
            yield mails, links, [event["type"] for event in export["events"]]
            finish(app)

    expected = (["email_change_requested"], ["change_email"], ["email_change_requested"])
    assert list(exports(MEMBERS[1])) == list(exports("free@example.com")) == [expected] * 2


def test_s75_a_providers_unverified_address_is_answered_alike_and_its_owner_told(
    make_app: MakeApp, standins: StandIns, mails: Mails
) -> None:
    app = make_app(**settings_of(standins), mail_url=mails.url, email_verification="required")
    join(app, "member@example.com")
    mails.take(app)
    client = app.test_client()
    answers: dict[str, list[TestResponse]] = {"member": [], "stranger": []}
    for _ in range(2):
        for name, came in answers.items():
            person = Person(subject=name, email=f"{name}@example.com")
            came.append(post(client, "facebook", standins.facebook.token(person)))
            assert_error(came[-1], 403, "email_not_verified")
            page = mails.one(app, f"{name}@example.com").page.rpartition("/")[2]
            assert page == {"member": "reset", "stranger": "verify"}[name]
    assert [one.data for one in answers["member"]] == [one.data for one in answers["stranger"]]
    assert [sorted(one.headers) for one in answers["member"]] == [sorted(one.headers) for one in answers["stranger"]]
    with app.app_context():
        assert len(db.session.scalars(select(Identity)).all()) == 1, "none is linked to the member's account"


def test_what_was_asked_for_is_decided_of_the_account_as_it_is_then(app: Flask) -> None:
    client, (disabled, verified, changed) = app.test_client(), MEMBERS[:3]
    for path, email in (("password/forgot", disabled), ("email/verify/resend", verified), ("password/forgot", changed)):
        client.post(f"/api/{path}/", json={"email": email})
    with app.app_context():
        db.session.execute(update(User).where(User.email == disabled).values(disabled_at=User.date_joined))
        db.session.execute(update(User).where(User.email == changed).values(email="another@example.com"))
        db.session.commit()
        before = [mail.kind for mail in db.session.scalars(select(Mail))]
    assert before.count("reset_asked") == 2
    finish(app)
    with app.app_context():
        kinds = [mail.kind for mail in db.session.scalars(select(Mail))]
    assert "reset" not in kinds
    assert not [kind for kind in kinds if kind.endswith("_asked")], "and nothing is kept of it"


@pytest.mark.parametrize("email", [MEMBERS[0], "nobody@example.com"])
def test_what_was_asked_for_is_nobodys_until_then(app: Flask, email: str) -> None:
    app.test_client().post("/api/password/forgot/", json={"email": email})
    with app.app_context():
        row = db.session.scalars(select(Mail).where(Mail.kind == "reset_asked")).one()
    assert (row.user_id, email in row.sealed) == (None, False)
