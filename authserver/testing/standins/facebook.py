"""Facebook: the dialog, debug_token, /me, and the id_tokens of Limited Login.

https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow,
https://developers.facebook.com/docs/graph-api/reference/debug_token,
https://developers.facebook.com/docs/graph-api/guides/secure-requests,
https://developers.facebook.com/docs/graph-api/guides/error-handling,
https://developers.facebook.com/docs/facebook-login/limited-login/token/validating.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from authserver.testing.standins import base
from authserver.testing.standins.authorization import Authorized
from authserver.testing.standins.base import Now, bearer
from authserver.testing.standins.exchanging import Problem, Refusals
from authserver.testing.standins.person import Person
from authserver.testing.standins.signing import ALL, Signing
from authserver.testing.standins.standin import StandIn


def _error(message: str, code: int = 190, **more: object) -> dict[str, object]:
    return {"error": {"message": message, "type": "OAuthException", "code": code, **more, "fbtrace_id": "A" + "0" * 22}}


class Grant(base.Grant):
    @property
    def debug(self) -> dict[str, object]:
        """What debug_token says of it."""
        return self.says


class Facebook(StandIn, Signing):
    name = "facebook"
    label = "Facebook"
    client_id = "123456789012345"
    other_client_id = "543210987654321"
    client_secret = "b2a1c0d9e8f70615243f5e6d7c8b9a01"
    scope = "email,public_profile"
    remark = ", but Facebook does not say so: unverified here"
    token_prefix = "EAAB"
    token_lifetime = 60 * 86400
    authorize_path = "/<version>/dialog/oauth"
    token_path = "/<version>/oauth/access_token"
    token_methods = ("GET", "POST")
    response_type_required = False
    grant_type_required = False
    discovery_path = "/limited/.well-known/openid-configuration"
    jwks_path = "/limited/.well-known/oauth/openid/jwks/"
    denied: ClassVar[Mapping[str, str]] = {
        "error": "access_denied",
        "error_code": "200",
        "error_description": "Permissions error",
        "error_reason": "user_denied",
    }
    refusals: ClassVar[Refusals] = {
        Problem.GRANT_TYPE: (400, _error("Unsupported grant type.", 1)),
        Problem.CLIENT: (400, _error("Error validating client secret.", 1)),
        Problem.CODE: (400, _error("This authorization code has been used.", 100, error_subcode=36009)),
        Problem.REDIRECT_URI: (400, _error("Error validating verification code.", 100, error_subcode=36008)),
        Problem.VERIFIER: (400, _error("Invalid code_verifier.", 100)),
    }
    grants: dict[str, Grant]  # type: ignore[assignment]  # nobody else puts anything in

    def __init__(self, url: str, *, now: Now = time.time, taken: str = "taken@example.com") -> None:
        super().__init__(url, now=now, taken=taken)
        self.throttled = False  # Graph then answers that too much has been asked

    def subject(self, number: int) -> str:
        return f"1022{number:013}"

    def options(self) -> dict[str, str]:
        return {**super().options(), "GRAPH_URL": self.url, "DIALOG_URL": self.url, "LIMITED_URL": self.issuer}

    # Facebook Login

    def token(self, person: Person, **debug: object) -> str:
        """An access token; `debug` changes what debug_token says of it (`app_id`, `is_valid`, `type`, …)."""
        token = f"{self.token_prefix}{secrets.token_hex(60)}"
        now = int(self.now())
        usual: dict[str, object] = {
            "app_id": self.audience(person),
            "type": "USER",
            "application": "Our application",
            "data_access_expires_at": now + 90 * 86400,
            "expires_at": now + 3600,
            "is_valid": True,
            "scopes": ["email", "public_profile"],
            "user_id": person.subject,
        }
        says = {**usual, **debug}
        self.grants[token] = Grant(person=person, audience=str(says["app_id"]), scope=self.scope, at=now, says=says)
        return token

    def access_token(self, authorized: Authorized) -> str:
        asked, person = authorized.request, authorized.person
        scopes = sorted({*asked.scope.replace(",", " ").split(), "public_profile"})
        return self.token(person, app_id=self.audience(person, asked.client_id), scopes=scopes)

    def granted(self, authorized: Authorized) -> dict[str, Any]:
        return {
            "access_token": self.access_token(authorized),
            "token_type": "bearer",
            "expires_in": self.token_lifetime,
        }

    def blueprint(self) -> Blueprint:
        blueprint = super().blueprint()
        self.serve_keys(blueprint)
        blueprint.before_request(self.throttle)
        blueprint.add_url_rule("/<version>/debug_token", "debug_token", self.debug_token)
        blueprint.add_url_rule("/<version>/me", "me", self.me)
        return blueprint

    def throttle(self) -> ResponseReturnValue | None:
        of_graph = not request.path.endswith("/dialog/oauth") and "/.well-known/" not in request.path
        if not self.throttled or not of_graph:
            return None
        return jsonify(_error("(#4) Application request limit reached", 4, is_transient=True)), 400

    def debug_token(self, version: str) -> ResponseReturnValue:
        if (request.args.get("access_token") or bearer()) != f"{self.client_id}|{self.client_secret}":
            return jsonify(_error("Invalid OAuth access token signature.")), 400
        grant = self.grants.get(request.args.get("input_token", ""))
        if grant is None:
            error = {"code": 190, "message": "Malformed access token"}
            return jsonify(data={"error": error, "is_valid": False, "scopes": []})
        return jsonify(data=grant.debug)

    def me(self, version: str) -> ResponseReturnValue:
        token = request.args.get("access_token") or bearer()
        proof = hmac.digest(self.client_secret.encode(), token.encode(), hashlib.sha256).hex()
        grant = self.grants.get(token)
        if grant is None:
            return jsonify(_error("Malformed access token")), 400
        if not hmac.compare_digest(request.args.get("appsecret_proof", "").encode(), proof.encode()):
            return jsonify(_error("Invalid appsecret_proof provided in the API argument", 100)), 400
        person, scopes = grant.person, grant.debug.get("scopes")
        fields = {
            "id": person.subject,
            "email": person.email if isinstance(scopes, list) and "email" in scopes else None,
            "first_name": person.first_name,
            "last_name": person.last_name,
        }
        wanted = request.args.get("fields", "id").split(",")
        return jsonify({name: value for name, value in fields.items() if name in wanted and value})

    # Limited Login

    @property
    def issuer(self) -> str:
        return f"{self.url}/limited"

    def profile(self, person: Person, scope: str = ALL) -> dict[str, object]:
        return {
            "jti": secrets.token_urlsafe(16),
            "name": person.name or None,
            "given_name": person.first_name or None,
            "family_name": person.last_name or None,
            "email": person.email,
            "picture": "https://platform-lookaside.fbsbx.com/platform/profilepic/",
        }

    def discovery(self, **where: str) -> dict[str, object]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/dialog/oauth/",
            "jwks_uri": f"{self.url}{self.jwks_path}",
            "response_types_supported": ["id_token", "token id_token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
