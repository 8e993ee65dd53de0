"""The authorization code grant towards a provider: where the browser goes, what its code is worth (RFC 6749 §4.1).

Authlib makes the address and the PKCE challenge.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import digest
from posixpath import normpath
from typing import Any
from urllib.parse import SplitResult, quote_plus, unquote, urlsplit

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from authserver.extensions import current_settings
from authserver.oauth.documents import Documents, Metadata
from authserver.oauth.provider import Ask, Provider, Refused, Unavailable
from authserver.oauth.registry import Enabled
from authserver.values import DEFAULT_PORTS


@dataclass(frozen=True)
class Code:
    """What a browser or an application brought back from a provider."""

    code: str = field(repr=False)
    redirect_uri: str  # as it was in the authorization request
    verifier: str | None = field(default=None, repr=False)
    nonce: str | None = None
    callback: Mapping[str, str] = field(default_factory=dict, repr=False)  # all that came with it


def redirect_uri(name: str) -> str:
    """The one to register at the provider."""
    return f"{current_settings().public_url}/api/auth/{name}/callback/"


def leads_here(uri: str) -> bool:
    """Whether a redirect URI leads to this server's own endpoints, the callbacks, however it is written.

    A provider may take more spellings than one for the URI that is registered: of the scheme and the host, with or
    without the port, a slash at the end or a query. Only the host and the path count here. Raises `ValueError` for a
    URI with a port or an IPv6 address that is none.
    """
    parts, ours = (urlsplit(one) for one in (_plain(uri), current_settings().public_url))
    host = unquote(parts.hostname or "").rstrip(".").encode("idna").decode().lower()
    path = normpath(unquote(parts.path)).lower().replace("//", "/")
    return (host, _port(parts)) == (ours.hostname, _port(ours)) and f"{path}/".startswith("/api/")


def _plain(uri: str) -> str:
    """The URI as a browser reads it: no space or control character, slashes that lean the right way, two of them."""
    text = re.sub(r"[\x00-\x20]", "", uri).replace("\\", "/")
    return re.sub(r"^(https?):/*", r"\1://", text, flags=re.IGNORECASE)


def _port(parts: SplitResult) -> int | None:
    """The port, None where it is the scheme's own."""
    return None if parts.port == DEFAULT_PORTS.get(parts.scheme) else parts.port


def derived(secret: str, purpose: str) -> str:
    """Nonce and verifier of a redirect, from what only its browser has: none of them is stored (RFC 7636 §4.1)."""
    return urlsafe_b64encode(digest(secret.encode(), purpose.encode(), sha256)).rstrip(b"=").decode()


def challenge(verifier: str) -> str:
    """What goes ahead of a verifier (RFC 7636 §4.2)."""
    made: str = create_s256_code_challenge(verifier)  # type: ignore[no-untyped-call]
    return made


def authorize_url(enabled: Enabled, documents: Documents, ask: Ask, state: str, secret: str) -> str:
    """Where to send the browser; raises `Unavailable` where the provider has to be asked first and does not answer."""
    provider = enabled.provider
    metadata = _metadata(provider, documents, ask)
    url = provider.authorize_url or (metadata.authorization_endpoint if metadata else "")
    if not url:
        raise Unavailable("no authorization endpoint")
    more = dict(provider.authorize_params)
    if provider.pkce:
        more |= {"code_challenge": challenge(derived(secret, "verifier")), "code_challenge_method": "S256"}
    if "openid" in provider.scopes:
        more["nonce"] = derived(secret, "nonce")
    if provider.form_post:
        more["response_mode"] = "form_post"
    scope = " ".join(provider.scopes)
    asked: str = prepare_grant_uri(  # type: ignore[no-untyped-call]
        url, enabled.client_ids[0], "code", redirect_uri(enabled.name), scope, state, **more
    )
    return asked


def check_issuer(enabled: Enabled, documents: Documents, ask: Ask, issuer: str | None) -> None:
    """Whether the answer is of the provider that was asked, where either says so (RFC 9207 §2.4); raises `Refused`."""
    if enabled.provider.id_token is None or "openid" not in enabled.provider.scopes:
        return
    metadata = documents.metadata(ask, enabled.provider.id_token)
    if issuer != metadata.issuer if issuer is not None else metadata.sends_issuer:
        raise Refused("the answer is of another issuer")


def tokens_for(enabled: Enabled, documents: Documents, ask: Ask, code: Code) -> Mapping[str, Any]:
    """The token endpoint's answer; raises `Refused` or `Unavailable`."""
    provider = enabled.provider
    metadata = _metadata(provider, documents, ask)
    url = provider.token_url or (metadata.token_endpoint if metadata else "")
    if not url:
        raise Unavailable("no token endpoint")
    form = {"grant_type": "authorization_code", "code": code.code, "redirect_uri": code.redirect_uri}
    if code.verifier:
        form["code_verifier"] = code.verifier
    client_id = enabled.client_ids[0]
    secret = provider.client_secret() if provider.client_secret else enabled.client_secret
    if secret and _by_basic(provider, metadata):
        answer = ask.post(url, form, basic=(quote_plus(client_id), quote_plus(secret)))  # encoded: RFC 6749 §2.3.1
    else:
        answer = ask.post(url, {**form, "client_id": client_id, **({"client_secret": secret} if secret else {})})
    if "error" in answer:  # with a 200, as GitHub does
        raise Refused("the code was refused")
    tokens: Mapping[str, Any] = answer
    return tokens


def _by_basic(provider: Provider, metadata: Metadata | None) -> bool:
    if provider.token_auth:
        return provider.token_auth == "client_secret_basic"
    return metadata is not None and "client_secret_basic" in metadata.token_auth


def _metadata(provider: Provider, documents: Documents, ask: Ask) -> Metadata | None:
    """Asked for only where something is left to it."""
    if provider.id_token is None or (provider.authorize_url and provider.token_url):
        return None
    return documents.metadata(ask, provider.id_token)
