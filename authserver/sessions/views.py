from flask import Blueprint, Response, jsonify, request

from authserver.body import Body, Token, read
from authserver.errors import invalid
from authserver.sessions import flows
from authserver.sessions.answer import no_content
from authserver.tokens.guard import bearer_token

blueprint = Blueprint("sessions", __name__, url_prefix="/api")


class RefreshBody(Body):
    refresh: Token


class LogoutBody(Body):
    refresh: Token | None = None


@blueprint.post("/token/refresh")
def refresh() -> Response:
    """A new access token for a refresh token."""
    return jsonify(access=flows.refresh(read(RefreshBody).refresh))


@blueprint.post("/logout")
def logout() -> Response:
    """Ends the session of the refresh token in the body or, without one, of the Bearer access token."""
    body = read(LogoutBody) if request.get_data() else LogoutBody()
    if body.refresh:
        flows.end(body.refresh, "refresh")
    elif "Authorization" in request.headers:
        flows.end(bearer_token(), "access")
    else:
        raise invalid("refresh", "This field is required.")
    return no_content()
