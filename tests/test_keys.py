"""The key ring: sealed in the database, shared by all nodes, and enough for others to verify our tokens by."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import jwt
import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from authserver.app import create_app
from authserver.cli.database import migrate_database
from authserver.extensions import db
from authserver.models import SigningKey
from authserver.settings import SettingsError
from authserver.tokens import keys
from authserver.tokens.keys import COOLDOWN, REREAD
from tests.conftest import PUBLIC_URL, SECRET, MakeApp, MakeSettings, settings_for
from tests.factories import SignedIn, assert_error, sign_up
from tests.security.forge import altered
from tests.serving import free_port, served
from tests.test_start import variables

NEW_SECRET = "9hQvYk3nS0xJmEwTz8LdRfUbPcGaVi5o7ZtKXy2NqHs"
ALGORITHMS = ["ES256", "EdDSA", "HS256"]
NOT_VALID = "token_not_valid"
# RFC 7518, RFC 8037: what a public key of the kind consists of, and nothing else.
PUBLIC_PARTS = {"ES256": {"kty", "crv", "x", "y"}, "EdDSA": {"kty", "crv", "x"}}


@pytest.fixture(autouse=True)
def the_key_as_it_was(database: str) -> Iterator[None]:
    """The database may be other tests' too: its one key is put back."""
    engine = sa.create_engine(settings_for(database).database_url)
    with engine.begin() as connection:
        before = [row._asdict() for row in connection.execute(sa.select(SigningKey.__table__))]
    yield
    with engine.begin() as connection:
        connection.execute(sa.delete(SigningKey))
        connection.execute(sa.insert(SigningKey), before)
    engine.dispose()


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock by which the ring decides when to read again."""
    moment = monotonic()
    monkeypatch.setattr(keys, "monotonic", lambda: moment)

    def move(seconds: float) -> None:
        nonlocal moment
        moment += seconds

    return move


def me(client: FlaskClient, person: SignedIn) -> int:
    return client.get("/api/me/", headers=person.bearer).status_code


def jwks(app: Flask) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = app.test_client().get("/.well-known/jwks.json").get_json()["keys"]
    return found


def readings(app: Flask) -> list[str]:
    """Fills with each query that reads the keys."""
    seen: list[str] = []

    def notice(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if "signing_keys" in statement:
            seen.append(statement)

    with app.app_context():
        sa.event.listen(db.engine, "before_cursor_execute", notice)
    return seen


# Algorithms


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_s10_each_algorithm_signs_and_verifies_beside_the_key_before_it(
    make_app: MakeApp, make_settings: MakeSettings, client: FlaskClient, algorithm: str
) -> None:
    before = sign_up(client)
    migrate_database(make_settings(signing_algorithm=algorithm))
    node = make_app(signing_algorithm=algorithm)
    person = sign_up(node.test_client())
    for token in (person.access, person.refresh):
        header = jwt.get_unverified_header(token)
        assert header["alg"] == algorithm
        assert (header["kid"] in {key["kid"] for key in jwks(node)}) is (algorithm != "HS256")
    assert me(node.test_client(), person) == 200
    refreshed = node.test_client().post("/api/token/refresh/", json={"refresh": person.refresh}).get_json()["access"]
    assert jwt.get_unverified_header(refreshed)["alg"] == algorithm
    assert me(node.test_client(), before) == 200, "and what was signed before counts until it expires"
    start, _, signature = person.access.rpartition(".")
    forged = f"{start}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    assert_error(node.test_client().post("/api/logout/", headers={"Authorization": f"Bearer {forged}"}), 401, NOT_VALID)


@pytest.mark.parametrize("algorithm", ["EdDSA", "HS256"])
def test_an_algorithm_without_a_key_is_said_with_what_to_do(new_app: MakeApp, algorithm: str) -> None:
    with pytest.raises(SettingsError, match=f"{algorithm}.*`authserver migrate`"):
        new_app(signing_algorithm=algorithm)


def test_s10_the_jwks_holds_public_parts_and_no_symmetric_key(make_app: MakeApp, make_settings: MakeSettings) -> None:
    for algorithm in ALGORITHMS:
        migrate_database(make_settings(signing_algorithm=algorithm))
    app = make_app()
    with app.app_context():
        assert {key.algorithm for key in keys.key_ring()._current().values()} == set(ALGORITHMS)
    published = jwks(app)
    assert {key["alg"] for key in published} == PUBLIC_PARTS.keys()
    for key in published:
        assert key.keys() == PUBLIC_PARTS[key["alg"]] | {"kid", "use", "alg"}
        assert key["use"] == "sig"


def test_a_key_verifies_nothing_of_another_algorithm(make_app: MakeApp, make_settings: MakeSettings) -> None:
    """A token of one key under the name of another, for each pair (RFC 8725)."""
    for algorithm in ALGORITHMS:
        migrate_database(make_settings(signing_algorithm=algorithm))
    app = make_app()
    person = sign_up(app.test_client())
    claims = jwt.decode(person.access, options={"verify_signature": False})
    with app.app_context():
        ring = {key.algorithm: key for key in keys.key_ring()._current().values()}
    for signing in ring.values():
        for named in ring.values():
            token = jwt.encode(claims, signing.private, signing.algorithm, headers={"kid": named.kid})
            expected = 200 if signing is named else 401
            answer = app.test_client().get("/api/me/", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == expected, (signing.algorithm, named.algorithm)


# Other nodes


def another_nodes_person(make_app: MakeApp, make_settings: MakeSettings) -> SignedIn:
    """Somebody whose tokens are signed by a key that was made just now."""
    migrate_database(make_settings(signing_algorithm="EdDSA"))
    return sign_up(make_app(signing_algorithm="EdDSA").test_client())


def test_a_token_by_another_nodes_new_key_is_accepted_after_the_cooldown(
    app: Flask,
    client: FlaskClient,
    make_app: MakeApp,
    make_settings: MakeSettings,
    pass_time: Callable[[float], None],
) -> None:
    pass_time(REREAD + 1)
    own = sign_up(client)
    seen = readings(app)
    person = another_nodes_person(make_app, make_settings)
    pass_time(COOLDOWN - 1)
    assert me(client, own) == 200
    assert me(client, person) == 401
    assert seen == []
    pass_time(2)
    assert me(client, person) == 200
    assert len(seen) == 1
    assert me(client, person) == me(client, own) == 200
    assert len(seen) == 1, "and is known from then on"


def test_unknown_key_ids_do_not_hammer_the_database(
    app: Flask, client: FlaskClient, pass_time: Callable[[float], None]
) -> None:
    sign_up(client)
    pass_time(COOLDOWN + 1)
    seen = readings(app)

    def ask(times: int) -> None:
        for number in range(times):
            token = jwt.encode({}, "k" * 32, "HS256", headers={"kid": f"unknown-{len(seen)}-{number}"})
            answer = client.get("/api/me/", headers={"Authorization": f"Bearer {token}"})
            assert_error(answer, 401, NOT_VALID)

    ask(50)
    assert len(seen) == 1
    pass_time(COOLDOWN + 1)
    ask(50)
    assert len(seen) == 2


def test_a_new_key_is_noticed_within_a_minute_without_being_asked_for(
    app: Flask, make_app: MakeApp, make_settings: MakeSettings, pass_time: Callable[[float], None]
) -> None:
    before = jwks(app)
    another_nodes_person(make_app, make_settings)
    pass_time(REREAD + 1)
    assert len(jwks(app)) == len(before) + 1


def test_s10_a_key_that_is_gone_verifies_nothing_within_a_minute(
    app: Flask, client: FlaskClient, make_settings: MakeSettings, pass_time: Callable[[float], None]
) -> None:
    """Also not what it had verified before, which is remembered."""
    person = sign_up(client)
    assert me(client, person) == 200
    with app.app_context():
        db.session.execute(sa.delete(SigningKey))
        db.session.commit()
    migrate_database(make_settings())
    pass_time(REREAD + 1)
    assert_error(client.get("/api/me/", headers=person.bearer), 401, NOT_VALID)
    assert me(client, sign_up(client)) == 200


# The secret


def sealed(app: Flask) -> list[str]:
    with app.app_context():
        found = list(db.session.scalars(sa.select(SigningKey.sealed).order_by(SigningKey.kid)))
        db.session.rollback()
    return found


def test_keys_lie_encrypted_in_the_database(app: Flask) -> None:
    with app.app_context():
        key = keys.key_ring().signing()
    number = key.private.private_numbers().private_value
    (text,) = sealed(app)
    for spelling in (f"{number:x}", str(number), "BEGIN", SECRET):
        assert spelling.lower() not in text.lower()
    assert text.startswith("gAAAA"), "Fernet"


def test_a_changed_secret_is_refused_until_the_one_before_is_named(make_app: MakeApp) -> None:
    with pytest.raises(SettingsError) as raised:
        make_app(secret_key=NEW_SECRET)
    assert "AUTHSERVER_SECRET_KEY" in str(raised.value)
    assert "`authserver keys reset`" in str(raised.value)
    assert NEW_SECRET not in str(raised.value)
    make_app(secret_key=NEW_SECRET, secret_key_previous=SECRET)


def test_migrating_seals_the_keys_under_the_new_secret_and_the_old_one_can_go(
    make_app: MakeApp, make_settings: MakeSettings
) -> None:
    for algorithm in ALGORITHMS:
        migrate_database(make_settings(signing_algorithm=algorithm))
    old = make_app()
    person, before, published = sign_up(old.test_client()), sealed(old), jwks(old)
    migrate_database(make_settings(secret_key=NEW_SECRET, secret_key_previous=SECRET))
    assert not set(before) & set(sealed(old)), "every key, whatever its algorithm"
    new = make_app(secret_key=NEW_SECRET)
    assert me(new.test_client(), person) == 200
    assert jwks(new) == published
    with pytest.raises(SettingsError, match="authserver keys reset"):
        make_app()


def test_a_node_that_still_has_the_old_secret_serves_on_while_it_is_changed(
    app: Flask, client: FlaskClient, make_settings: MakeSettings, pass_time: Callable[[float], None]
) -> None:
    """Nodes are replaced one after another, and what a node has unsealed once it need not unseal again."""
    person = sign_up(client)
    migrate_database(make_settings(secret_key=NEW_SECRET, secret_key_previous=SECRET))
    pass_time(REREAD + 1)
    assert me(client, person) == 200
    assert me(client, sign_up(client)) == 200
    assert len(jwks(app)) == 1


def test_a_database_without_keys_is_refused(app: Flask, make_settings: MakeSettings) -> None:
    with app.app_context():
        db.session.execute(sa.delete(SigningKey))
        db.session.commit()
    with pytest.raises(SettingsError, match="`authserver migrate`"):
        create_app(make_settings())


# Other services

# A service that has nothing of ours but the address: PyJWT by itself.
SERVICE = """
import json, sys
import jwt
address, issuer, algorithms, *tokens = sys.argv[1:]
keys = jwt.PyJWKClient(address + "/.well-known/jwks.json")
answers = []
for token in tokens:
    try:
        key = keys.get_signing_key_from_jwt(token)
        claims = jwt.decode(
            token, key, algorithms.split(), issuer=issuer, audience=issuer, options={"require": ["exp", "sub"]}
        )
        answers.append(claims["sub"])
    except jwt.PyJWTError as error:
        answers.append(type(error).__name__)
