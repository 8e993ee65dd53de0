"""S31, S33, S69: whose account an unknown identity signs in to. Every cell of the table in `linking.py` is tried."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from authserver.clock import now
from authserver.oauth import linking, provider
from authserver.testing.standins import Person, StandIns
from tests.conftest import MakeApp
from tests.factories import assert_error, log_in, sign_up, signup_body
from tests.mails import Mails
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow, come_back, parameters
from tests.providers.signing_in import post, rows, settings_of
from tests.security.test_passwords import change_user

served_standins = conftest.served_standins
standins = conftest.standins
no_secret_is_logged = conftest.no_secret_is_logged

_numbers = count(1)


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns, mails: Mails) -> Flask:
    return make_app(**settings_of(standins), redirect_urls=NEXT, mail_url=mails.url)


def table() -> Iterator[tuple[str, str, str]]:
    """Row, column and decision of each cell, as the module's own words have them."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (linking.__doc__ or "").splitlines()
        if line.startswith("|") and not re.fullmatch(r"[|\- ]+", line)
    ]
    (_, *columns), *cells = lines
    for row, *decisions in cells:
        for column, decision in zip(columns, decisions, strict=True):
            yield row, column, decision


def stranger(domain: str = "example.com", **values: object) -> Person:
    number = next(_numbers)
    person = Person(subject=f"2{number:020}", email=f"person{number}@{domain}", first_name="Ada", last_name="Lovelace")
    return replace(person, **values)  # type: ignore[arg-type]


COLUMNS: dict[str, list[Callable[[], Person]]] = {
    "authoritative": [
        lambda: stranger("gmail.com", email_verified=True),
        lambda: stranger("own.example", email_verified=True, hosted_domain="own.example"),
    ],
    "verified": [lambda: stranger(email_verified=True)],
    "unverified, or none": [
        lambda: stranger(email_verified=False),
        lambda: stranger("gmail.com", email_verified=False),
        lambda: stranger("own.example", email_verified="true", hosted_domain="own.example"),
        lambda: stranger(email=None, email_verified=True),
    ],
}


def nobody(app: Flask, standins: StandIns, email: str) -> None:
    pass


def signed_up(app: Flask, standins: StandIns, email: str) -> None:
    sign_up(app.test_client(), email=email, first_name="First")


def signed_up_and_verified(app: Flask, standins: StandIns, email: str) -> None:
    signed_up(app, standins, email)
    change_user(app, email, email_verified=True)


def came_unverified(app: Flask, standins: StandIns, email: str) -> None:
    """By a provider that gave the address and vouches for none."""
    token = standins.facebook.token(stranger(email=email))
    assert post(app.test_client(), "facebook", token).status_code == 200


def came_verified(app: Flask, standins: StandIns, email: str) -> None:
    token = standins.google.token(stranger(email=email, email_verified=True))
    assert post(app.test_client(), "google", token).status_code == 200


Holder = Callable[[Flask, StandIns, str], None]
ROWS: dict[str, list[Holder]] = {
    "nobody's": [nobody],
    "verified here": [signed_up_and_verified, came_verified],
    "not verified here": [signed_up, came_unverified],
}


def by_token(app: Flask, standins: StandIns, person: Person) -> TestResponse:
    return post(app.test_client(), "google", standins.google.token(person))


def by_id_token(app: Flask, standins: StandIns, person: Person) -> TestResponse:
    body = {"id_token": standins.google.id_token(person)}
    return app.test_client().post("/api/auth/google/", json=body)


def by_redirect(app: Flask, standins: StandIns, person: Person) -> TestResponse | str:
    """What the code is worth, or the error that came in its place."""
    flow, browser = Flow(), app.test_client()
    began = flow.begin(browser, "google")
    came = parameters(come_back(browser, standins.google.authorize(began.headers["Location"], person)))
    return flow.exchange(browser, came["code"]) if "code" in came else came["error"]


WAYS = [by_token, by_id_token, by_redirect]


@dataclass
class Cell:
    """One holder of an address, and somebody who comes with it."""

    app: Flask
    standins: StandIns
    mails: Mails
    holder: Holder
    person: Person

    def __post_init__(self) -> None:
        self.client = self.app.test_client()
        if self.person.email:
            self.holder(self.app, self.standins, self.person.email)
        self.mails.take(self.app)
        self.before = rows(self.app)

    def come(self, way: Callable[..., TestResponse | str]) -> TestResponse | str:
        return way(self.app, self.standins, self.person)

    def join(self, answer: TestResponse | str) -> None:
        user = self.user(answer)
        assert user["email"] == self.person.email
        assert user["email_verified"] == (self.person.email_verified is True and self.person.email is not None)
        assert (user["first_name"], user["last_name"]) == ("Ada", "Lovelace")
        assert self.grown() == (1, 1)

    def link(self, answer: TestResponse | str) -> None:
        user = self.user(answer)
        assert user["email_verified"] is True
        assert self.grown() == (0, 1)
        if self.holder is signed_up_and_verified:
            assert user["first_name"] == "First", "what its owner said stays"
            assert log_in(self.client, user["email"]).get_json()["user"] == user
        self.tells_the_owner()

    def take_over(self, answer: TestResponse | str) -> None:
        user = self.user(answer)
        assert (user["email"], user["email_verified"], user["first_name"]) == (self.person.email, True, "Ada")
        assert self.grown() == (0, 1 if self.holder is signed_up else 0)
        assert_error(log_in(self.client, user["email"]), 401, "no_active_account")
        self.tells_the_owner()

    def refuse(self, answer: TestResponse | str) -> None:
        if isinstance(answer, str):
            assert answer == "account_exists"
        else:
            assert_error(answer, 409, "account_exists")
        assert rows(self.app) == self.before
        assert self.mails.take(self.app) == []

    def user(self, answer: TestResponse | str) -> dict[str, Any]:
        assert not isinstance(answer, str), answer
        assert answer.status_code == 200, answer.text
        user: dict[str, Any] = answer.get_json()["user"]
        return user

    def grown(self) -> tuple[int, int]:
        """By how many accounts and identities."""
        after = rows(self.app)
        return tuple(len(after[table]) - len(self.before[table]) for table in ("users", "identities"))  # type: ignore[return-value]

    def tells_the_owner(self) -> None:
        arrived = self.mails.take(self.app)
        linked = [mail for mail in arrived if mail.subject.startswith("A sign-in with Google was added")]
        assert [mail.to for mail in linked] == [self.person.email]
        assert {mail.to for mail in arrived} == {self.person.email}


