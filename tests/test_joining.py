"""S69: who may have an account, by e-mail and by a provider, and what an invitation is good for."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from authserver.clock import now
from authserver.extensions import db
from authserver.models import Identity, Invitation, User
from authserver.testing.standins import Person, StandIns, serve
from authserver.tokens.one_time import digest
from tests.conftest import MakeApp
from tests.factories import assert_error, log_in, sign_up, signup_body

EMAIL = "invited@example.com"
TOKEN = "an-invitation-of-some-length"


@pytest.fixture(scope="module")
def served() -> Iterator[StandIns]:
    with serve() as standins:
        yield standins


@pytest.fixture
def make(make_app: MakeApp, served: StandIns) -> Callable[..., Flask]:
    """An application with Google's stand-in."""
    options = {f"providers__google__{name.lower()}": value for name, value in served.google.options().items()}
    return lambda **changes: make_app(**options, **changes)


def invite(app: Flask, email: str = EMAIL, token: str = TOKEN, **values: Any) -> None:
    with app.app_context():
        expires_at = values.pop("expires_at", now() + timedelta(days=7))
        db.session.add(Invitation(email=email, token_hash=digest(token), expires_at=expires_at, **values))
        db.session.commit()


def count(app: Flask, model: type[User] | type[Identity]) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model)) or 0


def join(client: FlaskClient, email: str = EMAIL, **body: object) -> TestResponse:
    return client.post("/api/signup/", json=signup_body(email=email, **body))


def come_by_google(
    client: FlaskClient, served: StandIns, email: str | None, subject: str = "1", verified: bool = True
) -> TestResponse:
    person = Person(subject=subject, email=email, email_verified=verified)
    return client.post("/api/auth/google/", json={"access_token": served.google.token(person)})


def test_s69_closed_is_closed_for_all_and_said_alike(make: Callable[..., Flask], served: StandIns) -> None:
    opened = make().test_client()
    known = sign_up(opened).user["email"]
    assert come_by_google(opened, served, "member@example.com", "member").status_code == 200
    app = make(signup="closed")
    client = app.test_client()
    invite(app)
    refused = [
        join(client, known),
        join(client, "new@example.com"),
        join(client, EMAIL, invitation=TOKEN),
        come_by_google(client, served, known, "2"),
        come_by_google(client, served, "new@example.com", "3"),
        come_by_google(client, served, EMAIL, "4"),
        come_by_google(client, served, None, "5"),
    ]
    for answer in refused:
        assert_error(answer, 403, "signup_not_allowed")
    assert len({answer.data for answer in refused}) == 1
    assert (count(app, User), count(app, Identity)) == (2, 1)
    assert log_in(client, known).status_code == 200
    assert come_by_google(client, served, "member@example.com", "member").status_code == 200


ALLOWED = [
    ("ada@example.com", True),
    ("ada@EXAMPLE.com", True),
    ("ada@second.example", True),
    ("ada@sub.example.com", False),
    ("ada@notexample.com", False),
    ("ada@example.com.evil.example", False),
    ("example.com@evil.example", False),
]


def test_s69_only_the_set_domains_may_join(make: Callable[..., Flask], served: StandIns) -> None:
    app = make(signup_domains="Example.com, second.example", mail_url="smtp://127.0.0.1:9")
    client = app.test_client()
    for number, (email, allowed) in enumerate(ALLOWED):
        answer = join(client, email)
        if allowed:
            assert answer.status_code == 202, email
        else:
            assert_error(answer, 403, "signup_not_allowed")
        by_provider = come_by_google(client, served, f"g-{email}", f"{number}")
        assert (by_provider.status_code == 200 or by_provider.get_json()["code"] == "account_exists") == allowed, email
        unverified = come_by_google(client, served, f"u-{email}", f"u{number}", verified=False)
        assert_error(unverified, 403, "signup_not_allowed")
    assert_error(come_by_google(client, served, None, "none"), 403, "signup_not_allowed")


@pytest.mark.parametrize("mode", ["invited", "open"])
def test_s69_an_invitation_works_once_and_verifies_its_address(make: Callable[..., Flask], mode: str) -> None:
    app = make(signup=mode, signup_domains="elsewhere.example")
    client = app.test_client()
    invite(app)
    joined = join(client, EMAIL.upper(), invitation=TOKEN)
    assert joined.status_code == 201
    assert joined.get_json()["user"]["email_verified"] is True
    bearer = {"Authorization": f"Bearer {joined.get_json()['access']}"}
    assert client.delete("/api/me/", headers=bearer).status_code == 204
    assert_error(join(client, invitation=TOKEN), 403, "signup_not_allowed")


REFUSED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("no token", {}, {"invitation": None}),
    ("left out", {}, {}),
    ("another token", {}, {"invitation": "x"}),
    ("its hash", {}, {"invitation": digest(TOKEN)}),
    ("another address", {}, {"invitation": TOKEN, "email": "other@example.com"}),
    ("accepted", {"accepted_at": now()}, {"invitation": TOKEN}),
    ("revoked", {"revoked_at": now()}, {"invitation": TOKEN}),
    ("expired", {"expires_at": now()}, {"invitation": TOKEN}),
]


def test_s69_an_invitation_that_does_not_count_is_refused_alike(make: Callable[..., Flask]) -> None:
    app = make(signup="invited")
    client = app.test_client()
    sign_up(make().test_client(), email="known@example.com")
    answers = [join(client, "known@example.com"), join(client, "unknown@example.com")]
    for number, (_, row, body) in enumerate(REFUSED):
        email = f"{number}.{EMAIL}"
        token = f"{TOKEN}-{number}"
        invite(app, email, token, **row)
        sent = {**body, "invitation": token} if body.get("invitation") == TOKEN else body
        answers.append(join(client, **{"email": email, **sent}))
    for answer in answers:
        assert_error(answer, 403, "signup_not_allowed")
    assert len({answer.data for answer in answers}) == 1
    assert count(app, User) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("real_hashes")
def test_s69_of_several_who_use_an_invitation_at_once_one_gets_in(make: Callable[..., Flask]) -> None:
    app = make(signup="invited")
    invite(app)

    def one(_: int) -> int:
        return join(app.test_client(), invitation=TOKEN).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(one, range(8)))
    assert statuses[0] == 201
    assert set(statuses[1:]) <= {403, 409}
    assert count(app, User) == 1


def test_s69_an_invited_person_comes_by_a_provider_that_vouches_for_the_address(
    make: Callable[..., Flask], served: StandIns
) -> None:
    app = make(signup="invited")
    client = app.test_client()
    invite(app)
    for email, verified in ((EMAIL, False), ("other@example.com", True), (None, True)):
        assert_error(come_by_google(client, served, email, "1", verified), 403, "signup_not_allowed")
    assert count(app, User) == 0
    for _ in range(2):
        assert come_by_google(client, served, EMAIL, "1").status_code == 200
    assert_error(join(client, invitation=TOKEN), 403, "signup_not_allowed")
    assert come_by_google(client, served, EMAIL, "2").status_code == 200, "one more way into an account is no joining"
    assert (count(app, User), count(app, Identity)) == (1, 2)


def test_an_invitation_stays_good_where_the_sign_up_failed(make: Callable[..., Flask]) -> None:
    app = make(signup="invited")
    client = app.test_client()
    invite(app)
    assert_error(join(client, invitation=TOKEN, password="short"), 400, "invalid_request", "password")
    assert join(client, invitation=TOKEN).status_code == 201
