"""Any OpenID provider that keeps to the standard, for a provider of TYPE=oidc under the name `acme`.

https://openid.net/specs/openid-connect-core-1_0.html, https://www.rfc-editor.org/rfc/rfc9700.
"""

from authserver.testing.standins.openid import OpenIDStandIn


class OpenIDConnect(OpenIDStandIn):
    name = "acme"
    label = "Acme"
    client_id = "authserver-at-acme"
    other_client_id = "somebody-else-at-acme"
    client_secret = "acme-secret-0f2d4b6a8c1e3957"
    token_prefix = "acme_at_"
    authorize_path = "/authorize"
    token_path = "/token"
    jwks_path = "/jwks.json"
    token_auth = frozenset({"client_secret_basic", "client_secret_post"})
    response_modes = frozenset({"query", "form_post"})

    def subject(self, number: int) -> str:
        return f"acme|{number}"

    def options(self) -> dict[str, str]:
        return {**super().options(), "TYPE": "oidc", "LABEL": self.label}
