"""The settings, from the environment and `.env`: typed, and refused where they are wrong or unsafe.

A sentence of ours names the variable and what is expected of it, never its value.
"""

import difflib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from authserver.environment import PREFIX as PREFIX
from authserver.environment import SettingsError as SettingsError
from authserver.environment import development_secret, open_to_others
from authserver.environment import environment as environment
from authserver.values import (
    DatabaseUrl,
    Domains,
    Folder,
    MailFrom,
    MailUrl,
    Origin,
    Origins,
    PageUrl,
    RateLimit,
    RedirectUrls,
    RedisUrl,
    Seconds,
    Secret,
    origin,
    require_https,
)

PROVIDERS = PREFIX + "PROVIDERS__"
DEVELOPMENT_URL = "http://localhost:8000"
# In the instance folder: two names, so that neither opens the other's by accident.
DEVELOPMENT_DATABASE, PRODUCTION_DATABASE = "development.db", "authserver.db"
# Of settings that have no default.
MISSING = {
    "secret_key": "not set, expected at least 32 random bytes, such as the output of `openssl rand -base64 48`",
    "public_url": "not set, expected this server's own address, such as https://auth.example.com",
}


class Settings(BaseModel):
    """Everything that an operator can set. What stands under a setting says what it means, here and in
    `docs/settings.md`, which is made of it.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    env: Literal["production", "development"] = "production"
    """`development`, which `authserver dev` sets, makes its own secret, and takes any loopback origin for CORS and
    address for redirects. [No other server](operating.md#development) starts in it."""
    secret_key: Secret = Field(repr=False)
    """At least 32 random bytes; a known sample or a short piece repeated is refused. Every purpose derives its own key
    from it."""
    secret_key_previous: Secret | None = Field(default=None, repr=False)
    """The one before, while it is being changed: `authserver migrate` then seals the signing keys anew."""
    signing_algorithm: Literal["ES256", "EdDSA", "HS256"] = "ES256"
    """`HS256` when no other service verifies. After a change run `authserver migrate`, which makes a key for it; tokens
    signed before count until they expire."""
    instance_path: Path = Path("instance")
    """The folder, from the working directory, where the embedded database lies, `authserver.db` or in development
    `development.db`, and the development secret."""
    database_url: DatabaseUrl = Field(repr=False)
    """`postgresql://user:password@host/database` or `sqlite:////absolute/path.db`."""
    redis_url: RedisUrl | None = Field(default=None, repr=False)
    """`redis://user:password@host:port/0`, or `rediss://` with TLS: counts for the rate limits; without it the database
    does."""
    public_url: Origin
    """This server's own address, `scheme://host[:port]`: the issuer of the tokens. In production https, loopback
    excepted."""
    audience: str
    """`aud` of our tokens."""

    cors_origins: Origins = ()
    """Exact origins that may call from a browser; `*` is refused in production."""
    redirect_urls: RedirectUrls = ()
    """Where a [sign-in by redirect](endpoints.md#sign-in-by-redirect) may lead back to, exactly:
    `https://app.example.com/signed-in`, an app's private scheme as `com.example.app:/signed-in`. For
    desktop applications, `http://127.0.0.1/callback` or `http://[::1]/callback` without a port allows any port;
    `localhost` does not. Development takes any loopback address too."""
    cookie_samesite: Literal["Lax", "Strict", "None"] = "Lax"
    """Of the [refresh cookie](endpoints.md#the-refresh-token-in-a-cookie); `None`, on https only, for a frontend on
    another site."""

    access_token_lifetime: Seconds = 3600
    """How long an access token counts."""
    refresh_token_lifetime: Seconds = 86400
    """How long a refresh token counts."""
    refresh_rotation: bool = False
    """`true`: each refresh token counts once and a refresh answers with the next one; one that is used again after 10
    seconds ends its session."""
    session_lifetime: Seconds | None = None
    """From a sign-in, after which nothing refreshes; an access token still lives out its own lifetime."""
    fresh_lifetime: Seconds = 600
    """After a sign-in, for which its access token's `fresh` claim says so."""

    event_lifetime: Seconds = 365 * 86400
    """How long [what happened](operating.md#audit-events) is kept, a year; what is older is
    [deleted](operating.md#what-is-over)."""

    trusted_proxies: Annotated[int, Field(ge=0, le=10)] = 0
    """How many proxies in front may be believed when they name the client's address in `X-Forwarded-For`."""
    rate_limits: bool = True
    """`false` for load tests: no [rate limits](operating.md#rate-limits) at all."""
    rate_limit_login_account: RateLimit = "10 per 5 minutes"
    """Password checks of one account by strangers, and by each device that used it before. These defaults are ten
    times as much in development; one that is set is as it is set."""
    rate_limit_login_address: RateLimit = "100 per 5 minutes"
    """Logins from one IP address: that of IPv4, or the /64 of IPv6. A /56 has four times as much, a /48 sixteen
    times."""
    rate_limit_signup_address: RateLimit = "30 per hour"
    """Sign-ups from one IP address, likewise."""
    rate_limit_provider_address: RateLimit = "300 per 5 minutes"
    """Sign-ins with a provider from one IP address, likewise."""
    rate_limit_refresh_address: RateLimit = "300 per 5 minutes"
    """Refused refreshes from one IP address, likewise; accepted ones are not counted."""
    rate_limit_mail_account: RateLimit = "5 per day"
    """Mails that are asked for to one e-mail address from one network (from all together four times as many), and
    changes of the e-mail address of one account."""
    rate_limit_mail_address: RateLimit = "30 per hour"
    """Mails that are asked for from one IP address, likewise."""
    rate_limit_mail_unproved: RateLimit = "10 per day"
    """Mails to one e-mail address that nobody has proved to be theirs: so many that strangers ask for, so many that a
    device asks for which used the account before, and so many notices. Erasing the account begins no new count."""

    password_min_length: Annotated[int, Field(ge=1, le=256)] = 8
    """Characters."""
    signup: Literal["open", "invited", "closed"] = "open"
    """`invited`: only with an invitation to that address; `closed`: no new accounts. For providers' first sign-ins
    too."""
    signup_domains: Domains = ()
    """The only e-mail domains that may join without an invitation, exact, and that an account may change to. Nobody
    gets tokens before their e-mail address is verified: [who may join](operating.md#who-may-join)."""
    email_verification: Literal["off", "optional", "required"] = "optional"
    """`off`: no mail at sign-up; `optional`: a mail, and all works meanwhile; `required`: no tokens before it is
    done. With `AUTHSERVER_SIGNUP_DOMAINS` nobody gets any before, whichever is set."""
    email_verify_url: PageUrl | None = None
    """The page that confirms an address, where it is the frontend's and not the server's own."""
    password_reset_url: PageUrl | None = None
    """The page that sets a new password, likewise."""
    new_device_mail: bool = True
    """Tell people of a sign-in from a browser that they did not use in the last 90 days."""

    mail_url: MailUrl | None = Field(default=None, repr=False)
    """`smtp://user:password@host:port` (STARTTLS, which only a URL without a user can do without) or `smtps://…`;
    special characters in the password are percent-encoded. Without it production sends no mail, and development shows
    mails in the console."""
    mail_insecure: bool = False
    """`true`: the user and password of `AUTHSERVER_MAIL_URL` are sent in clear text to a mail server that offers no
    TLS. Without it that is refused, on this machine too."""
    mail_from: MailFrom | None = None
    """The sender's address; `no-reply@` the public URL's host where none is given."""
    app_name: Annotated[str, Field(max_length=100)] = ""
    """What mails and pages call the application; the public URL's host where none is given."""
    app_url: PageUrl | None = None
    """The application, where pages lead when they are done."""
    pages: bool = True
    """`false`: no [pages](endpoints.md#pages) to sign in on and for one's account; those behind the links in mails
    stay, and `/signup` for invitations."""
    template_path: Folder | None = None
    """A folder with templates of your own: [mails](operating.md#mails), [pages](operating.md#pages)."""
    providers: dict[str, dict[str, str]] = Field(default={}, repr=False)
    """A provider's settings: [providers](providers.md)."""

    @property
    def session_seconds(self) -> int:
        """From sign-in to the absolute end of a session."""
        return self.session_lifetime or (30 * 86400 if self.refresh_rotation else self.refresh_token_lifetime)

    @property
    def must_verify(self) -> bool:
        """Whether nobody gets tokens before their e-mail address is verified: unproved, its domain proves nothing."""
        return self.email_verification == "required" or bool(self.signup_domains)

    def takes_domain_of(self, email: str | None) -> bool:
        """Whether an e-mail address is of a domain that may have accounts here without an invitation."""
        return not self.signup_domains or (email or "").rpartition("@")[2] in self.signup_domains

    @property
    def mail_sender(self) -> str:
        return self.mail_from or f"no-reply@{urlsplit(self.public_url).hostname}"

    @property
    def database_files(self) -> list[Path]:
        """The files of an embedded database, whether they are there or not; of another none."""
        scheme, _, rest = self.database_url.partition(":///")
        path = rest.partition("?")[0]
        return [Path(path + ending) for ending in ("", "-wal", "-shm")] if scheme.startswith("sqlite") else []

    @property
    def production(self) -> bool:
        return self.env == "production"

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, given: dict[str, Any]) -> dict[str, Any]:
        """What hangs on another setting; what is required in production has no default there."""
        public_url = given.get("public_url") or (DEVELOPMENT_URL if given.get("env") == "development" else None)
        instance = Path(given.get("instance_path") or "instance").absolute()
        database = DEVELOPMENT_DATABASE if given.get("env") == "development" else PRODUCTION_DATABASE
        defaults = {"database_url": f"sqlite:///{instance / database}", "audience": ""}
        if public_url:
            defaults["public_url"] = public_url
            with suppress(ValueError):  # what is wrong with it is said by its own check
                defaults["audience"] = origin(public_url)
        return {**defaults, **given}

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.cookie_samesite == "None" and not self.public_url.startswith("https:"):
            raise ValueError(f"{PREFIX}COOKIE_SAMESITE: None needs https in {PREFIX}PUBLIC_URL, expected Lax or Strict")
        if self.production:
            require_https(PREFIX + "PUBLIC_URL", self.public_url)
            for name in ("email_verify_url", "password_reset_url", "app_url"):
                require_https(f"{PREFIX}{name.upper()}", getattr(self, name) or self.public_url)
            for url in self.redirect_urls:
                if url.lower().startswith("http:"):
                    require_https(f"{PREFIX}REDIRECT_URLS", url)
            if self.email_verification == "required" and not self.mail_url:
                raise ValueError(f"{PREFIX}MAIL_URL: not set, and {PREFIX}EMAIL_VERIFICATION=required needs it")
            if "*" in self.cors_origins:
                raise ValueError(f"{PREFIX}CORS_ORIGINS: * is refused in production, expected exact origins")
        return self

    def derived_keys(self, purpose: str) -> list[bytes]:
        """32 bytes for one purpose, of the present secret first and of the previous one where it is set (RFC 5869)."""
        return [
            HKDF(SHA256(), 32, salt=None, info=f"authserver {purpose}".encode()).derive(secret.encode())
            for secret in (self.secret_key, self.secret_key_previous)
            if secret
        ]


