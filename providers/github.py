"""GitHub, also GitHub Enterprise Server (BASE_URL and API_URL, there https://<host> and https://<host>/api/v3).

Console: https://github.com/settings/developers, an OAuth app; its client id and a client secret go into CLIENT_ID and
CLIENT_SECRET. A GitHub App does as well, with the user permission "Email addresses" (read). Only the first client id
counts, since a token is checked with the secret of its own application.
Redirect URI: <AUTHSERVER_PUBLIC_URL>/api/auth/github/callback/
Facts: the redirect, with PKCE, https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps;
whose token it is, https://docs.github.com/rest/apps/oauth-applications#check-a-token; the profile,
https://docs.github.com/rest/users/users; the addresses, for which the scope `user:email` is needed,
https://docs.github.com/rest/users/emails.
"""

from authserver.oauth.provider import Accepted, AccessToken, Ask, Identity, Issued, Provider, ProviderSettings, logo


def provider(settings: ProviderSettings) -> Provider:
    login = f"{settings.url('BASE_URL', 'https://github.com')}/login/oauth"
    api, app = settings.url("API_URL", "https://api.github.com"), (settings.client_ids[0], settings.client_secret)

    def issued_to(ask: Ask, token: str) -> Issued:
        grant = ask.post(f"{api}/applications/{app[0]}/token", json={"access_token": token}, basic=app)
        return Issued(audience=grant["app"]["client_id"], subject=str(grant["user"]["id"]))

    def identity(accepted: Accepted) -> Identity:
        user, emails = accepted.get(f"{api}/user"), accepted.get(f"{api}/user/emails")
        email, verified = next(((one["email"], one["verified"]) for one in emails if one["primary"]), (None, False))
        return Identity(subject=str(user["id"]), email=email, email_verified=verified, first_name=user["name"] or "")

    return Provider(
        label="GitHub",
        mark=logo(__file__),
        access_token=AccessToken(issued_to=issued_to, identity=identity),
        scopes=("user:email",),
        authorize_url=f"{login}/authorize",
        token_url=f"{login}/access_token",
        needs_secret=True,
    )