assert not {"flask", "authserver"} & sys.modules.keys()
print(json.dumps(answers))
"""


def test_another_process_verifies_by_the_jwks_and_pyjwt_alone(
    make_app: MakeApp, make_settings: MakeSettings, tmp_path: Path
) -> None:
    migrate_database(make_settings(signing_algorithm="EdDSA"))
    eddsa, app = make_app(signing_algorithm="EdDSA"), make_app()
    person, other = sign_up(app.test_client()), sign_up(eddsa.test_client())
    expected = {
        person.access: person.user["id"],
        other.access: other.user["id"],
        altered(app, person.access, iss="https://other.example.com"): "InvalidIssuerError",
        altered(app, person.access, aud="https://other.example.com"): "InvalidAudienceError",
        altered(app, person.access, exp=1): "ExpiredSignatureError",
        altered(app, person.access, sub="somebody-else")[:-8] + "AAAAAAAA": "InvalidSignatureError",
        jwt.encode({"sub": "x"}, "k" * 32, headers={"kid": "unknown"}): "PyJWKClientError",
    }
    with served(app, free_port()) as address:
        ran = subprocess.run(
            [sys.executable, "-c", SERVICE, address, PUBLIC_URL, "ES256 EdDSA", *expected],
            env=variables(tmp_path),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert ran.returncode == 0, ran.stderr
    assert dict(zip(expected, json.loads(ran.stdout), strict=True)) == expected


def test_a_key_that_this_node_cannot_open_costs_it_no_other(
    app: Flask, client: FlaskClient, make_settings: MakeSettings, pass_time: Callable[[float], None]
) -> None:
    """Where the secret and the algorithm change together, the new key is sealed under a secret not set here yet."""
    person = sign_up(client)
    changed = make_settings(secret_key=NEW_SECRET, secret_key_previous=SECRET, signing_algorithm="EdDSA")
    migrate_database(changed)
    pass_time(REREAD + 1)
    assert me(client, person) == 200
    assert me(client, sign_up(client)) == 200
    assert [key["alg"] for key in jwks(app)] == ["ES256"]


def test_keys_that_cannot_be_opened_are_no_fault_of_the_token(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 401 would have a client throw a good session away."""
    person = sign_up(client)

    def fail(self: keys.KeyRing, age: float = 0) -> None:
        raise SettingsError("the signing keys cannot be read")

    monkeypatch.setattr(keys.KeyRing, "_current", fail)
    answer = client.get("/api/me/", headers=person.bearer)
    assert_error(answer, 503, "temporarily_unavailable")
