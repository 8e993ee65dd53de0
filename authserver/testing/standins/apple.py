"""Apple: sign-in, id_tokens, and a client secret that is a JWT of the application's own.

https://developer.apple.com/documentation/signinwithapple/request-an-authorization-to-the-sign-in-with-apple-server,
https://developer.apple.com/documentation/signinwithapplerestapi/generate-and-validate-tokens,
https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret,
https://developer.apple.com/documentation/signinwithapple/authenticating-users-with-sign-in-with-apple.
"""

import json
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from authserver.testing.standins.authorization import Authorized, NotAsked, Request
from authserver.testing.standins.base import Now, given
from authserver.testing.standins.exchanging import Problem, Refusals
from authserver.testing.standins.keys import OURS, Key, sign
from authserver.testing.standins.openid import OpenIDStandIn
from authserver.testing.standins.person import Person
from authserver.testing.standins.signing import ALL

SIX_MONTHS = 15777000
_GRANT = {"error": "invalid_grant", "error_description": "The code has expired or has been revoked."}


class Apple(OpenIDStandIn):
    name = "apple"
    label = "Apple"
    client_id = "com.example.app.web"
    other_client_id = "com.example.another.web"
    client_secret = ""  # none that is always the same
    team_id = "A1B2C3D4E5"
    key_id = "K6L7M8N9P0"
    scope = "name email"
    verified = "true"
    id_token_lifetime = 86400
    authorize_path = "/auth/authorize"
    token_path = "/auth/token"
    jwks_path = "/auth/keys"
    userinfo_path = ""
    response_modes = frozenset({"query", "form_post"})
    denied: ClassVar[Mapping[str, str]] = {"error": "user_cancelled_authorize"}
    refusals: ClassVar[Refusals] = {
        Problem.GRANT_TYPE: (400, {"error": "unsupported_grant_type"}),
        Problem.CLIENT: (400, {"error": "invalid_client"}),
        Problem.CODE: (400, _GRANT),
        Problem.REDIRECT_URI: (400, _GRANT),
        Problem.VERIFIER: (400, _GRANT),
    }

    def __init__(self, url: str, *, now: Now = time.time, taken: str = "taken@example.com") -> None:
        super().__init__(url, now=now, taken=taken)
        self.application_key = ECKey.generate_key("P-256")
        self.introduced: set[tuple[str, str]] = set()  # whose name has been told, and to which application
        self.people.append(
            Person(
                subject=self.subject(7),
                email="dpdcnf87nu@privaterelay.appleid.com",
                email_verified=self.verified,
                first_name="Katherine",
                last_name="Johnson",
                private_email=True,
                role="private relay e-mail address",
            )
        )

    def subject(self, number: int) -> str:
        return f"{number:06}.0123456789abcdef0123456789abcdef.0042"

    def options(self) -> dict[str, str]:
        return {
            "CLIENT_ID": self.client_id,
            "ISSUER": self.issuer,
            "TEAM_ID": self.team_id,
            "KEY_ID": self.key_id,
            "PRIVATE_KEY": self.application_key.as_pem(private=True).decode(),
        }

    def discovery(self, **where: str) -> dict[str, object]:
        document = super().discovery()
        del document["code_challenge_methods_supported"]
        return {**document, "scopes_supported": ["openid", "email", "name"]}

    def check(self, asked: Request) -> None:
        super().check(asked)
        if asked.response_mode != "form_post" and {"name", "email"} & set(asked.scope.split()):
            raise NotAsked("response_mode must be form_post when name or email scope is requested.")

    def authorized(self, asked: Request, person: Person) -> Mapping[str, str]:
        """Who it is, to each application once."""
        scopes, introduced = asked.scope.split(), (person.subject, asked.client_id)
        if introduced in self.introduced or not {"name", "email"} & set(scopes):
            return {}
        self.introduced.add(introduced)
        name = {"firstName": person.first_name, "lastName": person.last_name}
        email = person.email if "email" in scopes else None
        return {"user": json.dumps(given({"name": name if "name" in scopes else None, "email": email}))}

    def secret(self, *, key: Key = OURS, header: Mapping[str, object] | None = None, **claims: object) -> str:
        """A client secret as our application makes it; whatever is named differs."""
        now = int(self.now())
        usual = {
            "iss": self.team_id,
            "iat": now,
            "exp": now + 300,
            "aud": self.issuer,
            "sub": self.client_id,
        }
        usual_header = {"alg": "ES256", "kid": self.key_id, **(header or {})}
        return sign(given({**usual, **claims}), self.application_key if key is OURS else key, given(usual_header))

    def proves(self, client_id: str, secret: str) -> bool:
        try:
            token = jwt.decode(secret, self.application_key, algorithms=["ES256"])
        except (JoseError, ValueError):
            return False
        expected = {"iss": self.team_id, "sub": client_id, "aud": self.issuer}
        expiry = token.claims.get("exp")
        return (
            token.header.get("kid") == self.key_id
            and expected.items() <= token.claims.items()
            and isinstance(expiry, int)
            and 0 < expiry - self.now() <= SIX_MONTHS
        )

    def profile(self, person: Person, scope: str = ALL) -> dict[str, object]:
        """Without a name: that comes with the first callback, and never again."""
        claims: dict[str, object] = {"nonce_supported": True, "auth_time": int(self.now())}
        if person.email and "email" in scope.split():
            claims |= {"email": person.email, "email_verified": person.email_verified}
            if person.private_email:
                claims["is_private_email"] = "true"
        return claims

    def granted(self, authorized: Authorized) -> dict[str, Any]:
        """With an id_token, whether `openid` was asked for or not."""
        answer = super().granted(authorized)
        return {**answer, "id_token": self.sign(self.claims_with(answer["access_token"], authorized))}
