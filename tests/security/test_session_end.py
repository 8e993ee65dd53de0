"""S86: a fresh token never outlives its session; ending ends whatever still counts."""

from collections.abc import Callable
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.clock import now
from tests.commands import printed
from tests.conftest import MakeApp, Run
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up

Advance = Callable[[float], None]
DAY = 86400
HOUR = 3600
NEW = f"another {PASSWORD}"


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def refreshed(client: FlaskClient, person: SignedIn) -> SignedIn:
    answer = client.post("/api/token/refresh/", json={"refresh": person.refresh})
    assert answer.status_code == 200
    return SignedIn(answer.get_json()["access"], person.refresh, person.user)


def past_the_end(client: FlaskClient, advance: Advance) -> SignedIn:
    """Somebody whose session ended a minute ago, with an access token that a refresh gave a minute before that."""
    person = sign_up(client)
    advance(DAY - 60)
    late = refreshed(client, person)
    advance(120)
    assert_error(client.post("/api/token/refresh/", json={"refresh": person.refresh}), 401, "token_not_valid")
    assert client.get("/api/me/", headers=late.bearer).status_code == 200, "which lives out its own hour"
    return late


def reauthenticate(client: FlaskClient, person: SignedIn) -> Any:
    return client.post("/api/reauthenticate/", headers=person.bearer, json={"password": PASSWORD})


def test_s86_a_token_made_fresh_ends_with_its_session(client: FlaskClient, advance: Advance) -> None:
    person = sign_up(client)
    end = claims(person.refresh)["exp"]
    early = claims(reauthenticate(client, person).get_json()["access"])
    assert early["exp"] == early["iat"] + HOUR
    advance(DAY - 300)
    late = refreshed(client, person)
    assert claims(late.access)["exp"] > end, "as the contract says of a refresh"
    fresh = claims(reauthenticate(client, late).get_json()["access"])
    assert fresh["exp"] == fresh["fresh"] == end


def test_s86_nothing_is_made_fresh_past_the_end_of_its_session(client: FlaskClient, advance: Advance) -> None:
    late = past_the_end(client, advance)
    assert_error(reauthenticate(client, late), 401, "token_not_valid")
    assert_error(client.delete("/api/me/", headers=late.bearer), 403, "reauthentication_required")
    kinds = [event["type"] for event in client.get("/api/events/", headers=late.bearer).get_json()]
    assert "reauthenticated" not in kinds
    advance(HOUR)
    assert_error(client.get("/api/me/", headers=late.bearer), 401, "token_not_valid")


def test_s86_a_first_token_is_not_fresh_past_the_end_of_its_session(make_app: MakeApp, advance: Advance) -> None:
    """Where a session is set to be shorter than an access token, which lives out its own lifetime all the same."""
    client = make_app(session_lifetime=60).test_client()
    person = sign_up(client)
    assert claims(person.access)["fresh"] - claims(person.access)["iat"] == 60
    advance(61)
    assert client.get("/api/me/", headers=person.bearer).status_code == 200
    assert_error(client.delete("/api/me/", headers=person.bearer), 403, "reauthentication_required")


@pytest.mark.parametrize("by", ["one", "others", "all", "id", "password", "logout", "everybody"])
def test_s86_ending_ends_what_still_counts(client: FlaskClient, run: Run, advance: Advance, by: str) -> None:
    late = past_the_end(client, advance)
    email, sid = late.user["email"], claims(late.access)["sid"]
    current = SignedIn(**log_in(client, email).get_json())
    if by == "one":
        assert client.delete(f"/api/sessions/{sid}/", headers=current.bearer).status_code == 204
    elif by == "others":
        assert client.delete("/api/sessions/", headers=current.bearer).status_code == 204
    elif by == "all":
        assert run("sessions", "end", email, "--all").stdout == "2 ended.\n"
    elif by == "id":
        assert run("sessions", "end", email, "--id", sid).stdout == "1 ended.\n"
    elif by == "password":
        body = {
            "current_password": PASSWORD,
            "password": "another " + PASSWORD,
            "password_confirm": "another " + PASSWORD,
        }
        assert client.post("/api/password/change/", headers=current.bearer, json=body).status_code == 204
    elif by == "logout":
        assert client.post("/api/logout/", headers=late.bearer).status_code == 204
    else:
        assert run("sessions", "end", "--everybody", "--yes").stdout == "2 ended.\n"
    assert_error(client.get("/api/me/", headers=late.bearer), 401, "token_not_valid")
    assert_error(reauthenticate(client, late), 401, "token_not_valid")


def test_s86_a_session_is_listed_while_a_token_of_it_may_count(client: FlaskClient, run: Run, advance: Advance) -> None:
    late = past_the_end(client, advance)
    current = SignedIn(**log_in(client, late.user["email"]).get_json())

    def listed() -> list[str]:
        ids = [one["id"] for one in client.get("/api/sessions/", headers=current.bearer).get_json()]
        assert ids == [one["id"] for one in printed(run("sessions", "list", late.user["email"], "--json"))]
        return ids

    ended = claims(late.access)["sid"]
    assert ended in listed()
    advance(HOUR - 70)
    assert ended in listed()
    advance(20)
    assert ended not in listed()
    assert_error(client.delete(f"/api/sessions/{ended}/", headers=current.bearer), 404, "not_found")


def test_s86_what_ending_does_not_reach_counts_no_more(
    app: Flask, client: FlaskClient, make_app: MakeApp, advance: Advance
) -> None:
    """A token that was to live longer, from before the settings shortened them, is over with the others."""
    person = sign_up(make_app(access_token_lifetime=7 * DAY).test_client())
    advance(DAY + HOUR - 2)
    assert claims(person.access)["exp"] > now().timestamp()
    assert client.get("/api/me/", headers=person.bearer).status_code == 200
    advance(3)
    assert_error(client.get("/api/me/", headers=person.bearer), 401, "token_not_valid")
