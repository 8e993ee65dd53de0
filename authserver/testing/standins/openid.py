"""What the stand-ins of OpenID providers are built on: a code also brings an id_token, and userinfo is an endpoint.

https://openid.net/specs/openid-connect-core-1_0.html.
"""

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from authserver.testing.standins.authorization import Authorized, Request
from authserver.testing.standins.base import Grant, Now, bearer, given
from authserver.testing.standins.keys import half_hash
from authserver.testing.standins.person import Person
from authserver.testing.standins.signing import ALL, Signing
from authserver.testing.standins.standin import StandIn


class OpenIDStandIn(StandIn, Signing):
    scope = ALL
    userinfo_path: ClassVar[str] = "/userinfo"  # "" where there is none

    def __init__(self, url: str, *, now: Now = time.time, taken: str = "taken@example.com") -> None:
        super().__init__(url, now=now, taken=taken)
        self.sends_issuer = False  # in the authorization response, https://www.rfc-editor.org/rfc/rfc9207

    def blueprint(self) -> Blueprint:
        blueprint = super().blueprint()
        self.serve_keys(blueprint)
        if self.userinfo_path:
            blueprint.add_url_rule(self.userinfo_path, "userinfo", self.userinfo, methods=["GET", "POST"])
        return blueprint

    def options(self) -> dict[str, str]:
        return {**super().options(), "ISSUER": self.issuer}

    def discovery(self, **where: str) -> dict[str, object]:
        methods = self.token_auth | ({"none"} if self.public_client else set())
        document: dict[str, object] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.url}{self.authorize_path}",
            "token_endpoint": f"{self.url}{self.token_path}",
            "jwks_uri": f"{self.url}{self.jwks_path}",
            "response_types_supported": ["code"],
            "response_modes_supported": sorted(self.response_modes),
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ALL.split(),
            "token_endpoint_auth_methods_supported": sorted(methods),
            "code_challenge_methods_supported": ["S256"],
        }
        if self.userinfo_path:
            document["userinfo_endpoint"] = f"{self.url}{self.userinfo_path}"
        if self.sends_issuer:
            document["authorization_response_iss_parameter_supported"] = True
        return document

    def authorized(self, asked: Request, person: Person) -> Mapping[str, str]:
        return {"iss": self.issuer} if self.sends_issuer else {}

    def granted(self, authorized: Authorized) -> dict[str, Any]:
        answer = super().granted(authorized)
        if "openid" in authorized.request.scope.split():
            answer["id_token"] = self.sign(self.claims_with(answer["access_token"], authorized))
        return answer

    def claims_with(self, access_token: str, authorized: Authorized) -> dict[str, object]:
        """What the id_token says that comes for a code."""
        asked, person = authorized.request, authorized.person
        return self.id_token_claims(
            person,
            asked.scope,
            aud=self.audience(person, asked.client_id),
            nonce=asked.nonce,
            at_hash=half_hash(access_token),
            **({"auth_time": int(authorized.at)} if asked.signs_in_anew else {}),
        )

    def userinfo(self) -> ResponseReturnValue:
        grant = self.grant(bearer())
        if grant is None:
            return self.no_userinfo()
        return jsonify(given({"sub": self.sub(grant.person), **self.userinfo_profile(grant)}))

    def no_userinfo(self) -> ResponseReturnValue:
        return jsonify(error="invalid_token"), 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}

    def userinfo_profile(self, grant: Grant) -> dict[str, object]:
        return self.profile(grant.person, grant.scope)
