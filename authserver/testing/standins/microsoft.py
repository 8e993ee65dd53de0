"""Microsoft: sign-in and id_tokens of Entra ID, its access tokens for Graph, and Graph's /me and userinfo.

https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc,
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow,
https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference,
https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference,
https://learn.microsoft.com/graph/api/user-get. Whoever is on the page may be chosen at any tenant's: the server has to
look at the token's own.
"""

import secrets
import time
from collections.abc import Mapping
from typing import ClassVar
from uuid import NAMESPACE_URL, UUID, uuid5

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from authserver.testing.standins.authorization import Authorized
from authserver.testing.standins.base import Grant, Now, bearer
from authserver.testing.standins.exchanging import Problem, Refusals
from authserver.testing.standins.keys import base64_json
from authserver.testing.standins.openid import OpenIDStandIn
from authserver.testing.standins.person import Person
from authserver.testing.standins.signing import ALL

GRAPH = "00000003-0000-0000-c000-000000000000"
CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"  # the tenant of all personal accounts


def _refusal(status: int, error: str, code: int, message: str) -> tuple[int, dict[str, object]]:
    return status, {
        "error": error,
        "error_description": f"AADSTS{code}: {message}",
        "error_codes": [code],
        "timestamp": "2026-01-01 00:00:00Z",
        "trace_id": str(UUID(int=0)),
        "correlation_id": str(UUID(int=0)),
    }