def test_s31_s33_every_cell_of_the_table_is_as_it_says(app: Flask, standins: StandIns, mails: Mails) -> None:
    tried = set()
    for row, column, decision in table():
        tried.add((row, column))
        for number, (holder, person) in enumerate((one, other) for one in ROWS[row] for other in COLUMNS[column]):
            cell = Cell(app, standins, mails, holder, person())
            if cell.person.email is None and holder is not nobody:
                continue  # without an address there is nothing to look for
            getattr(cell, decision.lower())(cell.come(WAYS[number % len(WAYS)]))
    assert tried == {(row, column) for row in ROWS for column in COLUMNS}
    assert {decision for *_, decision in table()} == {one.name for one in linking.Decision}


def test_nobody_signs_in_to_or_takes_over_a_disabled_account(app: Flask, standins: StandIns) -> None:
    for holder in (signed_up, signed_up_and_verified):
        for column, makers in COLUMNS.items():
            person = makers[0]()
            assert person.email is not None
            holder(app, standins, person.email)
            change_user(app, person.email, disabled_at=now())
            before = rows(app)
            refused = column == "unverified, or none" or (column == "verified" and holder is signed_up)
            for way in (by_token, by_id_token):
                outcome = (409, "account_exists") if refused else (401, "no_active_account")
                assert_error(way(app, standins, person), *outcome)
            assert by_redirect(app, standins, person) == outcome[1]
            assert rows(app) == before


CLOSED = [{"signup": "closed"}, {"signup": "invited"}, {"signup_domains": "elsewhere.example"}]


def test_s69_where_nobody_may_join_an_account_is_linked_and_taken_over_all_the_same(
    make_app: MakeApp, app: Flask, standins: StandIns
) -> None:
    for number, closed in enumerate(CLOSED):
        shut = make_app(**settings_of(standins), redirect_urls=NEXT, **closed)
        linked, taken = COLUMNS["verified"][0](), COLUMNS["authoritative"][0]()
        refused = [stranger(), stranger(email_verified=True)]
        signed_up_and_verified(app, standins, linked.email or "")
        for person in (taken, *refused):
            signed_up(app, standins, person.email or "")
        before = rows(app)
        unknown = [make() for makers in COLUMNS.values() for make in makers]
        answers = [by_token(shut, standins, person) for person in (*refused, *unknown)]
        answers.append(shut.test_client().post("/api/signup/", json=signup_body(email=linked.email)))
        for answer in answers:
            assert_error(answer, 403, "signup_not_allowed")
        assert len({answer.data for answer in answers}) == 1, "known and unknown alike"
        assert (
            by_redirect(shut, standins, refused[0]) == by_redirect(shut, standins, unknown[0]) == "signup_not_allowed"
        )
        assert rows(app) == before
        for person in (linked, taken):
            signed_in = WAYS[number](shut, standins, person)
            assert not isinstance(signed_in, str), signed_in
            assert signed_in.get_json()["user"]["email"] == person.email


def test_s69_an_account_that_goes_while_it_is_looked_at_is_no_way_around_closed_sign_up(
    make_app: MakeApp, app: Flask, standins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look finds the account and links to it; the second one, inside the transaction, finds none."""
    person = stranger(email_verified=True)
    signed_up_and_verified(app, standins, person.email or "")
    owner = log_in(app.test_client(), person.email or "").get_json()
    shut = make_app(**settings_of(standins), signup="closed")
    look = linking._verified_here

    def overtaken(identity: provider.Identity) -> bool | None:
        monkeypatch.setattr(linking, "_verified_here", look)
        found = look(identity)
        bearer = {"Authorization": f"Bearer {owner['access']}"}
        assert app.test_client().delete("/api/me/", headers=bearer).status_code == 204
        return found

    monkeypatch.setattr(linking, "_verified_here", overtaken)
    assert_error(by_token(shut, standins, person), 403, "signup_not_allowed")
    assert rows(app) == {"users": [], "identities": [], "sessions": []}
