"""The identities of an account: listed, linked, unlinked, and good for signing in again."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session as Transaction
from werkzeug.test import TestResponse

from authserver.clock import now
from authserver.extensions import db
from authserver.models import Authorization, OneTimeToken, Session, User
from authserver.oauth import identities, verify
from authserver.testing.standins import Person, StandIns
from authserver.tokens.acting import acting
from tests.conftest import PUBLIC_URL, MakeApp
from tests.factories import NOBODYS_ID, PASSWORD, SignedIn, assert_error, log_in, sign_up
from tests.mails import Arrived, Mails
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow, come_back, parameters
from tests.providers.signing_in import ADA, post, rows, settings_of, sign_in
from tests.test_passwords import NEW, alive, change

served_standins = conftest.served_standins
standins = conftest.standins
no_secret_is_logged = conftest.no_secret_is_logged

Advance = Callable[[float], None]
GRACE = Person(subject="graces-subject", email="grace@example.com", email_verified=True)
NOBODY = Person(subject="1003")


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns, mails: Mails) -> Flask:
    return make_app(**settings_of(standins), redirect_urls=NEXT, mail_url=mails.url)


@pytest.fixture
def person(app: Flask, client: FlaskClient, mails: Mails) -> SignedIn:
    person = sign_up(client)
    mails.take(app)
    return person


def link(client: FlaskClient, person: SignedIn, token: str, name: str = "google", **headers: str) -> TestResponse:
    headers = {**person.bearer, **headers}
    return client.post(f"/api/identities/{name}/", headers=headers, json={"access_token": token})


def listed(client: FlaskClient, person: SignedIn) -> list[dict[str, Any]]:
    answer = client.get("/api/identities/", headers=person.bearer)
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.get_json()
    return found


def unlink(client: FlaskClient, person: SignedIn, identity: dict[str, Any] | str) -> TestResponse:
    identity_id = identity if isinstance(identity, str) else identity["id"]
    return client.delete(f"/api/identities/{identity_id}/", headers=person.bearer)


def events(client: FlaskClient, person: SignedIn) -> list[tuple[str, str]]:
    """What happened, oldest first, and in which session."""
    answer = client.get("/api/events/", headers=person.bearer)
    return [(one["type"], one["session_id"]) for one in reversed(answer.get_json())]


def session_of(client: FlaskClient, person: SignedIn) -> str:
    found = client.get("/api/sessions/", headers=person.bearer).get_json()
    (current,) = (str(one["id"]) for one in found if one["current"])
    return current


def test_an_identity_is_linked_and_signs_in_and_is_unlinked(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn, mails: Mails
) -> None:
    assert listed(client, person) == []
    answer = link(client, person, standins.google.token(ADA))
    assert answer.status_code == 201
    identity = answer.get_json()
    assert identity == {**identity, "provider": "google", "email": ADA.email}
    assert identity.keys() == {"id", "provider", "email", "created_at"}
    by_facebook = link(client, person, standins.facebook.token(NOBODY), "facebook").get_json()
    assert by_facebook["email"] is None
    assert listed(client, person) == [identity, by_facebook]
    assert len(mails.take(app)) == 2

    before = rows(app)
    again = link(client, person, standins.google.token(replace(ADA, email="new@example.com")))
    assert (again.status_code, again.get_json()) == (201, identity), "linked already"
    assert rows(app) == before
    assert mails.take(app) == []

    assert sign_in(client, "google", standins.google.token(ADA)).user == person.user
    assert unlink(client, person, identity).status_code == 204
    assert_error(unlink(client, person, identity), 404, "not_found")
    assert listed(client, person) == [by_facebook]
    assert sign_in(client, "google", standins.google.token(ADA)).user["id"] != person.user["id"]
    session = session_of(client, person)
    changes = [one for one in events(client, person) if one[0].startswith("identity_")]
    assert changes == [("identity_linked", session)] * 2 + [("identity_unlinked", session)]


def test_ones_identities_are_nobody_elses(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn
) -> None:
    other = sign_up(client)
    identity = link(client, other, standins.google.token(ADA)).get_json()
    before = rows(app)
    assert listed(client, person) == []
    for wrong in (identity["id"], NOBODYS_ID):
        assert_error(unlink(client, person, wrong), 404, "not_found")
    assert_error(link(client, person, standins.google.token(ADA)), 409, "account_exists")
    assert rows(app) == before


def test_s35_an_identity_of_somebody_else_is_not_linked(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn, mails: Mails
) -> None:
    owner = sign_in(client, "google", standins.google.token(ADA))
    mails.take(app)
    before = rows(app)
    for body in ({"access_token": standins.google.token(ADA)}, {"id_token": standins.google.id_token(ADA)}):
        answer = client.post("/api/identities/google/", headers=person.bearer, json=body)
        assert assert_error(answer, 409, "account_exists")["detail"] == identities.TAKEN
    flow = Flow()
    code = code_to_link(client, standins, person, flow, ADA)
    assert_error(flow.exchange(client, code, **person.bearer), 409, "account_exists")
    assert rows(app) == before
    assert mails.take(app) == []
    assert sign_in(client, "google", standins.google.token(ADA)).user == owner.user


def code_to_link(client: FlaskClient, standins: StandIns, person: SignedIn, flow: Flow, whom: Person) -> str:
    body = {"next": NEXT, "code_challenge": flow.challenge}
    url = client.post("/api/identities/google/login/", headers=person.bearer, json=body).get_json()["url"]
    began = client.get(url)
    return parameters(come_back(client, standins.google.authorize(began.headers["Location"], whom)))["code"]


def set_user(app: Flask, person: SignedIn, **values: object) -> None:
    with app.app_context():
        db.session.execute(update(User).where(User.id == UUID(person.user["id"])).values(**values))
        db.session.commit()


def test_s35_the_last_way_in_is_not_unlinked(
    make_app: MakeApp, app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    person = sign_in(client, "google", standins.google.token(ADA))
    (first,) = listed(client, person)
    second = link(client, person, standins.facebook.token(NOBODY), "facebook").get_json()
    google_only = {name: value for name, value in settings_of(standins).items() if name.startswith("providers__google")}
    fewer = make_app(**google_only).test_client()
    before = rows(app)
    assert_error(unlink(fewer, person, first), 409, "last_login_method")
    assert rows(app) == before, "a provider that is no longer enabled lets nobody in"
    assert unlink(fewer, person, second).status_code == 204, "but it may go"
    assert_error(unlink(client, person, first), 409, "last_login_method")
    set_user(app, person, email=None, email_verified=False, password_hash="a password and nowhere to enter it")
    assert_error(unlink(client, person, first), 409, "last_login_method")
    assert listed(client, person) == [first]
    set_user(app, person, email=ADA.email, password_hash=None)
    assert change(client, person).status_code == 204
    assert unlink(client, person, first).status_code == 204
    assert log_in(client, str(ADA.email), NEW).status_code == 200


def calls(client: FlaskClient, standins: StandIns, name: str = "google") -> dict[str, Callable[..., TestResponse]]:
    """Each endpoint that changes identities."""
    to_link = {"next": NEXT, "code_challenge": Flow().challenge}
    return {
        "link": lambda headers: client.post(
            f"/api/identities/{name}/", headers=headers, json={"access_token": standins.google.token(ADA)}
        ),
        "redirect": lambda headers: client.post(f"/api/identities/{name}/login/", headers=headers, json=to_link),
        "unlink": lambda headers: client.delete(f"/api/identities/{NOBODYS_ID}/", headers=headers),
    }


def test_s70_identities_are_changed_by_who_signed_in_lately(
    client: FlaskClient, standins: StandIns, person: SignedIn, advance: Advance
) -> None:
    refreshed = client.post("/api/token/refresh/", json={"refresh": person.refresh}).get_json()
    by_refresh = {"Authorization": f"Bearer {refreshed['access']}"}
    for call in calls(client, standins).values():
        assert_error(call(by_refresh), 403, "reauthentication_required")
        refused = call({})
        assert_error(refused, 401, "not_authenticated")
        assert refused.headers["WWW-Authenticate"] == "Bearer"
    advance(540)
    assert link(client, person, standins.google.token(GRACE)).status_code == 201
    advance(60)
    for call in calls(client, standins).values():
        assert_error(call(person.bearer), 403, "reauthentication_required")
    assert len(listed(client, person)) == 1, "which anybody who is signed in may see"
    assert_error(client.get("/api/identities/"), 401, "not_authenticated")


def test_an_unknown_provider_is_not_found(client: FlaskClient, standins: StandIns, person: SignedIn) -> None:
    for name in ("nowhere", "exchange", "GOOGLE", "goog%00le"):
        for call in calls(client, standins, name).values():
            assert_error(call(person.bearer), 404, "not_found")
        for path in (f"/api/auth/{name}/reauthenticate/", f"/api/auth/{name}/login/"):
            assert client.post(path, headers=person.bearer, json={}).status_code == 404


def test_who_signs_in_anew_at_the_provider_is_fresh_again(
    client: FlaskClient, standins: StandIns, person: SignedIn, advance: Advance
) -> None:
    identity = link(client, person, standins.google.token(ADA)).get_json()
    link(client, sign_up(client), standins.google.token(GRACE))
    advance(600)
    moment = int(now().timestamp())

    def again(token: str, whose: SignedIn = person, kind: str = "id_token") -> TestResponse:
        return client.post("/api/auth/google/reauthenticate/", headers=whose.bearer, json={kind: token})

    for at in (None, moment - 301, 0, -1, str(moment), float(moment), True, [moment]):
        refused = again(standins.google.id_token(ADA, auth_time=at))
        assert_error(refused, 403, "reauthentication_required")
    assert_error(again(standins.google.token(ADA), kind="access_token"), 403, "reauthentication_required")
    for whose in (GRACE, NOBODY):  # another account's, and nobody's
        refused = again(standins.google.id_token(whose, auth_time=moment))
        assert_error(refused, 401, "provider_token_not_valid")
    for body in ({}, {"id_token": "x", "access_token": "x"}, {"id_token": 1}):
        answer = client.post("/api/auth/google/reauthenticate/", headers=person.bearer, json=body)
        assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")
    foreign = standins.google.id_token(ADA, auth_time=moment, aud=standins.google.other_client_id)
    assert_error(again(foreign), 401, "provider_token_not_valid")
    assert_error(client.post("/api/auth/google/reauthenticate/", json={"id_token": foreign}), 401, "not_authenticated")
    assert_error(unlink(client, person, identity), 403, "reauthentication_required")
    assert "reauthenticated" not in dict(events(client, person))

    answer = again(standins.google.id_token(ADA, auth_time=moment - 290))
    assert (answer.status_code, answer.get_json().keys()) == (200, {"access"})
    fresh = replace(person, access=answer.get_json()["access"])
    assert session_of(client, fresh) == session_of(client, person), "the same session"
    assert events(client, fresh)[-1] == ("reauthenticated", session_of(client, person))
    assert unlink(client, fresh, identity).status_code == 204
    assert client.delete("/api/me/", headers=fresh.bearer).status_code == 204


def test_s86_a_provider_makes_nothing_fresh_past_the_end_of_the_session(
    client: FlaskClient, standins: StandIns, person: SignedIn, advance: Advance
) -> None:
    link(client, person, standins.google.token(ADA))
    advance(86400 - 60)
    late = client.post("/api/token/refresh/", json={"refresh": person.refresh}).get_json()["access"]
    person = replace(person, access=late)

    def again() -> TestResponse:
        moment = int(now().timestamp())
        token = standins.google.id_token(ADA, auth_time=moment, iat=moment, exp=moment + 60)
        return client.post("/api/auth/google/reauthenticate/", headers=person.bearer, json={"id_token": token})

    fresh = jwt.decode(again().get_json()["access"], options={"verify_signature": False})
    assert fresh["exp"] == jwt.decode(person.refresh, options={"verify_signature": False})["exp"]
    advance(61)
    assert client.get("/api/me/", headers=person.bearer).status_code == 200
    assert_error(again(), 401, "token_not_valid")


@pytest.mark.parametrize("by", ["reauthenticate", "link", "unlink"])
def test_s70_a_session_that_ends_meanwhile_changes_nothing(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """It ends after the guard looked and before the account is held."""
    identity = link(client, person, standins.google.token(ADA)).get_json()
    ended = client.post("/api/login/", json={"email": person.user["email"], "password": PASSWORD}).get_json()
    thief = SignedIn(**ended)

    def end_first(transaction: Transaction, user_id: UUID, session_id: UUID) -> User:
        transaction.execute(update(Session).where(Session.id == session_id).values(revoked_at=now()))
        return acting(transaction, user_id, session_id)

    monkeypatch.setattr(identities, "acting", end_first)
    before = rows(app)
    if by == "reauthenticate":
        body = {"id_token": standins.google.id_token(ADA, auth_time=int(now().timestamp()))}
        answer = client.post("/api/auth/google/reauthenticate/", headers=thief.bearer, json=body)
    elif by == "link":
        answer = link(client, thief, standins.google.token(GRACE))
    else:
        answer = unlink(client, thief, identity)
    assert_error(answer, 401, "token_not_valid")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert rows(app) == before


WORDS = {
    "en": ("A sign-in with Google was added", "A sign-in with Google was removed"),
    "de": ("eine Anmeldung mit Google hinzugefügt", "eine Anmeldung mit Google entfernt"),
    "fr": ("Une connexion avec Google a été ajoutée", "Une connexion avec Google a été retirée"),
}


def words(mail: Arrived) -> str:
    return " ".join(mail.subject.split())  # a long header is folded


def test_its_owner_is_told_and_may_undo_it(
    app: Flask, client: FlaskClient, standins: StandIns, mails: Mails, advance: Advance
) -> None:
    for number, (language, (added, removed)) in enumerate(WORDS.items()):
        person = sign_up(client)
        email = person.user["email"]
        assert client.post("/api/email/verify/", json={"token": mails.one(app, email).token}).status_code == 204
        owns, later = (replace(ADA, subject=f"{number}{digit}") for digit in (1, 2))
        own = link(client, person, standins.google.token(owns), **{"Accept-Language": language}).get_json()
        assert added in words(mails.one(app, email))
        advance(60)
        answer = client.delete(f"/api/identities/{own['id']}/", headers={**person.bearer, "Accept-Language": language})
        assert answer.status_code == 204
        told = mails.one(app, email)
        assert removed in words(told)
        assert "Google" in told.text
        assert told.page == f"{PUBLIC_URL}/account/recover"
        link(client, person, standins.google.token(owns))
        mails.take(app)
        advance(60)
        link(client, person, standins.google.token(later))
        last = mails.one(app, email)
        assert client.post("/api/account/recover/", json={"token": last.token}).status_code == 204
        assert not alive(client, person)
        back = mails.one(app, email)
        assert back.page == f"{PUBLIC_URL}/password/reset"
        again = sign_in(client, "google", standins.google.token(owns))
        assert again.user["id"] != person.user["id"], "linked since the oldest of these mails: it goes too"
        mails.take(app)


def test_s88_an_address_that_was_never_verified_is_told_a_few_times_a_day(
    make_app: MakeApp, standins: StandIns, mails: Mails
) -> None:
    """Whoever signed up with somebody else's must not fill their mailbox."""
    limits = {"rate_limits": True, "rate_limit_mail_unproved": "6 per day"}
    app = make_app(**settings_of(standins), mail_url=mails.url, **limits)
    client = app.test_client()
    person = sign_up(client)
    assert len(mails.take(app)) == 1

    def to_and_fro() -> int:
        for _ in range(4):
            identity = link(client, person, standins.google.token(ADA)).get_json()
            assert unlink(client, person, identity).status_code == 204
        return len(mails.take(app))

    assert (to_and_fro(), to_and_fro()) == (6, 0)
    set_user(app, person, email_verified=True)
    assert to_and_fro() == 8


