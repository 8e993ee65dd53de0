from dataclasses import replace

from authserver.testing.standins import StandIns, choose
from tests.each import each
from tests.standins.asking import (
    BACK,
    NAMES,
    OPENID,
    VERIFIER,
    ask,
    at,
    authorize_url,
    exchange,
    openid,
    tokens,
    verified,
)


@each("name", NAMES)
def test_who_is_chosen_comes_back_with_a_code_that_is_good_for_a_token(standins: StandIns, name: str) -> None:
    stand_in = standins.each[name]
    callback = choose(authorize_url(stand_in), stand_in.person("verified"))
    assert callback.url.startswith(BACK)
    assert callback.parameters["state"] == "the state & more"
    status, answer = exchange(stand_in, callback.parameters["code"])
    assert status == 200
    assert answer["access_token"] in stand_in.grants
    assert answer["token_type"].lower() == "bearer"
    assert ("id_token" in answer) == (name in OPENID)


@each("name", OPENID)
def test_the_id_token_is_signed_by_a_published_key_and_says_who_it_is_for(standins: StandIns, name: str) -> None:
    stand_in = openid(standins, name)
    person = stand_in.person("verified")
    answer = tokens(stand_in, person)
    claims = verified(stand_in, answer["id_token"])
    expected = {
        "iss": stand_in.iss(person),
        "aud": stand_in.client_id,
        "sub": stand_in.sub(person),
        "iat": 1_800_000_000,
        "exp": 1_800_000_000 + stand_in.id_token_lifetime,
        "email": f"ada@{name}.example",
    }
    assert expected.items() <= claims.items()
    assert claims.get("nonce") == (None if name == "linkedin" else "a-nonce")


@each("name", [name for name in OPENID if name != "apple"])
def test_the_access_token_is_good_at_userinfo(standins: StandIns, name: str) -> None:
    stand_in = openid(standins, name)
    person = stand_in.person("verified")
    userinfo = ask(at(stand_in, stand_in.userinfo_path), bearer=tokens(stand_in, person)["access_token"])[1]
    assert (userinfo["sub"], userinfo["name"]) == (stand_in.sub(person), "Ada Lovelace")
    assert ask(at(stand_in, stand_in.userinfo_path), bearer="another")[0] == 401


@each("name", [name for name in OPENID if name != "apple"])
def test_what_was_not_asked_for_is_not_told(standins: StandIns, name: str) -> None:
    stand_in = openid(standins, name)
    answer = tokens(stand_in, stand_in.person("verified"), scope="openid")
    told = verified(stand_in, answer["id_token"])
    told |= ask(at(stand_in, stand_in.userinfo_path), bearer=answer["access_token"])[1] if name != "microsoft" else {}
    assert not {"email", "name", "given_name"} & told.keys()
    assert "id_token" not in tokens(stand_in, stand_in.person("verified"), scope="email")


@each("name", OPENID)
def test_who_is_to_sign_in_anew_did_so_now(standins: StandIns, name: str) -> None:
    stand_in = openid(standins, name)
    ada = stand_in.person("verified")
    for asked in ({"max_age": "0"}, {"prompt": "login"}):
        assert verified(stand_in, tokens(stand_in, ada, **asked)["id_token"])["auth_time"] == 1_800_000_000
    stale = replace(ada, claims={"auth_time": 1, "nonce": "another", "email": None})
    claims = verified(stand_in, tokens(stand_in, stale, max_age="0")["id_token"])
    assert (claims["auth_time"], claims["nonce"], claims.get("email")) == (1, "another", None)


@each("name", ["google", "microsoft", "gitlab", "acme", "discord"])
def test_a_client_may_prove_itself_by_basic_where_the_provider_takes_that(standins: StandIns, name: str) -> None:
    stand_in = standins.each[name]
    form = {"grant_type": "authorization_code", "redirect_uri": BACK, "code_verifier": VERIFIER}
    url = at(stand_in, stand_in.token_path)
    for secret, status in ((stand_in.client_secret, 200), ("wrong", 401)):
        code = stand_in.authorize(authorize_url(stand_in), stand_in.people[0]).parameters["code"]
        assert ask(url, {**form, "code": code}, basic=(stand_in.client_id, secret))[0] == status


def test_a_public_client_is_known_by_its_verifier_alone(standins: StandIns) -> None:
    acme = standins.oidc
    acme.public_client = True
    try:
        assert "none" in ask(f"{acme.url}{acme.discovery_path}")[1]["token_endpoint_auth_methods_supported"]
        code = acme.authorize(authorize_url(acme), acme.people[0]).parameters["code"]
        assert exchange(acme, code, client_secret=None)[0] == 200
        plain = authorize_url(acme, code_challenge=None, code_challenge_method=None)
        code = acme.authorize(plain, acme.people[0]).parameters["code"]
        assert exchange(acme, code, client_secret=None, code_verifier=None)[0] == 400
    finally:
        acme.public_client = False
