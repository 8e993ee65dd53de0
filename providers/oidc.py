"""Any OpenID Connect provider, by settings alone: under a name of its own, with TYPE=oidc.

Console: an application ("client") of the authorization code flow; its id goes into CLIENT_ID, its secret, if it is no
public one, into CLIENT_SECRET, the provider's address into ISSUER. Everything else stands at
<ISSUER>/.well-known/openid-configuration.
Redirect URI: <AUTHSERVER_PUBLIC_URL>/api/auth/<name>/callback/, with the name that was chosen.
Facts: https://openid.net/specs/openid-connect-core-1_0.html (standard claims, section 5.1) and
https://openid.net/specs/openid-connect-discovery-1_0.html.
"""

from authserver.oauth.provider import IdToken, Provider, ProviderSettings, standard_identity


def provider(settings: ProviderSettings) -> Provider:
    settings.require("ISSUER")
    scopes = tuple(settings.option("SCOPES", "openid email profile").split())
    if "openid" not in scopes:
        raise settings.wrong("SCOPES", "names with spaces between them, openid among them")
    token_auth = settings.option("TOKEN_AUTH") or None
    if token_auth not in ("client_secret_basic", "client_secret_post", None):
        raise settings.wrong("TOKEN_AUTH", "client_secret_basic or client_secret_post")
    return Provider(
        label=settings.option("LABEL") or settings.name.replace("_", " ").title(),
        id_token=IdToken(issuer=settings.url("ISSUER", ""), identity=standard_identity, userinfo=True),
        scopes=scopes,
        public_client=True,
        token_auth=token_auth,  # type: ignore[arg-type]
    )