def tokens(app: Flask) -> list[str]:
    with app.app_context():
        return sorted(db.session.scalars(select(OneTimeToken.purpose)))


def test_codes_end_with_what_ends_an_identity_and_are_in_no_export(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn
) -> None:
    def codes() -> list[tuple[Flow, str]]:
        """One that signs in by the identity, and one that links another."""
        flow, to_link = Flow(), Flow()
        began = flow.begin(client, "google")
        came = parameters(come_back(client, standins.google.authorize(began.headers["Location"], ADA)))
        return [(flow, came["code"]), (to_link, code_to_link(client, standins, person, to_link, GRACE))]

    def own() -> dict[str, Any]:
        identity: dict[str, Any] = link(client, person, standins.google.token(ADA)).get_json()
        return identity

    identity = own()
    (flow, code), (to_link, link_code) = codes()
    export = client.get("/api/me/export/", headers=person.bearer).get_json()
    (exported,) = export["identities"]
    assert exported == {**identity, "tenant": "", "subject": ADA.subject}
    assert tokens(app).count("sign_in") == tokens(app).count("link") == 1
    assert {one["purpose"] for one in export["mailed_links"]} == {"verify", "recover"}
    assert GRACE.subject not in str(export)
    assert flow.exchange(client, code).status_code == 200, "they are good"
    assert to_link.exchange(client, link_code, **person.bearer).status_code == 201

    ends: list[Callable[[], TestResponse]] = [
        lambda: unlink(client, person, own()),
        lambda: change(client, person, current_password=PASSWORD),
    ]
    for end in ends:
        own()
        standing = codes()
        assert end().status_code == 204
        for flow, code in standing:
            assert_error(flow.exchange(client, code, **person.bearer), 400, "one_time_token_not_valid")
        assert not {"sign_in", "link"} & set(tokens(app))


