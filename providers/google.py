"""Google.

Console: https://console.cloud.google.com/auth/clients, an OAuth client of the type of the application; each client id
(web, iOS, Android) goes into CLIENT_ID, comma-separated.
Facts: tokeninfo, https://developers.google.com/identity/protocols/oauth2 (validating access tokens); userinfo and `hd`,
https://developers.google.com/identity/openid-connect/openid-connect.
"""

from authserver.oauth.provider import (
    Accepted,
    AccessToken,
    Ask,
    Identity,
    Issued,
    Provider,
    ProviderSettings,
    Refused,
)


def provider(settings: ProviderSettings) -> Provider:
    settings.url("ISSUER", "https://accounts.google.com")  # the redirect flow's; checked at the start all the same
    tokeninfo = settings.url("TOKENINFO_URL", "https://oauth2.googleapis.com/tokeninfo")
    userinfo = settings.url("USERINFO_URL", "https://openidconnect.googleapis.com/v1/userinfo")
    hosted_domain = settings.option("HOSTED_DOMAIN")

    def issued_to(ask: Ask, token: str) -> Issued:
        info = ask.post(tokeninfo, {"access_token": token})
        return Issued(audience=info["aud"], subject=info["sub"])

    def identity(accepted: Accepted) -> Identity:
        person = accepted.get(userinfo)
        if hosted_domain and person.get("hd") != hosted_domain:
            raise Refused("not of the hosted domain")
        return Identity(
            subject=person["sub"],
            email=person.get("email"),
            email_verified=person.get("email_verified", False),
            first_name=person.get("given_name", ""),
            last_name=person.get("family_name", ""),
        )

    return Provider(label="Google", access_token=AccessToken(issued_to=issued_to, identity=identity))
