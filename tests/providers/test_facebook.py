import time

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.testing.standins import Person, StandIns
from tests.conftest import MakeApp
from tests.providers.signing_in import ADA, accounts, refuse, rows, settings_of, shown, sign_in

NUMBERED = Person(subject="10220000000000001", email="ada@example.com", first_name="Ada")


@pytest.mark.parametrize(
    ("person", "user"),
    [
        (ADA, {"email": "ada@example.com", "email_verified": False, "first_name": "Ada", "last_name": "Lovelace"}),
        (
            Person(subject="2", email="Ada@Example.COM"),
            {"email": "ada@example.com", "email_verified": False, "first_name": "", "last_name": ""},
        ),
        (Person(subject="3"), {"email": None, "email_verified": False, "first_name": "", "last_name": ""}),
    ],
    ids=["whole", "no names", "nothing"],
)
def test_facebook_never_says_that_an_address_is_verified(
    client: FlaskClient, standins: StandIns, person: Person, user: dict[str, object]
) -> None:
    assert shown(sign_in(client, "facebook", standins.facebook.token(person)).user) == user


def test_facebook_is_asked_whose_token_it_is_before_who_that_is(client: FlaskClient, standins: StandIns) -> None:
    sign_in(client, "facebook", standins.facebook.token(ADA))
    assert standins.asked == ["GET /facebook/v25.0/debug_token", "GET /facebook/v25.0/me"]


def test_facebooks_numbers_are_as_good_as_strings_and_0_is_no_expiry(client: FlaskClient, standins: StandIns) -> None:
    first = sign_in(client, "facebook", standins.facebook.token(NUMBERED))
    variants: list[dict[str, object]] = [
        {"app_id": 123456789012345, "user_id": 10220000000000001},
        {"app_id": 123456789012345},
        {"user_id": 10220000000000001},
        {"expires_at": 0},
        {"expires_at": 0, "data_access_expires_at": 0},
        {"expires_at": int(time.time()) + 86400},
    ]
    for debug in variants:
        assert sign_in(client, "facebook", standins.facebook.token(NUMBERED, **debug)).user == first.user, debug


def test_s25_facebooks_missing_address_twice_makes_two_accounts(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    ids = {
        sign_in(client, "facebook", standins.facebook.token(Person(subject=subject))).user["id"]
        for subject in ("1", "2", "1", "2")
    }
    assert len(ids) == accounts(app) == 2
    assert [row[1] for row in rows(app)["users"]] == [None, None], "null, not two empty strings"


def test_facebook_with_the_wrong_app_secret_signs_nobody_in(make_app: MakeApp, standins: StandIns) -> None:
    app = make_app(**settings_of(standins, facebook__client_secret="not the app's secret"))
    refuse(app, "facebook", standins.facebook.token(ADA))
    assert standins.asked == ["GET /facebook/v25.0/debug_token"]
