"""Google: tokeninfo and userinfo.

https://developers.google.com/identity/protocols/oauth2,
https://developers.google.com/identity/openid-connect/openid-connect.
"""

import secrets
import time
from dataclasses import dataclass

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from authserver.testing.standins.person import Person


@dataclass(frozen=True)
class Grant:
    person: Person
    audience: str
    checked_subject: str  # what tokeninfo says; an honest Google says the person's


class Google:
    client_id = "1234567890-web.apps.googleusercontent.com"
    other_client_id = "9876543210-other.apps.googleusercontent.com"

    def __init__(self, url: str) -> None:
        self.url = url
        self.grants: dict[str, Grant] = {}

    def options(self) -> dict[str, str]:
        return {
            "CLIENT_ID": self.client_id,
            "ISSUER": self.url,
            "TOKENINFO_URL": f"{self.url}/tokeninfo",
            "USERINFO_URL": f"{self.url}/userinfo",
        }

    def token(self, person: Person, *, audience: str | None = None, checked_subject: str | None = None) -> str:
        """An access token that the person gave to an application, ours where none is named."""
        token = f"ya29.{secrets.token_urlsafe(48)}"
        self.grants[token] = Grant(person, audience or self.client_id, checked_subject or person.subject)
        return token

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("google", __name__, url_prefix="/google")
        blueprint.add_url_rule("/tokeninfo", view_func=self.tokeninfo, methods=["GET", "POST"])
        blueprint.add_url_rule("/userinfo", view_func=self.userinfo)
        return blueprint

    def tokeninfo(self) -> ResponseReturnValue:
        grant = self.grants.get(request.values.get("access_token", ""))
        if grant is None:
            return jsonify(error="invalid_token", error_description="Invalid Value"), 400
        info = {
            "azp": grant.audience,
            "aud": grant.audience,
            "sub": grant.checked_subject,
            "scope": "openid https://www.googleapis.com/auth/userinfo.email",
            "exp": str(int(time.time()) + 3599),
            "expires_in": "3599",
            "access_type": "online",
        }
        if grant.person.email:
            info |= {"email": grant.person.email, "email_verified": str(grant.person.email_verified).lower()}
        return jsonify(info)

    def userinfo(self) -> ResponseReturnValue:
        grant = self.grants.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if grant is None:
            return jsonify(error="invalid_request", error_description="Invalid Credentials"), 401
        person = grant.person
        claims: dict[str, object] = {
            "sub": person.subject,
            "name": f"{person.first_name} {person.last_name}".strip(),
            "given_name": person.first_name,
            "family_name": person.last_name,
            "picture": "https://lh3.googleusercontent.com/a/picture",
        }
        if person.email:
            claims |= {"email": person.email, "email_verified": person.email_verified}
        if person.hosted_domain:
            claims["hd"] = person.hosted_domain
        return jsonify(claims)
