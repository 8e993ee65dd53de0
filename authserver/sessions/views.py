from uuid import UUID

from flask import Blueprint, Response, jsonify, request

from authserver.body import Body, Token, no_content, read
from authserver.errors import ApiError, invalid
from authserver.limits import Limit, limit_refusals
from authserver.sessions import flows, rotation
from authserver.sessions.answer import session_json
from authserver.sessions.transport import answer, by_cookie, clear_cookie, sent_refresh, sent_refresh_or_none
from authserver.tokens.guard import Caller, bearer_token, challenging, find_caller, signed_in
from authserver.tokens.verify import verify
from authserver.visitor import visitor

blueprint = Blueprint("sessions", __name__, url_prefix="/api")


class VerifyBody(Body):
    token: Token


@blueprint.post("/token/refresh")
def refresh() -> Response:
    """A new access token for a refresh token; under rotation a new refresh token too."""
    token = sent_refresh()
    with limit_refusals(Limit.REFRESH_ADDRESS):
        refreshed = rotation.refresh(token, visitor())
    if refreshed.refresh is None:
        return answer({"access": refreshed.access})
    return answer({"access": refreshed.access, "refresh": refreshed.refresh})


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
    clear_cookie()
    flows.log_out(sent_refresh(), "refresh", visitor())
    return jsonify({})


@blueprint.post("/logout")
def logout() -> Response:
    """Ends the session of the refresh token or, without one, of the Bearer access token; with a cookie both."""
    clear_cookie()
    refresh = sent_refresh_or_none()
    if refresh:
        flows.log_out(refresh, "refresh", visitor())
    if "Authorization" in request.headers and (by_cookie() or not refresh):
        with challenging():
            flows.log_out(bearer_token(), "access", visitor())
    elif not refresh:
        raise invalid("refresh", "This field is required.")
    return no_content()


@blueprint.get("/sessions")
@signed_in
def sessions(caller: Caller) -> Response:
    """Where one is signed in, newest first, at most 100 sessions: the current one and those that end last."""
    return jsonify([session_json(one, caller.session_id) for one in flows.live_sessions(caller.id, caller.session_id)])


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
    flows.end_one(caller.id, session_id, visitor(), caller.session_id)
    return no_content()
