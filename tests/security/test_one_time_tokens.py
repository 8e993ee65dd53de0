"""S32, S49: what a mail's link is good for, and when no more."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from authserver.extensions import db
from authserver.models import Identity, OneTimeToken, User
from tests.conftest import MakeApp
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up
from tests.mails import Mails
from tests.test_passwords import NEW, alive, change, reset

Advance = Callable[[float], None]
DAY = 86400


@pytest.fixture
def app(make_app: MakeApp, mails: Mails) -> Flask:
    return make_app(mail_url=mails.url)


@pytest.fixture
def person(app: Flask, client: FlaskClient) -> SignedIn:
    return sign_up(client)


@pytest.fixture
def tokens(app: Flask, client: FlaskClient, mails: Mails, person: SignedIn) -> dict[str, str]:
    """One token of each purpose, all of one person."""
    client.post("/api/email/change/", headers=person.bearer, json={"email": "new@example.com"})
    client.post("/api/password/forgot/", json={"email": person.user["email"]})
    purposes = {
        "Confirm your e-mail": "verify",
        "Confirm your new": "change_email",
        "Set a new": "reset",
        "A new e-mail": "recover",
    }
    return {
        purpose: mail.token
        for mail in mails.take(app)
        for beginning, purpose in purposes.items()
        if mail.subject.startswith(beginning)
    }


def use(client: FlaskClient, purpose: str, token: str) -> int:
    if purpose == "reset":
        return reset(client, token).status_code
    path = "/api/account/recover/" if purpose == "recover" else "/api/email/verify/"
    return client.post(path, json={"token": token, "password": PASSWORD}).status_code


PURPOSES = ["verify", "change_email", "reset", "recover"]


@pytest.mark.slow
@pytest.mark.usefixtures("real_hashes")
@pytest.mark.parametrize("purpose", PURPOSES)
def test_s49_a_token_works_once_and_under_concurrency_too(
    app: Flask, client: FlaskClient, tokens: dict[str, str], purpose: str
) -> None:
    def one(_: int) -> int:
        return use(app.test_client(), purpose, tokens[purpose])

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(one, range(6))) == [204] + [400] * 5
    assert use(client, purpose, tokens[purpose]) == 400


@pytest.mark.parametrize("purpose", PURPOSES)
def test_s7_a_token_of_another_purpose_is_refused_and_stays_good(
    client: FlaskClient, person: SignedIn, tokens: dict[str, str], purpose: str
) -> None:
    own = {"verify": "verify", "change_email": "verify"}
    wrong = [other for other in ("verify", "reset", "recover") if own.get(purpose, purpose) != other]
    for other in wrong:
        assert use(client, other, tokens[purpose]) == 400
        assert use(client, other, person.access) == use(client, other, "x") == 400
    for path in ("/api/token/verify/", "/api/token/refresh/"):
        body = {"token": tokens[purpose], "refresh": tokens[purpose]}
        assert_error(client.post(path, json=body), 401, "token_not_valid")
    assert use(client, purpose, tokens[purpose]) == 204


LIFETIMES = {"verify": 3 * DAY, "change_email": DAY, "reset": 3600, "recover": 7 * DAY}


@pytest.mark.parametrize(("purpose", "lifetime"), list(LIFETIMES.items()))
def test_s49_a_token_expires(
    client: FlaskClient, tokens: dict[str, str], advance: Advance, purpose: str, lifetime: int
) -> None:
    advance(lifetime)
    assert use(client, purpose, tokens[purpose]) == 400
    advance(-60)
    assert use(client, purpose, tokens[purpose]) == 204


def kill_by_change_of_password(client: FlaskClient, person: SignedIn, tokens: dict[str, str]) -> set[str]:
    assert change(client, person, current_password=PASSWORD).status_code == 204
    return {"recover"}


def kill_by_reset(client: FlaskClient, person: SignedIn, tokens: dict[str, str]) -> set[str]:
    assert reset(client, tokens["reset"]).status_code == 204
    return {"recover"}


def kill_by_change_of_address(client: FlaskClient, person: SignedIn, tokens: dict[str, str]) -> set[str]:
    assert use(client, "verify", tokens["change_email"]) == 204
    return {"recover"}


def kill_by_recovery(client: FlaskClient, person: SignedIn, tokens: dict[str, str]) -> set[str]:
    assert use(client, "recover", tokens["recover"]) == 204
    return set()


def kill_by_erasure(client: FlaskClient, person: SignedIn, tokens: dict[str, str]) -> set[str]:
    assert client.delete("/api/me/", headers=person.bearer).status_code == 204
    return set()


@pytest.mark.parametrize(
    "kill",
    [
        kill_by_change_of_password,
        kill_by_reset,
        kill_by_change_of_address,
        kill_by_recovery,
        kill_by_erasure,
    ],
)
def test_s49_changes_kill_what_was_mailed_before(
    client: FlaskClient,
    person: SignedIn,
    tokens: dict[str, str],
    kill: Callable[[FlaskClient, SignedIn, dict[str, str]], set[str]],
) -> None:
    assert tokens.keys() == set(PURPOSES)
    survivors = kill(client, person, tokens)
    assert {purpose for purpose in PURPOSES if use(client, purpose, tokens[purpose]) == 204} == survivors


@pytest.mark.slow
def test_s49_only_the_newest_reset_counts_however_many_are_asked_for_at_once(
    app: Flask, client: FlaskClient, mails: Mails, person: SignedIn
) -> None:
    def forgot(_: int) -> int:
        return app.test_client().post("/api/password/forgot/", json={"email": person.user["email"]}).status_code

    mails.take(app)
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(forgot, range(8))) == {202}
    sent = [mail.token for mail in mails.take(app)]
    assert len(sent) == 8
    with app.app_context():
        assert len(db.session.scalars(select(OneTimeToken).where(OneTimeToken.purpose == "reset")).all()) == 1
    assert sorted(reset(client, token).status_code for token in sent) == [204] + [400] * 7


@pytest.mark.parametrize("password", ["short", "password1", "x" * 257, "Mailbox.Owner@example.com"])
def test_a_refused_password_does_not_consume_the_token(
    app: Flask, client: FlaskClient, mails: Mails, password: str
) -> None:
    sign_up(client, email="mailbox.owner@example.com")
    client.post("/api/password/forgot/", json={"email": "mailbox.owner@example.com"})
    token = mails.take(app)[-1].token
    assert_error(reset(client, token, password), 400, "invalid_request", "password")
    assert reset(client, token).status_code == 204


def test_tokens_are_stored_as_their_hash_alone(app: Flask, tokens: dict[str, str]) -> None:
    with app.app_context():
        rows = repr(db.session.execute(select(OneTimeToken.__table__)).all())
    assert not [token for token in tokens.values() if token in rows]


@pytest.mark.parametrize("verified", [False, True])
def test_s32_nothing_that_was_begun_before_the_reset_survives_it(
    app: Flask, client: FlaskClient, mails: Mails, person: SignedIn, tokens: dict[str, str], verified: bool
) -> None:
    """An attacker signed up with the victim's address; what they set going has not expired when the victim resets."""
    if verified:
        assert use(client, "verify", tokens["verify"]) == 204
    email = person.user["email"]
    attackers = SignedIn(**log_in(client, email).get_json())
    with app.app_context():
        owner = db.session.scalars(select(User).where(User.email == email)).one()
        db.session.add(
            Identity(user_id=owner.id, provider="google", tenant="", subject="attacker", email="a@b.example")
        )
        db.session.commit()
    assert reset(client, tokens["reset"]).status_code == 204
    assert [alive(client, one) for one in (person, attackers)] == [False, False]
    assert_error(log_in(client, email), 401, "no_active_account")
    assert use(client, "verify", tokens["change_email"]) == 400
    assert log_in(client, email, NEW).get_json()["user"]["email_verified"] is True
    with app.app_context():
        assert len(db.session.scalars(select(Identity)).all()) == (1 if verified else 0)


def test_a_disabled_account_resets_and_recovers_nothing(
    app: Flask, client: FlaskClient, person: SignedIn, tokens: dict[str, str]
) -> None:
    with app.app_context():
        db.session.scalars(select(User)).one().disabled_at = db.session.scalars(select(User)).one().date_joined
        db.session.commit()
    assert use(client, "reset", tokens["reset"]) == use(client, "recover", tokens["recover"]) == 400
