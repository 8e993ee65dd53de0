from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.testing.standins import Person, StandIns
from providers.microsoft import CONSUMERS
from tests.conftest import MakeApp
from tests.factories import assert_error, sign_up
from tests.providers.signing_in import ADA, accounts, post, refuse, refuse_each, settings_of, shown, sign_in

OURS, OTHER = ADA.tenant, "f8cdef31-a31e-4b4a-93e4-5f571e91255a"


@pytest.mark.parametrize(
    ("person", "user"),
    [
        (ADA, {"email": "ada@example.com", "email_verified": False, "first_name": "Ada", "last_name": "Lovelace"}),
        (
            Person(subject="2", email="Ada@Example.COM", first_name="Ada"),
            {"email": "ada@example.com", "email_verified": False, "first_name": "Ada", "last_name": ""},
        ),
        (Person(subject="3"), {"email": None, "email_verified": False, "first_name": "", "last_name": ""}),
    ],
    ids=["whole", "no surname", "nothing"],
)
def test_microsoft_never_says_that_an_address_is_verified(
    client: FlaskClient, standins: StandIns, person: Person, user: dict[str, object]
) -> None:
    assert shown(sign_in(client, "microsoft", standins.microsoft.token(person)).user) == user
    assert standins.asked == ["GET /microsoft/v1.0/me"]


def test_microsofts_two_versions_of_a_token_name_the_application_differently(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    microsoft = standins.microsoft
    first = sign_in(client, "microsoft", microsoft.token(ADA))
    version_2 = {"appid": None, "ver": "2.0", "iss": f"https://login.microsoftonline.com/{OURS}/v2.0"}
    assert sign_in(client, "microsoft", microsoft.token(ADA, **version_2, azp=microsoft.client_id)).user == first.user
    refuse(app, "microsoft", microsoft.token(ADA, **version_2, azp=microsoft.other_client_id))


def test_one_object_id_in_two_tenants_is_two_people(app: Flask, client: FlaskClient, standins: StandIns) -> None:
    here, there = Person(subject="1", tenant=OURS), Person(subject="1", tenant=OTHER)
    ids = [sign_in(client, "microsoft", standins.microsoft.token(one)).user["id"] for one in (here, there, here, there)]
    assert ids[0] == ids[2]
    assert ids[1] == ids[3]
    assert accounts(app) == 2


@pytest.mark.parametrize(
    ("setting", "admitted"),
    [
        ("common", {OURS, OTHER, CONSUMERS}),
        ("organizations", {OURS, OTHER}),
        ("consumers", {CONSUMERS}),
        (OURS, {OURS}),
        (OURS.upper(), {OURS}),
    ],
)
def test_s26_only_people_of_the_tenants_that_are_asked_for_are_let_in(
    make_app: MakeApp, standins: StandIns, setting: str, admitted: set[str]
) -> None:
    app = make_app(**settings_of(standins, microsoft__tenant=setting))
    for tenant in (OURS, OTHER, CONSUMERS):
        standins.asked.clear()
        answer = post(app.test_client(), "microsoft", standins.microsoft.token(Person(subject="1", tenant=tenant)))
        if tenant in admitted:
            assert answer.status_code == 200
        else:
            assert_error(answer, 401, "provider_token_not_valid")
            assert standins.asked == []
    assert accounts(app) == len(admitted)


def test_s26_an_opaque_token_says_nothing_of_its_application_and_is_refused_unasked(
    app: Flask, standins: StandIns
) -> None:
    refuse(app, "microsoft", standins.microsoft.opaque_token(replace(ADA, tenant=CONSUMERS)))
    assert standins.asked == []


def test_s26_the_mail_of_a_victim_never_signs_in_as_the_victim(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    by_password = sign_up(client, email="victim@example.com")
    by_google = Person(subject="1", email="victim@gmail.com", email_verified=True)
    victim = sign_in(client, "google", standins.google.token(by_google))
    attempts: dict[str, tuple[str, object]] = {}
    for mail in (by_password.user["email"], victim.user["email"], "Victim@GMAIL.com"):
        attacker = Person(subject="666", tenant=OTHER, email=mail, email_verified=True)
        attempts[mail] = ("microsoft", standins.microsoft.token(attacker, email=mail, upn=mail))
    refuse_each(app, attempts, 409, "account_exists")
