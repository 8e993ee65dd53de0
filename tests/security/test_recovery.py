"""S68: who takes an account over does not outlive the owner's "this wasn't me"; and the mails that lead there."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from authserver.clock import now
from authserver.extensions import db
from authserver.models import Identity, User
from authserver.passwords import flows, hashing
from tests.conftest import PUBLIC_URL, MakeApp
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up
from tests.mails import Arrived, Mails
from tests.test_passwords import NEW, alive, reset

Advance = Callable[[float], None]
OWNER, THIEF = "owner@example.com", "thief@example.com"
STOLEN = "the thief's own password"
DAY = 86400


@pytest.fixture
def app(make_app: MakeApp, mails: Mails) -> Flask:
    return make_app(mail_url=mails.url)


def enter(app: Flask, email: str, ip: str, agent: str, password: str = PASSWORD) -> SignedIn:
    answer = app.test_client().post(
        "/api/login/",
        json={"email": email, "password": password},
        headers={"User-Agent": agent},
        environ_overrides={"REMOTE_ADDR": ip},
    )
    assert answer.status_code == 200, answer.text
    return SignedIn(**answer.get_json())


def recover(client: FlaskClient, token: str) -> int:
    return client.post("/api/account/recover/", json={"token": token}).status_code


def verify(client: FlaskClient, token: str, **body: str) -> int:
    return client.post("/api/email/verify/", json={"token": token, **body}).status_code


def mailed(app: Flask, mails: Mails, to: str) -> Arrived:
    """The only mail to that e-mail address, among others."""
    (mail,) = (mail for mail in mails.take(app) if mail.to == to)
    return mail


DEVICES: list[tuple[str, str, str, bool]] = [
    ("the same", "192.0.2.1", "Firefox", False),
    ("the same network", "192.0.2.254", "Firefox", False),
    ("another network", "192.0.3.1", "Firefox", True),
    ("another browser", "192.0.2.1", "Chrome", True),
    ("IPv6", "2001:db8:1:1::1", "Firefox", True),
    ("no address, as behind a socket file", "unix:", "Firefox", True),
]


@pytest.mark.parametrize(("case", "ip", "agent", "told"), DEVICES)
def test_a_sign_in_from_a_browser_not_seen_before_is_told(
    app: Flask, mails: Mails, case: str, ip: str, agent: str, told: bool
) -> None:
    email = sign_up(app.test_client(), email=OWNER).user["email"]
    enter(app, email, "192.0.2.1", "Firefox")
    mails.take(app)
    enter(app, email, ip, agent)
    arrived = mails.take(app)
    assert [mail.subject for mail in arrived] == ["New sign-in to your account at auth.example.com"] * told
    for mail in arrived:
        assert mail.page == f"{PUBLIC_URL}/account/recover"
        assert f"From: {'unknown' if ip == 'unix:' else ip}" in mail.text
        assert f"With: {agent}" in mail.text
    enter(app, email, ip, agent)
    assert mails.take(app) == []


def test_a_browser_is_known_for_90_days_after_its_last_use(app: Flask, mails: Mails, advance: Advance) -> None:
    sign_up(app.test_client(), email=OWNER)
    enter(app, OWNER, "2001:db8:1:1::1", "Firefox")
    mails.take(app)
    for days, told in ((89, 0), (89, 0), (91, 1), (1, 0), (400, 1)):
        advance(days * DAY)
        enter(app, OWNER, "2001:db8:1:ffff::1", "Firefox")
        assert len(mails.take(app)) == told, days


def test_a_first_sign_in_is_no_news_and_the_mail_can_be_off(make_app: MakeApp, mails: Mails) -> None:
    for settings, told in ((dict[str, Any](), 1), ({"new_device_mail": "false"}, 0)):
        app = make_app(mail_url=mails.url, email_verification="off", **settings)
        email = sign_up(app.test_client()).user["email"]
        assert mails.take(app) == []
        enter(app, email, "198.51.100.1", "Chrome")
        assert len(mails.take(app)) == told


def take_over(app: Flask, client: FlaskClient, mails: Mails) -> tuple[SignedIn, list[Arrived], list[Arrived]]:
    """The thief signs in, links an identity, changes the address and then the password.

    Returns their session, what the owner was told, and what the thief was.
    """
    sign_up(client, email=OWNER)
    mails.take(app)
    thief = enter(app, OWNER, "203.0.113.9", "Thief")
    link(app, OWNER, "thief's")
    client.post("/api/email/change/", headers=thief.bearer, json={"email": THIEF})
    told = mails.take(app)
    assert verify(client, next(mail.token for mail in told if mail.to == THIEF), password=PASSWORD) == 204
    body = {"current_password": PASSWORD, "password": STOLEN, "password_confirm": STOLEN}
    assert client.post("/api/password/change/", headers=thief.bearer, json=body).status_code == 204
    client.post("/api/password/forgot/", json={"email": THIEF})
    client.post("/api/email/change/", headers=thief.bearer, json={"email": "thief2@example.com"})
    told += mails.take(app)
    return thief, [mail for mail in told if mail.to == OWNER], [mail for mail in told if mail.to != OWNER]


def link(app: Flask, email: str, subject: str) -> None:
    with app.app_context():
        owner = db.session.scalars(select(User).where(User.email == email)).one()
        owner_identity = Identity(user_id=owner.id, provider="google", tenant="", subject=subject, created_at=now())
        db.session.add(owner_identity)
        db.session.commit()


def subjects(app: Flask) -> set[str]:
    with app.app_context():
        return set(db.session.scalars(select(Identity.subject)))


@pytest.mark.parametrize("which", [0, 1, 2], ids=["new device", "change asked for", "change confirmed"])
def test_s68_the_owner_gets_the_account_back_and_the_thief_is_out(
    app: Flask, client: FlaskClient, mails: Mails, advance: Advance, which: int
) -> None:
    thief, owners, thiefs = take_over(app, client, mails)
    assert [mail.page for mail in owners] == [f"{PUBLIC_URL}/account/recover"] * 3
    advance(7 * DAY - 60)
    thief = enter(app, THIEF, "203.0.113.9", "Thief", STOLEN)
    mails.take(app)
    assert recover(client, owners[which].token) == 204
    assert not alive(client, thief)
    for email in (OWNER, THIEF):
        for password in (PASSWORD, STOLEN):
            assert_error(log_in(client, email, password), 401, "no_active_account")
    displaced, back = sorted(mails.take(app), key=lambda mail: mail.to == OWNER)
    assert (displaced.to, displaced.subject.split(" at ")[0]) == (THIEF, "This address no longer belongs to an account")
    assert "http" not in displaced.text
    assert (back.to, back.page) == (OWNER, f"{PUBLIC_URL}/password/reset")
    assert "no longer sign in to the account: google." in back.text
    for mail in thiefs:  # whichever of their links they try, where it is good for anything
        assert recover(client, mail.token) == verify(client, mail.token) == reset(client, mail.token).status_code == 400
    client.post("/api/password/forgot/", json={"email": THIEF})
    assert mails.take(app) == []
    assert recover(client, owners[which].token) == 400
    assert reset(client, back.token).status_code == 204
    user = log_in(client, OWNER, NEW).get_json()["user"]
    assert (user["email"], user["email_verified"]) == (OWNER, True)


def test_s68_after_a_week_the_mail_is_good_for_nothing(
    app: Flask, client: FlaskClient, mails: Mails, advance: Advance
) -> None:
    _thief, owners, _ = take_over(app, client, mails)
    advance(7 * DAY)
    assert [recover(client, mail.token) for mail in owners] == [400] * 3
    assert log_in(client, THIEF, STOLEN).status_code == 200


def test_s68_an_identity_linked_after_the_mail_is_removed_and_an_older_one_stays(
    app: Flask, client: FlaskClient, mails: Mails, advance: Advance
) -> None:
    sign_up(client, email=OWNER)
    assert verify(client, mails.one(app, OWNER).token) == 204
    link(app, OWNER, "owner's")
    advance(8 * DAY)
    enter(app, OWNER, "203.0.113.9", "Thief")
    link(app, OWNER, "thief's")
    assert subjects(app) == {"owner's", "thief's"}
    assert recover(client, mails.one(app, OWNER).token) == 204
    assert subjects(app) == {"owner's"}


def test_s68_the_thief_cannot_keep_the_address_by_signing_up_with_it(
    app: Flask, client: FlaskClient, mails: Mails
) -> None:
    _, owners, _ = take_over(app, client, mails)
    squatter = sign_up(client, email=OWNER)
    squatters_link = mails.one(app, OWNER)
    assert recover(client, owners[0].token) == 204
    assert reset(client, mailed(app, mails, OWNER).token).status_code == 204
    assert log_in(client, OWNER, NEW).get_json()["user"]["id"] != squatter.user["id"]
    assert client.get("/api/me/", headers=squatter.bearer).get_json()["email"] is None
    assert verify(client, squatters_link.token) == 400


def test_s68_an_address_that_its_owner_verified_anew_stays_and_the_thief_is_out_all_the_same(
    app: Flask, client: FlaskClient, mails: Mails
) -> None:
    thief, owners, _ = take_over(app, client, mails)
    again = sign_up(client, email=OWNER)
    assert verify(client, mails.one(app, OWNER).token) == 204
    assert recover(client, owners[0].token) == 204
    assert client.get("/api/me/", headers=again.bearer).get_json()["email"] == OWNER
    assert not alive(client, thief)
    mails.take(app)
    client.post("/api/password/forgot/", json={"email": THIEF})
    assert mails.take(app) == []


def test_s68_a_thief_who_uses_a_mail_of_their_own_takes_nothing_from_the_owners(
    app: Flask, client: FlaskClient, mails: Mails
) -> None:
    _, owners, thiefs = take_over(app, client, mails)
    own = next(mail.token for mail in thiefs if mail.page.endswith("/account/recover"))
    assert recover(client, own) == 204
    mails.take(app)
    assert recover(client, owners[0].token) == 204
    assert mailed(app, mails, OWNER).page == f"{PUBLIC_URL}/password/reset"


def test_recovery_ends_sessions_and_password_where_nothing_was_changed_yet(
    app: Flask, client: FlaskClient, mails: Mails
) -> None:
    person = sign_up(client, email=OWNER)
    mails.take(app)
    thief = enter(app, OWNER, "203.0.113.9", "Thief")
    assert recover(client, mails.one(app, OWNER).token) == 204
    assert [alive(client, one) for one in (person, thief)] == [False, False]
    assert_error(log_in(client, OWNER), 401, "no_active_account")
    body = {"current_password": PASSWORD, "password": NEW, "password_confirm": NEW}
    assert_error(client.post("/api/password/change/", headers=thief.bearer, json=body), 401, "token_not_valid")


@pytest.mark.parametrize("by", ["reset", "recovery"])
def test_a_thiefs_change_that_was_under_way_is_not_written_after(
    app: Flask, client: FlaskClient, mails: Mails, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """The account has no password: what `password/change` looked at before it hashed is the same after a recovery."""
    sign_up(client, email=OWNER)
    mails.take(app)
    thief = enter(app, OWNER, "203.0.113.9", "Thief")
    told = mails.one(app, OWNER).token
    client.post("/api/password/forgot/", json={"email": OWNER})
    asked = mails.one(app, OWNER).token
    with app.app_context():
        db.session.scalars(select(User)).one().password_hash = None
        db.session.commit()
        db.session.remove()
    hash_password = hashing.hash_password

    def overtaken(password: str) -> str:
        monkeypatch.setattr(flows, "hash_password", hash_password)
        if by == "recovery":
            assert recover(app.test_client(), told) == 204
        else:
            assert reset(app.test_client(), asked).status_code == 204
        return hash_password(password)

    monkeypatch.setattr(flows, "hash_password", overtaken)
    body = {"password": STOLEN, "password_confirm": STOLEN}
    assert_error(client.post("/api/password/change/", headers=thief.bearer, json=body), 401, "token_not_valid")
    assert_error(log_in(client, OWNER, STOLEN), 401, "no_active_account")
