"""S30: a provider's keys are followed and not hammered; an outage forgets none. Which key may sign what."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from flask import Flask
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeyParameters, OctKey, OKPKey, RSAKey
from werkzeug.test import TestResponse

from authserver.oauth import documents, upstream
from authserver.oauth.documents import COOLDOWN, LIFETIME, Documents
from authserver.oauth.provider import IdToken, Unavailable, standard_identity
from tests.conftest import PUBLIC_URL, Clock, MakeApp
from tests.factories import assert_error
from tests.providers.faults import QUICK, SLOW
from tests.providers.raw_server import Connection, RawServer, Request, serving
from tests.providers.redirecting import NEXT, Flow
from tests.providers.shipped import Answers
from tests.providers.signing_in import rows, send

DISCOVERY = "/.well-known/openid-configuration"
OURS = "ours"
# All of it is over before the database is asked, which is there to show that nobody came in.
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

EncodeWith = Callable[..., str]


@dataclass
class Publisher:
    """An OpenID provider's server: what it says of itself, which may be anything or a fault."""

    server: RawServer
    answers: dict[str, object]

    @property
    def url(self) -> str:
        return self.server.url

    def publish(self, *keys: object) -> None:
        self.answers["/jwks"] = {"keys": [public(key) for key in keys]}

    def describe(self, **changes: object) -> None:
        """The discovery document; None leaves something out."""
        usual = {"issuer": self.url, "jwks_uri": f"{self.url}/jwks", "token_endpoint": f"{self.url}/token"}
        document = {**usual, "authorization_endpoint": f"{self.url}/authorize", **changes}
        self.answers[DISCOVERY] = {name: value for name, value in document.items() if value is not None}

    def asked(self, path: str = "/jwks") -> int:
        return self.server.paths.count(f"GET {path}")

    def token(self, key: Key, alg: str = "ES256", kid: object = ..., **claims: object) -> str:
        now = int(time.time())
        said = {"iss": self.url, "aud": OURS, "sub": "1001", "iat": now, "exp": now + 300, **claims}
        header = {"alg": alg, "kid": key.kid if kid is ... else kid}
        if header["kid"] is None:
            del header["kid"]
        return jwt.encode(header, said, key, algorithms=[alg])


def public(key: object) -> object:
    return key.as_dict(private=False) if isinstance(key, Key) else key


def new_key(kid: str | None, use: KeyParameters | None = None) -> ECKey:
    named: KeyParameters = {"kid": kid} if kid else {}
    return ECKey.generate_key("P-256", {**named, **(use or {})})


FIRST, SECOND, STRANGER = new_key("first"), new_key("second", {"use": "sig", "alg": "ES256"}), new_key("stranger")


@contextmanager
def publishing() -> Iterator[Publisher]:
    answers: dict[str, object] = {}

    def answer(request: Request, connection: Connection) -> None:
        said = answers.get(request.path, {})
        said(connection) if callable(said) else connection.reply(said)

    with serving(answer) as server:
        publisher = Publisher(server, answers)
        publisher.describe()
        publisher.publish(FIRST)
        yield publisher


@pytest.fixture
def acme() -> Iterator[Publisher]:
    with publishing() as publisher:
        yield publisher


def app_at(make_app: MakeApp, issuer: str, **more: object) -> Flask:
    return make_app(
        providers__acme__type="oidc",
        providers__acme__issuer=issuer,
        providers__acme__client_id=OURS,
        redirect_urls=NEXT,
        **more,
    )


