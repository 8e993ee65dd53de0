"""Discord.

Console: https://discord.com/developers/applications, OAuth2; client id and client secret go into CLIENT_ID and
CLIENT_SECRET.
Redirect URI: <AUTHSERVER_PUBLIC_URL>/api/auth/discord/callback/
Facts: the redirect and whose token it is, https://discord.com/developers/docs/topics/oauth2; PKCE,
https://discord.com/.well-known/oauth-authorization-server; the profile, whose address has to be verified to count,
https://discord.com/developers/docs/resources/user.
"""

from authserver.oauth.provider import Accepted, AccessToken, Ask, Identity, Issued, Provider, ProviderSettings, logo


def provider(settings: ProviderSettings) -> Provider:
    base = settings.url("BASE_URL", "https://discord.com")
    api = f"{base}/api/v10"

    def issued_to(ask: Ask, token: str) -> Issued:
        info = ask.get(f"{api}/oauth2/@me", bearer=token)
        return Issued(audience=info["application"]["id"], subject=info["user"]["id"])

    def identity(accepted: Accepted) -> Identity:
        person = accepted.get(f"{api}/users/@me")
        return Identity(
            subject=person["id"],
            email=person.get("email"),
            email_verified=person.get("verified", False),
            first_name=person.get("global_name") or "",
        )

    return Provider(
        label="Discord",
        mark=logo(__file__),
        access_token=AccessToken(issued_to=issued_to, identity=identity),
        scopes=("identify", "email"),
        authorize_url=f"{base}/oauth2/authorize",
        token_url=f"{api}/oauth2/token",
        needs_secret=True,
    )
