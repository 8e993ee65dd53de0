from flask import Blueprint, Response, jsonify

from authserver.tokens.keys import key_ring

blueprint = Blueprint("tokens", __name__)


@blueprint.get("/.well-known/jwks.json")
def jwks() -> Response:
    """The public keys that verify our tokens (RFC 7517)."""
    response = jsonify(key_ring().jwks())
    response.headers["Cache-Control"] = "public, max-age=300"
    return response
