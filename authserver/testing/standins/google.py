"""Google: sign-in, id_tokens, tokeninfo and userinfo.

https://developers.google.com/identity/openid-connect/openid-connect,
https://developers.google.com/identity/openid-connect/reference, https://developers.google.com/identity/protocols/oauth2.
"""

import time
from collections.abc import Mapping
from typing import ClassVar

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from authserver.testing.standins.base import Now, given
from authserver.testing.standins.exchanging import Problem, Refusals
from authserver.testing.standins.openid import OpenIDStandIn
from authserver.testing.standins.person import Person
from authserver.testing.standins.signing import ALL


class Google(OpenIDStandIn):
    name = "google"
    label = "Google"
    client_id = "1234567890-web.apps.googleusercontent.com"
    other_client_id = "9876543210-other.apps.googleusercontent.com"
    client_secret = "GOCSPX-b7yqf3Zs1kLr0nT5vXw8"
    token_prefix = "ya29."
    token_lifetime = 3599
    authorize_path = "/o/oauth2/v2/auth"
    token_path = "/token"
    jwks_path = "/oauth2/v3/certs"
    token_auth = frozenset({"client_secret_post", "client_secret_basic"})
    response_modes = frozenset({"query", "form_post"})
    refusals: ClassVar[Refusals] = {
        Problem.GRANT_TYPE: (400, {"error": "unsupported_grant_type", "error_description": "Invalid grant_type"}),
        Problem.CLIENT: (401, {"error": "invalid_client", "error_description": "Unauthorized"}),
        Problem.CODE: (400, {"error": "invalid_grant", "error_description": "Malformed auth code."}),
        Problem.REDIRECT_URI: (400, {"error": "redirect_uri_mismatch", "error_description": "Bad Request"}),
        Problem.VERIFIER: (400, {"error": "invalid_grant", "error_description": "Invalid code verifier."}),
    }

    def __init__(self, url: str, *, now: Now = time.time, taken: str = "taken@example.com") -> None:
        super().__init__(url, now=now, taken=taken)
        self.sends_issuer = True
        self.people += [
            Person(
                subject=self.subject(7),
                email="katherine@gmail.com",
                email_verified=True,
                first_name="Katherine",
                last_name="Johnson",
                role="gmail.com e-mail address",
            ),
            Person(
                subject=self.subject(8),
                email="margaret@example.com",
                email_verified=True,
                first_name="Margaret",
                last_name="Hamilton",
                hosted_domain="example.com",
                role="hosted domain example.com",
            ),
        ]

    def subject(self, number: int) -> str:
        return f"1{number:020}"

    def options(self) -> dict[str, str]:
        return {
            **super().options(),
            "TOKENINFO_URL": f"{self.url}/tokeninfo",
            "USERINFO_URL": f"{self.url}{self.userinfo_path}",
        }

    def token(
        self,
        person: Person,
        *,
        audience: str | None = None,
        scope: str | None = None,
        checked_subject: object = None,
        **says: object,
    ) -> str:
        """An access token that the person gave to an application, ours where none is named.

        `checked_subject` is the subject that tokeninfo names; an honest Google says the person's.
        """
        if checked_subject is not None:
            says["sub"] = checked_subject
        return super().token(person, audience=audience, scope=scope, **says)

    def profile(self, person: Person, scope: str = ALL) -> dict[str, object]:
        claims = super().profile(person, scope)
        if "profile" in scope.split():
            claims["picture"] = "https://lh3.googleusercontent.com/a/picture"
        return {**claims, "hd": person.hosted_domain}

    def id_token_claims(self, person: Person, scope: str = ALL, **claims: object) -> dict[str, object]:
        return super().id_token_claims(person, scope, **{"azp": claims.get("aud", self.audience(person)), **claims})

    def blueprint(self) -> Blueprint:
        blueprint = super().blueprint()
        blueprint.add_url_rule("/tokeninfo", "tokeninfo", self.tokeninfo, methods=["GET", "POST"])
        return blueprint

    def tokeninfo(self) -> ResponseReturnValue:
        grant = self.grant(request.values.get("access_token", ""))
        if grant is None:
            return jsonify(error="invalid_token", error_description="Invalid Value"), 400
        left = self.expires_at(grant) - int(self.now())
        info: Mapping[str, object] = {
            "azp": grant.audience,
            "aud": grant.audience,
            "sub": grant.person.subject,
            "scope": grant.scope,
            "exp": str(self.expires_at(grant)),
            "expires_in": str(left),
            "access_type": "online",
        }
        if grant.person.email and "email" in grant.scope.split():
            info = {**info, "email": grant.person.email, "email_verified": str(grant.person.email_verified).lower()}
        return jsonify(given({**info, **grant.says}))

    def no_userinfo(self) -> ResponseReturnValue:
        return jsonify(error="invalid_request", error_description="Invalid Credentials"), 401
