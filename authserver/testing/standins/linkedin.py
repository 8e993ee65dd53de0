"""LinkedIn: sign-in with OpenID Connect, and whose a token is.

https://learn.microsoft.com/linkedin/consumer/integrations/self-serve/sign-in-with-linkedin-v2,
https://learn.microsoft.com/linkedin/shared/authentication/authorization-code-flow,
https://learn.microsoft.com/linkedin/shared/authentication/token-introspection. Unlike the standard, id_tokens carry no
nonce, and a client with a secret that also sends a code_verifier is refused.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from authserver.testing.standins.authorization import Authorized
from authserver.testing.standins.base import given
from authserver.testing.standins.exchanging import NotGranted, Problem, Refusals
from authserver.testing.standins.openid import OpenIDStandIn
from authserver.testing.standins.person import Person
from authserver.testing.standins.signing import ALL

_CODE = {
    "error": "invalid_request",
    "error_description": "Unable to retrieve access token: appid or redirect uri or authorization code is not right.",
}
_CLIENT = {"error": "invalid_client", "error_description": "Client authentication failed"}


class LinkedIn(OpenIDStandIn):
    """ISSUER is `url`/oauth."""

    name = "linkedin"
    label = "LinkedIn"
    client_id = "78abcdefghijkl"
    other_client_id = "78mnopqrstuvwx"
    client_secret = "WPL_AP1.k3yOfTheApp0000.abcdef=="
    token_prefix = "AQX"
    token_lifetime = 5184000
    authorize_path = "/oauth/v2/authorization"
    token_path = "/oauth/v2/accessToken"
    discovery_path = "/oauth/.well-known/openid-configuration"
    jwks_path = "/oauth/openid/jwks"
    userinfo_path = "/v2/userinfo"
    pkce = False
    denied: ClassVar[Mapping[str, str]] = {
        "error": "user_cancelled_authorize",
        "error_description": "The user cancelled the authorization",
    }
    refusals: ClassVar[Refusals] = {
        Problem.GRANT_TYPE: (400, {"error": "invalid_request", "error_description": "A required parameter is missing"}),
        Problem.CLIENT: (401, _CLIENT),
        Problem.CODE: (400, _CODE),
        Problem.REDIRECT_URI: (400, _CODE),
        Problem.VERIFIER: (400, _CODE),
    }

    @property
    def issuer(self) -> str:
        return f"{self.url}/oauth"

    def subject(self, number: int) -> str:
        return f"782bb{number:05}"

    def discovery(self, **where: str) -> dict[str, object]:
        document = super().discovery()
        del document["code_challenge_methods_supported"], document["response_modes_supported"]
        return {**document, "subject_types_supported": ["pairwise"]}

    def profile(self, person: Person, scope: str = ALL) -> dict[str, object]:
        claims = super().profile(person, scope)
        return {**claims, "locale": "en_US" if "profile" in scope.split() else None}

    def id_token_claims(self, person: Person, scope: str = ALL, **claims: object) -> dict[str, object]:
        return super().id_token_claims(person, scope, **{**claims, "nonce": None})

    def client(self, form: Mapping[str, str]) -> tuple[str, bool]:
        if "code_verifier" in form:
            raise NotGranted(Problem.CLIENT)
        return super().client(form)

    def granted(self, authorized: Authorized) -> dict[str, Any]:
        return {**super().granted(authorized), "scope": ",".join(sorted(authorized.request.scope.split()))}

    def blueprint(self) -> Blueprint:
        blueprint = super().blueprint()
        blueprint.add_url_rule("/oauth/v2/introspectToken", "introspect", self.introspect, methods=["POST"])
        return blueprint

    def introspect(self) -> ResponseReturnValue:
        """Also of another application's token, whose it is: what LinkedIn says of those is not documented."""
        client_id, secret = request.form.get("client_id", ""), request.form.get("client_secret", "")
        if client_id not in self.clients or not self.proves(client_id, secret):
            return jsonify(_CLIENT), 401
        grant = self.grants.get(request.form.get("token", ""))
        if grant is None:
            return jsonify(active=False)
        lives = self.expires_at(grant) > self.now()
        info = {
            "active": lives,
            "status": "active" if lives else "expired",
            "client_id": grant.audience,
            "authorized_at": int(grant.at),
            "created_at": int(grant.at),
            "expires_at": self.expires_at(grant),
            "scope": ",".join(grant.scope.split()),
            "auth_type": "3L",
        }
        return jsonify(given({**info, **grant.says}))
