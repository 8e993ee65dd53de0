"""The kit on providers that are careful: shipped ones of every kind, and one of a kind that none of these is."""

from authserver.oauth.provider import AccessToken, Provider, ProviderSettings, standard_identity
from authserver.testing.kit import CLIENT_ID, EMAIL, SUBJECT, ProviderKit
from tests.providers.shipped import KEY, factory, pem


class TestGitHub(ProviderKit):
    provider = staticmethod(factory("github"))
    options = {"BASE_URL": "{upstream}", "API_URL": "{upstream}"}
    subject = "583231"
    first_name = "Ada Lovelace"
    answers = {
        f"POST /applications/{CLIENT_ID}/token": {"app": {"client_id": CLIENT_ID}, "user": {"id": 583231}},
        "GET /user": {"id": 583231, "name": "Ada Lovelace"},
        "GET /user/emails": [{"email": EMAIL, "primary": True, "verified": True, "visibility": "public"}],
    }
    expired = {f"POST /applications/{CLIENT_ID}/token": 404}
    verified = {"GET /user/emails": (0, "verified")}


class TestOpenIDConnect(ProviderKit):
    provider = staticmethod(factory("oidc"))
    options = {"ISSUER": "{upstream}/tenant"}
    name = "acme"
    first_name = "Ada"
    last_name = "Lovelace"
    claims = {
        "sub": SUBJECT,
        "email": EMAIL,
        "email_verified": True,
        "given_name": "Ada",
        "family_name": "Lovelace",
    }
    verified = {"claims": "email_verified"}


class TestGoogle(ProviderKit):
    """By both kinds of token."""

    provider = staticmethod(factory("google"))
    options = {"ISSUER": "{upstream}", "TOKENINFO_URL": "{upstream}/tokeninfo", "USERINFO_URL": "{upstream}/userinfo"}
    claims = {"sub": SUBJECT, "email": EMAIL, "email_verified": True, "given_name": "Ada"}
    answers = {"POST /tokeninfo": {"aud": CLIENT_ID, "sub": SUBJECT, "expires_in": "3599"}, "GET /userinfo": claims}
    expired = {"POST /tokeninfo": 400}
    verified = {"GET /userinfo": "email_verified", "claims": "email_verified"}
    first_name = "Ada"


class TestMicrosoft(ProviderKit):
    """Whose access tokens are JWTs, and which spells "verified" in four ways."""

    provider = staticmethod(factory("microsoft"))
    options = {"AUTHORITY": "{upstream}", "GRAPH_URL": "{upstream}/graph"}
    subject = "87d349ed-44d7-43e1-9a83-5f2406dee5bd"
    tenant = "6babcaad-604b-40ac-a9d7-9fd97c0b779f"
    answers = {
        "token": {"appid": CLIENT_ID, "oid": subject, "tid": tenant},
        "GET /graph/v1.0/me": {"id": subject, "mail": EMAIL, "givenName": "Ada", "surname": "Lovelace"},
    }
    expired = {"GET /graph/v1.0/me": 401}
    claims = {
        "iss": f"{{upstream}}/{tenant}/v2.0",
        "tid": tenant,
        "oid": subject,
        "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        "email": EMAIL,
        "xms_edov": True,
        "given_name": "Ada",
        "family_name": "Lovelace",
    }
    verified = {"claims": "xms_edov"}
    spelled = (True, 1, "1", "true")
    first_name, last_name = "Ada", "Lovelace"


class TestApple(ProviderKit):
    """Which comes back by a form, has names there alone, and for which a secret is made."""

    provider = staticmethod(factory("apple"))
    options = {"ISSUER": "{upstream}", "TEAM_ID": "TEAM", "KEY_ID": "KEY", "PRIVATE_KEY": pem(KEY)}
    client_secret = ""
    claims = {"sub": SUBJECT, "email": EMAIL, "email_verified": "true"}
    verified = {"claims": "email_verified"}
    spelled = (True, "true")
    callback = {"user": '{"name": {"firstName": "Ada", "lastName": "Lovelace"}}'}


class TestLinkedIn(ProviderKit):
    """Which puts no nonce into its tokens."""

    provider = staticmethod(factory("linkedin"))
    options = {"ISSUER": "{upstream}/oauth"}
    claims = {"sub": SUBJECT, "email": EMAIL, "email_verified": True}
    verified = {"claims": "email_verified"}
    nonce_left_out = True


def codes_only(settings: ProviderSettings) -> Provider:
    api = settings.url("API_URL", "https://id.example.com")
    return Provider(
        label="Example",
        access_token=AccessToken(identity=lambda accepted: standard_identity(accepted.get(f"{api}/me"))),
        scopes=("profile",),
        authorize_url=f"{api}/authorize",
        token_url=f"{api}/token",
        needs_secret=True,
    )


class TestCodesOnly(ProviderKit):
    """Which cannot say for whom a token is."""

    provider = staticmethod(codes_only)
    options = {"API_URL": "{upstream}"}
    answers = {"GET /me": {"sub": SUBJECT, "email": EMAIL, "email_verified": False}}