class Microsoft(OpenIDStandIn):
    name = "microsoft"
    label = "Microsoft"
    client_id = "2f4a7d2e-0f4b-4d43-9d0b-0e9a1c2b3d4e"
    other_client_id = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    client_secret = "Qx8~s3cr3t.of.the.app_0a1b2c3d4e5f6g7h"
    remark = ", unless an access_token made the account"
    tenant: ClassVar[str] = "common"
    discovery_path = "/<tenant>/v2.0/.well-known/openid-configuration"
    authorize_path = "/<tenant>/oauth2/v2.0/authorize"
    token_path = "/<tenant>/oauth2/v2.0/token"
    jwks_path = "/<tenant>/discovery/v2.0/keys"
    userinfo_path = "/oidc/userinfo"
    token_auth = frozenset({"client_secret_post", "client_secret_basic"})
    response_modes = frozenset({"query", "form_post"})
    denied: ClassVar[Mapping[str, str]] = {
        "error": "access_denied",
        "error_description": "AADSTS65004: User declined to consent to access the app.",
    }
    refusals: ClassVar[Refusals] = {
        Problem.GRANT_TYPE: _refusal(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant."),
        Problem.CLIENT: _refusal(401, "invalid_client", 7000215, "Invalid client secret provided."),
        Problem.CODE: _refusal(400, "invalid_grant", 70008, "The provided authorization code has expired."),
        Problem.REDIRECT_URI: _refusal(400, "invalid_client", 500112, "The reply address does not match."),
        Problem.VERIFIER: _refusal(400, "invalid_grant", 50148, "The code_verifier does not match."),
    }

    def __init__(self, url: str, *, now: Now = time.time, taken: str = "taken@example.com") -> None:
        super().__init__(url, now=now, taken=taken)
        self.people.append(
            Person(
                subject=self.subject(7),
                tenant=CONSUMERS,
                email="katherine@outlook.com",
                first_name="Katherine",
                last_name="Johnson",
                role="personal account, unverified e-mail address",
            )
        )

    def subject(self, number: int) -> str:
        return str(UUID(int=number))

    def options(self) -> dict[str, str]:
        options = {**super().options(), "AUTHORITY": self.url, "TENANT": self.tenant, "GRAPH_URL": self.url}
        del options["ISSUER"]
        return options

    def discovery(self, tenant: str = "common", **where: str) -> dict[str, object]:
        document = super().discovery()
        own = {"common": "{tenantid}", "organizations": "{tenantid}", "consumers": CONSUMERS}.get(tenant, tenant)
        for name, value in document.items():
            if isinstance(value, str):
                document[name] = value.replace("<tenant>", tenant)
        return {**document, "issuer": f"{self.url}/{own}/v2.0"}

    def jwks(self) -> dict[str, object]:
        # No `alg`, as at Microsoft's.
        public = [dict(key.as_dict(private=False)) for key in self.keys.published]
        return {"keys": [{name: value for name, value in key.items() if name != "alg"} for key in public]}

    def iss(self, person: Person) -> str:
        return f"{self.url}/{person.tenant}/v2.0"

    def sub(self, person: Person) -> str:
        """Of this application alone, and not the `oid`."""
        return uuid5(NAMESPACE_URL, f"{self.client_id}/{person.subject}").hex

    def profile(self, person: Person, scope: str = ALL) -> dict[str, object]:
        scopes = scope.split()
        email = person.email if "email" in scopes else None
        return {
            "ver": "2.0",
            "tid": person.tenant,
            "oid": person.subject if "profile" in scopes else None,
            "name": person.name if "profile" in scopes else None,
            "given_name": person.first_name or None if "profile" in scopes else None,
            "family_name": person.last_name or None if "profile" in scopes else None,
            "preferred_username": (person.email or f"{person.subject}@example.org") if "profile" in scopes else None,
            "email": email,
            "xms_edov": person.email_verified if email else None,
        }

    def id_token_claims(self, person: Person, scope: str = ALL, **claims: object) -> dict[str, object]:
        return super().id_token_claims(person, scope, **{"nbf": int(self.now()), **claims})

    def userinfo_profile(self, grant: Grant) -> dict[str, object]:
        wanted = ("name", "given_name", "family_name", "email")
        return {name: value for name, value in self.profile(grant.person).items() if name in wanted}

    def access_token(self, authorized: Authorized) -> str:
        person = authorized.person
        if person.tenant == CONSUMERS:
            return self.opaque_token(person)
        return self.token(person, appid=self.audience(person, authorized.request.client_id))

    def token(self, person: Person, **claims: object) -> str:
        """An access token for Graph, of version 1 as Graph's are; `claims` change what it says, None leaves one out."""
        token = self.forged_token(person, **claims)
        self.keep(token, person, None, None, {})
        return token

    def forged_token(self, person: Person, **claims: object) -> str:
        """The same, but not of Microsoft's making: Graph does not accept it."""
        now = int(self.now())
        usual: dict[str, object] = {
            "aud": GRAPH,
            "iss": f"https://sts.windows.net/{person.tenant}/",
            "iat": now,
            "exp": now + self.token_lifetime,
            "appid": self.audience(person),
            "oid": person.subject,
            "tid": person.tenant,
            "ver": "1.0",
        }
        payload = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        # What Graph's tokens are signed with is nobody else's business: no published key verifies it.
        return ".".join((base64_json({"typ": "JWT", "alg": "RS256"}), base64_json(payload), secrets.token_urlsafe(256)))

    def opaque_token(self, person: Person) -> str:
        """What a personal account gets: good for Graph, but it says nothing of the application."""
        token = f"EwB{secrets.token_urlsafe(200)}"
        self.keep(token, person, None, None, {})
        return token

    def blueprint(self) -> Blueprint:
        blueprint = super().blueprint()
        blueprint.add_url_rule("/v1.0/me", "me", self.me)
        return blueprint

    def me(self) -> ResponseReturnValue:
        grant = self.grant(bearer())
        if grant is None:
            return self.no_userinfo()
        person = grant.person
        return jsonify(
            {
                "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users/$entity",
                "id": person.subject,
                "mail": person.email,
                "givenName": person.first_name or None,
                "surname": person.last_name or None,
            }
        )

    def no_userinfo(self) -> ResponseReturnValue:
        error = {"code": "InvalidAuthenticationToken", "message": "Access token validation failure."}
        return jsonify(error=error), 401
