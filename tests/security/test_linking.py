"""S33, S34: an account is found by the provider's subject and never by its address, also when two requests race."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Barrier, BrokenBarrierError, local

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.extensions import db
from authserver.models import User
from authserver.oauth import linking, provider
from authserver.testing.standins import Person, StandIns
from tests.factories import assert_error, log_in, sign_up, signup_body
from tests.providers import conftest
from tests.providers.signing_in import (
    ADA,
    PROVIDERS,
    accounts,
    post,
    refuse_each,
    rows,
    sign_in,
    token_of,
)

served_standins = conftest.served_standins
standins = conftest.standins
app = conftest.app
no_secret_is_logged = conftest.no_secret_is_logged

CROWD = 8
SPELLINGS = ("ada@example.com", "ADA@example.com", "Ada@Example.COM", "ada@ｅxample.com", "ada@example。com")


def strangers(standins: StandIns, email: str) -> dict[str, tuple[str, object]]:
    """Unknown people with this address at each provider, which do not say that it is verified."""
    unverified = Person(subject="666", email=email)
    return {f"unverified at {at}": (at, token_of(standins, at, unverified)) for at in PROVIDERS}


def verified_stranger(standins: StandIns, email: str) -> dict[str, tuple[str, object]]:
    """One whose provider says so, but does not run the mailbox: anyone may have verified the address years ago."""
    return {"verified at google": ("google", standins.google.token(replace(ADA, subject="667", email=email)))}


def disable(app: Flask) -> None:
    with app.app_context():
        db.session.execute(update(User).values(disabled_at=now()))
        db.session.commit()


@pytest.mark.parametrize("email", SPELLINGS)
def test_s33_a_providers_address_never_opens_an_account_that_signed_up_with_it(
    app: Flask, client: FlaskClient, standins: StandIns, email: str
) -> None:
    person = sign_up(client, email="ada@example.com")
    refuse_each(app, strangers(standins, email) | verified_stranger(standins, email), 409, "account_exists")
    assert log_in(client, "ada@example.com").get_json()["user"] == person.user


@pytest.mark.parametrize("provider_name", PROVIDERS)
def test_s33_a_providers_address_never_opens_an_account_of_another_identity(
    app: Flask, client: FlaskClient, standins: StandIns, provider_name: str
) -> None:
    person = sign_in(client, provider_name, token_of(standins, provider_name, ADA))
    for email in SPELLINGS:
        refuse_each(app, strangers(standins, email), 409, "account_exists")
        assert_error(client.post("/api/signup/", json=signup_body(email=email)), 409, "account_exists")
    assert sign_in(client, provider_name, token_of(standins, provider_name, ADA)).user == person.user


def test_s33_an_identity_stays_with_its_account_whatever_address_it_has_now(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    ada = sign_in(client, "google", standins.google.token(ADA))
    other = sign_up(client)
    moved = Person(subject=ADA.subject, email=other.user["email"], email_verified=True)
    assert sign_in(client, "google", standins.google.token(moved)).user == ada.user
    assert accounts(app) == 2


@pytest.mark.parametrize("provider_name", PROVIDERS)
def test_a_disabled_accounts_identity_is_refused_as_its_password_would_be(
    app: Flask, client: FlaskClient, standins: StandIns, provider_name: str
) -> None:
    sign_in(client, provider_name, token_of(standins, provider_name, ADA))
    disable(app)
    attempts: dict[str, tuple[str, object]] = {
        "as before": (provider_name, token_of(standins, provider_name, ADA)),
        "another address": (provider_name, token_of(standins, provider_name, Person(subject=ADA.subject))),
    }
    said = refuse_each(app, attempts, 401, "no_active_account")
    assert said["as before"] == said["another address"] == log_in(client, "ada@example.com").get_json()
    refuse_each(app, strangers(standins, "ada@example.com"), 409, "account_exists")


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a crowd look for the account before one of them makes it, where the database lets them.

    SQLite lets one look at a time: there the wait ends soon, and they go on one after another.
    """
    barrier, first = Barrier(CROWD), local()
    look = linking.owner

    def look_together(transaction: Transaction, name: str, identity: provider.Identity) -> User | None:
        found = look(transaction, name, identity)
        if not hasattr(first, "look"):
            first.look = True
            with suppress(BrokenBarrierError):
                barrier.wait(0.3)
        return found

    monkeypatch.setattr(linking, "owner", look_together)


