"""A person's data as a whole: its export, its erasure, and the list of what happened."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from authserver.clock import now, rfc3339
from authserver.extensions import Model, db
from authserver.models import Authorization, Event, Identity, Invitation, User
from authserver.tokens.one_time import digest
from tests.conftest import MakeApp
from tests.deferred import finish
from tests.each import each
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up
from tests.mails import Mails
from tests.test_passwords import change, reset

# Where the export has a table, and what of the tables it leaves out, and why.
SECTIONS = {
    "users": "user",
    "identities": "identities",
    "sessions": "sessions",
    "one_time_tokens": "mailed_links",
    "mails": "mails",
    "events": "events",
    "invitations": "invitations",
}
LEFT_OUT = {
    "users.password_hash": "a secret: `has_password` says whether there is one",
    "users.verified_by_link_at": "says what a reset leaves",
    "users.signup_identity_id": "the same",
    "users.disabled_at": "who is disabled cannot ask",
    "sessions.generation": "counts refresh tokens",
    "sessions.rotated_at": "the same",
    "one_time_tokens.id": "nothing of the person's",
    "one_time_tokens.token_hash": "a secret",
    "mails.id": "nothing of the person's",
    "mails.sealed": "holds a secret",
    "mails.attempts": "how delivery goes",
    "mails.next_attempt_at": "the same",
    "mails.delivered_at": "the same",
    "invitations.id": "nothing of the person's",
    "invitations.token_hash": "a secret",
    "invitations.revoked_at": "a revoked one made no account",
}
NOT_EXPORTED = {
    "signing_keys": "the server's",
    "rate_limits": "counters that end with their window",
    "authorizations": "under way for ten minutes at most",
}


@pytest.fixture
def app(make_app: MakeApp, mails: Mails) -> Flask:
    return make_app(mail_url=mails.url)


@pytest.fixture
def person(app: Flask, client: FlaskClient) -> SignedIn:
    """Somebody with a row in every table."""
    person = sign_up(client, email="ada@example.com", first_name="Ada", last_name="Lovelace")
    client.post("/api/logout/", json={"refresh": log_in(client, "ada@example.com").get_json()["refresh"]})
    log_in(client, "ada@example.com", "wrong")
    client.post("/api/password/forgot/", json={"email": "ada@example.com"})
    finish(app)
    moment = now() + timedelta(days=1)
    with app.app_context():
        user_id = UUID(person.user["id"])
        db.session.execute(update(User).where(User.id == user_id).values(email_verified=True))
        db.session.add(
            Identity(user_id=user_id, provider="google", tenant="tenant-1", subject="s-1", email="g@example.com")
        )
        db.session.add(
            Authorization(
                id="state-1",
                secret_hash=digest("x"),
                provider="google",
                next="https://app.example.com",
                code_challenge="challenge-1",
                user_id=user_id,
                session_id=user_id,
                expires_at=moment,
            )
        )
        db.session.add(
            Invitation(email="ada@example.com", token_hash=digest("x"), expires_at=moment, accepted_at=now())
        )
        db.session.commit()
    return person


def stored(app: Flask) -> list[tuple[str, str, Any]]:
    """Every value in the database, as (table, column, value)."""
    with app.app_context():
        return [
            (table.name, name, value)
            for table in Model.metadata.sorted_tables
            for row in db.session.execute(select(table)).mappings()
            for name, value in row.items()
        ]


def leaves(value: Any) -> set[Any]:
    if isinstance(value, dict | list):
        children = value.values() if isinstance(value, dict) else value
        return {leaf for child in children for leaf in leaves(child)}
    return {value}


def exported(value: object) -> object:
    if isinstance(value, datetime):
        return rfc3339(value)
    return str(value) if isinstance(value, UUID) else value


def test_the_export_holds_all_that_is_stored_and_no_secret(app: Flask, client: FlaskClient, person: SignedIn) -> None:
    answer = client.get("/api/me/export/", headers=person.bearer)
    export = answer.get_json()
    assert export.keys() == set(SECTIONS.values())
    assert {table.name for table in Model.metadata.sorted_tables} == SECTIONS.keys() | NOT_EXPORTED.keys()
    values = stored(app)
    assert {table for table, _, _ in values} - NOT_EXPORTED.keys() == SECTIONS.keys()
    for table, column, value in values:
        if table in NOT_EXPORTED or column == "user_id" or value is None:
            continue
        there = exported(value) in leaves(export[SECTIONS[table]])
        assert there or f"{table}.{column}" in LEFT_OUT, (table, column, value)
    secrets = [str(value) for table, column, value in values if "secret" in LEFT_OUT.get(f"{table}.{column}", "")]
    assert len(secrets) >= 5
    assert not [secret for secret in secrets if secret in answer.text]


def test_the_export_is_ones_own(client: FlaskClient, person: SignedIn) -> None:
    other = sign_up(client)
    text = client.get("/api/me/export/", headers=other.bearer).text
    assert not [theirs for theirs in (person.user["id"], "ada@example.com", "s-1", "tenant-1") if theirs in text]
    assert_error(client.get("/api/me/export/"), 401, "not_authenticated")


def test_erasure_leaves_nothing_but_events_of_nobody(app: Flask, client: FlaskClient, person: SignedIn) -> None:
    other = sign_up(client)
    before = client.get("/api/me/export/", headers=other.bearer).get_json()
    happened = len(client.get("/api/events/", headers=person.bearer).get_json())
    answer = client.delete("/api/me/", headers=person.bearer)
    assert (answer.status_code, answer.data) == (204, b"")
    left = [(table, column) for table, column, value in stored(app) if value == UUID(person.user["id"])]
    assert left == [("events", "user_id")] * (happened + 1)
    personal = ("ada@example.com", "g@example.com", "s-1", "Lovelace", "state-1")
    assert not [entry for entry in stored(app) if entry[2] in personal]
    with app.app_context():
        events = db.session.scalars(select(Event).where(Event.user_id == UUID(person.user["id"]))).all()
    assert {(event.ip, event.user_agent) for event in events} == {(None, None)}
    assert_error(client.get("/api/me/", headers=person.bearer), 401, "token_not_valid")
    assert_error(client.post("/api/token/refresh/", json={"refresh": person.refresh}), 401, "token_not_valid")
    assert_error(log_in(client, "ada@example.com"), 401, "no_active_account")
    assert client.get("/api/me/export/", headers=other.bearer).get_json() == before
    assert sign_up(client, email="ada@example.com").user["id"] != person.user["id"]


def test_erasure_needs_a_fresh_token(client: FlaskClient, person: SignedIn, advance: Callable[[float], None]) -> None:
    advance(600)
    assert_error(client.delete("/api/me/", headers=person.bearer), 403, "reauthentication_required")
    assert client.get("/api/me/", headers=person.bearer).status_code == 200


def events(client: FlaskClient, person: SignedIn, **query: object) -> Any:
    answer = client.get("/api/events/", headers=person.bearer, query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def test_events_are_ones_own_newest_first_and_paged(client: FlaskClient) -> None:
    person, other = sign_up(client), sign_up(client)
    for _ in range(5):
        log_in(client, person.user["email"], "wrong")
    everything = events(client, person)
    assert [one["type"] for one in everything] == ["sign_in_failed"] * 5 + ["signed_in", "signed_up"]
    assert everything[0].keys() == {"id", "type", "created_at", "session_id", "ip", "user_agent"}
    assert [one["created_at"] for one in everything] == sorted((one["created_at"] for one in everything), reverse=True)
    paged: list[Any] = []
    before: dict[str, str] = {}
    while page := events(client, person, limit=3, **before):
        paged += page
        before = {"before": page[-1]["id"]}
    assert paged == everything
    assert {one["id"] for one in events(client, other)}.isdisjoint({one["id"] for one in everything})
    assert (everything[-1]["ip"], everything[-1]["user_agent"][:9]) == ("127.0.0.1", "Werkzeug/")


BAD = [{"limit": bad} for bad in ("0", "-1", "201", "1e2", "x", "", " 5", "٣", "9" * 5000, "00000000199", "1.5")] + [
    {"before": bad} for bad in ("x", "0", "1' OR 1=1", "9" * 100)
]


@each("query", BAD)
def test_a_bad_page_is_refused(client: FlaskClient, query: dict[str, str]) -> None:
    person = sign_up(client)
    answer = client.get("/api/events/", headers=person.bearer, query_string=query)
    assert_error(answer, 400, "invalid_request", *query)


class Story:
    """A person, what they do, and the mails that they get."""

    def __init__(self, app: Flask, mails: Mails) -> None:
        self.app, self.client, self.mails = app, app.test_client(), mails
        self.person = sign_up(self.client)
        self.email: str = self.person.user["email"]
        self.verification = mails.take(app)[-1].token

    def post(self, path: str, **body: object) -> TestResponse:
        return self.client.post(path, headers=self.person.bearer, json=body)

    def mailed(self, to: str | None = None) -> str:
        return next(mail.token for mail in reversed(self.mails.take(self.app)) if to in (None, mail.to))

    def recover(self) -> TestResponse:
        self.post("/api/email/change/", email="new@example.com")
        return self.post("/api/account/recover/", token=self.mailed(self.email))

    def change_address(self) -> TestResponse:
        self.post("/api/email/change/", email="new@example.com")
        return self.post("/api/email/verify/", token=self.mailed("new@example.com"), password=PASSWORD)

    def reset(self) -> TestResponse:
        self.post("/api/password/forgot/", email=self.email)
        return reset(self.client, self.mailed())

    def end_another(self, path: str) -> TestResponse:
        log_in(self.client, self.email)
        sessions = self.client.get("/api/sessions/", headers=self.person.bearer).get_json()
        other = next(one["id"] for one in sessions if not one["current"])
        return self.client.delete(path.replace("<id>", other), headers=self.person.bearer)


STORIES: dict[str, Callable[[Story], TestResponse]] = {
    "signed_in": lambda story: log_in(story.client, story.email),
    "sign_in_failed": lambda story: log_in(story.client, story.email, "wrong"),
    "reauthenticated": lambda story: story.post("/api/reauthenticate/", password=PASSWORD),
    "session_ended": lambda story: story.end_another("/api/sessions/<id>/"),
    "other_sessions_ended": lambda story: story.end_another("/api/sessions/"),
    "password_changed": lambda story: change(story.client, story.person, current_password=PASSWORD),
    "password_reset_requested": lambda story: story.post("/api/password/forgot/", email=story.email),
    "password_reset": Story.reset,
    "email_verified": lambda story: story.post("/api/email/verify/", token=story.verification),
    "email_change_requested": lambda story: story.post("/api/email/change/", email="new@example.com"),
    "email_changed": Story.change_address,
    "account_recovered": Story.recover,
    "account_erased": lambda story: story.client.delete("/api/me/", headers=story.person.bearer),
}


def test_each_change_records_what_happened(app: Flask, mails: Mails) -> None:
    for what, act in STORIES.items():
        story = Story(app, mails)
        assert act(story).status_code in (200, 202, 204, 401), what
        finish(app)
        with app.app_context():
            newest = select(Event).where(Event.user_id == UUID(story.person.user["id"])).order_by(Event.id.desc())
            found = db.session.scalars(newest).first()
        assert found is not None
        assert found.type == what
        with app.app_context():
            for user in db.session.scalars(select(User)):
                db.session.delete(user)
            db.session.commit()


def test_a_failed_sign_in_to_no_account_is_recorded_of_nobody(app: Flask, client: FlaskClient) -> None:
    log_in(client, "nobody@example.com")
    with app.app_context():
        (event,) = db.session.scalars(select(Event))
    assert (event.type, event.user_id, event.ip) == ("sign_in_failed", None, "127.0.0.1")
    assert "nobody" not in json.dumps([str(value) for _, _, value in stored(app)])


def test_an_invitation_is_shown_to_and_erased_by_the_owner_of_its_address_alone(
    app: Flask, client: FlaskClient, mails: Mails
) -> None:
    def invitations() -> list[str]:
        with app.app_context():
            return [one.email for one in db.session.scalars(select(Invitation))]

    with app.app_context():
        expires_at = now() + timedelta(days=1)
        db.session.add(Invitation(email="ada@example.com", token_hash=digest("x"), expires_at=expires_at))
        db.session.commit()
    stranger = sign_up(client, email="ada@example.com")
    assert client.get("/api/me/export/", headers=stranger.bearer).get_json()["invitations"] == []
    assert client.delete("/api/me/", headers=stranger.bearer).status_code == 204
    assert invitations() == ["ada@example.com"]
    mails.take(app)
    owner = sign_up(client, email="ada@example.com")
    client.post("/api/email/verify/", json={"token": mails.one(app, "ada@example.com").token})
    (shown,) = client.get("/api/me/export/", headers=owner.bearer).get_json()["invitations"]
    assert shown["email"] == "ada@example.com"
    assert client.delete("/api/me/", headers=owner.bearer).status_code == 204
    assert invitations() == []
