from collections.abc import Callable
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import MakeApp
from tests.each import each
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up, signup_body
from tests.security.forge import altered

EXPIRED = {"detail": "Given token not valid for any token type", "code": "token_not_valid"}


def test_an_access_token_lives_an_hour_and_its_end_is_answered_as_the_page_shows(
    client: FlaskClient, advance: Callable[[float], None]
) -> None:
    person = sign_up(client)
    advance(3598)
    assert client.get("/api/me/", headers=person.bearer).status_code == 200
    advance(2)
    answer = client.get("/api/me/", headers=person.bearer)
    assert (answer.status_code, answer.get_json()) == (401, EXPIRED)


def test_a_refresh_token_lives_a_day(client: FlaskClient, advance: Callable[[float], None]) -> None:
    person = sign_up(client)
    advance(86398)
    answer = client.post("/api/token/refresh/", json={"refresh": person.refresh})
    assert answer.status_code == 200
    assert answer.get_json().keys() == {"access"}
    advance(2)
    answer = client.post("/api/token/refresh/", json={"refresh": person.refresh})
    assert (answer.status_code, answer.get_json()) == (401, EXPIRED)


def test_lifetimes_can_be_set(make_app: MakeApp, advance: Callable[[float], None]) -> None:
    client = make_app(access_token_lifetime=1, refresh_token_lifetime=5).test_client()
    person = sign_up(client)
    advance(1)
    assert_error(client.get("/api/me/", headers=person.bearer), 401, "token_not_valid")
    refreshed = client.post("/api/token/refresh/", json={"refresh": person.refresh}).get_json()["access"]
    assert client.get("/api/me/", headers={"Authorization": f"Bearer {refreshed}"}).status_code == 200
    advance(4)
    assert_error(client.post("/api/token/refresh/", json={"refresh": person.refresh}), 401, "token_not_valid")


def test_refreshing_goes_no_further_than_the_end_of_the_session(
    app: Flask, client: FlaskClient, advance: Callable[[float], None]
) -> None:
    """The session's row decides, whatever a token says of itself."""
    person = sign_up(client)
    immortal = altered(app, person.refresh, exp=9999999999)
    advance(86401)
    assert_error(client.post("/api/token/refresh/", json={"refresh": immortal}), 401, "token_not_valid")


@pytest.mark.parametrize("by", ["refresh", "access"])
def test_logout_ends_the_session_at_once(client: FlaskClient, by: str) -> None:
    person = sign_up(client)
    other = log_in(client, person.user["email"]).get_json()
    if by == "refresh":
        answer = client.post("/api/logout/", json={"refresh": person.refresh})
    else:
        answer = client.post("/api/logout/", headers=person.bearer)
    assert (answer.status_code, answer.data) == (204, b"")
    assert_error(client.get("/api/me/", headers=person.bearer), 401, "token_not_valid")
    assert_error(client.post("/api/token/refresh/", json={"refresh": person.refresh}), 401, "token_not_valid")
    assert client.get("/api/me/", headers={"Authorization": f"Bearer {other['access']}"}).status_code == 200


def test_logout_again_or_after_the_end_is_a_204(client: FlaskClient, advance: Callable[[float], None]) -> None:
    person = sign_up(client)
    for _ in range(2):
        assert client.post("/api/logout/", json={"refresh": person.refresh}).status_code == 204
        assert client.post("/api/logout/", headers=person.bearer).status_code == 204
    advance(10 * 86400)
    assert client.post("/api/logout/", json={"refresh": person.refresh}).status_code == 204
    assert client.post("/api/logout/", json={}, headers=person.bearer).status_code == 204


def test_logout_without_any_token_is_a_400_on_refresh(client: FlaskClient) -> None:
    assert_error(client.post("/api/logout/"), 400, "invalid_request", "refresh")
    assert_error(client.post("/api/logout/", json={}), 400, "invalid_request", "refresh")
    assert_error(client.post("/api/logout/", json={"refresh": ""}), 400, "invalid_request", "refresh")
    forged = client.post("/api/logout/", headers={"Authorization": "Bearer x"})
    assert_error(forged, 401, "token_not_valid")
    assert forged.headers["WWW-Authenticate"] == "Bearer"
    assert_error(client.post("/api/logout/", headers={"Authorization": "Basic x"}), 401, "not_authenticated")


def test_a_missing_refresh_token_is_named(client: FlaskClient) -> None:
    answer = assert_error(client.post("/api/token/refresh/", json={}), 400, "invalid_request", "refresh")
    assert answer["errors"] == {"refresh": ["This field is required."]}


def sessions(client: FlaskClient, person: SignedIn) -> list[dict[str, Any]]:
    answer = client.get("/api/sessions/", headers=person.bearer)
    assert answer.status_code == 200
    listed: list[dict[str, Any]] = answer.get_json()
    return listed


def another_session(client: FlaskClient, person: SignedIn, agent: str) -> SignedIn:
    body = {"email": person.user["email"], "password": PASSWORD}
    answer = client.post("/api/login/", json=body, headers={"User-Agent": agent})
    return SignedIn(**answer.get_json())


def test_sessions_are_listed_newest_first_with_where_they_are_from(
    client: FlaskClient, advance: Callable[[float], None]
) -> None:
    person = sign_up(client)
    advance(1)
    phone = another_session(client, person, "Phone\x00/1.0 " + "x" * 300)
    sign_up(client)
    newest, oldest = sessions(client, person)
    assert (newest["current"], oldest["current"]) == (False, True)
    assert newest["user_agent"].startswith("Phone")
    assert len(newest["user_agent"]) == 255
    assert (newest["ip"], newest["method"]) == ("127.0.0.1", "password")
    assert newest.keys() == {
        "id", "current", "created_at", "last_used_at", "expires_at", "user_agent", "ip", "method"
    }  # fmt: skip
    assert sessions(client, phone)[0]["current"] is True


