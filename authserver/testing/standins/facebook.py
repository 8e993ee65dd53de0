"""Facebook: debug_token and /me.

https://developers.facebook.com/docs/graph-api/reference/debug_token,
https://developers.facebook.com/docs/graph-api/guides/secure-requests.
"""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from authserver.testing.standins.person import Person


@dataclass(frozen=True)
class Grant:
    person: Person
    debug: dict[str, object]  # what debug_token says of it


class Facebook:
    client_id = "123456789012345"
    other_client_id = "543210987654321"
    client_secret = "b2a1c0d9e8f70615243f5e6d7c8b9a01"

    def __init__(self, url: str) -> None:
        self.url = url
        self.grants: dict[str, Grant] = {}

    def options(self) -> dict[str, str]:
        return {
            "CLIENT_ID": self.client_id,
            "CLIENT_SECRET": self.client_secret,
            "GRAPH_URL": self.url,
            "DIALOG_URL": self.url,
        }

    def token(self, person: Person, **debug: object) -> str:
        """An access token; `debug` changes what debug_token says of it (`app_id`, `is_valid`, `type`, …)."""
        token = f"EAAB{secrets.token_hex(60)}"
        usual: dict[str, object] = {
            "app_id": self.client_id,
            "type": "USER",
            "application": "Our application",
            "data_access_expires_at": int(time.time()) + 90 * 86400,
            "expires_at": int(time.time()) + 3600,
            "is_valid": True,
            "scopes": ["email", "public_profile"],
            "user_id": person.subject,
        }
        self.grants[token] = Grant(person, {**usual, **debug})
        return token

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("facebook", __name__, url_prefix="/facebook")
        blueprint.add_url_rule("/<version>/debug_token", view_func=self.debug_token)
        blueprint.add_url_rule("/<version>/me", view_func=self.me)
        return blueprint

    def debug_token(self, version: str) -> ResponseReturnValue:
        if request.args.get("access_token") != f"{self.client_id}|{self.client_secret}":
            return _refused("Invalid OAuth access token signature.")
        grant = self.grants.get(request.args.get("input_token", ""))
        if grant is None:
            error = {"code": 190, "message": "Malformed access token"}
            return jsonify(data={"error": error, "is_valid": False, "scopes": []})
        return jsonify(data=grant.debug)

    def me(self, version: str) -> ResponseReturnValue:
        token = request.args.get("access_token", "")
        proof = hmac.new(self.client_secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        grant = self.grants.get(token)
        if grant is None:
            return _refused("Malformed access token")
        if not hmac.compare_digest(request.args.get("appsecret_proof", ""), proof):
            return _refused("Invalid appsecret_proof provided in the API argument")
        person = grant.person
        fields = {
            "id": person.subject,
            "email": person.email,
            "first_name": person.first_name,
            "last_name": person.last_name,
        }
        wanted = request.args.get("fields", "id").split(",")
        return jsonify({name: value for name, value in fields.items() if name in wanted and value})


def _refused(message: str) -> ResponseReturnValue:
    error = {"message": message, "type": "OAuthException", "code": 190, "fbtrace_id": "A0000000000000000000000"}
    return jsonify(error=error), 400
