"""S21-S24, S26, S27: an id_token signs in whom the provider names to this application, and nobody by any other."""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwe
from joserfc.jwk import RSAKey

from authserver.testing.standins import Person, StandIns
from authserver.testing.standins.signing import Signing
from providers.microsoft import CONSUMERS
from tests.conftest import MakeApp
from tests.providers import conftest
from tests.providers.id_tokens import (
    OMIT,
    OPENID,
    base64url,
    claims_of,
    code_body,
    of,
    private,
    provider_of,
    signed,
    subject_claim,
    token,
)
from tests.providers.raw_server import serving
from tests.providers.signing_in import ADA, accounts, refuse_bodies, settings_of, sign_in_with

served_standins = conftest.served_standins
standins = conftest.standins
app = conftest.app
no_secret_is_logged = conftest.no_secret_is_logged

STRANGER = RSAKey.generate_key(2048)
NOBODY = replace(ADA, email=None)
OTHER_TENANT = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
INFINITE = float("inf")

Advance = Callable[[float], None]
# For what is over before the database is asked, which is there to show that nobody came in.
on_one_database = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def no_jwt_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not re.search(r"eyJ[\w-]+\.", "\n".join(record.getMessage() for record in caplog.get_records("call")))


def refuse_tokens(app: Flask, attempts: dict[str, tuple[str, str]]) -> dict[str, dict[str, Any]]:
    return refuse_bodies(app, {name: (provider, {"id_token": one}) for name, (provider, one) in attempts.items()})


def changed(standins: StandIns, **values: list[object]) -> dict[str, tuple[str, str]]:
    """For each provider a token with each of these values of each claim."""
    return {
        f"{name} {claim} {value!r:.60}": (name, token(of(standins, name), ADA, **{claim: value}))
        for name in OPENID
        for claim, all_of_them in values.items()
        for value in all_of_them
    }


def test_an_id_token_signs_in_and_finds_the_account_again(app: Flask, client: FlaskClient, standins: StandIns) -> None:
    for number, name in enumerate(OPENID):
        person = Person(subject=f"{number}", email=f"{number}@example.com", first_name="Ada", last_name="Lovelace")
        first = sign_in_with(client, name, id_token=of(standins, name).id_token(person))
        names = ("", "") if name in ("apple", "gitlab") else ("Ada", "Lovelace")  # told to the redirect alone
        assert first.user["email"] == person.email
        assert (first.user["first_name"], first.user["last_name"]) == names, name
        again = sign_in_with(client, name, id_token=of(standins, name).id_token(replace(person, email=None)))
        assert again.user == first.user
    assert accounts(app) == len(OPENID)


