"""What an application asks of a provider's authorize page, and how the browser comes back to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from authserver.testing.standins.person import Person


@dataclass(frozen=True, kw_only=True)
class Callback:
    """How the browser comes back: by a redirect to `url`, or by posting `form` there."""

    url: str
    form: dict[str, str] | None = None

    @property
    def parameters(self) -> dict[str, str]:
        """`code`, `state`, `error` and so on, however they travel."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True)) if self.form is None else self.form


class NotAsked(Exception):
    """A request that a provider answers with an error page, since it cannot tell where to lead the browser."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """The authorization request, https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1 and what OpenID Connect adds."""

    client_id: str
    redirect_uri: str
    response_type: str = ""
    response_mode: str = "query"
    scope: str = ""
    state: str | None = None
    nonce: str | None = None
    code_challenge: str | None = None
    code_challenge_method: str | None = None
    prompt: str | None = None
    max_age: str | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Self:
        wanted = {name: value for name, value in parameters.items() if name in cls.__dataclass_fields__}
        return cls(**{"client_id": "", "redirect_uri": "", **wanted})

    @property
    def signs_in_anew(self) -> bool:
        """The person has to prove who they are, now: the application asked how long ago that was."""
        return self.max_age is not None or "login" in (self.prompt or "").split()

    def check(self, clients: Mapping[str, str]) -> None:
        """Raises `NotAsked` unless the browser may be led back to where the request says."""
        if self.client_id not in clients:
            raise NotAsked(f"No application has the client id “{self.client_id}”.")
        if not _may_be_led_to(self.redirect_uri):
            raise NotAsked("The redirect URI has to be an absolute https or loopback address without a fragment.")

    def answer(self, parameters: Mapping[str, str | None]) -> Callback:
        given = {name: value for name, value in {**parameters, "state": self.state}.items() if value is not None}
        if self.response_mode == "form_post":
            return Callback(url=self.redirect_uri, form=given)
        joint = "&" if urlsplit(self.redirect_uri).query else "?"
        return Callback(url=f"{self.redirect_uri}{joint}{urlencode(given)}")


@dataclass(frozen=True, kw_only=True)
class Authorized:
    """What a code stands for."""

    request: Request
    person: Person
    at: float


def _may_be_led_to(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in ("https", "http") or not host or "#" in uri:
        return False
    return parts.scheme == "https" or host == "localhost" or _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
