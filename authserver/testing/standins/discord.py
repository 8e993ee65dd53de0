"""Discord: OAuth, whose token it is, and who the person is.

https://discord.com/developers/docs/topics/oauth2, https://discord.com/developers/docs/resources/user.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from authserver.testing.standins.base import Grant, bearer, given
from authserver.testing.standins.exchanging import Problem, Refusals
from authserver.testing.standins.standin import StandIn


def _invalid(what: str) -> dict[str, object]:
    return {"error": "invalid_grant", "error_description": f'Invalid "{what}" in request.'}


class Discord(StandIn):
    """BASE_URL is `url`; the API is under `url`/api/<version>."""

    name = "discord"
    label = "Discord"
    client_id = "1100000000000000001"
    other_client_id = "1100000000000000002"
    client_secret = "dQw4w9WgXcQ-discord-app-secret00"
    scope = "identify email"
    token_lifetime = 604800
    authorize_path = "/oauth2/authorize"
    token_path = "/api/<version>/oauth2/token"
    token_auth = frozenset({"client_secret_basic", "client_secret_post"})
    denied: ClassVar[Mapping[str, str]] = {
        "error": "access_denied",
        "error_description": "The resource owner or authorization server denied the request",
    }
    refusals: ClassVar[Refusals] = {
        Problem.GRANT_TYPE: (400, {"error": "unsupported_grant_type"}),
        Problem.CLIENT: (401, {"error": "invalid_client"}),
        Problem.CODE: (400, _invalid("code")),
        Problem.REDIRECT_URI: (400, _invalid("redirect_uri")),
        Problem.VERIFIER: (400, _invalid("code_verifier")),
    }

    def subject(self, number: int) -> str:
        return f"8035110{number:011}"

    def options(self) -> dict[str, str]:
        return {**super().options(), "BASE_URL": self.url}

    def blueprint(self) -> Blueprint:
        blueprint = super().blueprint()
        blueprint.add_url_rule("/api/<version>/oauth2/@me", "authorization", self.authorization_view)
        blueprint.add_url_rule("/api/<version>/users/@me", "user", self.user_view)
        return blueprint

    def authorization_view(self, version: str) -> ResponseReturnValue:
        grant = self.grant(bearer())
        if grant is None:
            return _unauthorized()
        scopes = grant.scope.split()
        info: dict[str, object] = {
            "application": {"id": grant.audience, "name": "Our application", "icon": None, "description": ""},
            "scopes": scopes,
            "expires": datetime.fromtimestamp(self.expires_at(grant), UTC).isoformat(),
            "user": _user(grant) if "identify" in scopes else None,
        }
        return jsonify(given({**info, **grant.says}))

    def user_view(self, version: str) -> ResponseReturnValue:
        grant = self.grant(bearer())
        if grant is None or "identify" not in grant.scope.split():
            return _unauthorized()
        user = _user(grant)
        if "email" in grant.scope.split():
            user |= {"email": grant.person.email, "verified": grant.person.email_verified}
        return jsonify(user)


def _user(grant: Grant) -> dict[str, object]:
    person = grant.person
    return {
        "id": person.subject,
        "username": person.first_name.lower() or f"user{person.subject}",
        "global_name": person.name or None,
        "avatar": None,
        "discriminator": "0",
    }


def _unauthorized() -> ResponseReturnValue:
    return jsonify(message="401: Unauthorized", code=0), 401
