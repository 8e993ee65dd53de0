"""Signing in by redirect, as a browser and a frontend do, with the kit's server as the provider's token endpoint."""

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from flask.testing import FlaskClient

from authserver.testing.kit import openid
from authserver.testing.kit.application import NEXT, PUBLIC_URL
from authserver.testing.kit.outcome import Outcome
from authserver.testing.kit.said import Said
from authserver.testing.kit.server import Asked, Fault, Reply, of_json

if TYPE_CHECKING:
    from authserver.testing.kit.bench import Bench

CODE = "code-of-the-provider"


class Redirect:
    def __init__(self, bench: "Bench") -> None:
        self.bench = bench
        provider = bench.provider
        self.openid = "openid" in provider.scopes
        self.path = f"/api/auth/{bench.declared.name}"
        self.authorize_url = provider.authorize_url or f"{bench.server.url}{openid.AUTHORIZE}"
        self.token_question = f"POST {urlsplit(provider.token_url or openid.TOKEN).path}"
        self.tokens: Mapping[str, Any] = {}
        self.asked_for: Mapping[str, str] = {}  # of the authorization request
        if provider.scopes:
            bench.server.own[self.token_question] = self._exchange
            bench.server.own[f"GET {openid.USERINFO}"] = lambda asked: of_json(bench.server.said["claims"])

    def begin(self, browser: FlaskClient, verifier: str) -> None:
        """As far as the provider's page."""
        query = {"next": NEXT, "code_challenge": _s256(verifier), "state": "the frontend's"}
        began = browser.get(f"{self.path}/login/", query_string=query, base_url=PUBLIC_URL)
        location = began.headers.get("Location", "")
        if not location.startswith(self.authorize_url):
            raise AssertionError(
                f"The browser was sent to {location or began.status_code}, not to the provider's {self.authorize_url}: "
                "look at `authorize_url` and `authorize_params`."
            )
        self.asked_for = dict(parse_qsl(urlsplit(location).query))

    def sign_in(
        self, said: Said, faults: Mapping[str, Fault] | None = None, *, state: str | None = None, **claims: Any
    ) -> Outcome:
        """The whole way; `state` and `claims` are what the provider's side gets wrong."""
        bench, browser, verifier = self.bench, self.bench.app.test_client(), secrets.token_urlsafe(32)
        bench.secrets |= {CODE, verifier}
        with bench.answering(said, faults or {}):
            self.begin(browser, verifier)
            self.tokens = self._tokens(said, claims)
            back = {"code": CODE, "state": state or self.asked_for["state"], **bench.declared.callback}
            send, field = (browser.post, "data") if bench.provider.form_post else (browser.get, "query_string")
            came: Any = send(f"{self.path}/callback/", base_url=PUBLIC_URL, **{field: back})
            asked = tuple(bench.server.asked)
            if came.status_code != 303:
                return Outcome(came.status_code, came.get_json(silent=True) or {}, asked)
            answer = dict(parse_qsl(urlsplit(came.headers["Location"]).query))
            if "code" not in answer:
                return Outcome(came.status_code, answer, asked)
            exchanged = browser.post("/api/auth/exchange/", json={"code": answer["code"], "code_verifier": verifier})
        return Outcome(exchanged.status_code, exchanged.get_json(), asked)

    def _tokens(self, said: Said, claims: Mapping[str, Any]) -> dict[str, Any]:
        tokens = {"access_token": self.bench.access_token(said), "token_type": "Bearer"}
        if self.openid:
            kind = self.bench.provider.id_token
            nonce = None if kind and kind.nonce_left_out else self.asked_for.get("nonce")
            tokens["id_token"] = self.bench.id_token({**said["claims"], "nonce": nonce, **claims})
        return tokens

    def _exchange(self, asked: Asked) -> Reply:
        """What a provider's token endpoint looks at (RFC 6749 §4.1.3, RFC 7636 §4.6)."""
        form, declared = asked.form, self.bench.declared
        client = asked.basic or [form.get("client_id", ""), form.get("client_secret", "")]
        expected = {
            "grant_type": "authorization_code",
            "code": CODE,
            "redirect_uri": f"{PUBLIC_URL}{self.path}/callback/",
        }
        good = expected.items() <= form.items() and client[0] == declared.client_id
        challenge = self.asked_for.get("code_challenge")
        if not good or (challenge and _s256(form.get("code_verifier", "")) != challenge):
            return of_json({"error": "invalid_grant"}, 400)
        return of_json(self.tokens)


def _s256(verifier: str) -> str:
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
