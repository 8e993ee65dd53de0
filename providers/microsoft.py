"""Microsoft: work, school and personal accounts (Entra ID).

Console: https://entra.microsoft.com, App registrations; the application (client) id goes into CLIENT_ID, a client
secret into CLIENT_SECRET, the directory (tenant) id into TENANT, where only one organisation may sign in. Token
configuration: the optional claims `email`, `given_name`, `family_name` and `xms_edov` for ID tokens; without the last,
which may have to be written into the manifest, no address counts as verified. Without a secret there is no redirect,
and only tokens are taken.
Redirect URI: <AUTHSERVER_PUBLIC_URL>/api/auth/microsoft/callback/, of the platform Web.
Facts: claims of ID tokens, https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference, and of access
tokens, https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference; `xms_edov`,
https://learn.microsoft.com/entra/identity-platform/optional-claims-reference, and why nothing else makes an address a
verified one (nOAuth), https://learn.microsoft.com/entra/identity-platform/migrate-off-email-claim-authorization; the
user, https://learn.microsoft.com/graph/api/user-get. An access token for Graph is not meant for us: its claims count
only because Graph accepts it and names the same person. Personal accounts get opaque ones, which say nothing of the
application they were issued to and are refused; their ID tokens are as good as others. Graph's `mail` is whatever a
tenant's administrator typed in, so it is never verified.
"""

import re
from dataclasses import replace

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
    logo,
    standard_identity,
    unverified_claims,
)

CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"  # the tenant of all personal accounts
TENANT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# A Boolean by its documentation; tokens have been seen to carry it in these forms too.
VERIFIED = ((bool, True), (int, 1), (str, "1"), (str, "true"))


def provider(settings: ProviderSettings) -> Provider:
    authority = settings.url("AUTHORITY", "https://login.microsoftonline.com")
    graph = settings.url("GRAPH_URL", "https://graph.microsoft.com")
    tenant = settings.option("TENANT", "common").lower()
    if tenant not in ("common", "organizations", "consumers") and not TENANT_ID.fullmatch(tenant):
        raise settings.wrong("TENANT", "common, organizations, consumers or a directory (tenant) id")

    def admitted(claims: Claims) -> str:
        """The tenant of a token, if its people are asked for."""
        tid: str = claims["tid"]
        only = {"common": tid, "organizations": tid, "consumers": CONSUMERS}.get(tenant, tenant)
        if not TENANT_ID.fullmatch(tid) or tid != only or (tenant == "organizations" and tid == CONSUMERS):
            raise Refused("of a tenant that is not asked for")
        return tid

    def id_token_identity(claims: Claims) -> Identity:
        edov = claims.get("xms_edov")
        verified = (type(edov), edov) in VERIFIED
        return replace(
            standard_identity(claims),
            subject=claims["oid"],
            tenant=admitted(claims),
            email_verified=verified,
            email_authoritative=verified,
        )

    def issued_to(ask: Ask, token: str) -> Issued:
        claims = unverified_claims(token)
        application = claims["appid"] if "appid" in claims else claims["azp"]  # version 1 and version 2 tokens
        return Issued(audience=application, subject=claims["oid"], tenant=admitted(claims))

    def identity(accepted: Accepted) -> Identity:
        person = accepted.get(f"{graph}/v1.0/me", {"$select": "id,mail,givenName,surname"})
        return Identity(
            subject=person["id"],
            tenant=accepted.issued.tenant,
            email=person.get("mail"),
            email_verified=False,
            first_name=person.get("givenName") or "",
            last_name=person.get("surname") or "",
        )

    return Provider(
        label="Microsoft",
        mark=logo(__file__),
        id_token=IdToken(
            issuer=f"{authority}/{tenant}/v2.0",
            issuers=lambda claims: (f"{authority}/{admitted(claims)}/v2.0",),
            identity=id_token_identity,
        ),
        access_token=AccessToken(issued_to=issued_to, identity=identity),
        scopes=("openid", "email", "profile"),
    )
