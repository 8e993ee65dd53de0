"""The settings, from the environment and `.env`: typed, and refused where they are wrong or unsafe.

A sentence of ours names the variable and what is expected of it, never its value.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from authserver.environment import PREFIX as PREFIX
from authserver.environment import SettingsError as SettingsError
from authserver.environment import development_secret, open_to_others
from authserver.environment import environment as environment
from authserver.values import (
    AppName,
    Characters,
    DatabaseUrl,
    Domains,
    Folder,
    MailFrom,
    MailUrl,
    Origin,
    Origins,
    PageUrl,
    Proxies,
    RateLimit,
    RedirectUrls,
    RedisUrl,
    Seconds,
    Secret,
    Switch,
    is_private,
    origin,
    require_https,
)
from authserver.variables import PROVIDERS as PROVIDERS
from authserver.variables import providers_of as providers_of
from authserver.variables import unknown

DEVELOPMENT_URL = "http://localhost:8000"
# In the instance folder: two names, so that neither opens the other's by accident.
DEVELOPMENT_DATABASE, PRODUCTION_DATABASE = "development.db", "authserver.db"
# Of settings that have no default.
MISSING = {
    "secret_key": "not set, expected at least 32 random bytes, such as the output of `openssl rand -base64 48`",
    "public_url": "not set, expected this server's own URL, such as https://auth.example.com",
}


class Settings(BaseModel):
    """Everything that an operator can set. What stands under a setting says what it means, here and in
    `docs/settings.md`, which is made of it.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    env: Literal["production", "development"] = "production"
    """`development`, which `authserver dev` sets, makes its own secret, and takes any loopback origin for CORS and
    URL for redirects. [No other server](operating.md#development) starts in it."""
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
    """This server's own URL, `scheme://host[:port]`: the issuer of the tokens. In production https, loopback
    excepted."""
    audience: str
    """`aud` of our tokens."""

    cors_origins: Origins = ()
    """Exact origins that may call from a browser; `*` is refused in production."""
    redirect_urls: RedirectUrls = ()
    """Where a [sign-in by redirect](endpoints.md#sign-in-by-redirect) may lead back to, exactly:
    `https://app.example.com/signed-in`, an app's private scheme as `com.example.app:/signed-in`. For
    desktop applications, `http://127.0.0.1/callback` or `http://[::1]/callback` without a port allows any port;
    `localhost` does not. Development takes any loopback URL too."""
    cookie_samesite: Literal["Lax", "Strict", "None"] = "Lax"
    """Of the [refresh cookie](endpoints.md#the-refresh-token-in-a-cookie); `None`, on https only, for a frontend on
    another site."""

    access_token_lifetime: Seconds = 3600
    """How long an access token counts."""
    refresh_token_lifetime: Seconds = 86400
    """How long a refresh token counts."""
    refresh_rotation: Switch = False
    """`true`: each refresh token counts once and a refresh answers with the next one; one that is used again after 10
    seconds ends its session."""
    session_lifetime: Seconds | None = None
    """From a sign-in, after which nothing refreshes; an access token still lives out its own lifetime."""
    fresh_lifetime: Seconds = 600
    """After a sign-in, for which its access token's `fresh` claim says so."""

    event_lifetime: Seconds = 365 * 86400
    """How long [what happened](operating.md#audit-events) is kept, a year; what is older is
    [deleted](operating.md#what-is-over)."""

    trusted_proxies: Proxies = 0
    """How many proxies in front may be believed when they name the client's IP address in `X-Forwarded-For`."""
    rate_limits: Switch = True
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

    password_min_length: Characters = 8
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
    """The page that confirms an e-mail address, where it is the frontend's and not the server's own."""
    password_reset_url: PageUrl | None = None
    """The page that sets a new password, likewise."""
    new_device_mail: Switch = True
    """Tell people of a sign-in from a browser that they did not use in the last 90 days."""

    mail_url: MailUrl | None = Field(default=None, repr=False, validate_default=True)
    """`smtp://user:password@host:port` (STARTTLS, which only a URL without a user can do without) or `smtps://…`;
    special characters in the password are percent-encoded. Without it production sends no mail, and development shows
    mails in the console."""
    mail_insecure: Switch = False
    """`true`: the user and password of `AUTHSERVER_MAIL_URL` are sent in clear text to a mail server that offers no
    TLS. Without it that is refused, on this machine too."""
    mail_from: MailFrom | None = None
    """The sender's e-mail address; `no-reply@` the public URL's host where none is given."""
    app_name: AppName = ""
    """What mails and pages call the application; the public URL's host where none is given."""
    app_url: PageUrl | None = None
    """The application, where pages lead when they are done."""
    pages: Switch = True
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

    # Each of these sees the settings above its own, those that are right: so that all that is wrong is found at once.

    @field_validator("public_url", "redirect_urls", "email_verify_url", "password_reset_url", "app_url")
    @classmethod
    def _production_needs_https(cls, value: str | tuple[str, ...] | None, info: ValidationInfo) -> object:
        urls = (value,) if isinstance(value, str) else value or ()
        if info.data.get("env") == "production":
            for url in urls:
                if not is_private(url):
                    require_https(url)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _production_names_its_origins(cls, value: tuple[str, ...], info: ValidationInfo) -> object:
        if "*" in value and info.data.get("env") == "production":
            raise ValueError("* is refused in production, expected exact origins, such as https://app.example.com")
        return value

    @field_validator("cookie_samesite")
    @classmethod
    def _none_needs_https(cls, value: str, info: ValidationInfo) -> object:
        if value == "None" and info.data.get("public_url", "").startswith("http:"):
            raise ValueError(f"None needs https in {PREFIX}PUBLIC_URL, expected Lax or Strict")
        return value

    @field_validator("mail_url")
    @classmethod
    def _verification_needs_mail(cls, value: str | None, info: ValidationInfo) -> object:
        needed = info.data.get("env") == "production" and info.data.get("email_verification") == "required"
        if needed and not value:
            raise ValueError(
                f"not set, and {PREFIX}EMAIL_VERIFICATION=required needs it, expected smtp://user:password@host:port"
            )
        return value

    def derived_keys(self, purpose: str) -> list[bytes]:
        """32 bytes for one purpose, of the present secret first and of the previous one where it is set (RFC 5869)."""
        return [
            HKDF(SHA256(), 32, salt=None, info=f"authserver {purpose}".encode()).derive(secret.encode())
            for secret in (self.secret_key, self.secret_key_previous)
            if secret
        ]


