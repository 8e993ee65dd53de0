from uuid import UUID

from flask import Blueprint, Response, jsonify, request

from authserver.body import Body, Token, no_content, read, whole_body
from authserver.errors import ApiError, invalid
from authserver.limits import Limit, limit_refusals
from authserver.sessions import flows, rotation
from authserver.sessions.answer import session_json
from authserver.tokens.guard import Caller, bearer_token, challenging, find_caller, signed_in
from authserver.tokens.verify import verify
from authserver.visitor import visitor

blueprint = Blueprint("sessions", __name__, url_prefix="/api")


class RefreshBody(Body):
    refresh: Token


class LogoutBody(Body):
    refresh: Token | None = None


class VerifyBody(Body):
    token: Token


@blueprint.post("/token/refresh")
def refresh() -> Response:
    """A new access token for a refresh token; under rotation a new refresh token too."""
    token = read(RefreshBody).refresh
    with limit_refusals(Limit.REFRESH_ADDRESS):
        refreshed = rotation.refresh(token, visitor())
    if refreshed.refresh is None:
        return jsonify(access=refreshed.access)
    return jsonify(access=refreshed.access, refresh=refreshed.refresh)


@blueprint.post("/token/verify")
def verify_token() -> Response:
    """Whether a token of either type, and its session, still count."""
    token = read(VerifyBody).token
    try:
        find_caller(verify(token, "access"))
    except ApiError:
        rotation.check(verify(token, "refresh"))
    return jsonify({})


@blueprint.post("/token/blacklist")
def blacklist() -> Response:
    """Logout under djangorestframework-simplejwt's name."""
    flows.end_by_token(read(RefreshBody).refresh, "refresh", visitor())
    return jsonify({})


@blueprint.post("/logout")
def logout() -> Response:
    """Ends the session of the refresh token in the body or, without one, of the Bearer access token."""
    body = read(LogoutBody) if whole_body() else LogoutBody()
    if body.refresh:
        flows.end_by_token(body.refresh, "refresh", visitor())
    elif "Authorization" in request.headers:
        with challenging():
            flows.end_by_token(bearer_token(), "access", visitor())
    else:
        raise invalid("refresh", "This field is required.")
    return no_content()


@blueprint.get("/sessions")
@signed_in
def sessions(caller: Caller) -> Response:
    """Where one is signed in."""
    return jsonify([session_json(one, caller.session_id) for one in flows.live_sessions(caller.id)])


@blueprint.delete("/sessions")
@signed_in
def end_other_sessions(caller: Caller) -> Response:
    """Ends all sessions but the current one."""
    flows.end_others(caller.id, caller.session_id, visitor())
    return no_content()


@blueprint.delete("/sessions/<uuid:session_id>")
@signed_in
def end_session(caller: Caller, session_id: UUID) -> Response:
    """Ends one of one's own sessions."""
    flows.end_one(caller.id, session_id, visitor())
    return no_content()
