"""S70: what takes a recent sign-in, and when a sign-in is no more recent."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserver.clock import now
from authserver.extensions import db
from authserver.models import Mail, User
from tests.conftest import MakeApp
from tests.factories import PASSWORD, SignedIn, assert_error, sign_up
from tests.security.test_passwords import change_user
from tests.test_passwords import NEW

Advance = Callable[[float], None]
Act = Callable[[FlaskClient, str], TestResponse]
LIFETIME = 600


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(mail_url="smtp://127.0.0.1:1")


def bearer(access: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {access}"}


def erase(client: FlaskClient, access: str) -> TestResponse:
    return client.delete("/api/me/", headers=bearer(access))


def change_address(client: FlaskClient, access: str) -> TestResponse:
    return client.post("/api/email/change/", headers=bearer(access), json={"email": "other@example.com"})


def set_first_password(client: FlaskClient, access: str) -> TestResponse:
    body = {"password": NEW, "password_confirm": NEW}
    return client.post("/api/password/change/", headers=bearer(access), json=body)


def stored(app: Flask) -> list[object]:
    with app.app_context():
        people = [(one.email, one.password_hash) for one in db.session.query(User)]
        return [people, db.session.query(Mail).count()]


def refreshed(client: FlaskClient, person: SignedIn) -> str:
    access: str = client.post("/api/token/refresh/", json={"refresh": person.refresh}).get_json()["access"]
    return access


def reauthenticated(client: FlaskClient, access: str) -> str:
    answer = client.post("/api/reauthenticate/", headers=bearer(access), json={"password": PASSWORD})
    again: str = answer.get_json()["access"]
    return again


@pytest.mark.parametrize("act", [erase, change_address, set_first_password])
def test_s70_freshness_ends_though_the_token_goes_on(
    app: Flask, client: FlaskClient, advance: Advance, act: Act
) -> None:
    person = sign_up(client)
    if act is set_first_password:
        change_user(app, person.user["email"], password_hash=None)
    before = stored(app)
    advance(LIFETIME)
    for access in (person.access, refreshed(client, person)):
        assert_error(act(client, access), 403, "reauthentication_required")
        assert client.get("/api/me/", headers=bearer(access)).status_code == 200
    assert stored(app) == before
    advance(-60)  # a minute, for real time goes on meanwhile
    assert act(client, person.access).status_code in (202, 204)


@pytest.mark.parametrize("act", [erase, change_address])
def test_s70_who_reauthenticates_is_fresh_once_more_and_not_for_good(
    client: FlaskClient, advance: Advance, act: Act
) -> None:
    person = sign_up(client)
    advance(LIFETIME)
    access = reauthenticated(client, person.access)
    advance(LIFETIME)
    assert_error(act(client, access), 403, "reauthentication_required")
    assert_error(act(client, refreshed(client, person)), 403, "reauthentication_required")
    assert act(client, reauthenticated(client, access)).status_code in (202, 204)


def test_s70_a_refresh_makes_nothing_fresh_however_recent_the_sign_in_is(client: FlaskClient) -> None:
    person = sign_up(client)
    assert_error(erase(client, refreshed(client, person)), 403, "reauthentication_required")
    assert erase(client, person.access).status_code == 204


def test_s70_freshness_opens_nothing_to_who_was_shut_out(app: Flask, client: FlaskClient) -> None:
    person = sign_up(client)
    change_user(app, person.user["email"], disabled_at=now())
    for act in (erase, change_address, set_first_password):
        assert_error(act(client, person.access), 401, "token_not_valid")
