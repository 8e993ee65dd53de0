"""What each shipped provider makes of claims and answers, the hostile ones too; its functions are called directly."""

import ast
from pathlib import Path
from typing import Any

import joserfc.jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import ECKey

from authserver.oauth.provider import Identity, Issued, Refused, Unavailable, signed_jwt, unverified_claims
from authserver.settings import SettingsError
from providers.microsoft import CONSUMERS
from tests.each import each
from tests.providers.shipped import (
    KEY,
    NAMES,
    Answers,
    factory,
    id_token,
    identified,
    issued,
    issuers,
    made,
    pem,
    profile,
    settings_of,
)

OURS, OTHER = "6babcaad-604b-40ac-a9d7-9fd97c0b779f", "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
OPENID = tuple(name for name in NAMES if made(name).id_token)
# What proves nothing, neither where a Boolean is documented nor where Microsoft was seen to write it otherwise.
HOSTILE: list[Any] = [False, None, 0, 0.0, 1.0, 2, -1, "", "True", "TRUE", " true", "yes", "false", "0", b"true"]
HOSTILE += [[True], ["true"], {"true": True}, {}, []]


def jwt(**claims: Any) -> str:
    return signed_jwt({"oid": "1", "tid": OURS, **claims}, pem(KEY), "kid")


# Every provider


@each("name", NAMES)
def test_a_providers_file_says_where_to_register_and_where_its_facts_are_from(name: str) -> None:
    docstring = ast.get_docstring(ast.parse(Path(f"providers/{name}.py").read_text())) or ""
    callback = f"<AUTHSERVER_PUBLIC_URL>/api/auth/{'<name>' if name == 'oidc' else name}/callback/"
    for part in ("Console: ", f"Redirect URI: {callback}", "Facts: ", "https://"):
        assert part in docstring


@each("name", NAMES)
def test_every_upstream_address_of_a_provider_is_a_setting_and_in_production_https(name: str) -> None:
    settings = settings_of(name)
    factory(name)(settings)
    addresses = {option for option in settings.asked if option.endswith(("URL", "ISSUER", "AUTHORITY"))}
    assert addresses
    for option in addresses:
        with pytest.raises(SettingsError, match=f"__{option}: .*https"):
            made(name, **{option: "http://id.example.com"})
        provider = made(name, **dict.fromkeys(addresses, "http://127.0.0.1:1"))
        urls = [provider.authorize_url, provider.token_url, provider.id_token and provider.id_token.issuer]
        assert all(url.startswith("http://127.0.0.1:1") for url in urls if url)


@each("name", NAMES)
def test_a_provider_takes_codes_and_says_how(name: str) -> None:
    provider = made(name)
    assert provider.scopes
    if provider.id_token and "openid" in provider.scopes:
        assert provider.authorize_url is provider.token_url is None, "discovery has them"
    else:
        assert provider.authorize_url
        assert provider.token_url
        assert provider.access_token
        assert provider.needs_secret


@each("name", OPENID)
def test_the_standard_claims_are_read(name: str) -> None:
    names = {"given_name": "Ada", "family_name": "Lovelace", "name": "Ada Lovelace"}
    person = identified(name, {"oid": "1", "tid": OURS, "email": "ada@example.com", **names})
    assert (person.subject, person.email) == ("1", "ada@example.com")
    assert (person.first_name, person.last_name) == ("Ada", "Lovelace")


@each("name", OPENID)
def test_claims_that_are_left_out_or_null_are_none_and_prove_nothing(name: str) -> None:
    for value in ({}, dict.fromkeys(("email", "email_verified", "given_name", "family_name", "name"))):
        person = identified(name, {"oid": "1", "tid": OURS, **value})
        tenant = OURS if name == "microsoft" else ""
        assert person == Identity(subject="1", tenant=tenant, email=None, email_verified=False)


@each("name", OPENID)
def test_a_name_in_one_piece_is_the_first_name(name: str) -> None:
    person = identified(name, {"oid": "1", "tid": OURS, "name": "Ada Lovelace"})
    assert (person.first_name, person.last_name) == ("Ada Lovelace", "")


@each("name", OPENID)
def test_a_token_without_a_subject_is_nobodys(name: str) -> None:
    with pytest.raises(KeyError):
        id_token(name).identity({"email": "ada@example.com", "email_verified": True})