@pytest.fixture
def app(make_app: MakeApp, acme: Publisher) -> Flask:
    return app_at(make_app, acme.url)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Of what is kept; only the test moves it."""
    clock = Clock()
    monkeypatch.setattr(documents, "monotonic", clock)
    return clock


def post(app: Flask, token: str) -> TestResponse:
    return send(app.test_client(), "acme", {"id_token": token})


def sign_in(app: Flask, token: str, why: object = "") -> None:
    answer = post(app, token)
    assert answer.status_code == 200, (why, answer.text)


def refuse(app: Flask, token: str, why: object = "") -> None:
    answer = post(app, token)
    assert answer.status_code == 401, (why, answer.text)
    assert_error(answer, 401, "provider_token_not_valid")


def cannot_tell(app: Flask, token: str, why: object = "") -> None:
    answer = post(app, token)
    assert answer.status_code == 503, (why, answer.text)
    assert_error(answer, 503, "provider_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def hostile(acme: Publisher, number: int) -> str:
    """Each under another key id, made up by an attacker who has read the public keys."""
    kinds: tuple[Callable[[], str], ...] = (
        lambda: acme.token(STRANGER, kid=f"unknown {number}"),
        lambda: acme.token(STRANGER, kid=f"first{number}"),
        lambda: acme.token(STRANGER, kid=None),
        lambda: acme.token(OctKey.import_key("x" * 32), "HS256", kid=f"{number}"),
        lambda: acme.token(STRANGER, kid=f"../jwks?{number}"),
    )
    return kinds[number % len(kinds)]()


def test_s30_unknown_key_ids_do_not_hammer_the_jwks(app: Flask, acme: Publisher, clock: Clock) -> None:
    acme.publish(FIRST, SECOND)
    sign_in(app, acme.token(FIRST))
    before = rows(app)
    tokens = [hostile(acme, number) for number in range(50)]
    for window in range(3):
        assert acme.asked() == 1 + window
        clock.now += COOLDOWN
        for token in tokens:
            refuse(app, token)
    assert acme.asked() == 4, "once in each cooldown"
    assert acme.asked(DISCOVERY) == 1
    assert rows(app) == before
    sign_in(app, acme.token(SECOND))


def test_s30_nor_do_many_at_once(app: Flask, acme: Publisher, clock: Clock) -> None:
    sign_in(app, acme.token(FIRST))
    clock.now += COOLDOWN
    tokens = [hostile(acme, number) for number in range(50)]
    with ThreadPoolExecutor(upstream.MOST_OF_ONE) as threads:
        statuses = list(threads.map(lambda token: post(app, token).status_code, tokens))
    # 503: while the keys are being asked for, nobody knows.
    assert set(statuses) <= {401, 503}
    assert 401 in statuses
    assert acme.asked() == 2
    sign_in(app, acme.token(FIRST))


def test_s30_a_rotation_at_the_provider_is_followed(app: Flask, acme: Publisher, clock: Clock) -> None:
    sign_in(app, acme.token(FIRST))
    clock.now += COOLDOWN
    acme.publish(SECOND, FIRST)
    sign_in(app, acme.token(SECOND))
    sign_in(app, acme.token(FIRST))
    assert acme.asked() == 2
    clock.now += COOLDOWN
    acme.publish(SECOND)
    sign_in(app, acme.token(FIRST), "nobody has asked since")
    clock.now += LIFETIME
    refuse(app, acme.token(FIRST))
    sign_in(app, acme.token(SECOND))


def test_s30_a_new_key_is_not_called_a_forgery_while_it_is_being_asked_for(
    app: Flask, acme: Publisher, clock: Clock
) -> None:
    sign_in(app, acme.token(FIRST))
    clock.now += COOLDOWN
    asked, released = threading.Event(), threading.Event()

    def answer(connection: Connection) -> None:
        asked.set()
        released.wait(upstream.TOTAL)
        connection.reply({"keys": [public(SECOND)]})

    acme.answers["/jwks"] = answer
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(post, app, acme.token(SECOND))
        assert asked.wait(upstream.TOTAL)
        cannot_tell(app, acme.token(SECOND))
        sign_in(app, acme.token(FIRST), "which is known")
        released.set()
        assert first.result().status_code == 200
    sign_in(app, acme.token(SECOND))
    assert acme.asked() == 2


OUTAGES = ("500", "503", "429", "302", "html", "nothing", "cut_json", "64_kb_and_a_byte", "too_deep", "closed_early")


def test_s30_an_outage_forgets_neither_keys_nor_endpoints(app: Flask, acme: Publisher, clock: Clock) -> None:
    sign_in(app, acme.token(FIRST))
    good = dict(acme.answers)
    for outage in OUTAGES:
        clock.now += LIFETIME
        acme.answers |= dict.fromkeys(good, QUICK[outage])
        sign_in(app, acme.token(FIRST), outage)
        clock.now += COOLDOWN
        cannot_tell(app, acme.token(SECOND), outage)
        sign_in(app, acme.token(FIRST), outage)
        asked = len(acme.server.asked)
        cannot_tell(app, acme.token(SECOND), "it may be new, and is not asked for again so soon")
        assert len(acme.server.asked) == asked
        acme.answers |= good
        cannot_tell(app, acme.token(STRANGER), outage)
        clock.now += COOLDOWN
        refuse(app, acme.token(STRANGER), outage)
    acme.publish(SECOND)
    clock.now += COOLDOWN
    sign_in(app, acme.token(SECOND))


def test_s30_an_outage_in_which_nothing_is_answered_forgets_nothing(
    app: Flask, acme: Publisher, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(app, acme.token(FIRST))
    monkeypatch.setattr(upstream, "TOTAL", 0.2)
    acme.answers |= dict.fromkeys(acme.answers, SLOW["silence"])
    clock.now += LIFETIME
    sign_in(app, acme.token(FIRST))
    clock.now += COOLDOWN
    cannot_tell(app, acme.token(SECOND))
    sign_in(app, acme.token(FIRST))


def test_s30_a_provider_that_refuses_connections_is_not_forgotten(make_app: MakeApp, clock: Clock) -> None:
    with publishing() as acme:
        app = app_at(make_app, acme.url)
        sign_in(app, acme.token(FIRST))
    clock.now += LIFETIME
    sign_in(app, acme.token(FIRST))
    clock.now += COOLDOWN
    cannot_tell(app, acme.token(SECOND))
    sign_in(app, acme.token(FIRST))


NO_JWKS: list[object] = [None, [], {}, "keys", 7, {"keys": None}, {"keys": []}, {"keys": {}}, {"keys": "RSA"}]
NO_KEYS: list[object] = [None, [], "RSA", 7, {}, {"kty": "oct", "k": "AAAA", "kid": "first"}]
NO_JWKS += [{"keys": [one]} for one in NO_KEYS]
NO_JWKS += [[public(STRANGER)], {"key": [public(STRANGER)]}, {"keys": {"stranger": public(STRANGER)}}]

NO_DISCOVERY: list[object] = [None, [], "x", 7, {}, {"jwks_uri": None}, {"issuer": None}]
WRONG: list[dict[str, object]] = [{"jwks_uri": None}, {"issuer": None}]
WRONG += [{"issuer": value} for value in ("", "https://evil.example", 7, ["x"], True)]
WRONG += [
    {name: value}
    for name in ("jwks_uri", "token_endpoint", "authorization_endpoint")
    for value in ("jwks", "//evil.example/jwks", "ftp://evil.example", "file:///etc/passwd", "https://x:y/", 7, ["x"])
]
WRONG += [{"jwks_uri": ""}, {"jwks_uri": "http://127.0.0.1/jwks#x"}, {"token_endpoint_auth_methods_supported": 7}]


def test_s30_an_answer_of_the_wrong_shape_replaces_nothing(app: Flask, acme: Publisher, clock: Clock) -> None:
    sign_in(app, acme.token(FIRST))
    for shape in NO_JWKS:
        acme.answers["/jwks"] = shape
        clock.now += LIFETIME
        sign_in(app, acme.token(FIRST), shape)
        clock.now += COOLDOWN
        cannot_tell(app, acme.token(STRANGER), shape)
    acme.publish(FIRST)
    for changes in [*NO_DISCOVERY, *WRONG]:
        if isinstance(changes, dict) and changes:
            acme.describe(**changes)
        else:
            acme.answers[DISCOVERY] = changes
        asked = acme.asked(DISCOVERY)
        clock.now += LIFETIME
        sign_in(app, acme.token(FIRST), changes)
        assert acme.asked(DISCOVERY) == asked + 1


def test_an_answer_of_the_wrong_shape_is_an_outage_where_nothing_is_known_yet(app: Flask, acme: Publisher) -> None:
    before = rows(app)
    for shape in NO_JWKS:
        acme.answers["/jwks"] = shape
        cannot_tell(app, acme.token(FIRST), shape)
    acme.publish(FIRST)
    for changes in WRONG:
        app.extensions["authserver.documents"] = Documents()
        acme.describe(**changes)
        cannot_tell(app, acme.token(FIRST), changes)
    assert rows(app) == before
    acme.describe()
    sign_in(app, acme.token(FIRST))


def test_s30_what_is_known_is_asked_for_again_after_its_lifetime(app: Flask, acme: Publisher, clock: Clock) -> None:
    sign_in(app, acme.token(FIRST))
    acme.publish(SECOND)
    clock.now += LIFETIME - 1
    sign_in(app, acme.token(FIRST))
    assert (acme.asked(), acme.asked(DISCOVERY)) == (1, 1)
    clock.now += 1
    refuse(app, acme.token(FIRST))
    assert (acme.asked(), acme.asked(DISCOVERY)) == (2, 2)
    sign_in(app, acme.token(SECOND))
    acme.describe(jwks_uri=f"{acme.url}/new")
    acme.answers["/new"] = {"keys": [public(FIRST)]}
    clock.now += LIFETIME
    sign_in(app, acme.token(FIRST))


def test_a_discovery_document_of_another_issuer_is_none_of_this_ones(make_app: MakeApp, acme: Publisher) -> None:
    """Neither its keys nor its endpoints count: they would get the code, and with it the client's secret."""
    app = app_at(make_app, acme.url, providers__acme__client_secret="canary")
    acme.describe(issuer="https://evil.example")
    cannot_tell(app, acme.token(FIRST, iss="https://evil.example"))
    cannot_tell(app, acme.token(FIRST))
    code = {"code": "canary", "redirect_uri": "https://app.example.com"}
    assert_error(send(app.test_client(), "acme", code), 503, "provider_unavailable")
    begun = Flow().begin(app.test_client(), "acme")
    assert begun.headers["Location"].startswith(f"{NEXT}?error=provider_unavailable")
    assert set(acme.server.paths) == {f"GET {DISCOVERY}"}