def test_a_person_is_one_whatever_kind_of_credential_they_bring(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    for number, name in enumerate(OPENID):
        person = Person(subject=f"{number}")
        first = sign_in_with(client, name, id_token=of(standins, name).id_token(person))
        access_token = provider_of(app, name).access_token
        if access_token and access_token.issued_to:
            sent = standins.each[name].token(person)
            assert sign_in_with(client, name, access_token=sent).user["id"] == first.user["id"], name
        code = code_body(app, standins, name, person)
        assert sign_in_with(client, name, **code).user["id"] == first.user["id"], name
    assert accounts(app) == len(OPENID)


# S21: the audience


def test_s21_an_id_token_of_another_application_is_refused(app: Flask, standins: StandIns) -> None:
    attempts = {}
    for name in OPENID:
        standin = of(standins, name)
        ours, other = standin.client_id, standin.other_client_id
        audiences: list[object] = [other, [other], [], [[]], [[ours]], [{"id": ours}], {ours: True}, "", "*", None]
        audiences += [True, 0, 1.5, [None], [True], f"{ours},{other}", f"{ours} ", f" {ours}", ours[:-1], ours + "0"]
        audiences += [ours.swapcase() if ours.swapcase() != ours else other, OMIT]
        either: tuple[object, ...] = (ours, OMIT)
        for azp in either:
            for audience in audiences:
                attempts[f"{name} {audience!r} azp {azp}"] = (name, token(standin, aud=audience, azp=azp))
        # Ours is among them, but they were not made for us.
        azps: list[object] = [other, OMIT, None, "", [ours], True, f"{ours} "]
        for several in ([ours, other], [other, ours], [ours, ours], [ours, None]):
            for azp in azps:
                attempts[f"{name} {several} azp {azp!r}"] = (name, token(standin, aud=several, azp=azp))
        # The trap: authlib takes these.
        for audience in (other, [other], [other, "third"]):
            attempts[f"{name} {audience} though azp is ours"] = (name, token(standin, aud=audience, azp=ours))
    refuse_tokens(app, attempts)


def test_s21_an_audience_in_a_list_is_ours_if_it_is_alone_or_the_token_was_made_for_us(
    client: FlaskClient, standins: StandIns
) -> None:
    for name in OPENID:
        standin = of(standins, name)
        ours, other = standin.client_id, standin.other_client_id
        good: list[dict[str, object]] = [
            {"aud": ours, "azp": OMIT},
            {"aud": [ours], "azp": OMIT},
            {"aud": [ours, other], "azp": ours},
            {"aud": [other, ours, "third"], "azp": ours},
            {"aud": ours, "azp": other},  # Google's, got by an Android application for its server
        ]
        for claims in good:
            sign_in_with(client, name, id_token=token(standin, NOBODY, **claims))


@on_one_database
def test_s21_each_of_several_client_ids_is_ours(make_app: MakeApp, standins: StandIns) -> None:
    app = make_app(**settings_of(standins, google__client_id="web, ios,android"))
    client, google = app.test_client(), standins.google
    for claims in ({"aud": "web"}, {"aud": "ios"}, {"aud": ["android"]}, {"aud": ["ios", "third"], "azp": "android"}):
        sign_in_with(client, "google", id_token=token(google, NOBODY, **claims))
    foreign = ("web,ios", "web, ios,android", google.client_id, "", ["third"])
    refuse_tokens(app, {str(one): ("google", token(google, NOBODY, aud=one, azp="web")) for one in foreign})


# Issuer, subject, times, nonce


@on_one_database
def test_an_id_token_of_another_issuer_is_refused(app: Flask, standins: StandIns) -> None:
    attempts: dict[str, tuple[str, str]] = {}
    for name in OPENID:
        standin = of(standins, name)
        iss = standin.iss(ADA)
        others: list[object] = [of(standins, other).iss(ADA) for other in OPENID if other != name]
        others += [OMIT, None, "", [iss], {iss: 1}, True, 7, f"{iss}/", f"{iss}#", f"{iss}?", iss.upper(), iss[:-1]]
        others += [f"{iss}.evil.example", iss.replace("127.0.0.1", "localhost"), iss.replace("http:", "https:")]
        attempts |= {f"{name} {other}": (name, token(standin, iss=other)) for other in others}
    refuse_tokens(app, attempts)


def test_an_id_token_without_a_subject_that_can_be_stored_is_refused(app: Flask, standins: StandIns) -> None:
    odd: list[object] = [None, "", 1001, 1001.0, True, ["1001"], {"id": "1001"}, "x" * 256, "a\0b", "a\nb", "\ud800"]
    attempts = {
        f"{name} {value!r:.60}": (name, token(of(standins, name), ADA, **{subject_claim(name): value}))
        for name in OPENID
        for value in [*odd, OMIT]
    }
    attempts |= {f"{name} without sub": (name, token(of(standins, name), sub=OMIT)) for name in OPENID}
    refuse_tokens(app, attempts)


ODD_TIMES: list[object] = [None, "", "9999999999", True, False, [], [9999999999], {}, float("nan"), INFINITE, -INFINITE]
ODD_TIMES += [10**400, -(10**400)]


@on_one_database
def test_an_id_token_whose_times_are_missing_past_or_no_numbers_is_refused(app: Flask, standins: StandIns) -> None:
    now = int(time.time())
    past: list[object] = [now - 60, now - 10, 0, -1, -1e300]
    future: list[object] = [now + 60, now + 3600.5, 1e300]
    refuse_tokens(
        app,
        changed(standins, exp=[*ODD_TIMES, *past, OMIT], iat=[*ODD_TIMES, *future, OMIT], nbf=[*ODD_TIMES, *future]),
    )


@on_one_database
def test_an_id_token_ends_by_our_clock(app: Flask, client: FlaskClient, standins: StandIns, advance: Advance) -> None:
    sent = {name: token(of(standins, name), NOBODY) for name in OPENID}
    for name, one in sent.items():
        sign_in_with(client, name, id_token=one)
    advance(max(of(standins, name).id_token_lifetime for name in OPENID) + 60)
    refuse_tokens(app, {name: (name, one) for name, one in sent.items()})


@on_one_database
def test_a_providers_clock_may_differ_a_little_and_its_times_may_have_fractions(
    client: FlaskClient, standins: StandIns
) -> None:
    now = time.time()
    for claims in ({"iat": now + 5, "nbf": now + 5}, {"exp": now - 5}, {"iat": now - 3000.25, "nbf": OMIT}):
        for name in OPENID:
            sign_in_with(client, name, id_token=token(of(standins, name), NOBODY, **claims))


@on_one_database
def test_a_nonce_is_compared_where_it_is_sent(app: Flask, client: FlaskClient, standins: StandIns) -> None:
    attempts: dict[str, tuple[str, dict[str, object]]] = {}
    for name in OPENID:
        with_it = token(of(standins, name), NOBODY, nonce="the nonce")
        without = token(of(standins, name), NOBODY, nonce=OMIT)
        sign_in_with(client, name, id_token=with_it, nonce="the nonce")
        sign_in_with(client, name, id_token=with_it)
        sign_in_with(client, name, id_token=with_it, nonce=None)
        sign_in_with(client, name, id_token=without)
        for nonce in ("another", "", "The nonce", "the nonce ", "None", "null"):
            attempts[f"{name} {nonce!r}"] = (name, {"id_token": with_it, "nonce": nonce})
            attempts[f"{name} {nonce!r} and none in it"] = (name, {"id_token": without, "nonce": nonce})
        odd: list[object] = [None, True, 7, ["the nonce"], {"the nonce": 1}]
        for value in odd:
            one = token(of(standins, name), NOBODY, nonce=value)
            attempts[f"{name} {value!r} in it"] = (name, {"id_token": one, "nonce": "the nonce"})
    refuse_bodies(app, attempts)


# Signatures


@on_one_database
def test_an_id_token_that_is_not_signed_is_refused_however_none_is_spelt(app: Flask, standins: StandIns) -> None:
    attempts = {}
    algorithms: list[object] = ["none", "None", "NONE", "nOnE", " none", "none ", "", None, True, ["none"], OMIT, {}]
    for name in OPENID:
        standin = of(standins, name)
        claims = json.dumps(claims_of(standin)).encode()
        for algorithm in algorithms:
            good = signed(standin, claims, alg=algorithm)
            unsigned = good.rpartition(".")[0]
            for ending in ("", ".", ".AA", f".{good.rpartition('.')[2]}"):
                attempts[f"{name} {algorithm!r} {ending:.5}"] = (name, unsigned + ending)
    refuse_tokens(app, attempts)


def public_bytes(standin: Signing) -> dict[str, bytes]:
    """Whatever of a public key an attacker might hope is taken for a shared secret."""
    key, published = private(standin).public_key(), standin.key.as_dict(private=False)
    bare = {name: published[name] for name in ("e", "kty", "n")}
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {
        "spki": pem,
        "spki without the line end": pem.strip(),
        "pkcs1": key.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        "der": key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "openssh": key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "jwk": json.dumps(published).encode(),
        "bare jwk": json.dumps(bare, separators=(",", ":")).encode(),
        "n": str(published["n"]).encode(),
        "kid": str(standin.key.kid).encode(),
        "client secret": standin.client_secret.encode(),
        "nothing": b"",
    }


@on_one_database
def test_an_id_token_signed_with_what_everybody_knows_is_refused(app: Flask, standins: StandIns) -> None:
    attempts = {}
    for name in OPENID:
        standin = of(standins, name)
        for algorithm, digest in (("HS256", "sha256"), ("HS512", "sha512"), ("hs256", "sha256"), ("RS256", "sha256")):
            message = signed(standin, json.dumps(claims_of(standin)).encode(), alg=algorithm).rpartition(".")[0]
            for kind, secret in public_bytes(standin).items():
                signature = base64url(hmac.digest(secret, message.encode(), getattr(hashlib, digest)))
                attempts[f"{name} {algorithm} {kind}"] = (name, f"{message}.{signature}")
    refuse_tokens(app, attempts)


def signed_by_stranger(standin: Signing, **header: object) -> str:
    message = signed(standin, json.dumps(claims_of(standin)).encode(), **header).rpartition(".")[0]
    assert STRANGER.private_key is not None
    return f"{message}.{base64url(STRANGER.private_key.sign(message.encode(), PKCS1v15(), SHA256()))}"


@on_one_database
def test_an_id_token_that_brings_its_own_key_is_refused_and_nothing_is_fetched(app: Flask, standins: StandIns) -> None:
    jwk = STRANGER.as_dict(private=False)
    with serving(lambda request, connection: connection.reply({"keys": [jwk]})) as server:
        attempts = {}
        for name in OPENID:
            standin = of(standins, name)
            kids: list[object] = [standin.key.kid, STRANGER.thumbprint(), OMIT, f"{server.url}/jwks"]
            headers: list[dict[str, object]] = [
                {"jwk": jwk},
                {"jku": f"{server.url}/jwks"},
                {"x5u": f"{server.url}/chain.pem"},
                {"x5c": [base64url(b"no certificate")]},
                {"jku": f"{server.url}/jwks", "iss": standin.iss(ADA), "jwk": jwk},
                {},
            ]
            for kid in kids:
                for header in headers:
                    what = f"{name} {kid} {sorted(header)}"
                    attempts[what] = (name, signed_by_stranger(standin, kid=kid, **header))
        refuse_tokens(app, attempts)
        assert server.connections == 0


@on_one_database
def test_an_id_token_under_an_odd_key_id_is_refused(app: Flask, standins: StandIns) -> None:
    attempts = {}
    for name in OPENID:
        standin = of(standins, name)
        kid = str(standin.key.kid)
        odd: list[object] = ["", "../../../../etc/passwd", "/dev/null", "x" * 5000, "' OR 1=1 --", "\0", f"{kid}\0"]
        odd += [kid.upper() + "x", f" {kid}", 0, 1.5, True, None, [kid], {"kid": kid}, [], "null", "None", "\ud800"]
        for one in odd:
            attempts[f"{name} {one!r:.40}"] = (
                name,
                signed(standin, json.dumps(claims_of(standin)).encode(), kid=one),
            )
    refuse_tokens(app, attempts)


@on_one_database
def test_an_id_token_of_which_a_character_was_altered_is_refused(app: Flask, standins: StandIns) -> None:
    attempts = {}
    for name in OPENID:
        good = token(of(standins, name))
        for position in {*range(0, len(good), 17), len(good) - 1, good.index(".") - 1, good.rindex(".") - 1}:
            for other in "A_" if good[position] != "." else ":":
                if good[position] not in ("A", "_", "."):
                    altered = good[:position] + other + good[position + 1 :]
                    attempts[f"{name} {position} {other}"] = (name, altered)
        head, payload, signature = good.split(".")
        another = token(of(standins, name), Person(subject="another")).split(".")
        for number, parts in enumerate(
            [
                (head, another[1], signature),
                (head, payload, another[2]),
                (payload, head, signature),
                (head, payload),
                (head, payload, signature, ""),
                (head, payload, signature, signature),
                ("", payload, signature),
                (head, "", signature),
                (head, payload, signature[:-4]),
                (head, payload, f"{signature}AAAA"),
                (f"{head}=", payload, signature),
                (head, f"{payload}=", signature),
                (head, payload, f"{signature}=="),
            ]
        ):
            attempts[f"{name} parts {number}"] = (name, ".".join(parts))
    refuse_tokens(app, attempts)


@on_one_database
def test_the_last_character_of_a_signature_has_one_spelling(app: Flask, standins: StandIns) -> None:
    """Of its six bits some say nothing: tokens that differ in them would be one token to us and two to a list."""
    good = token(standins.oidc)
    everything = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    refuse_tokens(app, {one: ("acme", good[:-1] + one) for one in everything if one != good[-1]})


@on_one_database
def test_what_is_no_signed_jwt_of_claims_is_refused(app: Flask, standins: StandIns) -> None:
    attempts = {}
    for name in OPENID:
        standin = of(standins, name)
        good = token(standin)
        claims = json.dumps(claims_of(standin)).encode()
        payloads = [b"", b"[]", b'"x"', b"null", b"7", b"{", b"\xff", b"NaN", good.encode(), b"[" + claims + b"]"]
        payloads += [b"[" * 9000, b'{"a":' * 1500, b"9" * 9000, claims + claims, claims[:-1], b" ", b"\0" + claims]
        for number, payload in enumerate(payloads):
            attempts[f"{name} payload {number}"] = (name, signed(standin, payload))
        attempts[f"{name} a JWT in a JWT"] = (name, signed(standin, good.encode(), cty="JWT"))
        encrypted = jwe.encrypt_compact(
            {"alg": "RSA-OAEP-256", "enc": "A128GCM", "kid": standin.key.kid},
            good.encode(),
            RSAKey.import_key(private(standin).public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)),
            algorithms=["RSA-OAEP-256", "A128GCM"],
        )
        attempts[f"{name} encrypted"] = (name, encrypted)
        texts = [
            "canary",
            "canary.canary.canary",
            "..",
            "a.b.c.d.e",
            "{}",
            "null",
            "eyJhbGciOiJub25lIn0.e30.",
            "a" * 16384,
        ]
        attempts |= {f"{name} {text:.20}": (name, text) for text in texts}
    refuse_tokens(app, attempts)


