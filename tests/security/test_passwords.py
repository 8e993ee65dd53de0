"""S40, S41, S46-S48: guessing learns nothing, and what a password is."""

from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from time import sleep

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from authserver.clock import now
from authserver.extensions import db, fetch_one
from authserver.models import User
from authserver.passwords import hashing, policy
from tests.commands import start
from tests.conftest import MakeApp
from tests.each import each
from tests.factories import PASSWORD, assert_error, log_in, sign_up, signup_body
from tests.test_passwords import stored_hash

NFC, NFD = "Schl\u00fcssel im Caf\u00e9", "Schlu\u0308ssel im Cafe\u0301"


def change_user(app: Flask, email: str, **values: object) -> None:
    with app.app_context():
        db.session.execute(update(User).where(User.email == email).values(**values))
        db.session.commit()


def test_s40_login_answers_alike_whatever_is_wrong(app: Flask, client: FlaskClient) -> None:
    disabled, provider_only, wrong = (sign_up(client).user["email"] for _ in range(3))
    change_user(app, disabled, disabled_at=now())
    change_user(app, provider_only, password_hash=None)
    answers = [
        log_in(client, "nobody@example.com"),
        log_in(client, wrong, "not the password"),
        log_in(client, wrong, ""),
        log_in(client, disabled),
        log_in(client, provider_only),
    ]
    for answer in answers:
        assert_error(answer, 401, "no_active_account")
    assert len({answer.data for answer in answers}) == 1
    assert len({str(sorted(answer.headers.items())) for answer in answers}) == 1


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The Argon2 parameters of each hash that was computed or checked, in order."""
    seen: list[str] = []
    compute, check = PasswordHasher.hash, PasswordHasher.verify

    def counted_hash(self: PasswordHasher, password: str, *, salt: bytes | None = None) -> str:
        seen.append("hash")
        return compute(self, password, salt=salt)

    def counted_verify(self: PasswordHasher, password_hash: str, password: str) -> bool:
        seen.append("$".join(password_hash.split("$")[:4]))
        return check(self, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "hash", counted_hash)
    monkeypatch.setattr(PasswordHasher, "verify", counted_verify)
    return seen


@pytest.mark.usefixtures("real_hashes")
def test_s41_an_unknown_address_costs_the_same_hash(app: Flask, client: FlaskClient, hashes: list[str]) -> None:
    known, provider_only, disabled = (sign_up(client).user["email"] for _ in range(3))
    change_user(app, provider_only, password_hash=None)
    change_user(app, disabled, disabled_at=now())
    hashes.clear()
    for email in (known, "nobody@example.com", provider_only, disabled):
        log_in(client, email, "not the password")
    assert hashes == ["$argon2id$v=19$m=19456,t=2,p=1"] * 4


COMMON = ["password", "PassWord", "12345678", "qwertyuiop", "iloveyou1"]


@each(
    ("password", "confirmation", "field"),
    [
        ("", "", "password"),
        ("seven77", "seven77", "password"),
        ("x" * 257, "x" * 257, "password"),
        *((common, common, "password") for common in COMMON),
        ("Ada.Lovelace@example.com", "Ada.Lovelace@example.com", "password"),
        ("a good long password", "a good long Password", "password_confirm"),
        ("nul\0in the middle", "nul\0in the middle", "password"),
    ],
)
def test_s46_a_password_against_the_rule_is_refused_before_any_hash(
    client: FlaskClient, hashes: list[str], password: str, confirmation: str, field: str
) -> None:
    body = signup_body(email="ada.lovelace@example.com", password=password, password_confirm=confirmation)
    fields = {field, "password_confirm"} if "\0" in password else {field}
    assert_error(client.post("/api/signup/", json=body), 400, "invalid_request", *fields)
    assert hashes == []


@each("password", ["eight 88", "x" * 256, "  spaces kept  ", "🔑🔑🔑🔑🔑🔑🔑🔑"])
def test_s46_length_counts_characters_and_spaces_are_kept(client: FlaskClient, password: str) -> None:
    person = sign_up(client, password=password, password_confirm=password)
    assert log_in(client, person.user["email"], password).status_code == 200
    assert log_in(client, person.user["email"], password.strip()).status_code == (401 if " s" in password else 200)


def test_s46_the_shortest_password_can_be_set(make_app: MakeApp) -> None:
    client = make_app(password_min_length=20).test_client()
    body = signup_body(password="nineteen characters", password_confirm="nineteen characters")
    answer = assert_error(client.post("/api/signup/", json=body), 400, "invalid_request", "password")
    assert answer["errors"] == {"password": ["Use at least 20 characters."]}


def test_the_blocklist_holds_the_most_common_passwords_that_the_rule_lets_through() -> None:
    """ASVS 5, 6.2.4 asks for the first 3,000."""
    assert len(policy.common_passwords()) > 3000
    assert all(len(one) >= 8 and one == one.casefold() for one in policy.common_passwords())


def test_s47_passwords_that_differ_after_byte_72_are_different(client: FlaskClient) -> None:
    long = "a" * 80
    person = sign_up(client, password=long + "1", password_confirm=long + "1")
    assert_error(log_in(client, person.user["email"], long + "2"), 401, "no_active_account")
    assert_error(log_in(client, person.user["email"], long), 401, "no_active_account")
    assert log_in(client, person.user["email"], long + "1").status_code == 200


def test_s47_nul_is_refused_at_login_too(client: FlaskClient) -> None:
    person = sign_up(client)
    assert_error(log_in(client, person.user["email"], PASSWORD + "\0"), 400, "invalid_request", "password")


@pytest.mark.parametrize(("chosen", "typed"), [(NFC, NFD), (NFD, NFC)])
def test_s48_both_unicode_forms_log_in(client: FlaskClient, chosen: str, typed: str) -> None:
    person = sign_up(client, password=chosen, password_confirm=typed)
    assert log_in(client, person.user["email"], typed).status_code == 200


@pytest.mark.parametrize("path", ["/api/signup/", "/api/login/"])
def test_s48_a_lone_surrogate_is_refused(client: FlaskClient, path: str) -> None:
    lone = "surrogate \\ud800 here"
    body = f'{{"email": "ada@example.com", "password": "{lone}", "password_confirm": "{lone}"}}'
    answer = client.post(path, data=body, content_type="application/json")
    fields = {"password", "password_confirm"} if "signup" in path else {"password"}
    assert_error(answer, 400, "invalid_request", *fields)


@pytest.mark.usefixtures("real_hashes")
def test_no_more_hashes_run_at_once_than_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes 19 MiB: what many logins at once need has to be bounded."""
    running, most = 0, 0
    counting = Lock()

    def verify(self: PasswordHasher, password_hash: str, password: str) -> bool:
        nonlocal running, most
        with counting:
            running += 1
            most = max(most, running)
        sleep(0.005)
        with counting:
            running -= 1
        return True

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    with ThreadPoolExecutor(20) as threads:
        assert all(threads.map(lambda _: hashing.matches(hashing.DUMMY, "password"), range(40)))
    assert most == hashing.CORES