@pytest.mark.parametrize("field", ["jwks_uri", "token_endpoint", "authorization_endpoint", "userinfo_endpoint"])
def test_the_endpoints_of_an_https_issuer_are_https(field: str, database: str) -> None:
    issuer = "https://id.example.com"
    kind = IdToken(issuer=issuer, identity=standard_identity)
    for url in (
        "http://id.example.com/x",
        "http://localhost.example.com/x",
        "http://10.0.0.1/",
        "ftp://id.example.com",
    ):
        document = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks", field: url}
        with pytest.raises(Unavailable):
            Documents().metadata(Answers(**{"openid-configuration": document}), kind)
    document = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks", field: "https://cdn.example.com/x?y=z"}
    assert getattr(Documents().metadata(Answers(**{"openid-configuration": document}), kind), field)


@pytest.mark.parametrize("configured", ["", "/"])
@pytest.mark.parametrize("published", ["", "/"])
def test_an_issuer_may_end_in_a_slash_and_its_tokens_name_it_as_it_names_itself(
    make_app: MakeApp, acme: Publisher, configured: str, published: str
) -> None:
    app = app_at(make_app, acme.url + configured)
    acme.describe(issuer=acme.url + published)
    sign_in(app, acme.token(FIRST, iss=acme.url + published))
    refuse(app, acme.token(FIRST, iss=acme.url + ("" if published else "/")))
    refuse(app, acme.token(FIRST, iss=f"{acme.url}//"))
    assert acme.asked(DISCOVERY) == 1


RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
PSS = RSAKey.import_key(RSA.as_dict(private=True), {"kid": "pss", "alg": "PS256"})
CURVES = {
    "ES384": ECKey.generate_key("P-384", {"kid": "p-384"}),
    "ES512": ECKey.generate_key("P-521", {"kid": "p-521"}),
}
EDWARDS = OKPKey.generate_key("Ed25519", {"kid": "ed25519"})


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # as a name for Ed25519, by which providers go on to call it
def test_keys_of_several_kinds_stand_side_by_side(app: Flask, acme: Publisher) -> None:
    acme.publish(RSA, PSS, FIRST, *CURVES.values(), EDWARDS)
    good: list[tuple[Key, str]] = [(RSA, f"{kind}S{size}") for kind in "RP" for size in (256, 384, 512)]
    good += [(PSS, "PS256"), (FIRST, "ES256"), (EDWARDS, "EdDSA"), (EDWARDS, "Ed25519")]
    good += [(key, algorithm) for algorithm, key in CURVES.items()]
    for key, algorithm in good:
        sign_in(app, acme.token(key, algorithm), (key.kid, algorithm))
    assert acme.asked() == 1


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_a_key_signs_only_by_the_algorithms_of_its_kind(app: Flask, acme: Publisher) -> None:
    secret = OctKey.import_key("a secret that was published by mistake", {"kid": "secret"})
    only = RSAKey.import_key(RSA.as_dict(private=True), {"kid": "only", "alg": "RS256"})
    bitcoins = ECKey.generate_key("secp256k1", {"kid": "secp256k1"})
    ed448 = OKPKey.generate_key("Ed448", {"kid": "ed448"})
    acme.publish(RSA, PSS, FIRST, *CURVES.values(), EDWARDS, secret, only, bitcoins, ed448)
    bare = RSAKey.import_key(RSA.as_pem(private=True))
    wrong: list[tuple[Key, str, object]] = [
        (secret, "HS256", "secret"),
        (secret, "HS256", "rsa"),
        (bare, "RS256", "pss"),
        (bare, "PS384", "pss"),
        (bare, "PS256", "only"),
        (bare, "RS512", "only"),
        (bare, "RS256", "first"),
        (bare, "PS256", "ed25519"),
        (FIRST, "ES256", "rsa"),
        (FIRST, "ES256", "p-384"),
        (FIRST, "ES256", "ed25519"),
        (EDWARDS, "EdDSA", "rsa"),
        (EDWARDS, "Ed25519", "first"),
        (CURVES["ES384"], "ES384", "first"),
        (CURVES["ES512"], "ES512", "p-384"),
        (bitcoins, "ES256K", "secp256k1"),
        (ed448, "Ed448", "ed448"),
    ]
    before = rows(app)
    for key, algorithm, kid in wrong:
        refuse(app, acme.token(key, algorithm, kid), (key.kid, algorithm, kid))
    assert rows(app) == before


