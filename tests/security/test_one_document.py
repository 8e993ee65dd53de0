"""S84: an e-mail address and whether it is verified come from one document, and a document leads to no nearer place."""

from typing import Any
from urllib.parse import urlsplit

import httpcore2 as httpcore
import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.oauth import upstream, verify
from authserver.oauth.documents import Documents
from authserver.oauth.provider import IdToken, Unavailable, standard_identity
from authserver.oauth.upstream import Upstream
from tests.conftest import MakeApp
from tests.each import each
from tests.providers.redirecting import NEXT
from tests.providers.shipped import Answers
from tests.providers.signing_in import send
from tests.security import test_jwks
from tests.security.test_jwks import FIRST, Publisher, app_at

acme = test_jwks.acme

ADA, MALLORY = "ada@example.com", "mallory@example.com"
YES: dict[str, object] = {"email_verified": True}
# What the id_token says, what the profile says, and what becomes of it.
SAID: list[tuple[dict[str, object], dict[str, object], tuple[str | None, bool]]] = [
    ({"email": ADA}, {"email": MALLORY, **YES}, (ADA, False)),
    ({"email": ADA}, YES, (ADA, False)),
    ({"email": ADA, "email_verified": False}, {"email": MALLORY, **YES}, (ADA, False)),
    ({"email": ADA, **YES}, {"email": MALLORY, "email_verified": False}, (ADA, True)),
    ({"email": ADA, **YES}, {}, (ADA, True)),
    (YES, {"email": MALLORY}, (MALLORY, False)),
    ({"email": None, **YES}, {"email": MALLORY}, (MALLORY, False)),
    ({"email": "", **YES}, {"email": MALLORY}, (MALLORY, False)),
    ({"email_verified": False}, {"email": ADA, **YES}, (ADA, True)),
    ({}, {"email": ADA, **YES}, (ADA, True)),
    (YES, {}, (None, False)),
    ({}, YES, (None, False)),
]


@pytest.fixture
def app(make_app: MakeApp, acme: Publisher) -> Flask:
    acme.describe(userinfo_endpoint=f"{acme.url}/userinfo")
    return app_at(make_app, acme.url)


def test_s84_an_address_is_verified_only_by_the_document_that_has_it(client: FlaskClient, acme: Publisher) -> None:
    for number, (token, profile, (email, verified)) in enumerate(SAID):
        name = f"{number}."
        subject, claims, userinfo = str(number), _named(name, token), _named(name, profile)
        acme.answers["/token"] = {"access_token": "a", "id_token": acme.token(FIRST, sub=subject, **claims)}
        acme.answers["/userinfo"] = {"sub": subject, "given_name": "Ada", **userinfo}
        answer = send(client, "acme", {"code": "a", "redirect_uri": NEXT})
        assert answer.status_code == 200, answer.text
        user = answer.get_json()["user"]
        assert (user["email"], user["email_verified"]) == (email and name + email, verified), (token, profile)
        assert user["first_name"] == "Ada", "the rest is completed"


def _named(name: str, claims: dict[str, Any]) -> dict[str, Any]:
    """The same with an e-mail address of this number's own, where there is one."""
    return {**claims, "email": f"{name}{claims['email']}"} if claims.get("email") else claims


@pytest.mark.parametrize("flag", ["email_verified", "hd", "xms_edov", "verified_primary_email", "https://x/Email_OK"])
def test_s84_nor_does_any_other_word_of_the_one_count_for_the_others_address(flag: str) -> None:
    theirs = {"sub": "1", "email": MALLORY, flag: True}
    assert flag not in verify._completed({"sub": "1", "email": ADA}, theirs)
    assert verify._completed({"sub": "1", "email": ADA}, theirs)["email"] == ADA
    assert flag not in verify._completed({"sub": "1", flag: True}, {"sub": "1", "email": MALLORY})
    assert verify._completed({"sub": "1"}, theirs)[flag] is True


FIELDS = ["jwks_uri", "token_endpoint", "authorization_endpoint", "userinfo_endpoint"]
FAR = ["id.example.com", "10.1.2.3", "192.168.1.1", "[fd00::1]", "localhost.example.com", "10", "1.2.3.4"]
LOOPBACK = ["localhost", "LOCALHOST", "localhost.", "a.localhost", "ip6-localhost", "127.0.0.1", "127.8.8.8", "127.1"]
LOOPBACK += ["2130706433", "0x7f.1", "0177.0.0.1", "0", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]"]
LOOPBACK += ["[64:ff9b::7f00:1]", "[::ffff:7f00:1]"]
LINK = ["169.254.169.254", "2852039166", "0xa9fea9fe", "[fe80::1]", "[febf::1]", "[::ffff:169.254.169.254]"]


def led_to(issuer: str, endpoint: str, field: str) -> bool:
    """Whether an issuer's document may name the endpoint."""
    document = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks", field: endpoint}
    kind = IdToken(issuer=issuer, identity=standard_identity)
    try:
        found = Documents().metadata(Answers(**{"openid-configuration": document}), kind)
    except Unavailable:
        return False
    assert getattr(found, field) == endpoint
    return True


@each("field", FIELDS)
def test_s84_a_document_leads_nowhere_nearer_than_its_issuer_is(field: str) -> None:
    for issuers in (FAR, LOOPBACK, LINK):
        for issuer in issuers:
            for hosts in (FAR, LOOPBACK, LINK):
                for host in hosts:
                    allowed = hosts is FAR or hosts is issuers
                    assert led_to(f"https://{issuer}", f"https://{host}:8443/x?y=z", field) is allowed, (issuer, host)
                    assert not led_to(f"https://{issuer}", f"http://{host}/x", field), (issuer, host)
    assert led_to("http://localhost:9000", "http://127.0.0.1:9001/x", field)


def test_s84_nothing_on_the_local_link_is_asked_whatever_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as metadata.google.internal."""
    tried: list[str] = []

    def connect(backend: object, host: str, *arguments: object) -> Any:
        tried.append(host)
        raise httpcore.ConnectError

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    found = ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "10.0.0.1"]
    monkeypatch.setattr(upstream, "_resolve", lambda host, port: [(0, 0, 0, "", (one, port)) for one in found])
    connections = Upstream()
    for url in ("http://metadata.google.internal/token", "http://169.254.169.254/token"):
        with pytest.raises(Unavailable):
            connections.ask().get(url)
        assert urlsplit(url).hostname not in tried
    assert tried == ["10.0.0.1", "10.0.0.1"]
    connections._pool.close()
