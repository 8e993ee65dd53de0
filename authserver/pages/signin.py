"""Signing in and out on our own pages, for an application or for one's account (contract: BROWSER.md)."""

from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request
from flask.typing import ResponseReturnValue

from authserver.accounts import flows as accounts
from authserver.accounts.views import LoginBody
from authserver.emails import flows as emails
from authserver.emails.views import EmailBody
from authserver.errors import ApiError
from authserver.extensions import current_settings
from authserver.limits import Limit, limit_address
from authserver.oauth import codes
from authserver.oauth.application import require_once
from authserver.oauth.binding import require_navigation
from authserver.oauth.blueprint import at_public_url, to_provider
from authserver.oauth.redirect import Request, check_next
from authserver.pages import session
from authserver.pages.browser import page_visitor
from authserver.pages.detour import come_back, from_elsewhere, set_out
from authserver.pages.forms import NoBody, fields, require_own_origin
from authserver.pages.onward import destination, enabled_by_redirect, enter, facts, lead_on, query, wanted
from authserver.pages.page import page, refused
from authserver.pages.render import render, see_other
from authserver.passwords import flows as passwords
from authserver.passwords.views import ForgotBody
from authserver.values import is_private
from authserver.visitor import visitor

SIGNIN = "/signin"

blueprint = Blueprint("signin", __name__)


@blueprint.route(SIGNIN, methods=["GET", "POST"])
def signin() -> ResponseReturnValue:
    """A sign-in with e-mail address and password, and the way to the providers."""
    if request.method != "POST" and "next" not in request.args and "state" in request.args:
        return come_back(SIGNIN, _arrive, _turn_back)
    onward = wanted()

    def act(body: LoginBody) -> Response:
        return enter(accounts.log_in(body.email, body.password, page_visitor())[1], onward)

    return page("signin", LoginBody, act, lambda: facts(onward))


@blueprint.post(f"{SIGNIN}/continue")
def go_on() -> ResponseReturnValue:
    """Leads someone who is signed in already on to the application, which nothing but this click does."""
    require_own_origin()
    onward, who = wanted(), session.holder()
    if who is None or fields().get("user") != str(who.caller.id):  # another signed in since the page was shown
        return see_other(SIGNIN + query(onward))
    try:
        return lead_on(who.caller.id, who.caller.session_id, onward)
    except ApiError:  # it was ended in between
        return see_other(SIGNIN + query(onward))


@blueprint.get(f"{SIGNIN}/<name>")
def with_provider(name: str) -> ResponseReturnValue:
    """Leads from our page to a provider; another site's link to this shows the page first."""
    enabled = enabled_by_redirect(name)
    require_navigation()
    onward = wanted()
    if from_elsewhere():
        return see_other(SIGNIN + query(onward))
    elsewhere = at_public_url()
    if elsewhere:
        return redirect(elsewhere)
    limit_address(Limit.PROVIDER_ADDRESS)
    return set_out(SIGNIN, onward, lambda asked: to_provider(enabled, asked))


def _arrive(onward: Request, code: str, verifier: str) -> Response:
    return enter(codes.exchange(code, verifier, visitor())[1], onward)


def _turn_back(onward: Request, error: ApiError) -> Response:
    return render("signin", error.status, **{**facts(onward), **refused(error)})


@blueprint.route("/password/forgot", methods=["GET", "POST"])
def forgot() -> ResponseReturnValue:
    """Mails a link to set a new password; answers alike for every address."""
    return page("forgot", ForgotBody, lambda body: passwords.forgot(body.email, page_visitor()))


@blueprint.route("/email/resend", methods=["GET", "POST"])
def resend() -> ResponseReturnValue:
    """Sends the mail that confirms an address again; answers alike for every address."""

    def act(body: EmailBody) -> None:
        emails.resend(body.email, page_visitor())

    return page("resend", EmailBody, act, lambda: {"who": session.holder()})


@blueprint.route("/signout", methods=["GET", "POST"])
def signout() -> ResponseReturnValue:
    """Ends the page's session, when its button says so, and leads back to the application that asked with `next`."""
    onward = request.args.get("next", "")
    if onward:
        require_once("next")
        check_next(onward)

    def act(body: NoBody) -> Response | None:
        session.end()
        return None if not onward or is_private(onward) else see_other(onward)

    return page(
        "signout",
        NoBody,
        act,
        lambda: {
            "onward": onward,
            "leads_to": onward,
            "destination": destination(onward),
            "query": f"?{urlencode({'next': onward})}" if onward else "",
            "who": session.holder(),
        },
    )


@blueprint.get("/.well-known/change-password")
def change_password() -> ResponseReturnValue:
    """Where a browser's password manager sends people to set another password (W3C, "A Well-Known URL for …")."""
    return redirect("/account/password")


def entrance() -> ResponseReturnValue:
    """In production whoever opens this server's address is led to the application, or to their account."""
    return redirect(current_settings().app_url or "/account")
