"""S11-S18, S20: refresh tokens that count once, raced, replayed and interrupted."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session as Transaction
from werkzeug.test import TestResponse

from tests.conftest import MakeApp
from tests.factories import SignedIn, assert_error, sign_up

Advance = Callable[[float], None]


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(refresh_rotation=True)


def refresh(client: FlaskClient, token: str) -> TestResponse:
    return client.post("/api/token/refresh/", json={"refresh": token})


def successor(client: FlaskClient, token: str) -> str:
    answer = refresh(client, token)
    assert answer.status_code == 200, answer.text
    assert answer.get_json().keys() == {"access", "refresh"}
    following: str = answer.get_json()["refresh"]
    return following


def claim(token: str, name: str) -> object:
    return jwt.decode(token, options={"verify_signature": False})[name]


def assert_over(client: FlaskClient, person: SignedIn, *refreshes: str) -> None:
    assert_error(client.get("/api/me/", headers=person.bearer), 401, "token_not_valid")
    for token in refreshes:
        assert_error(refresh(client, token), 401, "token_not_valid")


def test_each_refresh_token_is_followed_by_another_that_lives_a_day(client: FlaskClient, advance: Advance) -> None:
    person = sign_up(client)
    token = person.refresh
    for _ in range(3):
        advance(80000)
        following = successor(client, token)
        assert claim(following, "jti") != claim(token, "jti")
        assert claim(following, "sid") == claim(token, "sid")
        token = following


def test_s11_a_replay_after_the_grace_ends_the_session_for_good(client: FlaskClient, advance: Advance) -> None:
    person = sign_up(client)
    second = successor(client, person.refresh)
    advance(10)
    assert_error(refresh(client, person.refresh), 401, "token_not_valid")
    assert_over(client, person, second, person.refresh)


def test_s11_a_token_two_steps_old_ends_the_session_within_the_grace_too(client: FlaskClient) -> None:
    person = sign_up(client)
    third = successor(client, successor(client, person.refresh))
    assert_error(refresh(client, person.refresh), 401, "token_not_valid")
    assert_over(client, person, third)


def test_verifying_an_outdated_token_refuses_it_and_ends_nothing(client: FlaskClient, advance: Advance) -> None:
    """Whoever verifies a token did not use it: a service that is sent an old one must sign nobody out."""
    person = sign_up(client)
    second = successor(client, person.refresh)
    assert client.post("/api/token/verify/", json={"token": person.refresh}).status_code == 200, "in the grace"
    advance(10)
    assert_error(client.post("/api/token/verify/", json={"token": person.refresh}), 401, "token_not_valid")
    assert successor(client, second)


def test_s12_twenty_parallel_refreshes_have_one_successor(app: Flask, client: FlaskClient) -> None:
    person = sign_up(client)
    with ThreadPoolExecutor(20) as threads:
        tokens = list(threads.map(lambda _: successor(app.test_client(), person.refresh), range(20)))
    assert len({claim(token, "jti") for token in tokens}) == 1
    assert {claim(tokens[0], "jti")}.isdisjoint({claim(person.refresh, "jti")})
    assert successor(client, tokens[7])


def test_s13_a_lost_answer_is_given_again_within_the_grace(client: FlaskClient, advance: Advance) -> None:
    person = sign_up(client)
    lost = successor(client, person.refresh)
    advance(9)
    again = successor(client, person.refresh)
    for name in ("jti", "iat", "exp"):
        assert claim(again, name) == claim(lost, name)


def test_s14_a_restart_forgets_no_generation(make_app: MakeApp, client: FlaskClient, advance: Advance) -> None:
    person = sign_up(client)
    second = successor(client, person.refresh)
    advance(10)
    restarted = make_app(refresh_rotation=True).test_client()
    assert_error(refresh(restarted, person.refresh), 401, "token_not_valid")
    assert_over(restarted, person, second)


def test_s15_a_database_error_in_the_middle_is_a_503_and_the_token_still_works(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, advance: Advance
) -> None:
    person = sign_up(client)

    def fail(self: Transaction) -> None:
        raise OperationalError("COMMIT", {}, Exception("the connection was lost"))

    with monkeypatch.context() as broken:
        broken.setattr(Transaction, "commit", fail)
        assert_error(refresh(client, person.refresh), 503, "temporarily_unavailable")
    advance(60)
    assert successor(client, person.refresh)


def test_s16_logout_racing_refresh_leaves_nothing_alive(app: Flask, client: FlaskClient) -> None:
    for _ in range(5):
        person = sign_up(client)

        def logout(token: str = person.refresh) -> TestResponse:
            return app.test_client().post("/api/logout/", json={"refresh": token})

        def rotate(token: str = person.refresh) -> TestResponse:
            return refresh(app.test_client(), token)

        with ThreadPoolExecutor(8) as threads:
            racing = [threads.submit(call) for call in (rotate, rotate, rotate, logout, rotate, rotate, rotate)]
            answers = [one.result() for one in racing]
        for answer in answers:
            if answer.status_code == 200:
                issued = answer.get_json()
                alive = SignedIn(access=issued["access"], refresh=issued["refresh"], user={})
                assert_over(client, alive, alive.refresh)
        assert_over(client, person, person.refresh)


def test_s17_no_refreshing_past_the_absolute_end(make_app: MakeApp, advance: Advance) -> None:
    client = make_app(refresh_rotation=True, session_lifetime=100000).test_client()
    person = sign_up(client)
    advance(80000)
    second = successor(client, person.refresh)
    assert claim(second, "exp") == claim(person.refresh, "iat") + 100000  # type: ignore[operator]
    advance(20000)
    assert_error(refresh(client, second), 401, "token_not_valid")


def test_s17_under_rotation_a_session_lasts_thirty_days(client: FlaskClient, advance: Advance) -> None:
    token = sign_up(client).refresh
    for _ in range(35):
        advance(86000)
        answer = refresh(client, token)
        if answer.status_code != 200:
            break
        token = answer.get_json()["refresh"]
    assert_error(answer, 401, "token_not_valid")
    assert _ == 30


def test_s18_another_users_session_is_not_found(client: FlaskClient) -> None:
    mine, theirs = sign_up(client), sign_up(client)
    session_id = client.get("/api/sessions/", headers=theirs.bearer).get_json()[0]["id"]
    for unknown in (session_id, "0" * 32, "x", "'"):
        answer = client.delete(f"/api/sessions/{unknown}/", headers=mine.bearer)
        assert_error(answer, 404, "not_found")
    assert client.get("/api/me/", headers=theirs.bearer).status_code == 200


def test_s20_a_session_id_that_the_client_sends_is_never_adopted(client: FlaskClient) -> None:
    theirs = sign_up(client)
    session_id = claim(theirs.access, "sid")
    client.set_cookie("sid", str(session_id))
    mine = sign_up(client, sid=session_id, session_id=session_id, session=session_id)
    assert claim(mine.access, "sid") != session_id


def test_switching_rotation_on_and_off_signs_nobody_out(make_app: MakeApp, advance: Advance) -> None:
    off, on = make_app().test_client(), make_app(refresh_rotation=True).test_client()
    person = sign_up(off)
    assert refresh(off, person.refresh).get_json().keys() == {"access"}
    second = successor(on, person.refresh)
    advance(20)
    assert refresh(off, second).status_code == 200
    assert_error(refresh(off, person.refresh), 401, "token_not_valid")