def test_erasure_takes_identities_codes_and_flows_along(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn
) -> None:
    link(client, person, standins.google.token(ADA))
    flow = Flow()
    code = code_to_link(client, standins, person, flow, GRACE)
    client.post(
        "/api/identities/google/login/", headers=person.bearer, json={"next": NEXT, "code_challenge": flow.challenge}
    )
    assert client.delete("/api/me/", headers=person.bearer).status_code == 204
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Authorization)) == 0
    assert tokens(app) == []
    assert rows(app) == {"users": [], "identities": [], "sessions": []}
    assert_error(flow.exchange(client, code, **person.bearer), 400, "one_time_token_not_valid")
    assert sign_in(client, "google", standins.google.token(ADA)).user["id"] != person.user["id"]


def test_a_verifier_that_can_be_none_is_refused(client: FlaskClient, standins: StandIns, person: SignedIn) -> None:
    flow = Flow()
    code = code_to_link(client, standins, person, flow, ADA)
    for verifier in ("é" * 43, "", " ", "\n", "x" * 20000):
        answer = Flow(verifier).exchange(client, code, **person.bearer)
        assert_error(answer, 400, "invalid_request", "code_verifier")
    assert flow.exchange(client, code, **person.bearer).status_code == 201


def test_linking_and_signing_in_again_are_limited_by_address(
    make_app: MakeApp, standins: StandIns, mails: Mails
) -> None:
    limits = {"rate_limits": True, "rate_limit_provider_address": "3 per hour"}
    app = make_app(**settings_of(standins), redirect_urls=NEXT, **limits)
    client = app.test_client()
    person = sign_up(client)
    again = {"id_token": standins.google.id_token(ADA, auth_time=int(now().timestamp()))}
    answers = [
        link(client, person, standins.google.token(ADA)),
        client.post("/api/auth/google/reauthenticate/", headers=person.bearer, json=again),
        calls(client, standins)["redirect"](person.bearer),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    refused = [
        link(client, person, standins.google.token(GRACE)),
        client.post("/api/auth/google/reauthenticate/", headers=person.bearer, json=again),
        calls(client, standins)["redirect"](person.bearer),
        post(client, "google", standins.google.token(GRACE)),
    ]
    for answer in refused:
        assert_error(answer, 429, "throttled")
    assert len(listed(client, person)) == 1


def test_the_mails_to_an_address_that_was_never_verified_are_counted_by_that_address(
    make_app: MakeApp, standins: StandIns, mails: Mails
) -> None:
    """Whatever address the provider gives at the later sign-ins: the mail goes to the one that the account has."""
    app = make_app(**settings_of(standins), mail_url=mails.url, email_verification="required", rate_limits=True)
    client = app.test_client()
    mallory = Person(subject="666", email="victim@example.com")
    arrived = []
    for changed in (mallory, replace(mallory, email=None), *[replace(ADA, subject="666")] * 3):
        assert_error(post(client, "google", standins.google.token(changed)), 403, "email_not_verified")
        arrived += mails.take(app)
    for changed in (mallory, replace(mallory, email=None), replace(ADA, subject="666")):
        assert_error(post(client, "google", standins.google.token(changed)), 429, "throttled")
    assert [mail.to for mail in arrived] == ["victim@example.com"] * 5
    assert mails.take(app) == []


def test_unlinking_shuts_out_who_came_by_it_and_nobody_else(
    client: FlaskClient, standins: StandIns, person: SignedIn
) -> None:
    identity = link(client, person, standins.google.token(ADA)).get_json()
    link(client, person, standins.github.token(GRACE))
    thief = sign_in(client, "google", standins.google.token(ADA))
    other = sign_in(client, "github", standins.github.token(GRACE))
    assert client.delete(f"/api/identities/{identity['id']}/", headers=person.bearer).status_code == 204
    assert_error(client.get("/api/me/", headers=thief.bearer), 401, "token_not_valid")
    assert client.get("/api/me/", headers=other.bearer).status_code == 200
    assert client.get("/api/me/", headers=person.bearer).status_code == 200


def test_when_somebody_signed_in_is_believed_only_of_what_is_signed() -> None:
    profile = {"sub": "1", "auth_time": 1_800_000_000, "email": "ada@example.com"}
    assert verify._completed({"sub": "1"}, profile) == {"sub": "1", "auth_time": None, "email": "ada@example.com"}
    assert verify._completed({"sub": "1", "auth_time": 1}, profile)["auth_time"] == 1