@on_one_database
def test_headers_that_have_to_be_understood_are_refused(app: Flask, standins: StandIns) -> None:
    critical: list[dict[str, object]] = [
        {"crit": ["exp"], "exp": 1},
        {"crit": ["b64"], "b64": False},
        {"crit": ["b64"]},
        {"crit": ["made-up"], "made-up": True},
        {"crit": "b64", "b64": False},
        {"crit": [7]},
        {"crit": {}},
        {"b64": False},
    ]
    attempts = {}
    for name in OPENID:
        standin = of(standins, name)
        for header in critical:
            attempts[f"{name} {header}"] = (
                name,
                signed(standin, json.dumps(claims_of(standin)).encode(), **header),
            )
            message = signed(standin, b"", **header).split(".")[0] + "." + json.dumps(claims_of(standin))
            signature = private(standin).sign(message.encode(), PKCS1v15(), SHA256())
            attempts[f"{name} {header} unencoded"] = (name, f"{message}.{base64url(signature)}".replace(" ", ""))
    refuse_tokens(app, attempts)


@on_one_database
def test_headers_that_nobody_has_to_understand_are_ignored(client: FlaskClient, standins: StandIns) -> None:
    """RFC 7515 §4: providers add their own."""
    for name in OPENID:
        claims = json.dumps(claims_of(of(standins, name), NOBODY)).encode()
        for header in ({"typ": OMIT}, {"typ": "jwt"}, {"x5t": "abc"}, {"ver": 1, "org.example": {"a": ["b"]}}):
            sign_in_with(client, name, id_token=signed(of(standins, name), claims, **header))


