"""S34, S35: linking, unlinking and signing in with one identity at once, which end as if they had come in turn."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from authserver.extensions import db
from authserver.models import Identity, OneTimeToken
from authserver.oauth import identities
from authserver.oauth.linking import add
from authserver.testing.standins import Person, StandIns
from authserver.tokens.one_time import Purpose
from tests.conftest import MakeApp
from tests.factories import SignedIn, assert_error, sign_up
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow, come_back
from tests.providers.signing_in import ADA, accounts, post, rows, settings_of, sign_in
from tests.security.test_linking import CROWD, crowd, together
from tests.security.test_races import at_once

pytestmark = pytest.mark.slow

__all__ = ["together"]  # a fixture, used by name
served_standins = conftest.served_standins
standins = conftest.standins
no_secret_is_logged = conftest.no_secret_is_logged

ROUNDS = 5


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns) -> Flask:
    return make_app(**settings_of(standins), redirect_urls=NEXT)


def link(app: Flask, person: SignedIn, token: str, name: str = "google") -> int:
    answer = app.test_client().post(f"/api/identities/{name}/", headers=person.bearer, json={"access_token": token})
    return answer.status_code


def unlink(app: Flask, person: SignedIn, identity: dict[str, str]) -> int:
    return app.test_client().delete(f"/api/identities/{identity['id']}/", headers=person.bearer).status_code


def listed(app: Flask, person: SignedIn) -> list[dict[str, str]]:
    found: list[dict[str, str]] = app.test_client().get("/api/identities/", headers=person.bearer).get_json()
    return found


@pytest.mark.usefixtures("together")
def test_s34_first_sign_ins_of_several_identities_with_one_verified_address_are_one_account(
    app: Flask, standins: StandIns
) -> None:
    """The database refuses all but the first their account: they look again, and link to it."""
    people = [replace(ADA, subject=f"{number}") for number in range(CROWD)]
    outcomes = crowd(app, [("google", standins.google.token(person)) for person in people])
    assert len(set(outcomes)) == 1
    assert outcomes[0][0] == 200
    assert [len(table) for table in rows(app).values()] == [1, CROWD, CROWD]


def test_s34_a_link_and_a_first_sign_in_of_one_identity_end_in_one_account(app: Flask, standins: StandIns) -> None:
    for number in range(ROUNDS):
        person, other = sign_up(app.test_client()), sign_up(app.test_client())
        before = accounts(app)
        stranger = Person(subject=f"{number}")
        token = standins.google.token(stranger)
        linked, by_other, came, again = at_once(
            partial(link, app, person, token),
            partial(link, app, other, token),
            *[lambda token=token: post(app.test_client(), "google", token).status_code] * 2,
        )
        assert came == again == 200
        assert sorted((linked, by_other)) in ([201, 409], [409, 409])
        owner = sign_in(app.test_client(), "google", token).user["id"]
        assert (owner == person.user["id"], owner == other.user["id"]) == (linked == 201, by_other == 201)
        assert accounts(app) - before == (0 if 201 in (linked, by_other) else 1)


def test_s35_an_identity_that_becomes_another_accounts_meanwhile_is_not_linked(
    app: Flask, standins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first sign-in commits after this one looked for it; on SQLite nobody can then, and it comes first."""
    person, token = sign_up(app.test_client()), standins.google.token(ADA)
    before: dict[str, object] = {}

    def act() -> None:
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(lambda: post(app.test_client(), "google", token).status_code).result() == 200
            before.update(threads.submit(rows, app).result())

    def overtaken(*arguments: object) -> Identity:
        act()
        return add(*arguments)  # type: ignore[arg-type]

    with app.app_context():
        sqlite = db.engine.dialect.name == "sqlite"
    if sqlite:
        act()
    else:
        monkeypatch.setattr(identities, "add", overtaken)
    answer = app.test_client().post("/api/identities/google/", headers=person.bearer, json={"access_token": token})
    assert assert_error(answer, 409, "account_exists")["detail"] == identities.TAKEN
    assert rows(app) == before


def test_s35_of_two_unlinkings_at_once_one_leaves_the_last_way_in(app: Flask, standins: StandIns) -> None:
    for number in range(ROUNDS):
        person = sign_in(app.test_client(), "google", standins.google.token(Person(subject=f"{number}")))
        by_facebook = standins.facebook.token(Person(subject=f"{number}"))
        assert link(app, person, by_facebook, "facebook") == 201
        done = at_once(*(partial(unlink, app, person, one) for one in listed(app, person)))
        assert sorted(done) == [204, 409]
        assert len(listed(app, person)) == 1


def test_no_code_of_an_identity_outlives_its_unlinking(app: Flask, standins: StandIns) -> None:
    """A browser that comes back at that moment gets a code before, which ends, or one to an account of its own."""
    for number in range(ROUNDS):
        person, stranger = sign_up(app.test_client()), Person(subject=f"{number}")
        assert link(app, person, standins.google.token(stranger)) == 201
        (identity,) = listed(app, person)
        *came, unlinked = at_once(
            *(on_its_way(app, standins, stranger) for _ in range(2)), partial(unlink, app, person, identity)
        )
        assert (came, unlinked) == ([303, 303], 204)
        with app.app_context():
            theirs = OneTimeToken.user_id == UUID(person.user["id"])
            assert Purpose.SIGN_IN not in set(db.session.scalars(select(OneTimeToken.purpose).where(theirs)))


def on_its_way(app: Flask, standins: StandIns, person: Person) -> Callable[[], int]:
    """What a browser does next that has been at the provider."""
    browser = app.test_client()
    began = Flow().begin(browser, "google")
    callback = standins.google.authorize(began.headers["Location"], person)
    return lambda: come_back(browser, callback).status_code
