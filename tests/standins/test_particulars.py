import json
import re
from typing import Any
from urllib.parse import urlencode

from joserfc.jwk import ECKey

from authserver.testing.standins import Person, StandIns, choose
from tests.each import each
from tests.standins.asking import BACK, VERIFIER, ask, authorize_url, exchange, tokens, verified


def test_facebook_throttles_when_told_to(standins: StandIns) -> None:
    facebook = standins.facebook
    facebook.throttled = True
    try:
        status, body = ask(f"{facebook.url}/v25.0/debug_token?input_token=x")
        assert (status, body["error"]["code"]) == (400, 4)
        assert ask(authorize_url(facebook))[0] == 200
    finally:
        facebook.throttled = False


def test_facebooks_token_endpoint_is_asked_by_get_too_and_needs_no_grant_type(standins: StandIns) -> None:
    facebook = standins.facebook
    code = facebook.authorize(authorize_url(facebook), facebook.people[0]).parameters["code"]
    asked = {
        "client_id": facebook.client_id,
        "client_secret": facebook.client_secret,
        "redirect_uri": BACK,
        "code": code,
        "code_verifier": VERIFIER,
    }
    status, answer = ask(f"{facebook.url}/v25.0/oauth/access_token?{urlencode(asked)}")
    assert (status, answer["token_type"]) == (200, "bearer")


def test_facebooks_limited_login_has_an_issuer_and_keys_of_its_own(standins: StandIns) -> None:
    facebook = standins.facebook
    issuer = facebook.options()["LIMITED_URL"]
    for slash in ("", "/"):
        assert ask(f"{issuer}/.well-known/openid-configuration{slash}")[1]["issuer"] == issuer
    claims = verified(facebook, facebook.id_token(facebook.person("verified"), nonce="n"))
    assert (claims["iss"], claims["nonce"], claims["email"]) == (issuer, "n", "ada@facebook.example")
    assert "email_verified" not in claims


# Microsoft


@each(
    ("tenant", "issuer"),
    [
        ("common", "{tenantid}"),
        ("organizations", "{tenantid}"),
        ("consumers", "9188040d-6c67-4c5b-b112-36a304b66dad"),
        ("6babcaad-604b-40ac-a9d7-9fd97c0b779f", "6babcaad-604b-40ac-a9d7-9fd97c0b779f"),
    ],
)
def test_microsofts_issuer_is_a_pattern_where_many_tenants_are_meant(
    standins: StandIns, tenant: str, issuer: str
) -> None:
    microsoft = standins.microsoft
    document = ask(f"{microsoft.url}/{tenant}/v2.0/.well-known/openid-configuration")[1]
    assert document["issuer"] == f"{microsoft.url}/{issuer}/v2.0"
    assert document["token_endpoint"] == f"{microsoft.url}/{tenant}/oauth2/v2.0/token"
    assert all("alg" not in key for key in ask(document["jwks_uri"])[1]["keys"])


def test_microsofts_subject_is_not_the_object_id(standins: StandIns) -> None:
    microsoft = standins.microsoft
    person = microsoft.person("personal")
    claims = verified(microsoft, microsoft.id_token(person))
    assert claims["oid"] == person.subject != claims["sub"]
    assert claims["iss"] == f"{microsoft.url}/{claims['tid']}/v2.0"
    assert claims["xms_edov"] is False
    assert tokens(microsoft, person)["access_token"].startswith("EwB"), "which says nothing of the application"


# Apple


def test_apple_demands_a_post_where_name_or_address_are_asked_for(standins: StandIns) -> None:
    for changes, status in (({}, 400), ({"scope": "openid"}, 200), ({"response_mode": "form_post"}, 200)):
        assert ask(authorize_url(standins.apple, **{"response_mode": None, **changes}))[0] == status


def test_apple_posts_back_and_tells_a_name_once_to_each_application(standins: StandIns) -> None:
    apple = standins.apple
    ada = apple.person("verified")
    apple.introduced.clear()
    first = choose(authorize_url(apple), ada)
    assert (first.url, first.form is not None) == (BACK, True)
    name = {"firstName": "Ada", "lastName": "Lovelace"}
    assert json.loads(first.parameters["user"]) == {"name": name, "email": "ada@apple.example"}
    assert "user" not in choose(authorize_url(apple), ada).parameters
    other = authorize_url(apple, client_id=apple.other_client_id, scope="name")
    assert json.loads(choose(other, ada).parameters["user"]) == {"name": name}


def test_apples_form_can_be_submitted_without_a_script(standins: StandIns) -> None:
    page = ask(authorize_url(standins.apple), {"person": standins.apple.people[0].subject})[1]
    assert "<button>Continue</button>" in page
    assert re.search(r'<script nonce="[\w-]{20,}">', page)


WRONG_SECRETS: dict[str, dict[str, Any]] = {
    "another team": {"iss": "ANOTHER000"},
    "another client": {"sub": "com.example.another.web"},
    "another audience": {"aud": "https://appleid.apple.com"},
    "no end": {"exp": None},
    "ended": {"exp": 1_800_000_000},
    "over six months": {"exp": 1_800_000_000 + 15777001},
    "another key id": {"header": {"kid": "ANOTHER000"}},
    "no key id": {"header": {"kid": None}},
    "another key": {"key": ECKey.generate_key("P-256")},
    "no signature": {"key": None, "header": {"alg": "none"}},
}


@each("wrong", WRONG_SECRETS)
def test_apple_takes_a_secret_of_the_applications_own_making_only(standins: StandIns, wrong: str) -> None:
    apple = standins.apple
    code = apple.authorize(authorize_url(apple), apple.people[0]).parameters["code"]
    status, answer = exchange(apple, code, client_secret=apple.secret(**WRONG_SECRETS[wrong]))
    assert (status, answer) == (400, {"error": "invalid_client"})
    assert exchange(apple, code, client_secret=apple.secret(exp=1_800_000_000 + 15777000))[0] == 200


def test_apple_spells_verified_as_text_and_marks_a_relays_address(standins: StandIns) -> None:
    apple = standins.apple
    claims = verified(apple, apple.id_token(apple.person("private relay")))
    assert (claims["email_verified"], claims["is_private_email"], claims["nonce_supported"]) == ("true", "true", True)
    assert (
        verified(apple, apple.id_token(Person(subject="1", email="a@b.c", email_verified=True)))["email_verified"]
        is True
    )
