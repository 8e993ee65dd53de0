"""What every stand-in knows: applications, people, and the access tokens that these gave to those."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from flask import request

from authserver.testing.standins.person import Person, usual_people

Now = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What an access token stands for."""

    person: Person
    audience: str  # the application it was issued to
    scope: str
    at: float
    says: dict[str, object] = field(default_factory=dict)  # what the provider says of it otherwise


class Base:
    """One provider at `url`. `people` are on its page; `clients` are the applications it knows, and their secrets."""

    name: ClassVar[str]  # in AUTHSERVER_PROVIDERS__<NAME>__…
    label: ClassVar[str]
    client_id: ClassVar[str]
    other_client_id: ClassVar[str]
    client_secret: ClassVar[str]
    scope: ClassVar[str]  # of tokens for which none is named
    verified: ClassVar[object] = True  # how the provider spells that it checked an address
    remark: ClassVar[str] = ""  # on its page, where it does not always pass on that it checked one
    token_prefix: ClassVar[str] = ""
    token_lifetime: ClassVar[int] = 3600

    def __init__(self, url: str, *, now: Now = time.time, taken: str = "taken@example.com") -> None:
        self.url = url
        self.now = now
        self.clients = {self.client_id: self.client_secret, self.other_client_id: secrets.token_urlsafe(24)}
        self.grants: dict[str, Grant] = {}
        self.people = usual_people(self.subject, f"{self.name}.example", taken, self.verified, self.remark)

    def subject(self, number: int) -> str:
        """An id of the provider's kind."""
        return str(number)

    def person(self, role: str) -> Person:
        """The one of `people` who is there for it; the beginning of the role is enough."""
        for person in self.people:
            if person.role.startswith(role):
                return person
        raise LookupError(f"nobody with the role {role!r} is on the page of {self.label}")

    def options(self) -> dict[str, str]:
        """AUTHSERVER_PROVIDERS__<NAME>__… of a server that uses this instead of the real one."""
        return {"CLIENT_ID": self.client_id, "CLIENT_SECRET": self.client_secret}

    def audience(self, person: Person, client_id: str | None = None) -> str:
        """Which application their tokens are for: the one that asked, or ours, except for who is there to err."""
        return self.other_client_id if person.other_application else client_id or self.client_id

    def token(self, person: Person, *, audience: str | None = None, scope: str | None = None, **says: object) -> str:
        """An access token that the person gave to an application, ours where none is named.

        `says` changes what the provider says of the token to who asks whose it is; None leaves something out.
        """
        token = f"{self.token_prefix}{secrets.token_urlsafe(48)}"
        self.keep(token, person, audience, scope, says)
        return token

    def keep(
        self, token: str, person: Person, audience: str | None, scope: str | None, says: dict[str, object]
    ) -> None:
        issued_to = self.audience(person) if audience is None else audience
        granted = self.scope if scope is None else scope
        self.grants[token] = Grant(person=person, audience=issued_to, scope=granted, at=self.now(), says=says)

    def grant(self, token: str) -> Grant | None:
        """None for a token that does not count, or no longer."""
        grant = self.grants.get(token)
        return grant if grant is not None and self.expires_at(grant) > self.now() else None

    def expires_at(self, grant: Grant) -> int:
        return int(grant.at) + self.token_lifetime


def bearer() -> str:
    """The token that the request came with, or ""."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def given(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def numeric(subject: str) -> object:
    """For providers whose ids are numbers; tests also make up others."""
    return int(subject) if subject.isdecimal() else subject
