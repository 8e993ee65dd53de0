"""One's own account, by the flows that the API calls (contract: BROWSER.md). Who can get in, and did: `access.py`."""

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from authserver.accounts import data
from authserver.accounts import flows as accounts
from authserver.accounts.views import ProfileBody
from authserver.emails import flows as emails
from authserver.emails.views import EmailBody
from authserver.pages import access, confirm, session
from authserver.pages.browser import page_visitor
from authserver.pages.forms import NoBody
from authserver.pages.page import page
from authserver.pages.render import HEADERS, render
from authserver.pages.session import Holder, for_fresh_holder, for_holder
from authserver.passwords import flows as passwords
from authserver.passwords.views import ChangeBody, change_password
from authserver.visitor import visitor

blueprint = Blueprint("account", __name__, url_prefix="/account")
blueprint.register_blueprint(access.blueprint)
blueprint.register_blueprint(confirm.blueprint)


@blueprint.get("")
@for_holder
def account(who: Holder) -> ResponseReturnValue:
    """The account at a glance, and the way to all that can be done about it."""
    if "state" in request.args:
        return access.back_from_provider(who)
    return render("account", who=who, notice=access.notice())


@blueprint.route("/profile", methods=["GET", "POST"])
@for_holder
def profile(who: Holder) -> ResponseReturnValue:
    """Changes one's names."""

    def act(body: ProfileBody) -> Response:
        accounts.change_profile(who.caller.id, who.caller.session_id, body.model_dump(exclude_unset=True))
        return access.done("profile")

    return page("profile", ProfileBody, act, {"who": who})


@blueprint.route("/password", methods=["GET", "POST"])
@for_holder
def password(who: Holder) -> ResponseReturnValue:
    """Sets another password, or a first one; every other session is over."""
    has_password = passwords.has_password(who.caller.id)
    if not has_password and not who.fresh:
        return session.confirm_first()

    def act(body: ChangeBody) -> Response:
        change_password(who.caller, body, who.fresh)
        return access.done("password")

    return page("password", ChangeBody, act, {"who": who, "has_password": has_password})


@blueprint.route("/email", methods=["GET", "POST"])
@for_fresh_holder
def email(who: Holder) -> ResponseReturnValue:
    """Asks for another address, which counts once its mail is confirmed."""

    def act(body: EmailBody) -> Response:
        emails.request_change(who.caller.id, who.caller.session_id, body.email, page_visitor())
        return access.done("email")

    return page("email", EmailBody, act, {"who": who})


@blueprint.get("/export")
@for_holder
def export(who: Holder) -> ResponseReturnValue:
    """All that is stored of oneself, as a file."""
    headers = {**HEADERS, "Content-Disposition": 'attachment; filename="account.json"'}
    stored = data.export(who.caller.id, who.caller.session_id)
    return Response(stored, 200, headers, mimetype="application/json")


@blueprint.route("/delete", methods=["GET", "POST"])
@for_fresh_holder
def delete(who: Holder) -> ResponseReturnValue:
    """Erases everything of one's account."""

    def act(body: NoBody) -> None:
        data.erase(who.caller.id, visitor(), who.caller.session_id)
        session.end()

    return page("delete", NoBody, act, {"who": who})
