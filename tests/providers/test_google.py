import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.testing.standins import Person, StandIns
from tests.conftest import MakeApp
from tests.providers.signing_in import ADA, accounts, refuse_each, settings_of, shown, sign_in

VERIFIED = Person(subject="1", email="ada@gmail.com", email_verified=True, first_name="Ada", last_name="Lovelace")


@pytest.mark.parametrize(
    ("person", "user"),
    [
        (VERIFIED, {"email": "ada@gmail.com", "email_verified": True, "first_name": "Ada", "last_name": "Lovelace"}),
        (
            Person(subject="2", email="Ada@Example.COM", email_verified=False, first_name="Ada"),
            {"email": "ada@example.com", "email_verified": False, "first_name": "Ada", "last_name": ""},
        ),
        # The scope `email` was not asked for.
        (
            Person(subject="3", email_verified=True, last_name="Lovelace"),
            {"email": None, "email_verified": False, "first_name": "", "last_name": "Lovelace"},
        ),
    ],
    ids=["verified", "unverified", "no e-mail"],
)
def test_google_says_whether_the_address_is_verified(
    client: FlaskClient, standins: StandIns, person: Person, user: dict[str, object]
) -> None:
    assert shown(sign_in(client, "google", standins.google.token(person)).user) == user


def test_google_is_told_the_token_in_a_body_and_a_header_and_asked_for_the_audience_first(
    client: FlaskClient, standins: StandIns
) -> None:
    sign_in(client, "google", standins.google.token(ADA))
    assert standins.asked == ["POST /google/tokeninfo", "GET /google/userinfo"]


def test_google_takes_the_tokens_of_each_of_several_clients_and_of_no_other(
    make_app: MakeApp, standins: StandIns
) -> None:
    app = make_app(**settings_of(standins, google__client_id=" web-id, ios-id ,,android-id,"))
    client = app.test_client()
    users = [
        sign_in(client, "google", standins.google.token(ADA, audience=audience)).user
        for audience in ("web-id", "ios-id", "android-id")
    ]
    assert users[0] == users[1] == users[2]
    others = (standins.google.client_id, "web-id,ios-id", " web-id, ios-id ,,android-id,", "web", " ", ",", "WEB-ID")
    refuse_each(app, {other: ("google", standins.google.token(ADA, audience=other)) for other in others})
    assert standins.asked.count("GET /google/userinfo") == 3


def test_s24_a_hosted_domain_that_is_absent_or_another_is_refused(make_app: MakeApp, standins: StandIns) -> None:
    app = make_app(**settings_of(standins, google__hosted_domain="example.com"))
    # The address proves nothing: a private Google account may have one of any domain.
    people = [
        Person(subject="1", email="ada@example.com", email_verified=True, hosted_domain=hosted_domain)
        for hosted_domain in (None, "", "notexample.com", "example.com.evil.example", "sub.example.com", "com", "*")
    ]
    refuse_each(app, {f"{one.hosted_domain}": ("google", standins.google.token(one)) for one in people})


def test_s24_people_of_the_hosted_domain_are_let_in(make_app: MakeApp, standins: StandIns) -> None:
    client = make_app(**settings_of(standins, google__hosted_domain="example.com")).test_client()
    for number, email in enumerate(["ada@example.com", "ada@alias.example", None]):
        person = Person(subject=f"{number}", email=email, email_verified=True, hosted_domain="example.com")
        assert sign_in(client, "google", standins.google.token(person)).user["email"] == email


def test_google_without_a_hosted_domain_takes_every_domain(app: Flask, client: FlaskClient, standins: StandIns) -> None:
    for number, domain in enumerate(["example.com", "example.org", None]):
        person = Person(subject=f"{number}", hosted_domain=domain)
        sign_in(client, "google", standins.google.token(person))
    assert accounts(app) == 3
