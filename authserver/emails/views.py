from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from authserver.body import Body, Email, read
from authserver.emails import flows
from authserver.tokens.guard import Caller, freshly_signed_in
from authserver.visitor import visitor

blueprint = Blueprint("emails", __name__, url_prefix="/api/email")


class EmailBody(Body):
    email: Email


@blueprint.post("/verify/resend")
def resend() -> ResponseReturnValue:
    """Sends the verification mail again; answers alike for every address."""
    flows.resend(read(EmailBody).email, visitor())
    return jsonify(detail="If this address is waiting to be confirmed, a mail is on its way."), 202


@blueprint.post("/change")
@freshly_signed_in
def change(caller: Caller) -> ResponseReturnValue:
    """Asks for another address, which counts once its mail is confirmed."""
    flows.request_change(caller.id, caller.session_id, read(EmailBody).email, visitor())
    return jsonify(detail="A mail with a link is on its way to the new address."), 202
