"""S1-S9: what is not a token of ours is refused alike, everywhere."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import jwt
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from authserver.extensions import db
from authserver.models import User
from tests.each import each
from tests.factories import NOBODYS_ID, SignedIn, assert_error, sign_up
from tests.security.forge import OMIT, altered, base64url, signing_key


def me(client: FlaskClient, token: str) -> TestResponse:
    return client.get("/api/me/", headers={"Authorization": f"Bearer {token}"})


def assert_refused_everywhere(client: FlaskClient, access: str, refresh: str) -> None:
    answer = me(client, access)
    assert_error(answer, 401, "token_not_valid")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert_error(client.post("/api/token/refresh/", json={"refresh": refresh}), 401, "token_not_valid")
    assert_error(client.post("/api/logout/", json={"refresh": refresh}), 401, "token_not_valid")


def both(app: Flask, person: SignedIn, claims: dict[str, object]) -> tuple[str, str]:
    return altered(app, person.access, **claims), altered(app, person.refresh, **claims)


def test_a_token_forged_in_no_way_is_accepted(app: Flask, client: FlaskClient) -> None:
    """Else every refusal below would show nothing."""
    access, refresh = both(app, sign_up(client), {})
    assert me(client, access).status_code == 200
    assert client.post("/api/token/refresh/", json={"refresh": refresh}).status_code == 200


@each("spelling", ["none", "None", "NONE", "nOnE", "", None])
def test_s1_alg_none_is_refused_in_any_spelling(client: FlaskClient, spelling: str | None) -> None:
    person = sign_up(client)
    header = base64url(json.dumps({"alg": spelling, "typ": "JWT"}).encode())
    for signature in ("", person.access.split(".")[2]):
        tokens = [f"{header}.{token.split('.')[1]}.{signature}" for token in (person.access, person.refresh)]
        answer = me(client, tokens[0])
        assert_error(answer, 401, "token_not_valid")
        assert_error(client.post("/api/token/refresh/", json={"refresh": tokens[1]}), 401, "token_not_valid")


def test_s2_hs256_keyed_with_our_public_key_is_refused(app: Flask, client: FlaskClient) -> None:
    person = sign_up(client)
    key = signing_key(app)
    pem = key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = base64url(json.dumps({"alg": "HS256", "typ": "JWT", "kid": key.kid}).encode())
    forged = []
    for token in (person.access, person.refresh):
        signed = f"{header}.{token.split('.')[1]}"
        algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        forged.append(f"{signed}.{base64url(algorithm.sign(signed.encode(), pem))}")
    assert_refused_everywhere(client, *forged)


def test_s3_keys_named_in_the_header_are_ignored_and_nothing_is_fetched(app: Flask, client: FlaskClient) -> None:
    person = sign_up(client)
    theirs = ec.generate_private_key(ec.SECP256R1())
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(theirs.public_key()))
    fetched = {"jku": "http://127.0.0.1:9/keys", "x5u": "http://127.0.0.1:9/cert"}
    for headers in ({"jwk": jwk}, {"jwk": jwk, "kid": signing_key(app).kid}, {**fetched, "kid": "theirs"}):
        claims = [jwt.decode(t, options={"verify_signature": False}) for t in (person.access, person.refresh)]
        forged = [jwt.encode(claim, theirs, "ES256", headers=headers) for claim in claims]
        assert_refused_everywhere(client, *forged)


@each(
    "kid",
    ["", "0", "../../etc/passwd", "' OR 1=1 --", "\0", "a" * 5000, "日本", None, 7, True, ["x"], {"x": 1}, 1e999],
)
def test_s4_a_hostile_kid_is_refused(app: Flask, client: FlaskClient, kid: object) -> None:
    person = sign_up(client)
    header = base64url(json.dumps({"alg": "ES256", "typ": "JWT", "kid": kid}).encode())
    tokens = [".".join((header, *token.split(".")[1:])) for token in (person.access, person.refresh)]
    assert_refused_everywhere(client, tokens[0], tokens[1])


FUTURE = 4102444800  # 2100-01-01


@each(
    "claims",
    [
        *({name: OMIT} for name in ("exp", "iat", "nbf", "iss", "aud", "sub", "sid", "jti", "type")),
        {"iss": "https://other.example.com"},
        {"iss": "https://auth.example.com/"},
        {"aud": "https://other.example.com"},
        {"aud": ["https://auth.example.com", "https://other.example.com"]},
        {"aud": []},
        {"type": "id"},
        {"type": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": None},
        {"sub": "not-an-id"},
        {"sub": NOBODYS_ID},
        {"sid": NOBODYS_ID},
        {"sid": ""},
        {"sid": 0},
        {"jti": None},
        {"nbf": FUTURE},
        {"iat": FUTURE},
        {"exp": 0},
        {"exp": "9999999999"},
        {"exp": 9999999999.5},
        {"exp": True},
        {"exp": None},
        {"exp": []},
        {"exp": float("inf")},
        {"iat": "1"},
        {"nbf": "1"},
        {"nbf": float("nan")},
        {"iat": False},
    ],
)
def test_s5_a_claim_that_is_missing_or_wrong_is_refused(
    app: Flask, client: FlaskClient, claims: dict[str, object]
) -> None:
    access, refresh = both(app, sign_up(client), claims)
    assert_error(me(client, access), 401, "token_not_valid")
    assert_error(client.post("/api/token/refresh/", json={"refresh": refresh}), 401, "token_not_valid")


def test_s5_another_nodes_clock_may_be_ten_seconds_ahead(app: Flask, client: FlaskClient) -> None:
    person = sign_up(client)
    ahead = int(datetime.now(UTC).timestamp()) + 8
    assert me(client, altered(app, person.access, iat=ahead, nbf=ahead)).status_code == 200


@pytest.fixture
def person(client: FlaskClient) -> SignedIn:
    return sign_up(client)


@given(data=st.data())
@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
def test_s6_any_altered_byte_is_refused(client: FlaskClient, person: SignedIn, data: st.DataObject) -> None:
    token = person.access
    position = data.draw(st.integers(0, len(token) - 1))
    replacement = data.draw(st.characters(min_codepoint=0x21, max_codepoint=0x7E).filter(token[position].__ne__))
    forged = token[:position] + replacement + token[position + 1 :]
    assert_error(me(client, forged), 401, "token_not_valid")


def test_s6_the_last_character_has_one_spelling(client: FlaskClient) -> None:
    """Base64url leaves bits over in the last character of a signature: a lenient decoder takes sixteen spellings."""
    person = sign_up(client)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    accepted = [last for last in alphabet if me(client, person.access[:-1] + last).status_code == 200]
    assert accepted == [person.access[-1]]


def test_s6_segments_of_two_tokens_do_not_mix(client: FlaskClient) -> None:
    one, two = sign_up(client), sign_up(client)
    a, b = one.access.split("."), two.access.split(".")
    for mixed in ([a[0], b[1], a[2]], [a[0], a[1], b[2]], a[:2], [*a, ""], [*a, a[2]], ["", *a[1:]], [a[0], "", a[2]]):
        assert_error(me(client, ".".join(mixed)), 401, "token_not_valid")
    for spelling in (one.access + "=", one.access + "\t", one.access + ".", " " + one.access, one.access.upper()):
        assert_error(me(client, spelling), 401, "token_not_valid")


def test_s7_a_refresh_token_opens_nothing_and_an_access_token_refreshes_nothing(client: FlaskClient) -> None:
    person = sign_up(client)
    assert_refused_everywhere(client, access=person.refresh, refresh=person.access)
    assert me(client, person.access).status_code == 200, "and the session is as it was"


@pytest.mark.parametrize("change", [sa.delete(User), sa.update(User).values(disabled_at=datetime.now(UTC))])
def test_s8_a_user_who_is_gone_or_disabled_has_no_valid_token(
    app: Flask, client: FlaskClient, change: sa.Delete | sa.Update
) -> None:
    person = sign_up(client)
    assert me(client, person.access).status_code == 200
    with app.app_context():
        db.session.execute(change)
        db.session.commit()
    assert_error(me(client, person.access), 401, "token_not_valid")
    assert_error(client.post("/api/token/refresh/", json={"refresh": person.refresh}), 401, "token_not_valid")


@each(
    ("header", "code"),
    [
        (lambda token: "", "not_authenticated"),
        (lambda token: token, "not_authenticated"),
        (lambda token: f"Basic {token}", "not_authenticated"),
        (lambda token: f"JWT {token}", "not_authenticated"),
        (lambda token: f"Bearer{token}", "not_authenticated"),
        (lambda token: "Bearer", "token_not_valid"),
        (lambda token: "Bearer ", "token_not_valid"),
        (lambda token: f"Bearer  {token}", "token_not_valid"),
        (lambda token: f"Bearer {token} {token}", "token_not_valid"),
        (lambda token: f"Bearer {token},Bearer {token}", "token_not_valid"),
        (lambda token: f'Bearer "{token}"', "token_not_valid"),
        (lambda token: f"Bearer {token}\u00e9", "token_not_valid"),
        (lambda token: "Bearer " + "[" * 5000, "token_not_valid"),
        (lambda token: "Bearer " + base64url(b"[" * 9000) + ".e30.c2ln", "token_not_valid"),
    ],
)
def test_s9_a_malformed_header_is_a_401(client: FlaskClient, header: Callable[[str], str], code: str) -> None:
    answer = client.get("/api/me/", headers={"Authorization": header(sign_up(client).access)})
    assert_error(answer, 401, code)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@each("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_s9_the_scheme_is_matched_in_any_case(client: FlaskClient, scheme: str) -> None:
    person = sign_up(client)
    assert client.get("/api/me/", headers={"Authorization": f"{scheme} {person.access}"}).status_code == 200


def test_s9_a_token_is_read_from_the_header_alone(client: FlaskClient) -> None:
    person = sign_up(client)
    client.set_cookie("access_token_cookie", person.access)
    for name in ("access_token", "jwt", "token"):
        assert_error(client.get("/api/me/", query_string={name: person.access}), 401, "not_authenticated")
