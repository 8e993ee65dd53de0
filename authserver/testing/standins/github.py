"""GitHub: OAuth apps, the check of a token, and who the person is.

https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps,
https://docs.github.com/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors,
https://docs.github.com/rest/apps/oauth-applications#check-a-token, https://docs.github.com/rest/users/users,
https://docs.github.com/rest/users/emails.
"""

import time
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from authserver.testing.standins.authorization import Authorized
from authserver.testing.standins.base import Grant, Now, bearer, given, numeric
from authserver.testing.standins.exchanging import Problem, Refusals
from authserver.testing.standins.person import Person
from authserver.testing.standins.standin import StandIn

_BAD_CODE = {
    "error": "bad_verification_code",
    "error_description": "The code passed is incorrect or expired.",
    "error_uri": "https://docs.github.com/apps/oauth-apps/maintaining-oauth-apps",
}


class GitHub(StandIn):
    """BASE_URL is `url`, API_URL is `url`/api."""

    name = "github"
    label = "GitHub"
    client_id = "Ov23liAuthserverTests"
    other_client_id = "Ov23liSomebodyElsesAp"
    client_secret = "6f1ed002ab5595859014ebf0951522d9a1b2c3d4"
    scope = "read:user user:email"
    token_prefix = "gho_"
    authorize_path = "/login/oauth/authorize"
    token_path = "/login/oauth/access_token"
    response_type_required = False
    grant_type_required = False
    denied: ClassVar[Mapping[str, str]] = {
        "error": "access_denied",
        "error_description": "The user has denied your application access.",
    }
    refusals: ClassVar[Refusals] = {
        Problem.GRANT_TYPE: (200, {"error": "unsupported_grant_type"}),
        Problem.CLIENT: (200, {"error": "incorrect_client_credentials"}),
        Problem.CODE: (200, _BAD_CODE),
        Problem.REDIRECT_URI: (200, {"error": "redirect_uri_mismatch"}),
        Problem.VERIFIER: (200, _BAD_CODE),
    }

    def __init__(self, url: str, *, now: Now = time.time, taken: str = "taken@example.com") -> None:
        super().__init__(url, now=now, taken=taken)
        self.people.append(
            Person(
                subject=self.subject(7),
                email="katherine@github.example",
                email_verified=False,
                first_name="Katherine",
                last_name="Johnson",
                other_emails=(("katherine@work.github.example", True),),
                role="only a further e-mail address is verified",
            )
        )

    def options(self) -> dict[str, str]:
        return {**super().options(), "BASE_URL": self.url, "API_URL": f"{self.url}/api"}

    def expires_at(self, grant: Grant) -> int:
        return int(grant.at) + 10 * 365 * 86400  # not before it goes unused for a year

    def blueprint(self) -> Blueprint:
        blueprint = super().blueprint()
        rule = "/api/applications/<client_id>/token"
        blueprint.add_url_rule(rule, "check", self.check_view, methods=["POST"])
        blueprint.add_url_rule("/api/user", "user", self.user_view)
        blueprint.add_url_rule("/api/user/emails", "emails", self.emails_view)
        return blueprint

    def granted(self, authorized: Authorized) -> dict[str, Any]:
        scope = ",".join(authorized.request.scope.replace(",", " ").split())
        return {"access_token": self.access_token(authorized), "scope": scope, "token_type": "bearer"}

    def token_response(self, body: Mapping[str, object], status: int) -> ResponseReturnValue:
        """As a form, unless JSON is asked for."""
        if "json" in request.headers.get("Accept", ""):
            return jsonify(body), status
        return urlencode(body), status, {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}

    def check_view(self, client_id: str) -> ResponseReturnValue:
        basic = request.authorization
        if basic is None or basic.type != "basic" or basic.username != client_id or client_id not in self.clients:
            return _refused(404, "Not Found")
        if not self.proves(client_id, basic.password or ""):
            return _refused(401, "Bad credentials")
        asked = request.get_json(silent=True)
        token = asked.get("access_token") if isinstance(asked, dict) else None
        if not isinstance(token, str):
            return _refused(422, "Validation Failed")
        grant = self.grant(token)
        if grant is None or grant.audience != client_id:
            return _refused(404, "Not Found")
        answer = {
            "id": 1,
            "url": f"{self.url}/api/authorizations/1",
            "app": {"name": "Our application", "url": "https://app.example.com", "client_id": client_id},
            "token": token,
            "token_last_eight": token[-8:],
            "note": None,
            "scopes": grant.scope.replace(",", " ").split(),
            "expires_at": None,
            "user": {"login": login(grant.person), "id": numeric(grant.person.subject), "type": "User"},
        }
        return jsonify({name: value for name, value in {**answer, **grant.says}.items() if name not in gone(grant)})

    def user_view(self) -> ResponseReturnValue:
        grant = self.grant(bearer())
        if grant is None:
            return _refused(401, "Bad credentials")
        person = grant.person
        return jsonify(
            {
                "login": login(person),
                "id": numeric(person.subject),
                "type": "User",
                "name": person.name or None,
                "email": None,  # the one that is shown to everybody, if any
            }
        )

    def emails_view(self) -> ResponseReturnValue:
        grant = self.grant(bearer())
        if grant is None:
            return _refused(401, "Bad credentials")
        if not {"user", "user:email"} & set(grant.scope.replace(",", " ").split()):
            return _refused(404, "Not Found")
        return jsonify(emails(grant.person))


def login(person: Person) -> str:
    return person.first_name.lower() or f"user{person.subject}"


def emails(person: Person) -> list[dict[str, object]]:
    if person.email is None:
        return []
    first = {"email": person.email, "primary": True, "verified": person.email_verified, "visibility": "private"}
    others = [
        {"email": email, "primary": False, "verified": verified, "visibility": None}
        for email, verified in person.other_emails
    ]
    return [*others, first]


def gone(grant: Grant) -> set[str]:
    return set(grant.says) - set(given(grant.says))


def _refused(status: int, message: str) -> ResponseReturnValue:
    return jsonify(message=message, documentation_url="https://docs.github.com/rest", status=str(status)), status
