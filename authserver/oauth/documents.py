"""What an OpenID provider publishes, kept: its discovery document and its keys (OpenID Connect Discovery 1.0)."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from authserver.oauth.provider import Ask, IdToken, Refused, Unavailable
from authserver.values import base_url, near

LIFETIME = 3600.0  # seconds, after which a document is asked for again
COOLDOWN = 30.0  # seconds between two requests for a document that is known

Parse = Callable[[Any], Any]
Keys = dict[str | int, Key]  # by `kid`; what has none is under a number, which no token can name


@dataclass(frozen=True)
class Metadata:
    """A provider's discovery document, as far as it is used."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    userinfo_endpoint: str = ""
    token_auth: tuple[str, ...] = ("client_secret_basic",)  # Discovery §3: the default
    sends_issuer: bool = False  # with each authorization response (RFC 9207)


@dataclass
class _Kept:
    value: Any
    fetched_at: float
    asked_at: float


class Documents:
    """Each process keeps its own. What was known stays known through an outage or nonsense."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._lock = Lock()

    def metadata(self, ask: Ask, kind: IdToken) -> Metadata:
        """The issuer's; raises `Unavailable`."""
        found: Metadata = self._get(ask, f"{kind.issuer}/.well-known/openid-configuration", _metadata(kind))
        return found

    def keys(self, ask: Ask, jwks_uri: str, *, renew: bool = False) -> Keys:
        """The keys; `renew` where one is missing, which asks no more often than the cooldown allows."""
        found: Keys = self._get(ask, jwks_uri, _keys, renew=renew)
        return found

    def _get(self, ask: Ask, url: str, parse: Parse, *, renew: bool = False) -> Any:
        moment = monotonic()
        with self._lock:
            kept = self._kept.get(url)
            if kept is not None:
                due = renew or moment - kept.fetched_at >= LIFETIME
                if not due or moment - kept.asked_at < COOLDOWN:
                    if renew and kept.asked_at > kept.fetched_at:
                        raise Unavailable(f"no newer {urlsplit(url).path} yet")  # it may have what is missing
                    return kept.value
                kept.asked_at = moment
        try:
            value = parse(ask.get(url))
        except (Refused, Unavailable, LookupError, TypeError, ValueError, AttributeError) as error:
            if kept is None or renew:
                reason = str(error) if isinstance(error, Refused | Unavailable) else type(error).__name__
                raise Unavailable(f"no {urlsplit(url).path}: {reason}") from None
            return kept.value
        with self._lock:
            self._kept[url] = _Kept(value, moment, moment)
        return value


def _metadata(kind: IdToken) -> Parse:
    def parse(document: Any) -> Metadata:
        def endpoint(name: str) -> str:
            url = document.get(name) or ""
            if url:
                base_url(url.partition("?")[0])
                _check_place(kind.issuer, url)
            return str(url)

        # One that names another issuer than it was asked of is none of its (Discovery §4.3).
        if kind.issuers is None and document["issuer"].rstrip("/") != kind.issuer:
            raise Refused("it is of another issuer")
        if not document["jwks_uri"]:
            raise ValueError("no keys")
        return Metadata(
            issuer=str(document["issuer"]),
            jwks_uri=endpoint("jwks_uri"),
            authorization_endpoint=endpoint("authorization_endpoint"),
            token_endpoint=endpoint("token_endpoint"),
            userinfo_endpoint=endpoint("userinfo_endpoint"),
            token_auth=tuple(document.get("token_endpoint_auth_methods_supported") or ("client_secret_basic",)),
            sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        )

    return parse


def _check_place(issuer: str, endpoint: str) -> None:
    """Raises `Refused` for an endpoint that is less safe than its issuer, or nearer to this server.

    A document from elsewhere must not lead the server to what only its own machine and link can reach, such as a
    cloud's metadata. A private network is no such place: a company's provider stands there.
    """
    issuers, its = urlsplit(issuer), urlsplit(endpoint)
    if issuers.scheme == "https" and its.scheme != "https":
        raise Refused("an endpoint is not https")
    place = near(its.hostname)
    if place and place is not near(issuers.hostname):
        raise Refused(f"an endpoint is on {place}, and the issuer is not")


def _keys(document: Any) -> Keys:
    """Of a kind that we do not know, or for encryption, none is of use here: the others count all the same."""
    found: Keys = {}
    for one in document["keys"]:
        try:
            if one.get("use", "sig") == "sig" and one.get("kty") in ("RSA", "EC", "OKP"):
                found[one.get("kid", len(found))] = JWKRegistry.import_key(one)
        except (JoseError, ValueError, LookupError, TypeError, AttributeError):
            continue
    if not found:
        raise ValueError("no key")
    return found
