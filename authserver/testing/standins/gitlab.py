"""GitLab: sign-in, id_tokens, and what an access token is.

https://docs.gitlab.com/integration/openid_connect_provider/, https://docs.gitlab.com/api/oauth2/.
"""

from typing import Any, ClassVar

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from authserver.testing.standins.authorization import Authorized
from authserver.testing.standins.base import Grant, bearer, given, numeric
from authserver.testing.standins.exchanging import Problem, Refusals
from authserver.testing.standins.openid import OpenIDStandIn
from authserver.testing.standins.person import Person
from authserver.testing.standins.signing import ALL, standard_profile

_GRANT = {"error": "invalid_grant", "error_description": "The provided authorization grant is not valid."}
_TOKEN = {"error": "invalid_token", "error_description": "The access token is invalid", "state": "unauthorized"}


class GitLab(OpenIDStandIn):
    name = "gitlab"
    label = "GitLab"
    client_id = "4a1b0c9d8e7f60514233241506f7e8d9c0b1a2f3e4d5c6b7a8990a1b2c3d4e5f"
    other_client_id = "5f4e3d2c1b0a99a8b7c6d5e4f3a2b1c0d9e8f706152433241506f7e8d9c0b1a2"
    client_secret = "gloas-2c1f0e9d8b7a65544332211000ffeeddccbbaa99887766554433221100ffee"
    token_lifetime = 7200
    id_token_lifetime = 120
    authorize_path = "/oauth/authorize"
    token_path = "/oauth/token"
    jwks_path = "/oauth/discovery/keys"
    userinfo_path = "/oauth/userinfo"
    token_auth = frozenset({"client_secret_basic", "client_secret_post"})
    response_modes = frozenset({"query", "form_post"})
    refusals: ClassVar[Refusals] = {
        Problem.GRANT_TYPE: (400, {"error": "unsupported_grant_type"}),
        Problem.CLIENT: (401, {"error": "invalid_client", "error_description": "Client authentication failed"}),
        Problem.CODE: (400, _GRANT),
        Problem.REDIRECT_URI: (400, _GRANT),
        Problem.VERIFIER: (400, _GRANT),
    }

    def options(self) -> dict[str, str]:
        options = {**super().options(), "BASE_URL": self.url}
        del options["ISSUER"]
        return options

    def profile(self, person: Person, scope: str = ALL) -> dict[str, object]:
        """Without a name: that is at userinfo."""
        claims = standard_profile(person, scope)
        emails = {name: claims.get(name) for name in ("email", "email_verified")}
        return {"sub_legacy": f"legacy-{person.subject}", "auth_time": int(self.now()), **emails}

    def userinfo_profile(self, grant: Grant) -> dict[str, object]:
        person = grant.person
        named = "profile" in grant.scope.split()
        return {
            "sub_legacy": f"legacy-{person.subject}",
            "name": person.name if named else None,
            "nickname": person.first_name.lower() if named else None,
            **standard_profile(person, "email" if "email" in grant.scope.split() else ""),
        }

    def granted(self, authorized: Authorized) -> dict[str, Any]:
        return {**super().granted(authorized), "created_at": int(self.now())}

    def blueprint(self) -> Blueprint:
        blueprint = super().blueprint()
        blueprint.add_url_rule("/oauth/token/info", "token_info", self.token_info)
        return blueprint

    def token_info(self) -> ResponseReturnValue:
        grant = self.grant(bearer())
        if grant is None:
            return self.no_userinfo()
        left = self.expires_at(grant) - int(self.now())
        info = {
            "resource_owner_id": numeric(grant.person.subject),
            "scope": grant.scope.split(),
            "expires_in": left,
            "application": {"uid": grant.audience},
            "created_at": int(grant.at),
        }
        return jsonify(given({**info, **grant.says}))

    def no_userinfo(self) -> ResponseReturnValue:
        return jsonify(_TOKEN), 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}
