from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import MakeApp
from tests.factories import assert_error, log_in, sign_up
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
    assert_error(client.post("/api/logout/", headers={"Authorization": "Bearer x"}), 401, "token_not_valid")
    assert_error(client.post("/api/logout/", headers={"Authorization": "Basic x"}), 401, "not_authenticated")


def test_a_missing_refresh_token_is_named(client: FlaskClient) -> None:
    answer = assert_error(client.post("/api/token/refresh/", json={}), 400, "invalid_request", "refresh")
    assert answer["errors"] == {"refresh": ["This field is required."]}
