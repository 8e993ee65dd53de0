"""What holds for each provider alike: the account, its fields, and finding it again."""

from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.testing.standins import Person, StandIns
from tests.factories import assert_error
from tests.providers.signing_in import ADA, PROVIDERS, accounts, post, refuse_each, rows, shown, sign_in, token_of


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_first_sign_in_makes_an_account_and_the_second_finds_it(
    app: Flask, client: FlaskClient, standins: StandIns, provider: str
) -> None:
    first = sign_in(client, provider, token_of(standins, provider, ADA))
    assert shown(first.user) == {
        "email": "ada@example.com",
        "email_verified": provider == "google",  # the only one of the three that says so of an address
        "first_name": "Ada",
        "last_name": "Lovelace",
    }
    second = sign_in(client, provider, token_of(standins, provider, ADA))
    assert second.user == first.user
    assert [len(table) for table in rows(app).values()] == [1, 1, 2]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_new_address_or_name_at_the_provider_is_still_the_same_account(
    app: Flask, client: FlaskClient, standins: StandIns, provider: str
) -> None:
    first = sign_in(client, provider, token_of(standins, provider, ADA))
    married = replace(ADA, email="ada.king@example.com", last_name="King")
    assert sign_in(client, provider, token_of(standins, provider, married)).user == first.user
    assert sign_in(client, provider, token_of(standins, provider, replace(ADA, email=None))).user == first.user
    assert accounts(app) == 1


def test_one_subject_at_three_providers_is_three_people(app: Flask, client: FlaskClient, standins: StandIns) -> None:
    nobody = Person(subject="1001")
    for provider in PROVIDERS:
        assert sign_in(client, provider, token_of(standins, provider, nobody)).user["email"] is None
    assert accounts(app) == len(PROVIDERS)


def test_subjects_are_compared_to_the_letter(app: Flask, client: FlaskClient, standins: StandIns) -> None:
    for subject in ("a1", "A1", "a1 ", "á1", "a\u03011", "1", "01", "x" * 255):
        sign_in(client, "google", standins.google.token(Person(subject=subject)))
        sign_in(client, "google", standins.google.token(Person(subject=subject)))
    assert accounts(app) == 8


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_name_that_cannot_be_shown_is_left_out_and_a_long_one_is_cut(
    client: FlaskClient, standins: StandIns, provider: str
) -> None:
    names = {"  Ada ": "Ada", "Åsa Ñ 愛": "Åsa Ñ 愛", "x" * 300: "x" * 150, "a\0b": "", "a\nb": "", "\u202eadA": ""}
    for number, (given, kept) in enumerate(names.items()):
        person = Person(subject=f"{number}", first_name=given, last_name=given)
        user = sign_in(client, provider, token_of(standins, provider, person)).user
        assert (user["first_name"], user["last_name"]) == (kept, kept)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_no_address_counts_as_none_given(client: FlaskClient, standins: StandIns, provider: str) -> None:
    for number, email in enumerate(["ada", "ada@localhost", "a@b@example.com", "a@example.com\r\nBcc: b@example.com"]):
        person = Person(subject=f"{number}", email=email, email_verified=True)
        user = sign_in(client, provider, token_of(standins, provider, person)).user
        assert (user["email"], user["email_verified"]) == (None, False)


def test_a_token_that_the_provider_does_not_know_is_refused(app: Flask, standins: StandIns) -> None:
    tokens = {"opaque": "EAAB-ya29.-EwB-canary", "jwt": standins.microsoft.forged_token(ADA)}
    refuse_each(app, {f"{name} at {at}": (at, token) for at in PROVIDERS for name, token in tokens.items()})


def test_a_provider_that_is_not_configured_is_not_found(app: Flask, client: FlaskClient) -> None:
    assert_error(post(client, "nowhere", "x"), 404, "not_found")
    assert_error(client.get("/api/auth/google/"), 405, "method_not_allowed")
