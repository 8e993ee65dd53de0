"""GitLab, gitlab.com or one of your own (BASE_URL).

Console: https://gitlab.com/-/user_settings/applications, an application with the scopes `openid`, `profile` and
`email`; its id goes into CLIENT_ID, its secret, if it is a confidential one, into CLIENT_SECRET.
Redirect URI: <AUTHSERVER_PUBLIC_URL>/api/auth/gitlab/callback/
Facts: the claims, of which names stand at the userinfo endpoint alone,
https://docs.gitlab.com/integration/openid_connect_provider/; the redirect, with PKCE, and whose token it is,
https://docs.gitlab.com/api/oauth2/.
"""

from authserver.oauth.provider import (
    AccessToken,
    Ask,
    IdToken,
    Issued,
    Provider,
    ProviderSettings,
    logo,
    standard_identity,
)


def provider(settings: ProviderSettings) -> Provider:
    base = settings.url("BASE_URL", "https://gitlab.com")

    def issued_to(ask: Ask, token: str) -> Issued:
        info = ask.get(f"{base}/oauth/token/info", bearer=token)
        return Issued(audience=info["application"]["uid"], subject=str(info["resource_owner_id"]))

    return Provider(
        label="GitLab",
        mark=logo(__file__),
        id_token=IdToken(issuer=base, identity=standard_identity, userinfo=True),
        access_token=AccessToken(
            issued_to=issued_to, identity=lambda accepted: standard_identity(accepted.get(f"{base}/oauth/userinfo"))
        ),
        scopes=("openid", "email", "profile"),
        public_client=True,
    )
