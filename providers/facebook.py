"""Facebook.

Console: https://developers.facebook.com/apps, an app with Facebook Login; its app id and app secret go into CLIENT_ID
and CLIENT_SECRET.
Facts: debug_token, https://developers.facebook.com/docs/graph-api/reference/debug_token; appsecret_proof,
https://developers.facebook.com/docs/graph-api/guides/secure-requests; the e-mail may be missing and its owner is not
said to be proved, https://developers.facebook.com/docs/graph-api/reference/user.
"""

import hashlib
import hmac
import time

from authserver.oauth.provider import Accepted, AccessToken, Ask, Identity, Issued, Provider, ProviderSettings

VERSION = "v25.0"


def provider(settings: ProviderSettings) -> Provider:
    settings.url("DIALOG_URL", "https://www.facebook.com")  # the redirect flow's; checked at the start all the same
    graph = f"{settings.url('GRAPH_URL', 'https://graph.facebook.com')}/{VERSION}"
    app_token = f"{settings.client_ids[0]}|{settings.client_secret}"

    def issued_to(ask: Ask, token: str) -> Issued | None:
        data = ask.get(f"{graph}/debug_token", {"input_token": token, "access_token": app_token})["data"]
        if data["is_valid"] is not True or data["type"] != "USER":
            return None
        if data["expires_at"] and data["expires_at"] <= time.time():  # 0: it does not expire
            return None
        return Issued(audience=str(data["app_id"]), subject=str(data["user_id"]))

    def identity(accepted: Accepted) -> Identity:
        proof = hmac.new(settings.client_secret.encode(), accepted.token.encode(), hashlib.sha256).hexdigest()
        person = accepted.ask.get(
            f"{graph}/me",
            {"fields": "id,email,first_name,last_name", "access_token": accepted.token, "appsecret_proof": proof},
        )
        return Identity(
            subject=person["id"],
            email=person.get("email"),
            email_verified=False,
            first_name=person.get("first_name", ""),
            last_name=person.get("last_name", ""),
        )

    return Provider(
        label="Facebook",
        access_token=AccessToken(issued_to=issued_to, identity=identity),
        needs_secret=True,
    )
