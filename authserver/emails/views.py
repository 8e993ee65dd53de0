from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from authserver.body import Body, Email, read
from authserver.emails import flows
from authserver.limits import Limit, limit_account, limit_address
from authserver.tokens.guard import Caller, freshly_signed_in
from authserver.visitor import visitor

blueprint = Blueprint("emails", __name__, url_prefix="/api/email")


class EmailBody(Body):
    email: Email


@blueprint.post("/verify/resend")
def resend() -> ResponseReturnValue:
    """Sends the verification mail again; answers alike for every address."""
    ask_again(read(EmailBody))
    return jsonify(detail="If this address is waiting to be confirmed, a mail is on its way."), 202


def ask_again(body: EmailBody) -> None:
    limit_address(Limit.MAIL_ADDRESS)
    limit_account(Limit.MAIL_ACCOUNT, body.email)
    flows.resend(body.email, visitor())


@blueprint.post("/change")
@freshly_signed_in
def change(caller: Caller) -> ResponseReturnValue:
    """Asks for another address, which counts once its mail is confirmed."""
    ask_change(caller, read(EmailBody))
    return jsonify(detail="A mail with a link is on its way to the new address."), 202


def ask_change(caller: Caller, body: EmailBody) -> None:
    limit_account(Limit.MAIL_ACCOUNT, caller.id)
    limit_account(Limit.MAIL_ACCOUNT, f"change to {body.email}")
    flows.request_change(caller.id, caller.session_id, body.email, visitor())
