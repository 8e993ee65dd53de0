from collections.abc import Sequence

from flask import Blueprint, Response, jsonify
from flask.typing import ResponseReturnValue

from authserver.body import Body, Email, Password, Token, no_content, read
from authserver.limits import Limit, limit_account
from authserver.models import Identity
from authserver.passwords import flows
from authserver.passwords.hashing import require_room
from authserver.passwords.policy import check_new_password
from authserver.tokens.guard import Caller, authenticate, challenging, is_fresh, signed_in
from authserver.tokens.issue import access_token_made_fresh
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
    confirm(caller, read(ReauthenticateBody))
    return jsonify(access=access_token_made_fresh(caller.id, caller.session_id, caller.session_expires_at))


def confirm(caller: Caller, body: ReauthenticateBody) -> None:
    require_room()
    limit_account(Limit.LOGIN_ACCOUNT, caller.id)
    flows.reauthenticate(caller.id, caller.session_id, body.password, visitor())


@blueprint.post("/password/change")
def change() -> Response:
    """Sets another password; every other session is over."""
    caller, claims = authenticate()
    body = read(ChangeBody)
    with challenging():
        change_password(caller, body, is_fresh(claims))
    return no_content()


def change_password(caller: Caller, body: ChangeBody, fresh: bool) -> None:
    check_new_password(body.password, body.password_confirm, caller.email)
    require_room()
    if body.current_password is not None:
        limit_account(Limit.LOGIN_ACCOUNT, caller.id)
    flows.change(caller.id, caller.session_id, body.current_password, fresh, body.password, visitor())


@blueprint.post("/password/forgot")
def forgot() -> ResponseReturnValue:
    """Mails a link to set a new password; answers alike for every address."""
    flows.forgot(read(ForgotBody).email, visitor())
    return jsonify(detail="If this address has an account, a mail is on its way."), 202


@blueprint.post("/password/reset")
def reset() -> Response:
    """Sets a new password by a mail's token; every session is over."""
    reset_password(read(ResetBody))
    return no_content()


def reset_password(body: ResetBody) -> Sequence[Identity]:
    check_new_password(body.password, body.password_confirm, flows.address_of_reset(body.token))
    return flows.reset(body.token, body.password, visitor())


@blueprint.post("/account/recover")
def recover() -> Response:
    """What the link "this wasn't me" of a mail does, by its token."""
    flows.recover(read(RecoverBody).token, visitor())
    return no_content()
