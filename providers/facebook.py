"""Facebook.

Console: https://developers.facebook.com/apps, an app with Facebook Login; its app id and app secret go into CLIENT_ID
and CLIENT_SECRET.
Redirect URI: <AUTHSERVER_PUBLIC_URL>/api/auth/facebook/callback/, under Valid OAuth Redirect URIs.
Facts: the dialog and the exchange of a code, https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow,
with PKCE, https://developers.facebook.com/docs/facebook-login/guides/advanced/oidc-token; debug_token,
https://developers.facebook.com/docs/graph-api/reference/debug_token; appsecret_proof,
https://developers.facebook.com/docs/graph-api/guides/secure-requests; throttling,
https://developers.facebook.com/docs/graph-api/overview/rate-limiting and
https://developers.facebook.com/docs/graph-api/using-graph-api/error-handling; the tokens of Limited Login, whose keys
are at limited.facebook.com and whose issuer is www.facebook.com,
https://developers.facebook.com/docs/facebook-login/limited-login/token. The e-mail may be missing and its owner is not
said to be proved, https://developers.facebook.com/docs/graph-api/reference/user.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from authserver.oauth.provider import (
    Accepted,
    AccessToken,
    Ask,
    Claims,
    Identity,
    IdToken,
    Issued,
    Provider,
    ProviderSettings,
    Refused,
    Unavailable,
    logo,
    now,
    standard_identity,
)

VERSION = "v25.0"
THROTTLED = (4, 17, 32, 613)  # calls of the app, of the user, of a page, of a kind


def provider(settings: ProviderSettings) -> Provider:
    dialog = settings.url("DIALOG_URL", "https://www.facebook.com")
    limited = settings.url("LIMITED_URL", "https://limited.facebook.com")
    graph = f"{settings.url('GRAPH_URL', 'https://graph.facebook.com')}/{VERSION}"
    app_token = f"{settings.client_ids[0]}|{settings.client_secret}"

    def issued_to(ask: Ask, token: str) -> Issued | None:
        data = _get(ask, f"{graph}/debug_token", {"input_token": token, "access_token": app_token})["data"]
        if data["is_valid"] is not True or data["type"] != "USER":
            return None
        if data["expires_at"] and data["expires_at"] <= now().timestamp():  # 0: it does not expire
            return None
        return Issued(audience=str(data["app_id"]), subject=str(data["user_id"]))

    def identity(accepted: Accepted) -> Identity:
        proof = hmac.new(settings.client_secret.encode(), accepted.token.encode(), hashlib.sha256).hexdigest()
        person = _get(
            accepted.ask,
            f"{graph}/me",
            {"fields": "id,email,first_name,last_name", "access_token": accepted.token, "appsecret_proof": proof},
        )
        return Identity(
            subject=person["id"],
            email=person.get("email"),
            email_verified=False,
            first_name=person.get("first_name", ""),
            last_name=person.get("last_name", ""),
        )

    def limited_identity(claims: Claims) -> Identity:
        return replace(standard_identity(claims), email_verified=False)

    return Provider(
        label="Facebook",
        mark=logo(__file__),
        id_token=IdToken(
            issuer=limited,
            issuers=lambda claims: (dialog, limited),
            jwks_url=f"{limited}/.well-known/oauth/openid/jwks/",
            identity=limited_identity,
        ),
        access_token=AccessToken(issued_to=issued_to, identity=identity),
        scopes=("email", "public_profile"),
        authorize_url=f"{dialog}/{VERSION}/dialog/oauth",
        token_url=f"{graph}/oauth/access_token",
        needs_secret=True,
        token_auth="client_secret_post",
    )


def _get(ask: Ask, url: str, params: Mapping[str, str]) -> Any:
    """Facebook throttles with a 400 or 403, which says nothing of the token."""
    try:
        return ask.get(url, params)
    except Refused as refused:
        error = refused.body.get("error") if isinstance(refused.body, dict) else None
        if isinstance(error, dict) and (error.get("is_transient") is True or error.get("code") in THROTTLED):
            raise Unavailable("throttled") from refused
        raise