def test_keys_for_encryption_sign_nothing(app: Flask, acme: Publisher) -> None:
    published = dict(RSA.as_dict(private=False))
    purposes: list[dict[str, object]] = [{"use": "enc"}, {"alg": "RSA-OAEP-256"}, {"key_ops": ["encrypt"]}]
    purposes += [{"use": "tls"}, {"use": "sig", "key_ops": ["encrypt"]}, {"use": "sig", "alg": "RSA1_5"}]
    x25519 = OKPKey.generate_key("X25519", {"kid": "x25519"})
    encrypting = [{**published, **purpose, "kid": f"{number}"} for number, purpose in enumerate(purposes)]
    acme.publish(FIRST, x25519, *encrypting)
    sign_in(app, acme.token(FIRST))
    for number, purpose in enumerate(purposes):
        refuse(app, acme.token(RSA, "RS256", f"{number}"), purpose)
    refuse(app, acme.token(EDWARDS, "Ed25519", "x25519"))


JUNK: list[object] = [None, True, 7, "RSA", [], {}, [{"kty": "RSA"}], {"kty": None}, {"kty": ["RSA"]}, {"kty": "XYZ"}]
JUNK += [{"kty": "RSA", "kid": "a"}, {"kty": "RSA", "n": "!", "e": "AQAB"}, {"kty": "RSA", "n": 7, "e": 1}]
JUNK += [{"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA"}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]
JUNK += [{"kty": "OKP", "crv": "none", "x": "AA"}, {"kty": "OKP", "crv": "Ed25519"}, {"kty": "oct", "k": "AAAA"}]
JUNK += [{**dict(STRANGER.as_dict(private=False)), "kid": kid} for kid in (["first"], {"a": 1}, 7, True)]


def test_keys_that_make_no_sense_do_not_spoil_the_others(app: Flask, acme: Publisher, clock: Clock) -> None:
    for junk in JUNK:
        acme.publish(junk, FIRST, junk)
        clock.now += LIFETIME
        sign_in(app, acme.token(FIRST), junk)
        refuse(app, acme.token(STRANGER), junk)
    acme.publish(*JUNK, FIRST, *JUNK)
    clock.now += LIFETIME
    sign_in(app, acme.token(FIRST))


def test_without_a_key_id_only_a_single_key_is_meant(app: Flask, acme: Publisher, clock: Clock) -> None:
    nameless = new_key(None)
    encrypting = {**dict(RSA.as_dict(private=False)), "use": "enc"}
    for keys in ((FIRST,), (nameless,), (FIRST, {"kty": "XYZ", "kid": "junk"}), (FIRST, encrypting)):
        acme.publish(*keys)
        clock.now += LIFETIME
        key = keys[0]
        assert isinstance(key, ECKey)
        sign_in(app, acme.token(key, kid=None), keys)
        refuse(app, acme.token(STRANGER, kid=None), keys)
    for several in ((FIRST, SECOND), (nameless, FIRST), (nameless, new_key(None))):
        acme.publish(*several)
        clock.now += LIFETIME
        for key in several:
            refuse(app, acme.token(key, kid=None), several)


def test_a_provider_is_asked_only_where_a_token_could_be_its_own(app: Flask, acme: Publisher) -> None:
    for text in ("canary", "canary.canary", "a.b.c.d.e", "eyJhbGciOiJub25lIn0.e30."):
        refuse(app, text)
    assert acme.asked() == 0
    assert PUBLIC_URL not in acme.url
