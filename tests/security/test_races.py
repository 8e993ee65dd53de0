"""S16, S38, S49 and their like: two requests about one account at once come one after the other."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, func, select

from authserver.clock import now
from authserver.emails import flows as emails
from authserver.extensions import db
from authserver.models import Session, User
from authserver.testing.standins import Person, serve
from tests.conftest import MakeApp
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up, signup_body
from tests.mails import Mails
from tests.security.test_passwords import change_user
from tests.test_passwords import NEW, pbkdf2, reset, set_hash, stored_hash

ROUNDS = 5
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("real_hashes")]


@pytest.fixture
def app(make_app: MakeApp, mails: Mails) -> Flask:
    return make_app(mail_url=mails.url)


def at_once(*acts: Callable[[], int]) -> list[int]:
    with ThreadPoolExecutor(len(acts)) as threads:
        return [one.result() for one in [threads.submit(act) for act in acts]]


def post(app: Flask, path: str, person: SignedIn | None = None, /, **body: str) -> int:
    return app.test_client().post(path, json=body, headers=person.bearer if person else None).status_code


def set_new(app: Flask, token: str, password: str = NEW) -> int:
    return reset(app.test_client(), token, password).status_code


def erase(app: Flask, person: SignedIn) -> int:
    return app.test_client().delete("/api/me/", headers=person.bearer).status_code


def reset_token(app: Flask, mails: Mails, email: str) -> str:
    mails.take(app)
    app.test_client().post("/api/password/forgot/", json={"email": email})
    return mails.one(app, email).token


def live_sessions(app: Flask) -> int:
    with app.app_context():
        live = select(func.count()).select_from(Session).where(Session.revoked_at.is_(None))
        return db.session.scalar(live) or 0


def test_no_session_of_a_login_with_the_old_password_survives_a_reset(
    app: Flask, client: FlaskClient, mails: Mails
) -> None:
    email, password = sign_up(client).user["email"], PASSWORD
    for number in range(ROUNDS):
        token, new = reset_token(app, mails, email), f"password number {number}"
        enter = partial(post, app, "/api/login/", email=email, password=password)
        done = at_once(
            *[enter] * 3,
            partial(set_new, app, token, new),
            *[enter] * 3,
        )
        assert done[3] == 204
        assert set(done) <= {200, 204, 401}
        assert live_sessions(app) == 0
        password = new


def test_no_session_of_a_provider_whose_identity_the_reset_removes_survives_it(make_app: MakeApp, mails: Mails) -> None:
    """The address was never verified, so whoever linked the identity need not be who reads its mail."""
    with serve() as standins:
        options = {f"providers__facebook__{name.lower()}": value for name, value in standins.facebook.options().items()}
        app = make_app(mail_url=mails.url, **options)

        def come(subject: str) -> int:
            token = standins.facebook.token(Person(subject=subject, email=f"{subject}@example.com"))
            return app.test_client().post("/api/auth/facebook/", json={"access_token": token}).status_code

        for number in range(ROUNDS):
            subject = f"{number}"
            assert come(subject) == 200
            token = reset_token(app, mails, f"{subject}@example.com")
            done = at_once(*[partial(come, subject)] * 2, partial(set_new, app, token), *[partial(come, subject)] * 2)
            assert done[2] == 204
            assert set(done) <= {200, 204, 401, 409}
            assert live_sessions(app) == 0


def test_s49_of_two_resets_with_one_token_one_password_counts(app: Flask, client: FlaskClient, mails: Mails) -> None:
    email = sign_up(client).user["email"]
    for number in range(ROUNDS):
        token = reset_token(app, mails, email)
        passwords = [f"password {number} of thread {thread}" for thread in range(4)]
        done = at_once(*[partial(set_new, app, token, password) for password in passwords])
        assert sorted(done) == [204, 400, 400, 400]
        assert log_in(client, email, passwords[done.index(204)]).status_code == 200
        assert_error(log_in(client, email, passwords[done.index(400)]), 401, "no_active_account")


def test_changes_of_one_account_at_once_are_each_whole_or_refused(
    app: Flask, client: FlaskClient, mails: Mails
) -> None:
    """A reset, a change of password, a verification, a request for another reset, and an erasure: none is a 5xx."""
    for _ in range(ROUNDS):
        person = sign_up(client)
        email = person.user["email"]
        verification = mails.take(app)[-1].token
        token = reset_token(app, mails, email)
        change = {"current_password": PASSWORD, "password": NEW, "password_confirm": NEW}

        done = at_once(
            partial(set_new, app, token),
            partial(post, app, "/api/password/change/", person, **change),
            partial(post, app, "/api/email/verify/", token=verification),
            partial(post, app, "/api/password/forgot/", email=email),
            partial(post, app, "/api/email/change/", person, email=f"new.{email}"),
            partial(erase, app, person),
        )
        assert set(done) <= {202, 204, 400, 401}, done


@pytest.mark.parametrize("same", [True, False], ids=["one password", "a password each"])
def test_s38_twenty_sign_ups_where_verification_is_required_are_all_answered_alike(
    make_app: MakeApp, mails: Mails, same: bool
) -> None:
    """Each gets a mail: for the sign-up again where its password is the first one's, else for a password of its own."""
    app = make_app(mail_url=mails.url, email_verification="required")
    passwords = [f"a good long password{'' if same else number}" for number in range(20)]
    bodies = [signup_body(email="ada@example.com", password=one, password_confirm=one) for one in passwords]
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda body: app.test_client().post("/api/signup/", json=body), bodies))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.data for answer in answers}) == 1
    with app.app_context():
        assert len(db.session.scalars(select(User)).all()) == 1
    pages = sorted(mail.page.rpartition("/")[2] for mail in mails.take(app))
    assert pages == ["verify"] * 20 if same else ["reset"] * 19 + ["verify"]
    assert live_sessions(app) == 0