def load(variables: Mapping[str, str] | None = None) -> tuple[Settings, list[str]]:
    """The settings and what the operator should be warned of; raises `SettingsError`."""
    values: dict[str, Any] = {}
    providers: dict[str, dict[str, str]] = {}
    warnings = []
    known = Settings.model_fields.keys() - {"providers"}
    for variable, value in (environment() if variables is None else variables).items():
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PROVIDERS):
            provider, _, option = variable.removeprefix(PROVIDERS).partition("__")
            providers.setdefault(provider.lower(), {})[option] = value
        elif name in known:
            values[name] = value
        else:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; the nearest known name is {PREFIX}{near[0].upper()}" if near else ""
            warnings.append(f"{variable} is not a setting of authserver and is ignored{hint}")
    try:
        if values.get("env") == "development" and "secret_key" not in values:
            values["secret_key"] = development_secret(Path(values.get("instance_path", "instance")))
        settings = Settings(**values, providers=providers)
        if settings.production and not settings.mail_url:
            warnings.append(f"{PREFIX}MAIL_URL is not set: no mail is sent, so nobody can reset a password")
            if settings.must_verify:
                warnings.append(
                    f"{PREFIX}MAIL_URL is not set, and {PREFIX}SIGNUP_DOMAINS asks for verified e-mail addresses: "
                    "nobody can sign up with a password but by an invitation"
                )
        if settings.production and not settings.rate_limits:
            warnings.append(f"{PREFIX}RATE_LIMITS is false: nothing limits the guessing of passwords")
        if settings.production and settings.mail_insecure:
            warnings.append(f"{PREFIX}MAIL_INSECURE is true: the mail server may get its password in clear text")
        if any(open_to_others(path) for path in settings.database_files):
            warnings.append(
                f"{PREFIX}DATABASE_URL: every user of this machine may read the database's file, "
                "expected mode 0600 (chmod 600), also of those beside it that end in -wal and -shm"
            )
        return settings, warnings
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        message = (
            first["msg"]
            .removeprefix("Value error, ")
            .replace("Input should be", "expected")
            .replace("String should have", "expected")
        )
        if first["loc"]:
            name = str(first["loc"][0])
            message = f"{PREFIX}{name.upper()}: {MISSING[name] if first['type'] == 'missing' else message}"
        raise SettingsError(message) from None
