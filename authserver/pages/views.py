"""The pages behind the links in mails: opening one consumes nothing, its button does (contract: BROWSER.md)."""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, request
from flask.typing import ResponseReturnValue

from authserver.accounts import flows as accounts
from authserver.accounts.views import SignupBody, newcomer
from authserver.body import Shape, validated
from authserver.emails import flows as emails
from authserver.emails.views import VerifyBody
from authserver.errors import ApiError
from authserver.extensions import current_settings
from authserver.pages.forms import fields, require_own_origin, typed
from authserver.pages.render import as_page, prefers_html, render, static_file
from authserver.passwords import flows as passwords
from authserver.passwords.policy import check_new_password
from authserver.passwords.views import RecoverBody, ResetBody
from authserver.values import is_loopback, is_private
from authserver.visitor import visitor

blueprint = Blueprint("pages", __name__)
Facts = dict[str, object]
# Where a person's browser comes: the pages, and a provider's redirects where they can lead to no application.
PATHS = re.compile(r"/signup|/email/verify|/password/reset|/account/recover|/api/auth/[a-z0-9_]+/(login|callback)")


@blueprint.route("/signup", methods=["GET", "POST"])
def signup() -> ResponseReturnValue:
    """A new account, with the invitation of a mail where one is needed; its owner signs in afterwards."""

    def act(body: SignupBody) -> Facts:
        return {"pending": accounts.sign_up_without_session(newcomer(body), visitor()) is None}

    return page("signup", SignupBody, act)


@blueprint.route("/email/verify", methods=["GET", "POST"])
def verify() -> ResponseReturnValue:
    """Confirms an address, by the token of a mail."""
    return page("verify", VerifyBody, lambda body: emails.verify(body.token, visitor()))


@blueprint.route("/password/reset", methods=["GET", "POST"])
def reset() -> ResponseReturnValue:
    """Sets a new password by a mail's token; every session is over."""

    def act(body: ResetBody) -> None:
        check_new_password(body.password, body.password_confirm, passwords.address_of_reset(body.token))
        passwords.reset(body.token, body.password, visitor())

    return page("reset", ResetBody, act)


@blueprint.route("/account/recover", methods=["GET", "POST"])
def recover() -> ResponseReturnValue:
    """What the link "this wasn't me" of a mail does, by its token."""
    return page("recover", RecoverBody, lambda body: passwords.recover(body.token, visitor()))


@blueprint.get("/pages/<name>")
def static(name: str) -> Response:
    """A page's stylesheet, script or picture."""
    return static_file(name)


def page(name: str, shape: type[Shape], act: Callable[[Shape], Facts | None]) -> ResponseReturnValue:
    """The form; for a POST what came of it, or the form again with the API's sentence of what is wrong.

    `act` returns what else the page has to know of what came of it.
    """
    if request.method != "POST":
        return _moved() or render(name)
    require_own_origin()
    sent = fields()
    try:
        facts = act(validated(shape, sent)) or {}
    except ApiError as error:
        if not prefers_html():
            raise
        response = render(name, error.status, token=sent.get("token", ""), typed=typed(sent), **_blamed(error))
        response.headers.update(error.headers)
        return response
    return render(name, 200, done=True, **facts)


def _blamed(error: ApiError) -> Facts:
    """What is said of which field; a link that counts no more is its field's matter."""
    if error.code == "one_time_token_not_valid":
        return {"errors": {"token": [error.detail]}}
    return {"errors": error.errors} if error.errors else {"alert": error.detail}


def _moved() -> ResponseReturnValue | None:
    """In development a page under another loopback name leads to the public URL: there alone its form is accepted."""
    settings = current_settings()
    asked, public = urlsplit(request.host_url).hostname, urlsplit(settings.public_url).hostname
    if settings.production or asked == public or not is_loopback(asked):
        return None
    return redirect(settings.public_url + request.path)


@blueprint.after_app_request
def onward_by_a_click(response: Response) -> Response:
    """To an application's private scheme nobody is sent on without a click: any other may claim it (RFC 8252 §8.6)."""
    onward = response.headers.get("Location", "")
    if not (response.status_code == 303 and PATHS.fullmatch(request.path) and is_private(onward) and "code=" in onward):
        return response
    page = render("onward", onward=onward, scheme=urlsplit(onward).scheme)
    page.headers["Referrer-Policy"] = "no-referrer"
    for cookie in response.headers.getlist("Set-Cookie"):
        page.headers.add("Set-Cookie", cookie)
    return page


@blueprint.after_app_request
def errors_as_pages(response: Response) -> Response:
    """Also for what is refused before a view is reached, such as a method."""
    if response.status_code >= 400 and PATHS.fullmatch(request.path) and response.is_json and prefers_html():
        return as_page(response)
    return response