def test_one_session_can_be_ended_and_all_others(client: FlaskClient) -> None:
    person = sign_up(client)
    phone, tablet, laptop = (another_session(client, person, name) for name in ("phone", "tablet", "laptop"))
    (phones,) = [one["id"] for one in sessions(client, person) if one["user_agent"] == "phone"]
    assert client.delete(f"/api/sessions/{phones}/", headers=person.bearer).status_code == 204
    assert_error(client.get("/api/me/", headers=phone.bearer), 401, "token_not_valid")
    assert_error(client.delete(f"/api/sessions/{phones}/", headers=person.bearer), 404, "not_found")
    assert client.delete("/api/sessions/", headers=laptop.bearer).status_code == 204
    for ended in (person, tablet):
        assert_error(client.post("/api/token/refresh/", json={"refresh": ended.refresh}), 401, "token_not_valid")
    assert [one["user_agent"] for one in sessions(client, laptop)] == ["laptop"]


def test_last_use_is_kept_coarsely(client: FlaskClient, advance: Callable[[float], None]) -> None:
    person = sign_up(client)
    before = sessions(client, person)[0]["last_used_at"]
    for seconds, changes in ((200, False), (200, True), (1, False)):
        advance(seconds)
        client.post("/api/token/refresh/", json={"refresh": person.refresh})
        after = sessions(client, person)[0]["last_used_at"]
        assert (after != before) is changes
        before = after


@pytest.mark.parametrize("trusted", [0, 1, 2])
def test_the_address_is_believed_of_as_many_proxies_as_are_trusted(make_app: MakeApp, trusted: int) -> None:
    client = make_app(trusted_proxies=trusted).test_client()
    forwarded = {"X-Forwarded-For": "6.6.6.6, 198.51.100.7, 203.0.113.9"}
    answer = client.post("/api/signup/", json=signup_body(), headers=forwarded)
    ip = sessions(client, SignedIn(**answer.get_json()))[0]["ip"]
    assert ip == ["127.0.0.1", "203.0.113.9", "198.51.100.7"][trusted]


@each(
    ("forged", "kept"),
    [
        ("x" * 200, ""),
        ("203.0.113.9" + " " * 40 + "x", ""),
        ("unknown", ""),
        ("fe80::1%" + "x" * 100, "fe80::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:DB8:0::1]:4711", "2001:db8::1"),
        ("1111:2222:3333:4444:5555:6666:7777:8888", "1111:2222:3333:4444:5555:6666:7777:8888"),
    ],
)
def test_what_a_client_invents_as_its_address_is_kept_only_where_it_is_one(
    make_app: MakeApp, forged: str, kept: str
) -> None:
    """More proxies are trusted here than there are: the client's own header is believed."""
    client = make_app(trusted_proxies=1).test_client()
    headers = {"X-Forwarded-For": forged}
    answer = client.post("/api/signup/", json=signup_body(), headers=headers)
    assert answer.status_code == 201
    person = SignedIn(**answer.get_json())
    wrong = {"email": person.user["email"], "password": "x"}
    assert_error(client.post("/api/login/", json=wrong, headers=headers), 401, "no_active_account")
    assert [session["ip"] for session in sessions(client, person)] == [kept]
    events = client.get("/api/events/", headers=person.bearer).get_json()
    assert {event["ip"] for event in events} == {kept or None}


def test_verify_takes_either_type_while_its_session_counts(client: FlaskClient) -> None:
    person = sign_up(client)
    for token in (person.access, person.refresh):
        answer = client.post("/api/token/verify/", json={"token": token})
        assert (answer.status_code, answer.get_json()) == (200, {})
    assert client.post("/api/token/blacklist/", json={"refresh": person.refresh}).get_json() == {}
    for token in (person.access, person.refresh, "x"):
        assert_error(client.post("/api/token/verify/", json={"token": token}), 401, "token_not_valid")


@pytest.mark.parametrize("field", ["email", "username"])
def test_login_under_simplejwts_name(client: FlaskClient, field: str) -> None:
    person = sign_up(client)
    answer = client.post("/api/token/", json={field: person.user["email"], "password": PASSWORD})
    assert answer.status_code == 200
    assert answer.get_json().keys() == {"access", "refresh"}
    wrong = client.post("/api/token/", json={field: person.user["email"], "password": "wrong"})
    assert_error(wrong, 401, "no_active_account")
    assert_error(client.post("/api/token/", json={"password": PASSWORD}), 400, "invalid_request", "username")


def test_reauthentication_makes_the_same_session_fresh_again(client: FlaskClient) -> None:
    person = sign_up(client)
    wrong = client.post("/api/reauthenticate/", json={"password": "wrong"}, headers=person.bearer)
    assert_error(wrong, 400, "invalid_request", "password")
    refreshed = client.post("/api/token/refresh/", json={"refresh": person.refresh}).get_json()["access"]
    bearer = {"Authorization": f"Bearer {refreshed}"}
    answer = client.post("/api/reauthenticate/", json={"password": PASSWORD}, headers=bearer)
    before, after = (
        jwt.decode(token, options={"verify_signature": False}) for token in (refreshed, answer.get_json()["access"])
    )
    assert before["fresh"] is False
    assert after["fresh"] == after["iat"] + 600
    assert after["sid"] == before["sid"]