@each("name", OPENID)
@each("value", [*HOSTILE, 1, "1"])
def test_s23_only_a_real_true_makes_an_address_verified(name: str, value: object) -> None:
    claims = {"oid": "1", "tid": OURS, "hd": "gmail.com", "email": "victim@gmail.com", "email_verified": value}
    person = identified(name, claims)
    assert person.email_verified is person.email_authoritative is False


@each(
    ("name", "verified"),
    [
        ("apple", {True, "true"}),
        ("facebook", set()),
        ("gitlab", {True}),
        ("google", {True}),
        ("linkedin", {True}),
        ("microsoft", set()),
        ("oidc", {True}),
    ],
)
def test_s23_the_spellings_of_email_verified_are_the_documented_ones(name: str, verified: set[object]) -> None:
    for value in (True, "true"):
        person = identified(name, {"oid": "1", "tid": OURS, "email": "ada@example.com", "email_verified": value})
        assert person.email_verified is (value in verified)
        assert person.email_authoritative is False


# Google


def test_google_signs_with_two_spellings_of_its_issuer() -> None:
    assert issuers(id_token("google"), {}) == {"https://accounts.google.com", "accounts.google.com"}


@each(
    ("email", "hd", "authoritative"),
    [
        ("ada@gmail.com", None, True),
        ("Ada@GMail.COM", None, True),
        ("ada@example.com", "example.com", True),
        ("ada@example.com", None, False),
        ("ada@example.com", "", False),
        ("ada@googlemail.com", None, False),
        ("ada@evil-gmail.com", None, False),
        ("ada@gmail.com.example", None, False),
        ("ada@sub.gmail.com", None, False),
        (["ada@gmail.com"], None, False),
        (None, None, False),
    ],
)
def test_google_is_the_authority_for_its_own_mailboxes_and_for_a_workspaces_people(
    email: object, hd: object, authoritative: bool
) -> None:
    claims = {"sub": "1", "email": email, "email_verified": True, "hd": hd}
    assert identified("google", claims).email_authoritative is authoritative
    assert profile("google", Answers(userinfo=claims)).email_authoritative is authoritative


@each(
    "hd", [None, "", "notexample.com", "example.com.evil.example", "sub.example.com", "com", "*", ["example.com"], True]
)
def test_s24_another_hosted_domain_is_refused_in_either_kind_of_token(hd: object) -> None:
    claims = {"sub": "1", "email": "ada@example.com", "email_verified": True} | ({} if hd is None else {"hd": hd})
    with pytest.raises(Refused):
        identified("google", claims, HOSTED_DOMAIN="example.com")
    with pytest.raises(Refused):
        profile("google", Answers(userinfo=claims), HOSTED_DOMAIN="example.com")


def test_s24_the_hosted_domain_is_asked_for_and_let_in() -> None:
    provider = made("google", HOSTED_DOMAIN="example.com")
    assert provider.authorize_params == {"hd": "example.com"}
    assert identified("google", {"hd": "example.com"}, HOSTED_DOMAIN="example.com").subject == "1"
    assert made("google").authorize_params == {}


# Facebook


GRANT = {"app_id": "id", "type": "USER", "is_valid": True, "expires_at": 0, "user_id": "1"}


@each("code", [4, 17, 32, 613])
@each("status", [400, 403])
def test_facebooks_throttling_is_an_outage_and_not_a_refusal(code: int, status: int) -> None:
    throttled = Refused("the provider answered", status=status, body={"error": {"code": code, "message": "limit"}})
    with pytest.raises(Unavailable):
        issued("facebook", Answers(debug_token=throttled))
    with pytest.raises(Unavailable):
        profile("facebook", Answers(me=throttled))


def test_facebooks_passing_failures_are_an_outage() -> None:
    passing = Refused(status=400, body={"error": {"code": 2, "is_transient": True}})
    with pytest.raises(Unavailable):
        issued("facebook", Answers(debug_token=passing))