def crowd(app: Flask, attempts: list[tuple[str, str]]) -> list[tuple[int, str]]:
    """All at once: each one's status, and the user's id or the error's code."""

    def one(attempt: tuple[str, str]) -> tuple[int, str]:
        answer = post(app.test_client(), *attempt)
        body = answer.get_json()
        return answer.status_code, body["user"]["id"] if answer.status_code == 200 else body["code"]

    with ThreadPoolExecutor(len(attempts)) as threads:
        return list(threads.map(one, attempts))


@pytest.mark.slow
@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("person", [ADA, Person(subject="1001")], ids=["with an address", "without one"])
def test_s34_two_first_sign_ins_of_one_identity_are_one_account_and_both_are_signed_in(
    app: Flask, standins: StandIns, person: Person
) -> None:
    outcomes = crowd(app, [("google", standins.google.token(person)) for _ in range(CROWD)])
    assert len(set(outcomes)) == 1
    assert outcomes[0][0] == 200
    assert [len(table) for table in rows(app).values()] == [1, 1, CROWD], "no orphan"


@pytest.mark.usefixtures("together")
def test_s34_of_first_sign_ins_with_one_address_one_gets_it_and_the_others_are_not_let_in(
    app: Flask, standins: StandIns
) -> None:
    attempts = []
    for number in range(CROWD):
        person = Person(subject=f"{number}", email=SPELLINGS[number % 3])
        attempts.append((PROVIDERS[number % 3], token_of(standins, PROVIDERS[number % 3], person)))
    outcomes = crowd(app, attempts)
    winners = [outcome for outcome in outcomes if outcome[0] == 200]
    assert len(winners) == 1
    assert outcomes.count((409, "account_exists")) == CROWD - 1
    assert [len(table) for table in rows(app).values()] == [1, 1, 1]


def signs_up(app: Flask, standins: StandIns) -> None:
    sign_up(app.test_client(), email=ADA.email)


def has_the_address(app: Flask, standins: StandIns) -> None:
    other = Person(subject="2", email=ADA.email)
    sign_in(app.test_client(), "google", standins.google.token(other))


def is_the_same(app: Flask, standins: StandIns) -> None:
    sign_in(app.test_client(), "google", standins.google.token(ADA))


def is_the_same_and_disabled(app: Flask, standins: StandIns) -> None:
    is_the_same(app, standins)
    disable(app)


def at_the_write(app: Flask, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """The rival commits when all looks were in vain: the database refuses this request's write."""
    attempt = linking._with_account

    def lose(*arguments: object) -> object:
        monkeypatch.setattr(linking, "_with_account", attempt)
        act()
        raise IntegrityError("INSERT", {}, Exception("unique"))

    monkeypatch.setattr(linking, "_with_account", lose)


def between_the_looks(app: Flask, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """The rival commits after the look for the identity and before the one for its address.

    On SQLite nobody can then: the rival comes first.
    """
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            act()
            return
    look = linking.owner

    def look_and_lose(transaction: Transaction, name: str, identity: provider.Identity) -> User | None:
        monkeypatch.setattr(linking, "owner", look)
        found = look(transaction, name, identity)
        act()
        return found

    monkeypatch.setattr(linking, "owner", look_and_lose)


@pytest.mark.parametrize("lose", [at_the_write, between_the_looks])
@pytest.mark.parametrize(
    ("rival", "status", "code"),
    [
        (signs_up, 409, "account_exists"),
        (has_the_address, 409, "account_exists"),
        (is_the_same, 200, None),
        (is_the_same_and_disabled, 401, "no_active_account"),
    ],
)
def test_s34_who_loses_the_race_finds_an_account_by_its_subject_only(
    app: Flask,
    client: FlaskClient,
    standins: StandIns,
    monkeypatch: pytest.MonkeyPatch,
    lose: Callable[[Flask, pytest.MonkeyPatch, Callable[[], None]], None],
    rival: Callable[[Flask, StandIns], None],
    status: int,
    code: str | None,
) -> None:
    before: dict[str, list[tuple[object, ...]]] = {}

    def act() -> None:
        with ThreadPoolExecutor(1) as threads:  # a request of its own, with a transaction of its own
            threads.submit(rival, app, standins).result()
            before.update(threads.submit(rows, app).result())

    lose(app, monkeypatch, act)
    answer = post(client, "google", standins.google.token(ADA))
    if code:
        assert_error(answer, status, code)
        assert rows(app) == before
    else:
        assert answer.status_code == status
        assert [len(table) for table in rows(app).values()] == [1, 1, 2]
