"""Who signs id_tokens: discovery, keys, and tokens as they should and should not be.

https://openid.net/specs/openid-connect-core-1_0.html#IDToken, https://openid.net/specs/openid-connect-discovery-1_0.html.
"""

import time
from collections.abc import Mapping
from typing import ClassVar

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from joserfc.jwk import RSAKey

from authserver.testing.standins.base import Base, Now, given
from authserver.testing.standins.keys import OURS, Key, Keys, sign
from authserver.testing.standins.person import Person

ALL = "openid email profile"


class Signing(Base):
    jwks_path: ClassVar[str]
    discovery_path: ClassVar[str] = "/.well-known/openid-configuration"
    id_token_lifetime: ClassVar[int] = 3600

    def __init__(self, url: str, *, now: Now = time.time, taken: str = "taken@example.com") -> None:
        super().__init__(url, now=now, taken=taken)
        self.keys = Keys()

    @property
    def issuer(self) -> str:
        return self.url

    def iss(self, person: Person) -> str:
        return self.issuer

    @property
    def key(self) -> RSAKey:
        """The one that signs now."""
        return self.keys.published[0]

    def rotate_keys(self, keep_old: bool = True) -> None:
        """Signs with a new key from now on; the old one stays published beside it, or not."""
        self.keys.rotate(keep_old)

    def profile(self, person: Person, scope: str = ALL) -> dict[str, object]:
        """What an id_token says of the person beside `sub`, by the scopes that were asked for; None is left out."""
        return standard_profile(person, scope)

    def sub(self, person: Person) -> str:
        return person.subject

    def id_token(self, person: Person, *, nonce: str | None = None, **claims: object) -> str:
        """One that a frontend got for our application; `claims` change what it says, None leaves one out."""
        return self.sign(self.id_token_claims(person, ALL, nonce=nonce, **claims))

    def id_token_claims(self, person: Person, scope: str = ALL, **claims: object) -> dict[str, object]:
        now = int(self.now())
        usual = {
            "iss": self.iss(person),
            "aud": self.audience(person),
            "sub": self.sub(person),
            "iat": now,
            "exp": now + self.id_token_lifetime,
        }
        return given({**usual, **self.profile(person, scope), **claims, **person.claims})

    def sign(self, claims: Mapping[str, object], *, key: Key = OURS, header: Mapping[str, object] | None = None) -> str:
        """A token that says just this, signed as it should be, or not:

        sign(claims, key=RSAKey.generate_key(2048))  # another's, under our `kid`
        sign(claims, key=None, header={"alg": "none"})
        sign(claims, key=stand_in.key.as_pem(private=False), header={"alg": "HS256"})
        """
        usual = {"typ": "JWT", "alg": "RS256", "kid": self.key.kid}
        return sign(claims, self.key if key is OURS else key, given({**usual, **(header or {})}))

    def discovery(self, **where: str) -> dict[str, object]:
        raise NotImplementedError

    def jwks(self) -> dict[str, object]:
        return {"keys": [key.as_dict(private=False) for key in self.keys.published]}

    def serve_keys(self, blueprint: Blueprint) -> None:
        # Facebook documents them with a slash at the end, others without.
        blueprint.add_url_rule(self.discovery_path, "discovery", self.discovery_view, strict_slashes=False)
        blueprint.add_url_rule(self.jwks_path, "jwks", self.jwks_view, strict_slashes=False)

    def discovery_view(self, **where: str) -> ResponseReturnValue:
        return jsonify(self.discovery(**where))

    def jwks_view(self, **where: str) -> ResponseReturnValue:
        return jsonify(self.jwks())


def standard_profile(person: Person, scope: str) -> dict[str, object]:
    """https://openid.net/specs/openid-connect-core-1_0.html#ScopeClaims."""
    scopes = scope.split()
    claims: dict[str, object] = {}
    if "profile" in scopes:
        names = {"name": person.name, "given_name": person.first_name, "family_name": person.last_name}
        claims |= {claim: value for claim, value in names.items() if value}
    if "email" in scopes and person.email:
        claims |= {"email": person.email, "email_verified": person.email_verified}
    return claims
