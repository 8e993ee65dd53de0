"""id_tokens as a provider's server would not make them; signed by hand, for a library refuses to make the worst."""

import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from enum import Enum
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from flask import Flask

from authserver.oauth.provider import Provider
from authserver.testing.standins import Person, StandIns
from authserver.testing.standins.exchanging import Exchanging
from authserver.testing.standins.signing import Signing
from tests.providers.signing_in import ADA

OPENID = tuple(name for name, one in StandIns("http://127.0.0.1").each.items() if isinstance(one, Signing))
REDIRECT_URI = "https://app.example.com/back"


class Left(Enum):
    OUT = "out"


OMIT = Left.OUT  # leaves a claim or a header out, where None writes null


def of(standins: StandIns, name: str) -> Signing:
    standin = standins.each[name]
    assert isinstance(standin, Signing)
    return standin


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def private(standin: Signing) -> RSAPrivateKey:
    key = standin.key.private_key
    assert key is not None
    return key


def signed(standin: Signing, payload: bytes, **header: object) -> str:
    """Any bytes as the payload, signed RS256 whatever the header says."""
    usual = {"typ": "JWT", "alg": "RS256", "kid": standin.key.kid}
    head = {name: value for name, value in {**usual, **header}.items() if value is not OMIT}
    message = f"{base64url(json.dumps(head).encode())}.{base64url(payload)}"
    return f"{message}.{base64url(private(standin).sign(message.encode(), PKCS1v15(), SHA256()))}"


def claims_of(standin: Signing, person: Person = ADA, **changes: object) -> dict[str, object]:
    claims = {**standin.id_token_claims(person), **changes}
    return {name: value for name, value in claims.items() if value is not OMIT}


def token(standin: Signing, person: Person = ADA, **changes: Any) -> str:
    """A good one but for the changes."""
    return signed(standin, json.dumps(claims_of(standin, person, **changes)).encode())


def subject_claim(name: str) -> str:
    """What the account is known by."""
    return "oid" if name == "microsoft" else "sub"


def provider_of(app: Flask, name: str) -> Provider:
    provider: Provider = app.extensions["authserver.providers"][name].provider
    return provider


def code_body(
    app: Flask, standins: StandIns, name: str, person: Person = ADA, client_id: str = "", nonce: str = "the nonce"
) -> dict[str, object]:
    """What a frontend sends that made the redirect itself: a code of the person's, in all ways a good one."""
    provider, standin, verifier = provider_of(app, name), standins.each[name], secrets.token_urlsafe(32)
    assert isinstance(standin, Exchanging)
    asked: Mapping[str, str] = {
        "client_id": client_id or standin.client_id,
        "redirect_uri": REDIRECT_URI,
        "response_type": "code",
        "scope": " ".join(provider.scopes),
        "nonce": nonce,
        **({"response_mode": "form_post"} if provider.form_post else {}),
    }
    body: dict[str, object] = {"redirect_uri": REDIRECT_URI}
    if provider.pkce:
        challenge = create_s256_code_challenge(verifier)  # type: ignore[no-untyped-call]
        asked = {**asked, "code_challenge": challenge, "code_challenge_method": "S256"}
        body["code_verifier"] = verifier
    return {**body, "code": standin.authorize(f"{standin.url}?{urlencode(asked)}", person).parameters["code"]}
