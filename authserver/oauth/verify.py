"""From a provider's token or code to an identity. The audience is proved before anything else is believed."""

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from flask import current_app

from authserver.body import LONGEST_NAME, email_address, name
from authserver.errors import ApiError
from authserver.oauth.documents import Documents
from authserver.oauth.grant import Code, check_issuer, tokens_for
from authserver.oauth.id_token import check_id_token
from authserver.oauth.provider import (
    Accepted,
    Ask,
    Claims,
    Identity,
    Issued,
    Refused,
    Unavailable,
    unverified_claims,
)
from authserver.oauth.registry import Enabled
from authserver.oauth.upstream import Upstream

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SentAccessToken:
    token: str = field(repr=False)


@dataclass(frozen=True)
class SentIdToken:
    token: str = field(repr=False)
    nonce: str | None = None


Credential = SentAccessToken | SentIdToken | Code


@dataclass(frozen=True)
class Proved:
    identity: Identity
    authenticated_at: float | None = None  # when the person signed in there, if the provider says so


def identify(enabled: Enabled, credential: Credential) -> Proved:
    """Whose it is; raises `provider_token_not_valid` or `provider_unavailable`."""
    with asking(enabled, _hint(enabled, credential)) as (ask, documents):
        proved = _proved(enabled, documents, ask, credential)
        return replace(proved, identity=_sound(enabled, proved.identity))


@contextmanager
def asking(enabled: Enabled, detail: str = "") -> Iterator[tuple[Ask, Documents]]:
    """The boundary around author code: whatever is raised inside gets no further than one of the contract's errors."""
    upstream: Upstream = current_app.extensions["authserver.upstream"]
    documents: Documents = current_app.extensions["authserver.documents"]
    try:
        with upstream.place(enabled.name):
            yield upstream.ask(), documents
    except ApiError:
        raise
    except Unavailable as error:
        log.warning("%s is unavailable: %s", enabled.name, error)
        raise ApiError("provider_unavailable") from None
    except Exception as error:
        # The text of a foreign exception may quote the token: only a reason that was written for the log is logged.
        reason = str(error) if isinstance(error, Refused) else type(error).__name__
        log.info("%s token refused: %s", enabled.name, reason)
        raise ApiError("provider_token_not_valid", detail) from None


def _proved(enabled: Enabled, documents: Documents, ask: Ask, credential: Credential) -> Proved:
    match credential:
        case SentAccessToken(token):
            return Proved(_of_access_token(enabled, ask, token, ours=False))
        case SentIdToken(token, nonce):
            return _of_claims(enabled, _claims(enabled, documents, ask, token, nonce))
        case Code():
            return _of_code(enabled, documents, ask, credential)


def _of_access_token(enabled: Enabled, ask: Ask, token: str, *, ours: bool) -> Identity:
    """`ours`: the server itself got it for a code, with the client id that it is for."""
    kind = enabled.provider.access_token
    if kind is None:
        raise Refused("this provider takes no access tokens")
    if kind.issued_to is not None:
        issued = kind.issued_to(ask, token)
        if issued is None or issued.audience not in enabled.client_ids:
            raise Refused("not issued to this application")
    elif ours:
        issued = Issued(audience=enabled.client_ids[0], subject="")
    else:
        raise Refused("this provider cannot say for whom an access token is")
    identity = kind.identity(Accepted(token=token, issued=issued, ask=ask))
    if kind.issued_to is not None and (issued.tenant, issued.subject) != (identity.tenant, identity.subject):
        raise Refused("the subject of the check is not the subject of the profile")
    return identity


def _of_code(enabled: Enabled, documents: Documents, ask: Ask, code: Code) -> Proved:
    """A provider that was asked for `openid` has to answer with an id_token, or its nonce would go unchecked."""
    if not enabled.takes_codes:
        raise Refused("this provider takes no codes")
    if code.callback:
        check_issuer(enabled, documents, ask, code.callback.get("iss"))
    tokens = tokens_for(enabled, documents, ask, code)
    if "openid" not in enabled.provider.scopes:
        return _named(enabled, code, Proved(_of_access_token(enabled, ask, tokens["access_token"], ours=True)))
    kind = enabled.provider.id_token
    assert kind  # registry.py: or there would be no such scope
    claims = _claims(enabled, documents, ask, tokens["id_token"], None if kind.nonce_left_out else code.nonce)
    if kind.userinfo and _incomplete(claims, enabled.provider.scopes):
        endpoint = documents.metadata(ask, kind).userinfo_endpoint
        if endpoint:
            claims = _completed(claims, ask.get(endpoint, bearer=tokens["access_token"]))
    return _named(enabled, code, _of_claims(enabled, claims))