KNOWN = sorted(Settings.model_fields.keys() - {"providers"})


def load(variables: Mapping[str, str] | None = None) -> tuple[Settings, list[str]]:
    """The settings and what the operator should be warned of; raises `SettingsError` with all that is wrong."""
    given = environment() if variables is None else variables
    names = {variable.removeprefix(PREFIX).lower(): value for variable, value in given.items()}
    values: dict[str, Any] = {name: names[name] for name in KNOWN if name in names}
    wrong, ignored = unknown(given, KNOWN)
    try:
        if values.get("env") == "development" and "secret_key" not in values:
            values["secret_key"] = development_secret(Path(values.get("instance_path", "instance")))
    except SettingsError as error:
        wrong += error.sentences
    try:
        settings = Settings(**values, providers=providers_of(given))
    except ValidationError as error:
        wrong += _sentences(error, production=values.get("env", "production") == "production")
    if wrong:
        raise SettingsError(*wrong, *ignored)
    return settings, [*ignored, *_warnings(settings)]


def _sentences(error: ValidationError, *, production: bool) -> list[str]:
    """One for each setting. What is missing is named in production alone: in development it was given a value."""
    found = {}
    for one in error.errors(include_url=False, include_input=False):
        name = str(one["loc"][0])
        if one["type"] == "missing":
            message = MISSING[name]
        elif one["type"] == "literal_error":
            message = f"expected {one['ctx']['expected']}".replace("'", "")
        else:
            message = one["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
        if production or one["type"] != "missing":
            found[name] = f"{PREFIX}{name.upper()}: {message}"
    return list(found.values())


def _warnings(settings: Settings) -> list[str]:
    warnings = []
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
    return warnings
