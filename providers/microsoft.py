"""Microsoft: work and school accounts (Entra ID).

Console: https://entra.microsoft.com, App registrations; the application (client) id goes into CLIENT_ID, the directory
(tenant) id into TENANT, where only one organisation may sign in.
Facts: claims of access tokens, https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference; the
user, https://learn.microsoft.com/graph/api/user-get. A token for Graph is not meant for us: its claims count only
because Graph accepts it and names the same person. Personal accounts get opaque tokens, which say nothing of the
application they were issued to and are refused. Graph's `mail` is whatever a tenant's administrator typed in, so it is
never verified (nOAuth, https://learn.microsoft.com/entra/identity-platform/migrate-off-email-claim-authorization).
"""

import re

from authserver.oauth.provider import (
    Accepted,
    AccessToken,
    Ask,
    Identity,
    Issued,
    Provider,
    ProviderSettings,
    Refused,
    unverified_claims,
)

CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"  # the tenant of all personal accounts
TENANT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def provider(settings: ProviderSettings) -> Provider:
    settings.url("AUTHORITY", "https://login.microsoftonline.com")  # the redirect flow's; checked all the same
    graph = settings.url("GRAPH_URL", "https://graph.microsoft.com")
    tenant = settings.option("TENANT", "common").lower()
    if tenant not in ("common", "organizations", "consumers") and not TENANT_ID.fullmatch(tenant):
        raise settings.wrong("TENANT", "common, organizations, consumers or a directory (tenant) id")

    def admits(tid: str) -> bool:
        if tenant == "organizations":
            return tid != CONSUMERS
        return tenant == "common" or tid == (CONSUMERS if tenant == "consumers" else tenant)

    def issued_to(ask: Ask, token: str) -> Issued:
        claims = unverified_claims(token)
        if not admits(claims["tid"]):
            raise Refused("of a tenant that is not asked for")
        application = claims["appid"] if "appid" in claims else claims["azp"]  # version 1 and version 2 tokens
        return Issued(audience=application, subject=claims["oid"], tenant=claims["tid"])

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

    return Provider(label="Microsoft", access_token=AccessToken(issued_to=issued_to, identity=identity))
