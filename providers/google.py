"""Google.

Console: https://console.cloud.google.com/auth/clients, an OAuth client of the type of the application; each client id
(web, iOS, Android) goes into CLIENT_ID, comma-separated, the web client's first, and its secret into CLIENT_SECRET.
Without a secret there is no redirect, and only tokens are taken.
Redirect URI: <AUTHSERVER_PUBLIC_URL>/api/auth/google/callback/
Facts: tokeninfo, https://developers.google.com/identity/protocols/oauth2 (validating access tokens); userinfo and `hd`,
https://developers.google.com/identity/openid-connect/openid-connect; the two spellings of `iss` and for which addresses
Google is the authority, https://developers.google.com/identity/gsi/web/guides/verify-google-id-token.
"""

from dataclasses import replace

from authserver.oauth.provider import (
    AccessToken,
    Ask,
    Claims,
    Identity,
    IdToken,
    Issued,
    Provider,
    ProviderSettings,
    Refused,
    logo,
    standard_identity,
)


def provider(settings: ProviderSettings) -> Provider:
    issuer = settings.url("ISSUER", "https://accounts.google.com")
    tokeninfo = settings.url("TOKENINFO_URL", "https://oauth2.googleapis.com/tokeninfo")
    userinfo = settings.url("USERINFO_URL", "https://openidconnect.googleapis.com/v1/userinfo")
    hosted_domain = settings.option("HOSTED_DOMAIN")

    def issued_to(ask: Ask, token: str) -> Issued:
        info = ask.post(tokeninfo, {"access_token": token})
        return Issued(audience=info["aud"], subject=info["sub"])

    def identity(claims: Claims) -> Identity:
        if hosted_domain and claims.get("hd") != hosted_domain:
            raise Refused("not of the hosted domain")
        person = standard_identity(claims)
        # Any other address was proved once, when the account was made, and may have changed hands since.
        google_is_authority = str(person.email).lower().endswith("@gmail.com") or bool(claims.get("hd"))
        return replace(person, email_authoritative=person.email_verified and google_is_authority)

    return Provider(
        label="Google",
        mark=logo(__file__),
        id_token=IdToken(issuer=issuer, issuers=lambda claims: (issuer, issuer.partition("://")[2]), identity=identity),
        access_token=AccessToken(issued_to=issued_to, identity=lambda accepted: identity(accepted.get(userinfo))),
        scopes=("openid", "email", "profile"),
        authorize_params={"hd": hosted_domain} if hosted_domain else {},
    )
