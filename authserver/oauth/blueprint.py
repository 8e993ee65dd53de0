"""One blueprint per provider, under `/api/auth/<name>`."""

from flask import Blueprint, Response, current_app, jsonify

from authserver.body import Body, Token, read
from authserver.extensions import current_settings
from authserver.limits import Limit, limit_account, limit_address
from authserver.oauth import linking
from authserver.oauth.registry import Enabled
from authserver.oauth.upstream import Upstream
from authserver.oauth.verify import identify_by_access_token
from authserver.sessions.answer import signed_in_json
from authserver.visitor import visitor


class ProviderBody(Body):
    access_token: Token


def provider_blueprint(enabled: Enabled) -> Blueprint:
    blueprint = Blueprint(f"auth_{enabled.name}", __name__, url_prefix=f"/api/auth/{enabled.name}")

    @blueprint.post("")
    def sign_in() -> Response:
        """A sign-in with a token of the provider's that the client already has."""
        body = read(ProviderBody)
        limit_address(Limit.PROVIDER_ADDRESS)
        upstream: Upstream = current_app.extensions["authserver.upstream"]
        identity = identify_by_access_token(enabled, upstream.ask(), body.access_token)
        if identity.email and not identity.email_verified and current_settings().email_verification == "required":
            limit_account(Limit.MAIL_ACCOUNT, f"sign-up {identity.email}")  # it gets a mail every time
        return jsonify(signed_in_json(*linking.sign_in(enabled.name, identity, visitor())))

    return blueprint
