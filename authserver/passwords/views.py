from flask import Blueprint, Response, jsonify
from flask.typing import ResponseReturnValue

from authserver.body import Body, Email, Password, Token, no_content, read
from authserver.limits import Limit, limit_account, limit_address
from authserver.passwords import flows
from authserver.passwords.policy import check_new_password
from authserver.tokens.guard import Caller, authenticate, challenging, is_fresh, signed_in
from authserver.visitor import visitor

blueprint = Blueprint("passwords", __name__, url_prefix="/api")


class ReauthenticateBody(Body):
    password: Password


class ChangeBody(Body):
    current_password: Password | None = None
    password: Password
    password_confirm: Password


class ForgotBody(Body):
    email: Email


class ResetBody(Body):
    token: Token
    password: Password
    password_confirm: Password


class RecoverBody(Body):
    token: Token


@blueprint.post("/reauthenticate")
@signed_in
def reauthenticate(caller: Caller) -> Response:
    """Makes the session's access token fresh again, by password."""
    body = read(ReauthenticateBody)
    limit_account(Limit.LOGIN_ACCOUNT, caller.id)
    return jsonify(access=flows.reauthenticate(caller.id, caller.session_id, body.password, visitor()))


@blueprint.post("/password/change")
def change() -> Response:
    """Sets another password; every other session is over."""
    caller, claims = authenticate()
    body = read(ChangeBody)
    check_new_password(body.password, body.password_confirm, caller.email)
    if body.current_password is not None:
        limit_account(Limit.LOGIN_ACCOUNT, caller.id)
    fresh = is_fresh(claims)
    with challenging():
        flows.change(caller.id, caller.session_id, body.current_password, fresh, body.password, visitor())
    return no_content()


@blueprint.post("/password/forgot")
def forgot() -> ResponseReturnValue:
    """Mails a link to set a new password; answers alike for every address."""
    email = read(ForgotBody).email
    limit_address(Limit.MAIL_ADDRESS)
    limit_account(Limit.MAIL_ACCOUNT, email)
    flows.forgot(email, visitor())
    return jsonify(detail="If this address has an account, a mail is on its way."), 202


@blueprint.post("/password/reset")
def reset() -> Response:
    """Sets a new password by a mail's token; every session is over."""
    body = read(ResetBody)
    check_new_password(body.password, body.password_confirm, flows.address_of_reset(body.token))
    flows.reset(body.token, body.password, visitor())
    return no_content()


@blueprint.post("/account/recover")
def recover() -> Response:
    """What the link "this wasn't me" of a mail does, by its token."""
    flows.recover(read(RecoverBody).token, visitor())
    return no_content()
