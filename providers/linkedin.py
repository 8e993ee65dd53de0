"""LinkedIn.

Console: https://www.linkedin.com/developers/apps, an app with the product "Sign In with LinkedIn using OpenID Connect";
client id and primary client secret go into CLIENT_ID and CLIENT_SECRET.
Redirect URI: <AUTHSERVER_PUBLIC_URL>/api/auth/linkedin/callback/
Facts: claims and issuer,
https://learn.microsoft.com/linkedin/consumer/integrations/self-serve/sign-in-with-linkedin-v2, which writes the issuer
without the /oauth that the discovery document itself has; `nonce` is not among the claims. PKCE is for native apps that
LinkedIn has enabled for it, https://learn.microsoft.com/linkedin/shared/authentication/authorization-code-flow-native.
Whose an access token is, LinkedIn says only of the application and not of the person, so none are taken.
"""

from authserver.oauth.provider import IdToken, Provider, ProviderSettings, logo, standard_identity


def provider(settings: ProviderSettings) -> Provider:
    issuer = settings.url("ISSUER", "https://www.linkedin.com/oauth")
    return Provider(
        label="LinkedIn",
        mark=logo(__file__),
        id_token=IdToken(
            issuer=issuer,
            issuers=lambda claims: (issuer, issuer.removesuffix("/oauth")),
            identity=standard_identity,
            userinfo=True,
            nonce_left_out=True,
        ),
        scopes=("openid", "profile", "email"),
        pkce=False,
        needs_secret=True,
        token_auth="client_secret_post",
    )