@each(
    "body",
    [
        None,
        "throttled",
        [4],
        {},
        {"error": None},
        {"error": "limit"},
        {"error": {"code": 190, "is_transient": False}},
        {"error": {"code": "4"}},
        {"error": {"code": [4]}},
        {"error": {"code": 190, "is_transient": "true"}},
        {"code": 4},
    ],
)
def test_whatever_else_facebook_refuses_is_refused(body: object) -> None:
    with pytest.raises(Refused):
        issued("facebook", Answers(debug_token=Refused(status=400, body=body)))
    with pytest.raises(Refused):
        profile("facebook", Answers(me=Refused(status=400, body=body)))


def test_s25_a_facebook_token_that_is_invalid_expired_or_not_a_users_is_nobodys() -> None:
    assert issued("facebook", Answers(debug_token={"data": GRANT})) == Issued(audience="id", subject="1")
    for wrong in ({"is_valid": False}, {"is_valid": 1}, {"type": "APP"}, {"type": "PAGE"}, {"expires_at": 1}):
        assert issued("facebook", Answers(debug_token={"data": {**GRANT, **wrong}})) is None


def test_facebooks_limited_login_is_of_either_of_its_hosts_and_its_address_unverified() -> None:
    kind = id_token("facebook")
    assert kind.issuer == "https://limited.facebook.com"
    assert issuers(kind, {}) == {"https://www.facebook.com", "https://limited.facebook.com"}
    person = identified("facebook", {"email": "ada@example.com", "email_verified": True})
    assert (person.email, person.email_verified) == ("ada@example.com", False)


# Microsoft


@each("edov", [True, 1, "1", "true"])
def test_microsofts_edov_makes_an_address_verified_and_microsoft_its_authority(edov: object) -> None:
    person = identified("microsoft", {"oid": "7", "tid": OURS, "email": "ada@example.com", "xms_edov": edov})
    assert (person.subject, person.tenant) == ("7", OURS)
    assert person.email_verified is person.email_authoritative is True


@each("edov", HOSTILE)
def test_s23_no_other_spelling_of_edov_counts(edov: object) -> None:
    person = identified("microsoft", {"oid": "7", "tid": OURS, "email": "ada@example.com", "xms_edov": edov})
    assert person.email_verified is person.email_authoritative is False


@each(
    ("setting", "admitted"),
    [
        ("common", {OURS, OTHER, CONSUMERS}),
        ("organizations", {OURS, OTHER}),
        ("consumers", {CONSUMERS}),
        (OURS, {OURS}),
        (OURS.upper(), {OURS}),
    ],
)
def test_s26_a_tenants_people_are_let_in_alike_by_either_kind_of_token(setting: str, admitted: set[str]) -> None:
    kind = id_token("microsoft", TENANT=setting)
    assert kind.issuer == f"https://login.microsoftonline.com/{setting.lower()}/v2.0"
    for tid in (OURS, OTHER, CONSUMERS):
        claims = {"sub": "1", "oid": "1", "tid": tid}
        if tid in admitted:
            assert issuers(kind, claims) == {f"https://login.microsoftonline.com/{tid}/v2.0"}
            by_id_token = kind.identity(claims)
            by_access_token = issued("microsoft", Answers(), jwt(tid=tid, appid="id"), TENANT=setting)
            assert by_access_token == Issued(audience="id", subject=by_id_token.subject, tenant=by_id_token.tenant)
            continue
        for refuse in (
            lambda claims=claims: issuers(kind, claims),
            lambda claims=claims: kind.identity(claims),
            lambda tid=tid: issued("microsoft", Answers(), jwt(tid=tid, appid="id"), TENANT=setting),
        ):
            with pytest.raises(Refused):
                refuse()


@each("tid", ["", "common", "{tenantid}", "../evil", f"{OURS}/", f" {OURS}", f"{OURS}\n", OURS.upper()])
def test_s26_a_tenant_that_is_no_id_is_refused(tid: str) -> None:
    with pytest.raises(Refused):
        issuers(id_token("microsoft"), {"tid": tid})
    with pytest.raises(Refused):
        identified("microsoft", {"oid": "1", "tid": tid})
    with pytest.raises(Refused):
        issued("microsoft", Answers(), jwt(tid=tid, appid="id"))


@each("tid", [None, 1, True, [OURS], {}])
def test_s26_a_tenant_of_another_type_raises(tid: object) -> None:
    with pytest.raises(TypeError):
        issuers(id_token("microsoft"), {"tid": tid})
    with pytest.raises(KeyError):
        issuers(id_token("microsoft"), {})


