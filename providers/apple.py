"""Apple.

Console: https://developer.apple.com/account/resources/identifiers, an app id with Sign in with Apple and, for the web,
a services id; CLIENT_ID is the services id and then, comma-separated, the bundle ids of the apps, which send id_tokens.
A key for Sign in with Apple (https://developer.apple.com/account/resources/authkeys) gives KEY_ID and PRIVATE_KEY, the
text of its .p8 file, whose line ends may be written as \\n; TEAM_ID stands beside the account's name.
Redirect URI: <AUTHSERVER_PUBLIC_URL>/api/auth/apple/callback/, as a Return URL of the services id, https only.
Facts: the redirect, which comes back as a form since a name or an address is asked for, and `user`, which comes with
the first sign-in alone,
https://developer.apple.com/documentation/signinwithapple/request-an-authorization-to-the-sign-in-with-apple-server;
the client secret, https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret;
the claims, of which `email_verified` may be a string,
https://developer.apple.com/documentation/signinwithapple/authenticating-users-with-sign-in-with-apple. PKCE is not
documented; the nonce is.
"""

import json
from collections.abc import Mapping
from dataclasses import replace

from authserver.oauth.provider import (
    Claims,
    Identity,
    IdToken,
    Provider,
    ProviderSettings,
    logo,
    now,
    signed_jwt,
    standard_identity,
)


def provider(settings: ProviderSettings) -> Provider:
    issuer = settings.url("ISSUER", "https://appleid.apple.com")
    team, key_id = settings.require("TEAM_ID"), settings.require("KEY_ID")
    private_key = settings.require("PRIVATE_KEY").replace("\\n", "\n")

    def client_secret() -> str:
        moment = int(now().timestamp())
        claims = {"iss": team, "sub": settings.client_ids[0], "aud": issuer, "iat": moment, "exp": moment + 300}
        return signed_jwt(claims, private_key, key_id)

    try:
        client_secret()
    except ValueError:
        raise settings.wrong("PRIVATE_KEY", "the text of the .p8 file that Apple gave out") from None
    return Provider(
        label="Apple",
        mark=logo(__file__),
        id_token=IdToken(issuer=issuer, identity=identity),
        scopes=("openid", "email", "name"),
        pkce=False,
        form_post=True,
        names=names,
        client_secret=client_secret,
    )


def identity(claims: Claims) -> Identity:
    verified = claims.get("email_verified")
    return replace(standard_identity(claims), email_verified=verified is True or verified == "true")


def names(callback: Mapping[str, str]) -> tuple[str, str]:
    name = json.loads(callback.get("user", "{}")).get("name") or {}
    return name.get("firstName", ""), name.get("lastName", "")
