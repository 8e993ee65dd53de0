"""The token endpoint, https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3, https://www.rfc-editor.org/rfc/rfc7636."""

import hmac
import time
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, ClassVar
from urllib.parse import unquote_plus

from flask import jsonify, request
from flask.typing import ResponseReturnValue

from authserver.testing.standins.authorization import Authorized
from authserver.testing.standins.authorizing import Authorizing
from authserver.testing.standins.base import Now
from authserver.testing.standins.keys import s256

CODE_LIFETIME = 60


class Problem(Enum):
    """Why a token endpoint refuses."""

    GRANT_TYPE = auto()
    CLIENT = auto()
    CODE = auto()
    REDIRECT_URI = auto()
    VERIFIER = auto()


Refusals = Mapping[Problem, tuple[int, Mapping[str, object]]]


class NotGranted(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.name)
        self.problem = problem


class Exchanging(Authorizing):
    token_path: ClassVar[str]
    token_methods: ClassVar[tuple[str, ...]] = ("POST",)
    token_auth: ClassVar[frozenset[str]] = frozenset({"client_secret_post"})
    grant_type_required: ClassVar[bool] = True
    pkce: ClassVar[bool] = True
    refusals: ClassVar[Refusals] = {
        Problem.GRANT_TYPE: (400, {"error": "unsupported_grant_type"}),
        Problem.CLIENT: (401, {"error": "invalid_client"}),
        Problem.CODE: (400, {"error": "invalid_grant"}),
        Problem.REDIRECT_URI: (400, {"error": "invalid_grant"}),
        Problem.VERIFIER: (400, {"error": "invalid_grant"}),
    }

    def __init__(self, url: str, *, now: Now = time.time, taken: str = "taken@example.com") -> None:
        super().__init__(url, now=now, taken=taken)
        self.public_client = False  # our application is one without a secret, known by its PKCE alone

    def token_view(self, **where: str) -> ResponseReturnValue:
        parameters = request.values if "GET" in self.token_methods else request.form
        try:
            return self.token_response(self.granted(self._redeemed(parameters)), 200)
        except NotGranted as error:
            status, body = self.refusals[error.problem]
            return self.token_response(body, status)

    def token_response(self, body: Mapping[str, object], status: int) -> ResponseReturnValue:
        return jsonify(body), status, {"Cache-Control": "no-store", "Pragma": "no-cache"}

    def granted(self, authorized: Authorized) -> dict[str, Any]:
        """What is answered for a good code."""
        return {
            "access_token": self.access_token(authorized),
            "token_type": "Bearer",
            "expires_in": self.token_lifetime,
            "scope": authorized.request.scope,
        }

    def access_token(self, authorized: Authorized) -> str:
        person, asked = authorized.person, authorized.request
        return self.token(person, audience=self.audience(person, asked.client_id), scope=asked.scope)

    def _redeemed(self, form: Mapping[str, str]) -> Authorized:
        if form.get("grant_type", "" if self.grant_type_required else "authorization_code") != "authorization_code":
            raise NotGranted(Problem.GRANT_TYPE)
        client_id, public = self.client(form)
        code = form.get("code", "")
        authorized = self.codes.pop(code, None)  # whatever comes of it, it has been used
        self.spent.append(code)
        if authorized is None or authorized.at + CODE_LIFETIME <= self.now():
            raise NotGranted(Problem.CODE)
        asked = authorized.request
        if asked.client_id != client_id:
            raise NotGranted(Problem.CODE)
        if form.get("redirect_uri") != asked.redirect_uri:
            raise NotGranted(Problem.REDIRECT_URI)
        verifier = form.get("code_verifier") or None
        challenge = asked.code_challenge if self.pkce else None
        if (verifier and s256(verifier)) != challenge or (public and verifier is None):
            raise NotGranted(Problem.VERIFIER)
        return authorized

    def client(self, form: Mapping[str, str]) -> tuple[str, bool]:
        """Which application asks, and whether it is one without a secret."""
        basic = request.authorization
        if basic is not None:
            if basic.type != "basic" or "client_secret_basic" not in self.token_auth or "client_secret" in form:
                raise NotGranted(Problem.CLIENT)
            client_id, secret = (unquote_plus(part or "") for part in (basic.username, basic.password))
        elif "client_secret_post" in self.token_auth or not form.get("client_secret"):
            client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        else:
            raise NotGranted(Problem.CLIENT)
        if not secret and self.public_client and client_id == self.client_id:
            return client_id, True
        if client_id not in self.clients or not self.proves(client_id, secret):
            raise NotGranted(Problem.CLIENT)
        return client_id, False

    def proves(self, client_id: str, secret: str) -> bool:
        return hmac.compare_digest(secret.encode(), self.clients[client_id].encode())