# GitHub


USER = {"id": 1, "login": "ada", "name": "Ada Lovelace", "email": "public@example.com"}


def test_github_takes_the_primary_address_with_what_it_says_of_it() -> None:
    emails = [
        {"email": "old@example.com", "primary": False, "verified": True},
        {"email": "ada@example.com", "primary": True, "verified": True},
    ]
    person = profile("github", Answers(user=USER, user__emails=emails))
    assert person == Identity(subject="1", email="ada@example.com", email_verified=True, first_name="Ada Lovelace")
    emails[1]["verified"] = False
    assert profile("github", Answers(user=USER, user__emails=emails)).email_verified is False


@pytest.mark.parametrize("emails", [[], [{"email": "old@example.com", "primary": False, "verified": True}]])
def test_github_without_a_primary_address_gives_none(emails: list[Any]) -> None:
    person = profile("github", Answers(user={**USER, "name": None}, user__emails=emails))
    assert person == Identity(subject="1", email=None, email_verified=False)


def test_github_is_asked_by_its_own_application_whose_token_it_is() -> None:
    ask = Answers(applications__id__token={"app": {"client_id": "id"}, "user": {"id": 1}})
    assert issued("github", ask, "canary") == Issued(audience="id", subject="1")
    url = "https://api.github.com/applications/id/token"
    assert ask.asked == [(url, ({"access_token": "canary"}, ("id", "secret")))]


def test_github_fits_in_twenty_lines() -> None:
    """Of code, imports included: no blank ones, no comments, and not the docstring."""
    source = Path("providers/github.py").read_text()
    docstring, *code = ast.parse(source).body
    lines = source.splitlines()[docstring.end_lineno :]
    assert isinstance(docstring, ast.Expr)
    assert code
    assert len([line for line in lines if line.strip() and not line.strip().startswith("#")]) <= 20


# Apple


def test_apples_secret_is_a_jwt_of_its_own_that_lives_for_minutes() -> None:
    provider = made("apple")
    assert provider.client_secret is not None
    token = joserfc.jwt.decode(provider.client_secret(), ECKey.import_key(pem(KEY)))
    assert token.header == {"typ": "JWT", "alg": "ES256", "kid": "KEY1234567"}
    claims = token.claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("TEAM123456", "id", "https://appleid.apple.com")
    assert 0 < claims["exp"] - claims["iat"] <= 600


def test_apples_key_may_have_its_line_ends_written_out() -> None:
    provider = made("apple", PRIVATE_KEY=pem(KEY).replace("\n", "\\n"))
    assert provider.client_secret is not None
    assert unverified_claims(provider.client_secret())["iss"] == "TEAM123456"


def wrong_keys() -> dict[str, str]:
    password, pkcs8 = serialization.BestAvailableEncryption(b"canary"), serialization.PrivateFormat.PKCS8
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    return {
        "no key": "canary",
        "no key in it": "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----",
        "cut off": pem(KEY)[:-60],
        "of another curve": pem(ec.generate_private_key(ec.SECP384R1())),
        "RSA": pem(rsa.generate_private_key(65537, 2048)),
        "public": KEY.public_key().public_bytes(serialization.Encoding.PEM, public).decode(),
        "with a password": KEY.private_bytes(serialization.Encoding.PEM, pkcs8, password).decode(),
        "no text": "\udcff",
    }


@each("kind", wrong_keys())
def test_a_wrong_key_of_apples_stops_the_start_and_is_not_shown(kind: str) -> None:
    key = wrong_keys()[kind]
    with pytest.raises(SettingsError) as caught:
        made("apple", PRIVATE_KEY=key)
    assert "AUTHSERVER_PROVIDERS__APPLE__PRIVATE_KEY" in str(caught.value)
    assert key not in str(caught.value)


@pytest.mark.parametrize("option", ["TEAM_ID", "KEY_ID", "PRIVATE_KEY"])
def test_apple_without_one_of_its_options_does_not_start(option: str) -> None:
    with pytest.raises(SettingsError, match=f"__{option} is not set"):
        made("apple", **{option: ""})


