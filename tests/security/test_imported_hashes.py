"""S87: a hash from elsewhere is tried when it is imported, and what it costs to check has an end."""

import logging
import re
from base64 import b64encode
from hashlib import pbkdf2_hmac, sha256
from time import process_time

import bcrypt
import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError, VerifyMismatchError
from django.contrib.auth import hashers as django  # type: ignore[import-untyped]
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError
from werkzeug.test import TestResponse

from authserver.accounts.importing import LONGEST_HASH, Person
from authserver.passwords import foreign, hashing
from tests.factories import PASSWORD, assert_error, log_in, sign_up
from tests.test_passwords import set_hash

SECRET = PASSWORD.encode()
ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"  # bcrypt's, in its order
PBKDF2 = f"pbkdf2_sha256$1000$salt${b64encode(pbkdf2_hmac('sha256', SECRET, b'salt', 1000)).decode()}"
BCRYPT = bcrypt.hashpw(SECRET, bcrypt.gensalt(4)).decode()
BCRYPT_SHA256 = "bcrypt_sha256$" + bcrypt.hashpw(sha256(SECRET).hexdigest().encode(), bcrypt.gensalt(4)).decode()
ARGON2 = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
GOOD = [PBKDF2, BCRYPT, BCRYPT_SHA256, ARGON2, f"argon2{ARGON2}"]


def imported(password_hash: str) -> bool:
    try:
        Person.model_validate({"email": "a@example.com", "password_hash": password_hash})
    except ValidationError:
        return False
    return True


def tried(
    app: Flask, email: str, password_hash: str, caplog: pytest.LogCaptureFixture
) -> tuple[TestResponse, list[str]]:
    """A login with that hash in the database, however it came there, and what the log says of it."""
    set_hash(app, email, password_hash)
    caplog.clear()
    answer = log_in(app.test_client(), email)
    return answer, [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


@st.composite
def malformed(draw: st.DrawFn) -> str:
    """A good hash with a few characters or numbers changed, left out or put in."""
    text = draw(st.sampled_from(GOOD))
    some = st.sampled_from("$=,+/.0123456789AOZaz!\n é٣") | st.characters(
        exclude_categories=["Cs"], exclude_characters="\0"
    )
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 2)))
        text = text[:start] + draw(st.text(some, max_size=2)) + text[end:]
    if draw(st.booleans()):
        numbers = list(re.finditer(r"\d+", text))
        if numbers:
            one = draw(st.sampled_from(numbers[:5]))
            number = draw(st.sampled_from(["0", "00", "1", "04", "03", "13", "31", "16", "4294967296", "9" * 20]))
            text = text[: one.start()] + number + text[one.end() :]
    return text[:LONGEST_HASH]