@pytest.mark.usefixtures("real_hashes")
def test_the_hash_is_what_is_stored_and_the_password_is_not(app: Flask, client: FlaskClient) -> None:
    person = sign_up(client)
    with app.app_context():
        row = fetch_one(select(User.password_hash).where(User.email == person.user["email"]))
    assert row is not None
    assert row.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PASSWORD not in row.password_hash


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_hash_costs_what_it_is_meant_to_wherever_no_test_made_it_cheap(app: Flask, database: str) -> None:
    """A process of its own knows nothing of `tests/cheaper.py`."""
    created = start(database, "users", "create", "ada@example.com", "--password-stdin")
    created.communicate(f"{PASSWORD}\n".encode())
    assert created.returncode == 0
    dummy = start(database, code="from authserver.passwords import hashing; print(hashing.DUMMY)")
    for one in (stored_hash(app, "ada@example.com"), dummy.communicate()[0].decode()):
        assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_login_that_was_overtaken_by_a_password_change_is_refused(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password is checked outside any transaction: what it was checked against is looked at again inside."""
    email = sign_up(client).user["email"]
    check = PasswordHasher.verify

    def overtaken(self: PasswordHasher, password_hash: str, password: str) -> bool:
        change_user(app, email, password_hash="changed meanwhile")
        return check(self, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", overtaken)
    assert_error(log_in(client, email), 401, "no_active_account")
