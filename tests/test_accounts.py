from collections.abc import Callable
from uuid import UUID

import jwt
from flask.testing import FlaskClient

from tests.conftest import PUBLIC_URL
from tests.each import each
from tests.factories import PASSWORD, assert_error, log_in, sign_up, signup_body


def test_signup_answers_a_pair_of_tokens_and_the_user(client: FlaskClient) -> None:
    answer = client.post("/api/signup/", json=signup_body(email="Ada@Example.com", first_name=" Ada ", last_name="L."))
    assert answer.status_code == 201
    body = answer.get_json()
    assert body.keys() == {"access", "refresh", "user"}
    user = body["user"]
    assert UUID(user.pop("id")).version == 7
    assert user.pop("date_joined").endswith("Z")
    assert user == {"email": "ada@example.com", "email_verified": False, "first_name": "Ada", "last_name": "L."}


def test_the_tokens_carry_the_contracts_claims(client: FlaskClient) -> None:
    person = sign_up(client)
    for token, kind, lifetime in ((person.access, "access", 3600), (person.refresh, "refresh", 86400)):
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims.keys() == {"sub", "type", "jti", "iat", "nbf", "exp", "fresh", "iss", "aud", "sid"}
        assert (claims["sub"], claims["type"]) == (person.user["id"], kind)
        assert (claims["iss"], claims["aud"]) == (PUBLIC_URL, PUBLIC_URL)
        assert claims["exp"] - claims["iat"] == lifetime
        assert jwt.get_unverified_header(token)["alg"] == "ES256"
    access = jwt.decode(person.access, options={"verify_signature": False})
    assert access["fresh"] - 600 in (access["iat"], access["iat"] - 1), "a second may begin in between"


def test_a_refreshed_token_is_not_fresh_and_stays_in_its_session(client: FlaskClient) -> None:
    person = sign_up(client)
    access = client.post("/api/token/refresh/", json={"refresh": person.refresh}).get_json()["access"]
    before, after = (jwt.decode(token, options={"verify_signature": False}) for token in (person.access, access))
    assert after["fresh"] is False
    assert after["sid"] == before["sid"]
    assert after["jti"] != before["jti"]


def test_login_answers_as_signup_does(client: FlaskClient) -> None:
    person = sign_up(client)
    answer = log_in(client, person.user["email"])
    assert answer.status_code == 200
    assert answer.get_json().keys() == {"access", "refresh", "user"}
    assert answer.get_json()["user"] == person.user


def test_an_address_that_is_taken_is_a_409_and_changes_nothing(client: FlaskClient) -> None:
    person = sign_up(client)
    again = signup_body(email=person.user["email"], password="another good password", password_confirm=PASSWORD)
    assert_error(client.post("/api/signup/", json=again), 400, "invalid_request", "password_confirm")
    again["password_confirm"] = again["password"]
    assert_error(client.post("/api/signup/", json=again), 409, "account_exists")
    assert_error(log_in(client, person.user["email"], "another good password"), 401, "no_active_account")
    assert log_in(client, person.user["email"]).status_code == 200


def test_every_missing_field_is_named_at_once(client: FlaskClient) -> None:
    answer = client.post("/api/signup/", json={})
    body = assert_error(answer, 400, "invalid_request", "email", "password", "password_confirm")
    assert set(map(tuple, body["errors"].values())) == {("This field is required.",)}
    assert_error(client.post("/api/login/", json={"email": 1}), 400, "invalid_request", "email", "password")


def test_me_shows_and_changes_ones_own_names(client: FlaskClient) -> None:
    person, other = sign_up(client, first_name="Ada", last_name="Byron"), sign_up(client)
    assert client.get("/api/me/", headers=person.bearer).get_json() == person.user
    answer = client.patch("/api/me/", headers=person.bearer, json={"last_name": "Lovelace", "email": "x@example.com"})
    assert answer.get_json() == {**person.user, "last_name": "Lovelace"}
    assert client.patch("/api/me/", headers=person.bearer, json={}).get_json()["first_name"] == "Ada"
    assert client.get("/api/me/", headers=person.bearer).get_json() == {**person.user, "last_name": "Lovelace"}
    assert client.get("/api/me/", headers=other.bearer).get_json() == other.user


@each("name", ["x" * 151, "a\nb", "a\x00b", "\u202eadA", None, 1, ["Ada"], {}, True])
def test_a_name_that_is_none_is_refused(client: FlaskClient, name: object) -> None:
    person = sign_up(client)
    answer = client.patch("/api/me/", headers=person.bearer, json={"first_name": name})
    assert_error(answer, 400, "invalid_request", "first_name")
    assert_error(client.post("/api/signup/", json=signup_body(last_name=name)), 400, "invalid_request", "last_name")
    assert client.get("/api/me/", headers=person.bearer).get_json() == person.user


@each("path", ["/api/signup", "/api/login", "/api/token/refresh", "/api/logout", "/api/me"])
def test_each_path_answers_without_its_slash_and_not_with_two(client: FlaskClient, path: str) -> None:
    # By PATH_INFO: as a URL the test client would take what stands after two slashes for a host.
    call: Callable[[str], int] = lambda path: client.get(environ_overrides={"PATH_INFO": path}).status_code  # noqa: E731
    assert call(path) == call(f"{path}/") != 404
    assert call(f"{path}//") == call(f"/{path}/") == call(path.replace("/api/", "/api//")) == 404