def test_an_address_goes_to_a_sign_up_or_to_a_change_but_not_to_both(
    app: Flask, client: FlaskClient, mails: Mails
) -> None:
    for number in range(ROUNDS):
        person, wanted = sign_up(client), f"wanted{number}@example.com"
        client.post("/api/email/change/", headers=person.bearer, json={"email": wanted})
        token = next(mail.token for mail in mails.take(app) if mail.to == wanted)
        signed_up, changed = at_once(
            partial(post, app, "/api/signup/", email=wanted, password=PASSWORD, password_confirm=PASSWORD),
            partial(post, app, "/api/email/verify/", token=token, password=PASSWORD),
        )
        assert (signed_up, changed) in ((201, 409), (409, 204))
        owner = client.get("/api/me/", headers=person.bearer).get_json()["email"]
        assert (owner == wanted) == (changed == 204)


@pytest.mark.parametrize("by", ["reset", "recovery"])
def test_a_change_of_address_that_was_under_way_is_not_asked_for_after(
    app: Flask, client: FlaskClient, mails: Mails, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """S32: what a thief's request began must not be begun behind the reset that puts them out."""
    thief = sign_up(client)
    email = thief.user["email"]
    client.post("/api/email/change/", headers=thief.bearer, json={"email": "first@example.com"})
    told = next(mail.token for mail in mails.take(app) if mail.page.endswith("/recover"))
    token, require_mail = reset_token(app, mails, email), emails.require_mail

    def overtaken() -> None:
        monkeypatch.setattr(emails, "require_mail", require_mail)
        if by == "reset":
            assert reset(app.test_client(), token).status_code == 204
        else:
            assert app.test_client().post("/api/account/recover/", json={"token": told}).status_code == 204
        mails.take(app)

    monkeypatch.setattr(emails, "require_mail", overtaken)
    answer = client.post("/api/email/change/", headers=thief.bearer, json={"email": "thief@example.com"})
    assert_error(answer, 401, "token_not_valid")
    assert mails.take(app) == []


@contextmanager
def counted(app: Flask) -> Iterator[list[str]]:
    """The SQL statements that are run meanwhile."""
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_s40_s41_a_failure_costs_the_same_statements_for_known_and_unknown_addresses(
    app: Flask, client: FlaskClient
) -> None:
    known, provider_only, disabled = (sign_up(client).user["email"] for _ in range(3))
    change_user(app, provider_only, password_hash=None)
    change_user(app, disabled, disabled_at=now())
    log_in(client, known, "wrong")
    runs, answers = [], []
    for email in (known, "nobody@example.com", provider_only, disabled):
        with counted(app) as statements:
            answers.append(log_in(client, email, "wrong").data)
        runs.append(statements)
    assert runs[0]
    assert "INSERT INTO events" in runs[0][-1]
    assert runs == [runs[0]] * 4
    assert answers == [answers[0]] * 4


def test_logins_at_once_that_replace_an_imported_hash_all_succeed(app: Flask, client: FlaskClient) -> None:
    """Two tabs, or an effect that runs twice: the one that comes second finds another hash than it checked."""
    email = sign_up(client).user["email"]
    set_hash(app, email, pbkdf2(PASSWORD))
    statuses = at_once(*(lambda: log_in(app.test_client(), email).status_code for _ in range(4)))
    assert statuses == [200] * 4
    assert stored_hash(app, email).startswith("$argon2id$")