@given(text=malformed() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
@example(text=PBKDF2)
@example(text=PBKDF2.replace("$1000$", "$01000$"))
@example(text=PBKDF2[:-2] + "B=")
@example(text=BCRYPT)
@example(text=BCRYPT[:28] + "5" + BCRYPT[29:])
@example(text=BCRYPT.replace("$2b$", "$2x$"))
@example(text=ARGON2)
@example(text=ARGON2.replace("v=19", "v=16"))
@example(text=ARGON2.replace("$v=19", ""))
@example(text=ARGON2.replace("p=1", "p=9"))
@example(text=ARGON2.replace("m=64,t=1,p=1", "m=262144,t=20,p=16"))
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
def test_s87_a_hash_is_refused_by_the_import_or_can_be_checked_and_no_login_is_a_500(
    app: Flask, email: str, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    answer, logged = tried(app, email, text, caplog)
    if imported(text):
        assert answer.status_code in (200, 401)
        assert logged == []
    elif text:
        assert_error(answer, 401, "no_active_account")
        assert len(logged) == 1
        assert text not in logged[0]


@pytest.fixture
def email(client: FlaskClient) -> str:
    email: str = sign_up(client).user["email"]
    return email


@pytest.mark.parametrize("good", GOOD, ids=range(len(GOOD)))  # a salt is another in each process
def test_s87_a_good_hash_is_imported_and_lets_its_owner_in(
    app: Flask, email: str, caplog: pytest.LogCaptureFixture, good: str
) -> None:
    assert imported(good)
    answer, logged = tried(app, email, good, caplog)
    assert (answer.status_code, logged) == (200, [])


def test_s87_the_import_takes_of_a_salts_last_characters_those_that_bcrypt_takes() -> None:
    """Of six bits two count; of a digest's last ones four, and other bits would never be equal to what is computed."""

    def bcrypt_takes(text: str) -> bool:
        try:
            return bcrypt.checkpw(SECRET, text.encode()) or True
        except ValueError:
            return False

    salts = [BCRYPT[:28] + last + BCRYPT[29:] for last in ALPHABET]
    assert [imported(one) for one in salts] == [bcrypt_takes(one) for one in salts]
    assert sum(map(imported, salts)) == 4
    made = {bcrypt.hashpw(str(number).encode(), BCRYPT.encode()).decode()[-1] for number in range(300)}
    assert {last for last in ALPHABET if imported(BCRYPT[:-1] + last)} == made


def test_s87_the_import_takes_of_argon2s_hashes_those_that_it_reads() -> None:
    head, salt, digest = ARGON2.rsplit("$", 2)
    base64 = ALPHABET.replace(".", "+")
    tried = [
        *(f"{head}${salt[:-1]}{last}${digest}" for last in base64),
        *(f"{head}${salt}${digest[:-1]}{last}" for last in base64),
        *(f"{head}${salt[:length]}${digest}" for length in range(11, 22)),
        *(f"{head}${salt}${digest[:length]}" for length in range(22, 43)),
    ]

    def reads(text: str) -> bool:
        try:
            return PasswordHasher().verify(text, "another")
        except VerifyMismatchError:
            return True
        except VerificationError:
            return False

    assert [imported(one) for one in tried] == [reads(one) for one in tried]
    assert 0 < sum(map(imported, tried)) < len(tried)


@pytest.mark.parametrize("error", [ValueError("Invalid salt"), RuntimeError("no memory"), UnicodeError()])
def test_s87_whatever_a_library_raises_is_a_wrong_password_and_one_line_in_the_log(
    app: Flask, email: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> bool:
        raise error

    monkeypatch.setattr(bcrypt, "checkpw", fail)
    answer, logged = tried(app, email, BCRYPT, caplog)
    assert_error(answer, 401, "no_active_account")
    assert len(logged) == 1
    assert type(error).__name__ in logged[0]


def test_s87_what_django_makes_by_default_is_taken() -> None:
    by_default = django.Argon2PasswordHasher()
    argon2 = f"m={by_default.memory_cost},t={by_default.time_cost},p={by_default.parallelism}"
    for iterations in (django.PBKDF2PasswordHasher.iterations, 1_500_000):  # the latter since Django 6.1
        assert imported(PBKDF2.replace("$1000$", f"${iterations}$"))
    assert imported(f"argon2{ARGON2}".replace("m=64,t=1,p=1", argon2))
    assert imported(BCRYPT_SHA256.replace("$04$", f"${django.BCryptSHA256PasswordHasher.rounds:02}$"))
    assert imported(django.PBKDF2PasswordHasher().encode(PASSWORD, django.PBKDF2PasswordHasher().salt(), 1))


AT_THE_BOUND = {
    "PBKDF2": PBKDF2.replace("$1000$", f"${foreign.MOST_ITERATIONS}$"),
    "bcrypt": BCRYPT.replace("$04$", f"${foreign.MOST_ROUNDS}$"),
    "Argon2, much memory": ARGON2.replace("m=64,t=1,p=1", f"m={foreign.MOST_MEMORY},t=2,p={foreign.MOST_LANES}"),
    "Argon2, many passes": ARGON2.replace("m=64,t=1,p=1", f"m=16384,t={foreign.MOST_PASSES},p={foreign.MOST_LANES}"),
}


@pytest.mark.usefixtures("real_hashes")
@pytest.mark.parametrize("kind", AT_THE_BOUND)
def test_s87_the_dearest_hash_that_is_taken_costs_tens_of_logins_and_not_a_thousand(kind: str) -> None:
    """It takes half a second, once each, for that is what is promised. How many times ten: passwords/foreign.py."""

    def cost(password_hash: str) -> float:
        begun = process_time()
        assert not hashing.matches(password_hash, "wrong")
        return process_time() - begun

    assert imported(AT_THE_BOUND[kind])
    ours = min(cost(hashing.DUMMY) for _ in range(5))
    assert cost(AT_THE_BOUND[kind]) < 60 * ours


@pytest.mark.usefixtures("real_hashes")
@pytest.mark.parametrize(
    "dear",
    [
        PBKDF2.replace("$1000$", f"${foreign.MOST_ITERATIONS + 1}$"),
        BCRYPT.replace("$04$", f"${foreign.MOST_ROUNDS + 1}$"),
        *(
            text.replace("m=64,t=1,p=1", parameters)
            for text in (ARGON2, f"argon2{ARGON2}")
            for parameters in ("m=262144,t=20,p=16", "m=102401,t=1,p=1", "m=102400,t=3,p=1", "m=64,t=17,p=1")
        ),
        ARGON2.replace("m=64,t=1,p=1", "m=1024,t=1,p=17"),
    ],
    ids=range(11),  # a salt is another in each process
)
def test_s87_a_hash_over_the_bound_is_refused_with_a_sentence_and_a_stored_one_is_never_computed(
    app: Flask, email: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, dear: str
) -> None:
    sentence = foreign.objection(dear)
    assert sentence is not None
    assert sentence.startswith("This hash costs too much to check: at most ")
    monkeypatch.setattr(foreign, "matches", None)
    answer, logged = tried(app, email, dear, caplog)
    assert_error(answer, 401, "no_active_account")
    assert logged == [f"A stored password hash counts as no match: {sentence}"]
