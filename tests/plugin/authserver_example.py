"""Example.

Console: https://id.example.com/apps; the app's id goes into CLIENT_ID.
Facts: https://id.example.com/docs, whose token it is and the profile.
"""

from authserver.oauth.provider import Accepted, AccessToken, Ask, Identity, Issued, Provider, ProviderSettings


def provider(settings: ProviderSettings) -> Provider:
    api = settings.url("API_URL", "https://id.example.com")

    def issued_to(ask: Ask, token: str) -> Issued | None:
        info = ask.post(f"{api}/introspect", {"token": token})
        if info["active"] is not True:
            return None
        return Issued(audience=info["client_id"], subject=info["sub"])

    def identity(accepted: Accepted) -> Identity:
        person = accepted.get(f"{api}/me")
        return Identity(
            subject=person["id"],
            email=person.get("email"),
            email_verified=person.get("email_confirmed") is True,
            first_name=person.get("name") or "",
        )

    return Provider(
        label="Example",
        access_token=AccessToken(issued_to=issued_to, identity=identity),
    )