@on_one_database
def test_a_long_id_token_is_taken_and_one_too_long_is_a_400(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    for name in OPENID:
        groups = "g" * 11000
        sign_in_with(client, name, id_token=token(of(standins, name), NOBODY, groups=groups))
        deep: Any = []
        for _ in range(400):
            deep = [deep]
        sign_in_with(client, name, id_token=token(of(standins, name), NOBODY, deep=deep))
        attempts = {"too long": (name, {"id_token": token(of(standins, name), NOBODY, groups=groups * 2)})}
        refuse_bodies(app, attempts, 400, "invalid_request", "id_token")


# The body


@on_one_database
def test_exactly_one_credential_is_taken_and_the_refusal_names_the_fields(app: Flask, standins: StandIns) -> None:
    for name in OPENID:
        good = token(of(standins, name), NOBODY)
        bodies: dict[str, tuple[dict[str, object], str]] = {
            "none": ({}, "access_token"),
            "all null": ({"access_token": None, "id_token": None, "code": None}, "access_token"),
            "nonce alone": ({"nonce": "x"}, "access_token"),
            "redirect_uri alone": ({"redirect_uri": "https://app.example.com"}, "access_token"),
            "two": ({"id_token": good, "access_token": "canary"}, "id_token"),
            "with a code": ({"id_token": good, "code": "canary", "redirect_uri": "https://app.example.com"}, "code"),
            "three": ({"id_token": good, "access_token": "canary", "code": "canary"}, "id_token"),
            "code alone": ({"code": "canary"}, "redirect_uri"),
            "no place": ({"code": "canary", "redirect_uri": None}, "redirect_uri"),
        }
        odd: list[object] = [True, 7, [], [good], {}, {"id_token": good}, "", " ", f" {good}", f"{good}\n", "\ud800"]
        bodies |= {f"{value!r:.30}": ({"id_token": value}, "id_token") for value in odd}
        no_texts: list[object] = [7, [], "\0"]
        bodies |= {f"nonce {value!r}": ({"id_token": good, "nonce": value}, "nonce") for value in no_texts}
        for field in sorted({field for _, field in bodies.values()}):
            to_blame = {f"{name} {what}": (name, body) for what, (body, one) in bodies.items() if one == field}
            refuse_bodies(app, to_blame, 400, "invalid_request", field)
    assert [one for one in standins.asked if "well-known" in one] == []


@on_one_database
def test_null_fields_count_as_left_out(client: FlaskClient, standins: StandIns) -> None:
    nothing: dict[str, object] = dict.fromkeys(("access_token", "nonce", "code", "redirect_uri", "code_verifier"))
    for name in OPENID:
        sign_in_with(client, name, **nothing, id_token=token(of(standins, name), NOBODY))


@on_one_database
def test_an_access_token_sent_as_an_id_token_and_the_reverse_are_named_in_the_refusal(
    app: Flask, standins: StandIns
) -> None:
    for name in OPENID:
        good = token(of(standins, name), NOBODY)
        in_a_list = token(of(standins, name), NOBODY, aud=[of(standins, name).client_id])
        for one in (good, in_a_list):
            said = refuse_bodies(app, {"": (name, {"access_token": one})})[""]["detail"]
            assert said == "This is an id_token: send it as `id_token`.", name
        said = refuse_bodies(app, {"": (name, {"access_token": token(of(standins, name), aud="x")})})[""]["detail"]
        assert "id_token" not in said
        kind = provider_of(app, name).access_token
        if kind and kind.issued_to and name != "microsoft":  # whose access tokens look like id_tokens
            sent = standins.each[name].token(NOBODY)
            said = refuse_bodies(app, {"": (name, {"id_token": sent})})[""]["detail"]
            assert said == "This is no id_token: send an access token as `access_token`.", name
            assert sent not in said
    refuse_tokens(app, {"of microsoft": ("microsoft", standins.microsoft.token(NOBODY))})


# S22, S23, S24, S26, S27


def openid(app: Flask) -> list[str]:
    """Whose codes bring an id_token."""
    return [name for name in OPENID if "openid" in provider_of(app, name).scopes]


@on_one_database
def test_s21_a_code_brings_an_id_token_that_is_checked_as_any_other(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    attempts: dict[str, tuple[str, dict[str, object]]] = {}
    for name in openid(app):
        standin, past = of(standins, name), int(time.time()) - 60
        ours, other = standin.client_id, standin.other_client_id
        odd: list[dict[str, object]] = [
            {"aud": other},
            {"aud": other, "azp": ours},
            {"aud": []},
            {"aud": [ours, other], "azp": other},
            {"iss": "https://evil.example"},
            {"exp": past},
            {"exp": "9999999999"},
            {subject_claim(name): ""},
            {subject_claim(name): 7},
        ]
        for claims in odd:
            person = replace(NOBODY, claims=claims)
            attempts[f"{name} {claims}"] = (name, code_body(app, standins, name, person))
        attempts[f"{name} other application"] = (
            name,
            code_body(app, standins, name, replace(NOBODY, other_application=True)),
        )
        sign_in_with(client, name, **code_body(app, standins, name, NOBODY))
    refuse_bodies(app, attempts)


def test_s21_a_code_is_worth_something_once_and_to_whom_it_was_given(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    attempts: dict[str, tuple[str, dict[str, object]]] = {}
    for name, standin in standins.each.items():
        used = code_body(app, standins, name, NOBODY)
        sign_in_with(client, name, **used)
        attempts[f"{name} used"] = (name, used)
        foreign = code_body(app, standins, name, NOBODY, client_id=standin.other_client_id)
        attempts[f"{name} of another application"] = (name, foreign)
        elsewhere = code_body(app, standins, name, NOBODY)
        attempts[f"{name} redirect_uri"] = (name, {**elsewhere, "redirect_uri": "https://app.example.com/else"})
        if provider_of(app, name).pkce:
            for verifier in ("another verifier that is as long as it must be", "", None):
                body = {**code_body(app, standins, name, NOBODY), "code_verifier": verifier}
                attempts[f"{name} verifier {verifier!r}"] = (name, body)
        attempts[f"{name} unknown"] = (name, {"code": "canary", "redirect_uri": "https://app.example.com"})
        for other in standins.each:
            if other != name:
                attempts[f"{name} of {other}"] = (name, code_body(app, standins, other, NOBODY))
    refuse_bodies(app, attempts)


@on_one_database
def test_a_codes_nonce_is_compared_where_it_is_sent(app: Flask, client: FlaskClient, standins: StandIns) -> None:
    attempts: dict[str, tuple[str, dict[str, object]]] = {}
    for name in openid(app):
        kind = provider_of(app, name).id_token
        if kind and kind.nonce_left_out:
            continue
        sign_in_with(client, name, **code_body(app, standins, name, NOBODY, nonce="mine"), nonce="mine")
        attempts[name] = (name, {**code_body(app, standins, name, NOBODY, nonce="mine"), "nonce": "theirs"})
        without = code_body(app, standins, name, replace(NOBODY, claims={"nonce": None}), nonce="mine")
        attempts[f"{name} without"] = (name, {**without, "nonce": "mine"})
    refuse_bodies(app, attempts)


def test_s22_a_userinfo_of_another_subject_is_refused(app: Flask, client: FlaskClient, standins: StandIns) -> None:
    asking = [name for name in openid(app) if (kind := provider_of(app, name).id_token) and kind.userinfo]
    assert "acme" in asking
    attempts: dict[str, tuple[str, dict[str, object]]] = {}
    for number, name in enumerate(asking):
        profile = replace(ADA, email=f"{number}@example.com", email_verified=True, claims={"email": None})
        assert sign_in_with(client, name, **code_body(app, standins, name, profile)).user["email"] == profile.email
        for subject in ("666", "1001 ", "01001", "\u0661001"):
            mallory = replace(profile, claims={"email": None, "sub": subject})
            attempts[f"{name} {subject}"] = (name, code_body(app, standins, name, mallory))
    refuse_bodies(app, attempts)


# By exact type and value; `email_verified` for all but Microsoft. Facebook says nothing of its addresses.
VERIFIED: dict[str, list[object]] = {"apple": [True, "true"], "facebook": [], "microsoft": [True, 1, "1", "true"]}
SPELLINGS: list[object] = [True, 1, "1", "true", "True", 1.0, "false", False, None, OMIT, [True], {"value": True}]


@on_one_database
def test_s23_only_the_documented_spellings_verify_an_address(client: FlaskClient, standins: StandIns) -> None:
    for name in OPENID:
        claim = "xms_edov" if name == "microsoft" else "email_verified"
        verified = [(type(value), value) for value in VERIFIED.get(name, [True])]
        for number, value in enumerate(SPELLINGS):
            person = Person(subject=f"{number}", email=f"{name}{number}@example.com", email_verified=OMIT)
            user = sign_in_with(client, name, id_token=token(of(standins, name), person, **{claim: value})).user
            assert (user["email"], user["email_verified"]) == (person.email, (type(value), value) in verified), (
                name,
                value,
            )


@on_one_database
def test_s23_an_email_verified_of_microsofts_verifies_nothing(client: FlaskClient, standins: StandIns) -> None:
    claims = {"xms_edov": OMIT, "email_verified": True, "verified_primary_email": ["ada@example.com"]}
    assert not sign_in_with(client, "microsoft", id_token=token(standins.microsoft, ADA, **claims)).user[
        "email_verified"
    ]


@on_one_database
def test_s24_a_required_hosted_domain_is_compared_whole(make_app: MakeApp, standins: StandIns) -> None:
    app = make_app(**settings_of(standins, google__hosted_domain="example.com"))
    google, client = standins.google, app.test_client()
    ada = replace(ADA, hosted_domain="example.com")
    sign_in_with(client, "google", id_token=token(google, ada))
    sign_in_with(client, "google", **code_body(app, standins, "google", ada))
    odd: list[object] = [OMIT, None, "", "notexample.com", "example.com.evil.example", "sub.example.com", "com", "*"]
    odd += [["example.com"], True, "example.com ", "EXAMPLE.COM", {"example.com": 1}]
    bodies: dict[str, tuple[str, dict[str, object]]] = {
        f"{hd!r}": ("google", {"id_token": token(google, ada, hd=hd)}) for hd in odd
    }
    bodies["code"] = ("google", code_body(app, standins, "google", ADA))
    refuse_bodies(app, bodies)


def test_s26_a_microsoft_id_token_is_of_its_own_tenants_issuer(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    microsoft = standins.microsoft
    ours = microsoft.iss(ADA)
    theirs = microsoft.iss(replace(ADA, tenant=OTHER_TENANT))
    sign_in_with(client, "microsoft", id_token=token(microsoft, NOBODY))
    sign_in_with(client, "microsoft", id_token=token(microsoft, NOBODY, iss=theirs, tid=OTHER_TENANT))
    assert accounts(app) == 2, "one object id in two tenants is two people"
    odd: list[dict[str, object]] = [
        {"iss": theirs},
        {"tid": OTHER_TENANT},
        {"iss": f"{microsoft.url}/common/v2.0"},
        {"iss": f"{microsoft.url}/common/v2.0", "tid": "common"},
        {"iss": f"{microsoft.url}/{{tenantid}}/v2.0"},
        {"iss": f"{microsoft.url}/{{tenantid}}/v2.0", "tid": "{tenantid}"},
        {"iss": f"https://sts.windows.net/{ADA.tenant}/"},
        {"iss": ours.removesuffix("/v2.0")},
        {"iss": f"{microsoft.url}//v2.0", "tid": ""},
        {"oid": OMIT},
        {"oid": None},
        {"oid": 7},
        {"tid": OMIT},
        {"tid": None},
        {"tid": [ADA.tenant]},
    ]
    for tid in (
        ADA.tenant.upper(),
        f" {ADA.tenant}",
        f"{ADA.tenant}\n",
        "../evil",
        f"x/../{ADA.tenant}",
        "contoso.com",
    ):
        odd.append({"tid": tid, "iss": f"{microsoft.url}/{tid}/v2.0"})
    refuse_tokens(app, {str(claims): ("microsoft", token(microsoft, NOBODY, **claims)) for claims in odd})


@on_one_database
@pytest.mark.parametrize("setting", ["organizations", "consumers", ADA.tenant])
def test_s26_the_people_of_a_tenant_that_is_not_asked_for_are_refused(
    make_app: MakeApp, standins: StandIns, setting: str
) -> None:
    app, microsoft = make_app(**settings_of(standins, microsoft__tenant=setting)), standins.microsoft
    admitted = {"organizations": {ADA.tenant, OTHER_TENANT}, "consumers": {CONSUMERS}}.get(setting, {setting})
    refused: dict[str, tuple[str, dict[str, object]]] = {}
    for tenant in (ADA.tenant, OTHER_TENANT, CONSUMERS):
        person = replace(NOBODY, tenant=tenant)
        bodies: list[dict[str, object]] = [{"id_token": microsoft.id_token(person)}]
        bodies.append(code_body(app, standins, "microsoft", person))
        for number, body in enumerate(bodies):
            if tenant in admitted:
                sign_in_with(app.test_client(), "microsoft", **body)
            else:
                refused[f"{tenant} {number}"] = ("microsoft", body)
    refuse_bodies(app, refused)
    assert accounts(app) == len(admitted)


def test_s27_an_id_token_of_one_provider_is_worth_nothing_at_another(app: Flask, standins: StandIns) -> None:
    """Not even for the same application, as the same issuer, under the other's key id."""
    attempts = {}
    for name in OPENID:
        at = of(standins, name)
        for other in OPENID:
            if other != name:
                claims = claims_of(at)
                kid, aud, iss = at.key.kid, claims["aud"], claims["iss"]
                attempts[f"{other} at {name}"] = (name, token(of(standins, other)))
                attempts[f"{other} at {name}, aud"] = (name, token(of(standins, other), aud=aud, azp=aud))
                forged = json.dumps(claims_of(of(standins, other), aud=aud, azp=aud)).encode()
                attempts[f"{other} at {name}, aud, kid"] = (name, signed(of(standins, other), forged, kid=kid))
                forged = json.dumps({**claims_of(at), "iss": iss}).encode()
                attempts[f"{other} at {name}, all"] = (name, signed(of(standins, other), forged, kid=kid))
                attempts[f"{other} at {name}, all but kid"] = (name, signed(of(standins, other), forged))
    refuse_tokens(app, attempts)


@on_one_database
def test_s27_one_client_id_at_two_providers_does_not_make_them_one(make_app: MakeApp, standins: StandIns) -> None:
    same = {f"{name}__client_id": "the same" for name in OPENID}
    app = make_app(**settings_of(standins, **same))
    client = app.test_client()
    for name in OPENID:
        sign_in_with(client, name, id_token=token(of(standins, name), NOBODY, aud="the same", azp="the same"))
    assert accounts(app) == len(OPENID)
    refuse_tokens(
        app,
        {
            f"{other} at {name}": (name, token(of(standins, other), NOBODY, aud="the same", azp="the same"))
            for name in OPENID
            for other in OPENID
            if name != other
        },
    )


@on_one_database
def test_a_provider_without_id_tokens_refuses_them(app: Flask, standins: StandIns) -> None:
    attempts = {name: (name, token(standins.oidc)) for name in standins.each if name not in OPENID}
    assert attempts
    refuse_tokens(app, attempts)
    assert standins.asked == []