def test_apples_names_are_in_the_callbacks_form_at_the_first_sign_in() -> None:
    names = made("apple").names
    assert names is not None
    user = '{"name": {"firstName": "Ada", "lastName": "Lovelace"}, "email": "ada@example.com"}'
    assert names({"code": "c", "state": "s", "user": user}) == ("Ada", "Lovelace")
    for none in ({}, {"user": "{}"}, {"user": '{"name": null}'}, {"user": '{"name": {}}'}):
        assert names(none) == ("", "")


def test_apple_comes_back_as_a_form_without_pkce() -> None:
    provider = made("apple")
    assert provider.form_post
    assert not provider.pkce


# GitLab, Discord, LinkedIn, OpenID Connect


def test_gitlab_says_whose_token_it_is_and_then_who_that_is() -> None:
    ask = Answers(
        oauth__token__info={"resource_owner_id": 1, "application": {"uid": "id"}, "scope": ["openid"]},
        oauth__userinfo={"sub": "1", "email": "ada@example.com", "email_verified": True, "name": "Ada Lovelace"},
    )
    assert issued("gitlab", ask) == Issued(audience="id", subject="1")
    person = profile("gitlab", ask)
    assert person == Identity(subject="1", email="ada@example.com", email_verified=True, first_name="Ada Lovelace")


def test_discord_says_whose_token_it_is_and_then_who_that_is() -> None:
    ask = Answers(
        **{"oauth2/@me": {"application": {"id": "id"}, "user": {"id": "1"}}},
        **{"users/@me": {"id": "1", "global_name": "Ada", "email": "ada@example.com", "verified": True}},
    )
    assert issued("discord", ask) == Issued(audience="id", subject="1")
    assert profile("discord", ask) == Identity(
        subject="1", email="ada@example.com", email_verified=True, first_name="Ada"
    )


def test_discord_without_an_address_or_a_name_gives_none() -> None:
    for person in ({"id": "1"}, {"id": "1", "global_name": None, "email": None, "verified": False}):
        ask = Answers(**{"users/@me": person})
        assert profile("discord", ask) == Identity(subject="1", email=None, email_verified=False)


def test_discords_token_without_the_scope_identify_names_nobody() -> None:
    with pytest.raises(KeyError):
        issued("discord", Answers(**{"oauth2/@me": {"application": {"id": "id"}, "scopes": ["guilds"]}}))


def test_linkedins_issuer_is_written_in_two_ways_and_its_tokens_carry_no_nonce() -> None:
    kind = id_token("linkedin")
    assert issuers(kind, {}) == {"https://www.linkedin.com/oauth", "https://www.linkedin.com"}
    assert kind.nonce_left_out
    assert [name for name in OPENID if id_token(name).nonce_left_out] == ["linkedin"]
    assert not made("linkedin").pkce


def test_openid_connect_needs_no_more_than_an_issuer() -> None:
    provider = made("oidc")
    assert (provider.label, provider.scopes) == ("Oidc", ("openid", "email", "profile"))
    assert provider.public_client
    assert not provider.needs_secret
    assert id_token("oidc").issuers is None
    with pytest.raises(SettingsError, match="__ISSUER is not set"):
        made("oidc", ISSUER="")


def test_openid_connects_label_and_scopes_are_settings() -> None:
    options = {"ISSUER": "https://login.example.com/", "SCOPES": " openid  email groups "}
    provider = factory("oidc")(settings_of("acme_login", **options))
    assert (provider.label, provider.scopes) == ("Acme Login", ("openid", "email", "groups"))
    assert provider.id_token
    assert provider.id_token.issuer == "https://login.example.com"
    assert made("oidc", LABEL="Ada & Co.").label == "Ada & Co."
    for scopes in ("", "email profile", "openid,email"):
        with pytest.raises(SettingsError, match="__SCOPES: expected"):
            made("oidc", SCOPES=scopes)


def test_how_a_generic_providers_secret_is_sent_can_be_told() -> None:
    assert made("oidc").token_auth is None
    for way in ("client_secret_basic", "client_secret_post"):
        assert made("oidc", TOKEN_AUTH=way).token_auth == way
    with pytest.raises(SettingsError, match="__TOKEN_AUTH: expected client_secret_basic or"):
        made("oidc", TOKEN_AUTH="private_key_jwt")
