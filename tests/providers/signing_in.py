"""Signing in by a provider, and what that did to the database."""

from collections.abc import Mapping
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserver.extensions import Model, db
from authserver.models import Identity, Session, User
from authserver.testing.standins import Person, StandIns
from tests.factories import SignedIn, assert_error

PROVIDERS = ("facebook", "google", "microsoft")
ADA = Person(subject="1001", email="ada@example.com", email_verified=True, first_name="Ada", last_name="Lovelace")


def settings_of(standins: StandIns, **changes: object) -> dict[str, object]:
    """For `make_app`: the three providers, set to the stand-ins; `changes` as in `google__client_id="id"`."""
    settings = {name.removeprefix("AUTHSERVER_").lower(): value for name, value in standins.variables().items()}
    return {**settings, **{f"providers__{name}": value for name, value in changes.items()}}


def token_of(standins: StandIns, provider: str, person: Person) -> str:
    """An access token that the person gave to our application."""
    return standins.each[provider].token(person)


def post(client: FlaskClient, provider: str, token: object) -> TestResponse:
    return send(client, provider, {"access_token": token})


def send(client: FlaskClient, provider: str, body: Mapping[str, object]) -> TestResponse:
    return client.post(f"/api/auth/{provider}/", json=body)


def sign_in(client: FlaskClient, provider: str, token: str) -> SignedIn:
    return sign_in_with(client, provider, access_token=token)


def sign_in_with(client: FlaskClient, provider: str, **body: object) -> SignedIn:
    answer = send(client, provider, body)
    assert answer.status_code == 200, answer.text
    signed_in = SignedIn(**answer.get_json())
    assert client.get("/api/me/", headers=signed_in.bearer).get_json() == signed_in.user
    return signed_in


def shown(user: dict[str, Any]) -> dict[str, Any]:
    """What an application shows of a user: all but what differs from run to run."""
    return {name: value for name, value in user.items() if name not in ("id", "date_joined")}


def rows(app: Flask) -> dict[str, list[tuple[Any, ...]]]:
    """All that is stored on people: compared before and after, it shows a changed row as well as a new one."""
    tables: tuple[type[Model], ...] = (User, Identity, Session)
    with app.app_context():
        return {
            table.__tablename__: sorted(tuple(row) for row in db.session.execute(select(*table.__table__.columns)))
            for table in tables
        }


def accounts(app: Flask) -> int:
    return len(rows(app)["users"])


def refuse_each(
    app: Flask,
    attempts: Mapping[str, tuple[str, object]],
    status: int = 401,
    code: str = "provider_token_not_valid",
) -> dict[str, dict[str, Any]]:
    """Tries each (provider, access token), as `refuse_bodies` does."""
    bodies = {name: (provider, {"access_token": token}) for name, (provider, token) in attempts.items()}
    return refuse_bodies(app, bodies, status, code, *(["access_token"] if status == 400 else []))


def refuse_bodies(
    app: Flask,
    attempts: Mapping[str, tuple[str, Mapping[str, object]]],
    status: int = 401,
    code: str = "provider_token_not_valid",
    *fields: str,
) -> dict[str, dict[str, Any]]:
    """Tries each (provider, body), which has to be refused as said and to change no row; the errors' bodies.

    The names of the attempts say in a failure which of them it was.
    """
    before = rows(app)
    answers = {name: send(app.test_client(), *attempt) for name, attempt in attempts.items()}
    outcomes = {name: (answer.status_code, answer.get_json().get("code")) for name, answer in answers.items()}
    otherwise = {name: outcome for name, outcome in outcomes.items() if outcome != (status, code)}
    assert not otherwise, f"expected {status} {code} everywhere"
    for answer in answers.values():
        assert_error(answer, status, code, *fields)
        assert ("Retry-After" in answer.headers) == (status == 503)
        assert int(answer.headers.get("Retry-After", "1")) > 0
    assert rows(app) == before, "a refusal changes nothing"
    return {name: answer.get_json() for name, answer in answers.items()}


def refuse(app: Flask, provider: str, token: object) -> dict[str, Any]:
    return refuse_each(app, {provider: (provider, token)})[provider]
