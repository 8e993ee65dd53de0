from urllib.parse import urlsplit

import pytest
from flask import Flask
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from authserver.testing.standins import Callback, Person, StandIns
from authserver.testing.standins.signing import Signing
from tests.each import each
from tests.standins.asking import NAMES, SIGNING, ask, at, authorize_url, jwt_claims, tokens, verified


@each("name", SIGNING)
def test_an_id_token_can_be_made_to_say_anything(standins: StandIns, name: str) -> None:
    stand_in = standins.each[name]
    assert isinstance(stand_in, Signing)
    token = stand_in.id_token(Person(subject="1"), nonce="n", aud=["a", "b"], exp=None, extra=1)
    claims = verified(stand_in, token)
    assert (claims["aud"], claims["extra"], "exp" in claims) == (["a", "b"], 1, False)


def test_forged_tokens_are_forged(standins: StandIns) -> None:
    google = standins.google
    claims = google.id_token_claims(google.people[0])
    assert verified(google, google.sign(claims)) == claims
    forged = (
        google.sign(claims, key=RSAKey.generate_key(2048)),
        google.sign(claims, key=None, header={"alg": "none"}),
        google.sign(claims, key=google.key.as_pem(private=False), header={"alg": "HS256"}),
        google.sign(claims, header={"kid": "another"}),
    )
    for token in forged:
        with pytest.raises((JoseError, ValueError)):
            verified(google, token)
        assert jwt_claims(token) == claims


@each("name", SIGNING)
def test_a_new_key_signs_and_the_old_one_stays_published_or_not(standins: StandIns, name: str) -> None:
    stand_in = standins.each[name]
    assert isinstance(stand_in, Signing)
    before = stand_in.id_token(stand_in.people[0])
    stand_in.rotate_keys()
    between = stand_in.id_token(stand_in.people[0])
    assert verified(stand_in, before)
    assert verified(stand_in, between)
    stand_in.rotate_keys(keep_old=False)
    with pytest.raises((JoseError, ValueError)):
        verified(stand_in, between)
    assert verified(stand_in, stand_in.id_token(stand_in.people[0]))


def test_private_keys_are_not_published(standins: StandIns) -> None:
    for name in SIGNING:
        stand_in = standins.each[name]
        assert isinstance(stand_in, Signing)
        for key in ask(at(stand_in, stand_in.jwks_path))[1]["keys"]:
            assert {"kty", "n", "e", "kid", "use"} <= key.keys() <= {"kty", "n", "e", "kid", "use", "alg"}


def test_the_stand_ins_can_be_served_by_any_application_at_any_path() -> None:
    standins = StandIns("http://localhost:8000/dev/providers", taken="mallory@example.com")
    app = Flask(__name__)
    for blueprint in standins.blueprints():
        app.register_blueprint(blueprint)
    client = app.test_client()
    document = client.get("/dev/providers/google/.well-known/openid-configuration").get_json()
    assert document["issuer"] == standins.google.options()["ISSUER"] == "http://localhost:8000/dev/providers/google"
    url = urlsplit(authorize_url(standins.google))
    answer = client.post(f"{url.path}?{url.query}", data={"person": standins.google.people[0].subject})
    assert Callback(url=answer.headers["Location"]).parameters["code"] in standins.google.codes
    assert all(one.person("an account's").email == "mallory@example.com" for one in standins.each.values())


def test_the_variables_name_all_of_them(standins: StandIns) -> None:
    variables = standins.variables()
    named = {name.removeprefix("AUTHSERVER_PROVIDERS__").partition("__")[0] for name in variables}
    assert named == {name.upper() for name in NAMES} == {name.upper() for name in standins.each}
    assert variables["AUTHSERVER_PROVIDERS__ACME__TYPE"] == "oidc"
    assert variables["AUTHSERVER_PROVIDERS__LINKEDIN__ISSUER"] == f"{standins.url}/linkedin/oauth"


def test_what_must_be_in_no_log_is_listed(standins: StandIns) -> None:
    google = standins.google
    answer = tokens(google, google.people[0])
    code = google.authorize(authorize_url(google), google.people[0]).parameters["code"]
    assert {answer["access_token"], code, google.spent[-1], google.client_secret} <= standins.secrets()
