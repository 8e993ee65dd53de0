"""From a provider's token to an identity. The audience is proved before anything else is believed, by construction."""

import logging
from dataclasses import replace

from authserver.body import email_address
from authserver.errors import ApiError
from authserver.oauth.provider import Accepted, AccessToken, Ask, Identity, Refused, unverified_claims
from authserver.oauth.registry import Enabled

log = logging.getLogger(__name__)


def identify_by_access_token(enabled: Enabled, ask: Ask, token: str) -> Identity:
    """Whose token it is; raises `provider_token_not_valid` or `provider_unavailable`.

    Author code runs inside: nothing it raises gets further than this.
    """
    try:
        if enabled.provider.access_token is None:
            raise Refused("this provider takes no access tokens")
        return _identify(enabled.provider.access_token, enabled.client_ids, ask, token)
    except ApiError:
        raise
    except Exception as error:
        # The text of a foreign exception may quote the token: only a reason that was written for the log is logged.
        reason = str(error) if isinstance(error, Refused) else type(error).__name__
        log.info("%s token refused: %s", enabled.name, reason)
        raise ApiError("provider_token_not_valid", _meant_otherwise(enabled, token)) from None


def _identify(kind: AccessToken, client_ids: tuple[str, ...], ask: Ask, token: str) -> Identity:
    issued = kind.issued_to(ask, token)
    if issued is None or issued.audience not in client_ids:
        raise Refused("not issued to this application")
    identity = kind.identity(Accepted(token=token, issued=issued, ask=ask))
    if (issued.tenant, issued.subject) != (identity.tenant, identity.subject):
        raise Refused("the subject of the check is not the subject of the profile")
    return _sound(identity)


def _sound(identity: Identity) -> Identity:
    """The identity in types and lengths that can be stored, whatever the author made of the provider's answer."""
    for text in (identity.subject, identity.tenant):
        if not isinstance(text, str) or len(text) > 255 or not text.isprintable():
            raise Refused("strange subject")
    if not identity.subject:
        raise Refused("empty subject")
    try:
        email = email_address(identity.email) if isinstance(identity.email, str) else None
    except ValueError:
        email = None
    return replace(
        identity,
        email=email,
        email_verified=identity.email_verified is True and email is not None,
        first_name=_name(identity.first_name),
        last_name=_name(identity.last_name),
    )


def _name(value: object) -> str:
    return value.strip()[:150] if isinstance(value, str) and value.isprintable() else ""


def _meant_otherwise(enabled: Enabled, token: str) -> str:
    """A helpful detail where an id_token was sent, which is the common mistake; else the usual one."""
    try:
        audience = unverified_claims(token).get("aud")
    except ValueError:
        return ""
    if isinstance(audience, str) and audience in enabled.client_ids:
        return "This is an id_token; an access token is expected in `access_token`."
    return ""
