"""Microsoft: access tokens of Entra ID for Graph, and Graph's /me.

https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference,
https://learn.microsoft.com/graph/api/user-get.
"""

import json
import secrets
import time
from base64 import urlsafe_b64encode

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from authserver.testing.standins.person import Person

GRAPH = "00000003-0000-0000-c000-000000000000"


class Microsoft:
    client_id = "2f4a7d2e-0f4b-4d43-9d0b-0e9a1c2b3d4e"
    other_client_id = "7c9e6679-7425-40de-944b-e07fc1f90ae7"

    def __init__(self, url: str) -> None:
        self.url = url
        self.grants: dict[str, Person] = {}  # what Graph accepts

    def options(self) -> dict[str, str]:
        return {"CLIENT_ID": self.client_id, "AUTHORITY": self.url, "GRAPH_URL": self.url}

    def token(self, person: Person, **claims: object) -> str:
        """An access token for Graph, of version 1 as Graph's are; `claims` change what it says, None leaves one out."""
        token = self.forged_token(person, **claims)
        self.grants[token] = person
        return token

    def forged_token(self, person: Person, **claims: object) -> str:
        """The same, but not of Microsoft's making: Graph does not accept it."""
        usual: dict[str, object] = {
            "aud": GRAPH,
            "iss": f"https://sts.windows.net/{person.tenant}/",
            "iat": int(time.time()),
            "exp": int(time.time()) + 3600,
            "appid": self.client_id,
            "oid": person.subject,
            "tid": person.tenant,
            "ver": "1.0",
        }
        payload = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        return ".".join((_base64({"typ": "JWT", "alg": "RS256"}), _base64(payload), secrets.token_urlsafe(256)))

    def opaque_token(self, person: Person) -> str:
        """What a personal account gets: good for Graph, but it says nothing of the application."""
        token = f"EwB{secrets.token_urlsafe(200)}"
        self.grants[token] = person
        return token

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("microsoft", __name__, url_prefix="/microsoft")
        blueprint.add_url_rule("/v1.0/me", view_func=self.me)
        return blueprint

    def me(self) -> ResponseReturnValue:
        person = self.grants.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if person is None:
            error = {"code": "InvalidAuthenticationToken", "message": "Access token validation failure."}
            return jsonify(error=error), 401
        return jsonify(
            {
                "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users/$entity",
                "id": person.subject,
                "mail": person.email,
                "givenName": person.first_name or None,
                "surname": person.last_name or None,
            }
        )


def _base64(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
