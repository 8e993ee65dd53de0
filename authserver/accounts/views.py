from uuid import UUID

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from authserver.accounts import data, flows
from authserver.accounts.confirm_email import confirm_email, needs_account
from authserver.body import Body, Email, Name, Password, Token, no_content, read
from authserver.errors import ApiError, invalid
from authserver.passwords.policy import check_new_password
from authserver.sessions.answer import user_json
from authserver.sessions.transport import signed_in_answer
from authserver.tokens.guard import Caller, authenticate, challenging, freshly_signed_in, signed_in
from authserver.visitor import visitor

blueprint = Blueprint("accounts", __name__, url_prefix="/api")


class SignupBody(Body):
    email: Email
    password: Password
    password_confirm: Password
    first_name: Name = ""
    last_name: Name = ""
    invitation: Token | None = None


class LoginBody(Body):
    email: Email
    password: Password


class TokenBody(Body):
    email: Email | None = None
    username: Email | None = None
    password: Password


class ProfileBody(Body):
    first_name: Name = ""
    last_name: Name = ""


class VerifyBody(Body):
    token: Token
    password: Password | None = None


@blueprint.post("/signup")
def signup() -> ResponseReturnValue:
    """A new account with an e-mail address and a password, signed in unless the address has to be verified first."""
    signed_up = flows.sign_up(newcomer(read(SignupBody)), visitor())
    if signed_up is None:
        return jsonify(detail="A mail with a link is on its way: confirm your address, then sign in."), 202
    return signed_in_answer(*signed_up), 201


def newcomer(body: SignupBody) -> flows.Newcomer:
    """What a sign-up has to pass before it is tried, by the API or by the page."""
    check_new_password(body.password, body.password_confirm, body.email)
    return flows.Newcomer(**body.model_dump(exclude={"password_confirm"}))


@blueprint.post("/login")
def login() -> Response:
    """A sign-in with e-mail address and password."""
    body = read(LoginBody)
    return signed_in_answer(*flows.log_in(body.email, body.password, visitor()))


@blueprint.post("/token")
def token() -> Response:
    """Login under djangorestframework-simplejwt's name, which calls the address `username`."""
    body = read(TokenBody)
    email = body.email or body.username
    if email is None:
        raise invalid("username", "This field is required.")
    return signed_in_answer(*flows.log_in(email, body.password, visitor()), only_tokens=True)


@blueprint.post("/email/verify")
def verify_email() -> Response:
    """Confirms an e-mail address, by the token of a mail; a change of one also by a Bearer token or the password."""
    body = read(VerifyBody)
    with challenging():
        confirm_email(body.token, _signed_in_as(body), body.password, visitor())
    return no_content()


def _signed_in_as(body: VerifyBody) -> UUID | None:
    """The user of this request's Bearer token; one that no longer counts is refused only where it is needed."""
    if "Authorization" not in request.headers:
        return None
    try:
        return authenticate()[0].id
    except ApiError:
        if body.password is None and needs_account(body.token):
            raise
        return None


@blueprint.get("/me")
@signed_in
def me(caller: Caller) -> Response:
    """Who is signed in."""
    return jsonify(user_json(caller))


@blueprint.patch("/me")
@signed_in
def change_me(caller: Caller) -> Response:
    """Changes one's names; what is left out stays."""
    body = read(ProfileBody)
    return jsonify(user_json(flows.change_profile(caller.id, caller.session_id, body.model_dump(exclude_unset=True))))


@blueprint.delete("/me")
@freshly_signed_in
def erase_me(caller: Caller) -> Response:
    """Erases everything of one's account."""
    data.erase(caller.id, visitor(), caller.session_id)
    return no_content()


@blueprint.get("/me/export")
@signed_in
def export_me(caller: Caller) -> Response:
    """All that is stored of oneself."""
    return Response(data.export(caller.id, caller.session_id), mimetype="application/json")