def _claims(enabled: Enabled, documents: Documents, ask: Ask, token: str, nonce: str | None) -> Claims:
    kind = enabled.provider.id_token
    if kind is None:
        raise Refused("this provider takes no id_tokens")
    return check_id_token(kind, enabled.client_ids, documents, ask, token, nonce)


def _incomplete(claims: Claims, scopes: Collection[str]) -> bool:
    """Whether the token leaves out what was asked for: GitLab's has the address, and the name is at userinfo alone."""
    named = not {"name", "given_name", "family_name"}.isdisjoint(claims)
    return "email" not in claims or ("profile" in scopes and not named)


def _completed(claims: Claims, userinfo: Mapping[str, Any]) -> Claims:
    """With the profile, which counts only if it is of the same subject (OpenID Connect Core §5.3.2).

    The e-mail address is taken from one of the two, with all that this one says of it: one document's word that an
    address is verified is not about the other's address.
    """
    if userinfo["sub"] != claims["sub"]:
        raise Refused("the subject of the id_token is not the subject of the profile")
    both = {**userinfo, "auth_time": None, **claims}  # when they signed in, only what is signed can say
    has_email = claims if claims.get("email") else userinfo
    return {name: value for name, value in both.items() if not _is_of_email(name)} | {
        name: value for name, value in has_email.items() if _is_of_email(name)
    }


def _is_of_email(claim: str) -> bool:
    """Whether a claim is an e-mail address or says something of it, in OpenID Connect's or in a provider's words."""
    return "email" in claim.lower() or claim in ("hd", "xms_edov")


def _of_claims(enabled: Enabled, claims: Claims) -> Proved:
    assert enabled.provider.id_token  # or there would be no claims
    identity = enabled.provider.id_token.identity(claims)
    authenticated_at = claims.get("auth_time")
    return Proved(identity, authenticated_at if type(authenticated_at) is int else None)


def _named(enabled: Enabled, code: Code, proved: Proved) -> Proved:
    """With the names that only the callback has; nothing else in it is believed, for the browser brought it."""
    if enabled.provider.names is None or not code.callback:
        return proved
    first, last = enabled.provider.names(code.callback)
    identity = proved.identity
    first, last = identity.first_name or first, identity.last_name or last
    return replace(proved, identity=replace(identity, first_name=first, last_name=last))


def _sound(enabled: Enabled, identity: Identity) -> Identity:
    """The identity in types and lengths that can be stored, whatever the author made of the provider's answer."""
    for text in (identity.subject, identity.tenant):
        if not isinstance(text, str):
            raise Refused(f"a subject and a tenant are text, not {type(text).__name__}")
        if len(text) > 255 or not text.isprintable():
            raise Refused("strange subject")
    if not identity.subject:
        raise Refused("empty subject")
    try:
        email = email_address(identity.email) if isinstance(identity.email, str) else None
    except ValueError:
        email = None
    verified = identity.email_verified is True and email is not None
    return replace(
        identity,
        email=email,
        email_verified=verified,
        email_authoritative=verified and identity.email_authoritative is True,
        first_name=_name(enabled, identity.first_name),
        last_name=_name(enabled, identity.last_name),
    )


def _name(enabled: Enabled, value: object) -> str:
    """The name by the rule of every way in, as much of it as can be stored; "" for one that the rule refuses."""
    if not value:
        return ""
    try:
        if not isinstance(value, str):
            raise ValueError("not text")
        return name(value)[:LONGEST_NAME].rstrip()
    except ValueError:
        log.warning("%s gave a name that is not allowed here, and it was dropped", enabled.name)
        return ""


def _hint(enabled: Enabled, credential: Credential) -> str:
    """A helpful detail where the other kind of token was sent, which is the common mistake; else the usual one."""
    provider = enabled.provider
    match credential:
        case SentAccessToken(token) if provider.id_token and _is_for_us(enabled, token):
            return "This is an id_token: send it as `id_token`."
        case SentIdToken(token) if token.count(".") != 2 and provider.access_token and provider.access_token.issued_to:
            return "This is no id_token: send an access token as `access_token`."
    return ""


def _is_for_us(enabled: Enabled, token: str) -> bool:
    try:
        audience = unverified_claims(token).get("aud")
    except ValueError:
        return False
    audiences = audience if isinstance(audience, list) else [audience]
    return any(one in enabled.client_ids for one in audiences)
