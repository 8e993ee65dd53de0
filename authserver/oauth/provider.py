"""The provider interface: all that a provider's file may import from authserver.

A provider is a function from its settings to a `Provider`. The server owns the routes, the HTTP, the time-outs, the
comparison of audiences and subjects, the accounts and the tokens; the author says only what differs. Author code may
raise whatever Python raises: a missing key, a wrong type or a `Refused` refuses the sign-in, an upstream that cannot be
reached or makes no sense is reported as unavailable.
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from authserver.settings import SettingsError
from authserver.values import base_url, require_https


class Refused(Exception):
    """Raise it to refuse a sign-in; the reason goes to the server's log, not to the client."""


class Ask(Protocol):
    """Asks the provider's servers. Both return the JSON that a 2xx answer carries.

    Other 4xx answers raise `Refused`; everything else that can go wrong makes the server answer
    `provider_unavailable`.
    """

    def get(self, url: str, params: Mapping[str, str] | None = None, *, bearer: str | None = None) -> Any: ...
    def post(self, url: str, form: Mapping[str, str], *, bearer: str | None = None) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Issued:
    """What the provider says of an access token."""

    audience: str  # the application it was issued to: compared with the client ids before anything else is asked
    subject: str  # compared with the identity's afterwards
    tenant: str = ""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who signed in."""

    subject: str  # the provider's immutable id, never the e-mail
    email: str | None
    email_verified: bool  # no default: every author has to answer, and only a real True counts
    tenant: str = ""  # where subjects are unique only within one
    first_name: str = ""
    last_name: str = ""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """An access token whose audience has been proved, for asking whose it is."""

    token: str = field(repr=False)
    issued: Issued
    ask: Ask

    def get(self, url: str, params: Mapping[str, str] | None = None) -> Any:
        """The JSON at the address, asked for with the token as Bearer."""
        return self.ask.get(url, params, bearer=self.token)


@dataclass(frozen=True, kw_only=True)
class AccessToken:
    """Opaque to us: ask the provider whose token it is, and only then who that is."""

    issued_to: Callable[[Ask, str], Issued | None]  # None: the token counts for nobody
    identity: Callable[[Accepted], Identity]


@dataclass(frozen=True, kw_only=True)
class Provider:
    label: str  # what the button says
    access_token: AccessToken | None = None  # left out: access tokens are refused
    needs_secret: bool = False  # without one the start is refused


@dataclass(frozen=True, kw_only=True)
class ProviderSettings:
    """A provider's settings, `AUTHSERVER_PROVIDERS__<NAME>__<OPTION>`. What is wrong stops the start."""

    name: str
    client_ids: tuple[str, ...]
    client_secret: str = field(default="", repr=False)
    production: bool = True
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    asked: set[str] = field(default_factory=set, repr=False)  # an option that nobody asks for is a typing error

    def option(self, name: str, default: str = "") -> str:
        self.asked.add(name)
        return self.options.get(name, default)

    def url(self, name: str, default: str) -> str:
        """An upstream's address without a trailing slash; in production https, loopback excepted."""
        try:
            url = base_url(self.option(name, default))
            if self.production:
                require_https(self.variable(name), url)
        except ValueError as error:
            raise SettingsError(
                f"{self.variable(name)}: {str(error).removeprefix(self.variable(name) + ': ')}"
            ) from None
        return url

    def wrong(self, name: str, expected: str) -> SettingsError:
        """To be raised for an option that the provider cannot take."""
        return SettingsError(f"{self.variable(name)}: expected {expected}")

    def variable(self, name: str) -> str:
        return f"AUTHSERVER_PROVIDERS__{self.name.upper()}__{name}"


ProviderFactory = Callable[[ProviderSettings], Provider]


def unverified_claims(token: str) -> dict[str, Any]:
    """What a JWT says of itself, with nothing checked; raises `ValueError` for what is no JWT.

    Good for asking which application a token claims to be for, before the provider has been asked whether it is so.
    """
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except RecursionError:
        claims = None
    if not isinstance(claims, dict):
        raise ValueError("not a JWT")
    return claims
