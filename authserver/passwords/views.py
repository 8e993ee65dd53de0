from flask import Blueprint, Response, jsonify

from authserver.body import Body, Password, read
from authserver.passwords import flows
from authserver.tokens.guard import Caller, signed_in

blueprint = Blueprint("passwords", __name__, url_prefix="/api")


class ReauthenticateBody(Body):
    password: Password


@blueprint.post("/reauthenticate")
@signed_in
def reauthenticate(caller: Caller) -> Response:
    """Makes the session's access token fresh again, by password."""
    body = read(ReauthenticateBody)
    return jsonify(access=flows.reauthenticate(caller.id, caller.session_id, body.password))
