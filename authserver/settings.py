"""The settings, from the environment and `.env`: typed, and refused where they are wrong or unsafe.

A sentence of ours names the variable and what is expected of it, never its value.
"""

import difflib
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

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

PREFIX = "AUTHSERVER_"
PROVIDERS = PREFIX + "PROVIDERS__"
DEVELOPMENT_URL = "http://localhost:8000"
# Of settings that have no default.
MISSING = {
    "secret_key": "not set, expected at least 32 random bytes, such as the output of `openssl rand -base64 48`",
    "public_url": "not set, expected this server's own address, such as https://auth.example.com",
}


class SettingsError(Exception):
    """Why the server cannot start, as one sentence for the operator."""


class Settings(BaseModel):
    """Everything that an operator can set; `docs/settings.md` says what each means."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    env: Literal["production", "development"] = "production"
    secret_key: Secret = Field(repr=False)
    secret_key_previous: Secret | None = Field(default=None, repr=False)
    signing_algorithm: Literal["ES256", "EdDSA", "HS256"] = "ES256"
    instance_path: Path = Path("instance")
    database_url: DatabaseUrl = Field(repr=False)
    redis_url: RedisUrl | None = Field(default=None, repr=False)
    public_url: Origin
    audience: str
    cors_origins: Origins = ()
    redirect_urls: RedirectUrls = ()
    cookie_samesite: Literal["Lax", "Strict", "None"] = "Lax"
    access_token_lifetime: Seconds = 3600
    refresh_token_lifetime: Seconds = 86400
    fresh_lifetime: Seconds = 600
    refresh_rotation: bool = False
    session_lifetime: Seconds | None = None
    trusted_proxies: Annotated[int, Field(ge=0, le=10)] = 0
    rate_limits: bool = True
    rate_limit_login_account: RateLimit = "10 per 5 minutes"
    rate_limit_login_address: RateLimit = "100 per 5 minutes"
    rate_limit_signup_address: RateLimit = "30 per hour"
    rate_limit_provider_address: RateLimit = "300 per 5 minutes"
    rate_limit_refresh_address: RateLimit = "300 per 5 minutes"
    rate_limit_mail_account: RateLimit = "5 per day"
    rate_limit_mail_address: RateLimit = "30 per hour"
    password_min_length: Annotated[int, Field(ge=1, le=256)] = 8
    signup: Literal["open", "invited", "closed"] = "open"
    signup_domains: Domains = ()
    email_verification: Literal["off", "optional", "required"] = "optional"
    email_verify_url: PageUrl | None = None
    password_reset_url: PageUrl | None = None
    new_device_mail: bool = True
    mail_url: MailUrl | None = Field(default=None, repr=False)
    mail_from: MailFrom | None = None
    app_name: Annotated[str, Field(max_length=100)] = ""
    app_url: PageUrl | None = None
    template_path: Folder | None = None
    providers: dict[str, dict[str, str]] = Field(default={}, repr=False)

    @property
    def session_seconds(self) -> int:
        """From sign-in to the absolute end of a session."""
        return self.session_lifetime or (30 * 86400 if self.refresh_rotation else self.refresh_token_lifetime)

    @property
    def mail_sender(self) -> str:
        return self.mail_from or f"no-reply@{urlsplit(self.public_url).hostname}"

    @property
    def production(self) -> bool:
        return self.env == "production"

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, given: dict[str, Any]) -> dict[str, Any]:
        """What hangs on another setting; what is required in production has no default there."""
        public_url = given.get("public_url") or (DEVELOPMENT_URL if given.get("env") == "development" else None)
        instance = Path(given.get("instance_path") or "instance").absolute()
        defaults = {"database_url": f"sqlite:///{instance / 'authserver.db'}", "audience": ""}
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


def environment() -> dict[str, str]:
    """Our variables, of `.env` in the working directory and of the environment, which wins; an empty one is none."""
    try:
        both = {**dotenv_values(Path(".env")), **{name: value for name, value in os.environ.items() if value}}
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", "it is not UTF-8")
        raise SettingsError(f"the file .env cannot be read: {reason}") from None
    return {name: value for name, value in both.items() if name.startswith(PREFIX) and value}


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
            values["secret_key"] = _development_secret(Path(values.get("instance_path", "instance")))
        settings = Settings(**values, providers=providers)
        if settings.production and not settings.mail_url:
            warnings.append(f"{PREFIX}MAIL_URL is not set: no mail is sent, so nobody can reset a password")
        if settings.production and not settings.rate_limits:
            warnings.append(f"{PREFIX}RATE_LIMITS is false: nothing limits the guessing of passwords")
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


def _development_secret(instance: Path) -> str:
    """The secret of a development server, made once; whoever else starts at the same time gets the same one."""
    path = instance / "secret_key"
    try:
        instance.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            draft = instance / f".secret_key.{os.getpid()}.{secrets.token_hex(4)}"
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(48))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", "secret_key is not text")
        raise SettingsError(f"{PREFIX}INSTANCE_PATH: cannot keep the development secret there ({reason})") from None
