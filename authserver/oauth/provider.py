"""The provider interface: all that a provider's file may import from authserver.

A provider is a function from its settings to a `Provider`. The server owns the routes, state, nonce, PKCE, the exchange
of codes, signatures and their keys, the HTTP, the time-outs, the comparison of audiences and subjects, the accounts and
the tokens; the author says only what differs. Author code may raise whatever Python raises: a missing key, a wrong type
or a `Refused` refuses the sign-in, an `Unavailable` says that the provider cannot be asked right now.
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from authserver.clock import now as now  # the time, for authors too: tests and the development home move it
from authserver.settings import SettingsError
from authserver.values import base_url, require_https

Claims = Mapping[str, Any]


class Refused(Exception):
    """Raise it to refuse a sign-in; the reason goes to the server's log, not to the client.

    Where a provider's server refused, `status` is its answer's and `body` the JSON that it carried, if it did.
    """

    def __init__(self, reason: str = "", *, status: int | None = None, body: Any = None) -> None:
        super().__init__(reason)
        self.status = status
        self.body = body


class Unavailable(Exception):
    """Raise it where an answer means that the provider cannot tell right now, as when it throttles: a 503."""


class Ask(Protocol):
    """Asks the provider's servers. Both return the JSON that a 200 or 201 carries.

    A 4xx other than 429 raises `Refused`; whatever else can go wrong raises `Unavailable`. `basic` is a client id and
    its secret.
    """

    def get(
        self, url: str, params: Mapping[str, str] | None = None, *, bearer: str = "", basic: tuple[str, str] = ("", "")
    ) -> Any: ...

    def post(
        self,
        url: str,
        form: Mapping[str, str] | None = None,
        *,
        json: Any = None,
        bearer: str = "",
        basic: tuple[str, str] = ("", ""),
    ) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Issued:
    """What the provider says of an access token."""

    audience: str  # the application it was issued to: compared with the client ids before anything else is asked
    subject: str  # compared with the identity's afterwards
    tenant: str = ""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who signed in."""

    subject: str  # the provider's immutable id as text, never the e-mail
    email: str | None  # what is no address counts as none
    email_verified: bool  # no default: every author has to answer, and only a real True counts
    email_authoritative: bool = False  # the provider runs this mailbox's domain: it links to an account of the address
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

    identity: Callable[[Accepted], Identity]
    # None from it: the token counts for nobody. Left out, since the provider cannot say: only those tokens count that
    # the server itself got for a code.
    issued_to: Callable[[Ask, str], Issued | None] | None = None


@dataclass(frozen=True, kw_only=True)
class IdToken:
    """A JWT of an OpenID provider. Signature, issuer, audience, times and nonce are checked before `identity`."""

    issuer: str  # its discovery document, under /.well-known/, names whatever is left out
    identity: Callable[[Claims], Identity]
    issuers: Callable[[Claims], Collection[str]] | None = None  # which `iss` count; left out, the document's alone
    jwks_url: str = ""  # where its keys are
    # With a code: what the token leaves out stands at the userinfo endpoint. The e-mail address and whatever is said of
    # it are taken from one of the two, the token if that has it.
    userinfo: bool = False
    nonce_left_out: bool = False  # this provider's tokens carry none: a redirect is bound to its browser by state alone


@dataclass(frozen=True, kw_only=True)
class Provider:
    label: str  # what the button says
    mark: str = ""  # the provider's logo beside it, as the text of an SVG; paths without `fill` have the text's colour
    id_token: IdToken | None = None  # left out: that kind of token is refused
    access_token: AccessToken | None = None
    # Of codes, the redirect's and those that a frontend sends.
    scopes: tuple[str, ...] = ()  # without any there are no codes; with `openid` an id_token has to come for one
    authorize_url: str | None = None  # left out: the discovery document's
    token_url: str | None = None
    authorize_params: Mapping[str, str] = field(default_factory=dict)  # what else the provider wants to be told
    pkce: bool = True
    form_post: bool = False  # the browser comes back by a POST: response_mode=form_post
    names: Callable[[Mapping[str, str]], tuple[str, str]] | None = None  # first and last, if only the callback has them
    # Of the application's own authentication.
    needs_secret: bool = False  # without one the start is refused
    public_client: bool = False  # codes are taken without a secret too
    client_secret: Callable[[], str] | None = None  # one that is made anew each time, instead of CLIENT_SECRET
    token_auth: Literal["client_secret_basic", "client_secret_post"] | None = None  # left out: by discovery, else post


def logo(file: str) -> str:
    """Returns the text of the `.svg` that stands beside a provider's file: `mark=logo(__file__)`."""
    return Path(file).with_suffix(".svg").read_text("utf-8")


@dataclass(frozen=True, kw_only=True)
class ProviderSettings:
    """A provider's settings, `AUTHSERVER_PROVIDERS__<NAME>__<OPTION>`. What is wrong stops the start.

    Options are asked for while the provider is made, not later.
    """

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
                require_https(url)
        except ValueError as error:
            raise SettingsError(f"{self.variable(name)}: {error}") from None
        return url

    def require(self, name: str) -> str:
        """An option without which the provider cannot work."""
        value = self.option(name)
        if not value:
            raise SettingsError(f"{self.variable(name)} is not set, and {self.name} needs it")
        return value

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


def standard_identity(claims: Claims) -> Identity:
    """Whom OpenID Connect's standard claims name. A name that comes in one piece is shown as the first one."""
    first, last = claims.get("given_name") or "", claims.get("family_name") or ""
    return Identity(
        subject=claims["sub"],
        email=claims.get("email"),
        email_verified=claims.get("email_verified") is True,
        first_name=first or (not last and claims.get("name")) or "",
        last_name=last,
    )


def signed_jwt(claims: Claims, private_key: str, kid: str) -> str:
    """A JWT signed with ES256, for a provider to which the application proves itself so; `private_key` is PEM.

    Raises `ValueError` for what is no such key.
    """
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey
    from joserfc.jwt import encode

    try:
        return encode({"alg": "ES256", "kid": kid}, dict(claims), ECKey.import_key(private_key))
    except (JoseError, TypeError) as error:  # of another kind or curve, a public one; TypeError: one with a password
        raise ValueError("not a private key for ES256") from error
