"""An application's and a browser's requests to the stand-ins."""

import base64
import json
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from joserfc import jwt
from joserfc.jwk import KeySet

from authserver.testing.standins import Person, StandIns
from authserver.testing.standins.keys import s256
from authserver.testing.standins.openid import OpenIDStandIn
from authserver.testing.standins.signing import Signing
from authserver.testing.standins.standin import StandIn

NAMES = ("google", "facebook", "microsoft", "github", "apple", "gitlab", "discord", "linkedin", "acme")
OPENID = ("google", "microsoft", "apple", "gitlab", "linkedin", "acme")
SIGNING = (*OPENID, "facebook")
BACK = "http://localhost:8000/api/auth/x/callback/"
VERIFIER = "v" * 43
OPENER = build_opener(ProxyHandler({}))
SCOPES = {
    "facebook": "email,public_profile",
    "github": "read:user user:email",
    "apple": "name email",
    "discord": "identify email",
}


class Clock:
    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time


def ask(
    url: str,
    form: dict[str, str] | None = None,
    *,
    body: object = None,
    bearer: str = "",
    basic: tuple[str, str] | None = None,
    accept: str = "application/json",
) -> tuple[int, Any]:
    """The status and the JSON, or the text of what is none."""
    headers = {"Accept": accept}
    data = urlencode(form).encode() if form is not None else None
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    if basic:
        headers["Authorization"] = f"Basic {base64.b64encode(':'.join(basic).encode()).decode()}"
    try:
        with OPENER.open(Request(url, data, headers), timeout=10) as answer:
            status, text = answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def at(stand_in: StandIn, path: str) -> str:
    return f"{stand_in.url}{path}".replace("<tenant>", "common").replace("<version>", "v10")


def authorize_url(stand_in: StandIn, **changes: str | None) -> str:
    usual = {
        "client_id": stand_in.client_id,
        "redirect_uri": BACK,
        "response_type": "code",
        "scope": SCOPES.get(stand_in.name, "openid email profile"),
        "state": "the state & more",
        "nonce": "a-nonce",
        "response_mode": "form_post" if stand_in.name == "apple" else None,
        "code_challenge": s256(VERIFIER) if stand_in.pkce else None,
        "code_challenge_method": "S256" if stand_in.pkce else None,
    }
    parameters = {name: value for name, value in {**usual, **changes}.items() if value is not None}
    return f"{at(stand_in, stand_in.authorize_path)}?{urlencode(parameters)}"


def exchange(stand_in: StandIn, code: str, **changes: str | None) -> tuple[int, Any]:
    usual = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": BACK,
        "client_id": stand_in.client_id,
        "client_secret": secret_of(stand_in),
        "code_verifier": VERIFIER if stand_in.pkce else None,
    }
    parameters = {name: value for name, value in {**usual, **changes}.items() if value is not None}
    return ask(at(stand_in, stand_in.token_path), parameters)


def secret_of(stand_in: StandIn) -> str:
    return getattr(stand_in, "secret", lambda: stand_in.client_secret)()


def tokens(stand_in: StandIn, person: Person, **changes: str | None) -> dict[str, Any]:
    callback = stand_in.authorize(authorize_url(stand_in, **changes), person)
    status, answer = exchange(stand_in, callback.parameters["code"])
    assert status == 200, answer
    return answer  # type: ignore[no-any-return]


def openid(standins: StandIns, name: str) -> OpenIDStandIn:
    stand_in = standins.each[name]
    assert isinstance(stand_in, OpenIDStandIn)
    return stand_in


def verified(stand_in: Signing, token: str) -> dict[str, Any]:
    """The claims of an id_token that a published key verifies."""
    jwks_uri = f"{stand_in.url}{stand_in.jwks_path}".replace("<tenant>", "common")
    return dict(jwt.decode(token, KeySet.import_key_set(ask(jwks_uri)[1]), algorithms=["RS256"]).claims)


def jwt_claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))  # type: ignore[no-any-return]
