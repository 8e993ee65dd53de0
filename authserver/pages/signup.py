from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from authserver.accounts import flows
from authserver.accounts.views import SignupBody, newcomer
from authserver.extensions import current_settings
from authserver.pages.browser import page_visitor
from authserver.pages.onward import enter, facts, wanted
from authserver.pages.page import Facts, page

blueprint = Blueprint("signup", __name__)


@blueprint.route("/signup", methods=["GET", "POST"])
def signup() -> ResponseReturnValue:
    """A new account, with the invitation of a mail where one is needed."""
    if not current_settings().pages:
        return page("signup", SignupBody, _without_session)
    onward = wanted()

    def act(body: SignupBody) -> Facts | Response:
        signed_up = flows.sign_up(newcomer(body), page_visitor())
        return enter(signed_up[1], onward) if signed_up else {"pending": True}

    return page("signup", SignupBody, act, lambda: facts(onward))


def _without_session(body: SignupBody) -> Facts:
    """For an invitation where there are no pages to be signed in on: its owner signs in at the application."""
    return {"pending": flows.sign_up_without_session(newcomer(body), page_visitor()) is None}
