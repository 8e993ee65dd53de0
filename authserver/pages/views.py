"""The pages behind the links in mails, which are there always, and what all pages share (contract: BROWSER.md).

Opening one of these consumes nothing, its button does.
"""

import re
from urllib.parse import urlsplit

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from authserver.accounts.confirm_email import confirm_email
from authserver.accounts.views import VerifyBody
from authserver.devices import device
from authserver.emails.render import best_language
from authserver.errors import ApiError, invalid
from authserver.extensions import current_settings, provider_label
from authserver.pages import browser, session
from authserver.pages.page import Facts, page
from authserver.pages.render import as_page, no_such_page, prefers_html, render, static_file
from authserver.passwords import flows as passwords
from authserver.passwords.views import RecoverBody, ResetBody, reset_password
from authserver.values import is_private
from authserver.visitor import visitor

blueprint = Blueprint("pages", __name__)
# Where a person's browser comes: the pages, and a provider's redirects where they can lead to no application.
PATHS = re.compile(r"/signup|/email/verify|/password/reset|/account/recover|/api/auth/[a-z0-9_]+/(login|callback)")
API = re.compile(r"/*api(/|$)")
HOSTED = re.compile(r"/sign(in|out)(/.*)?|/account(/.*)?|/password/forgot|/email/resend")


@blueprint.route("/email/verify", methods=["GET", "POST"])
def verify() -> ResponseReturnValue:
    """Confirms an e-mail address, by the token of a mail; a change of one for who is signed in, or by the password."""
    return page("verify", VerifyBody, _verify)


def _verify(body: VerifyBody) -> Facts:
    who = session.holder()
    try:
        made = confirm_email(body.token, who.caller.id if who else None, body.password, visitor())
    except ApiError as error:
        if error.code != "not_authenticated":
            raise
        raise invalid("password", "Enter the password of the account, or sign in to it first.") from None
    # In our own words alone: whoever made the account need not be who reads this.
    return {"made_at": made.at, "made_with": device(made.user_agent, best_language(visitor().languages))}


@blueprint.route("/password/reset", methods=["GET", "POST"])
def reset() -> ResponseReturnValue:
    """Sets a new password by a mail's token; every session is over."""
    return page("reset", ResetBody, lambda body: {"kept": reset_password(body)}, {"kept": (), "label": provider_label})


@blueprint.route("/account/recover", methods=["GET", "POST"])
def recover() -> ResponseReturnValue:
    """What the link "this wasn't me" of a mail does, by its token."""
    return page("recover", RecoverBody, lambda body: passwords.recover(body.token, visitor()))


@blueprint.get("/pages/<name>")
def static(name: str) -> Response:
    """A page's stylesheet, script or picture."""
    return static_file(name)


def _is_page() -> bool:
    return bool(PATHS.fullmatch(request.path) or (current_settings().pages and HOSTED.fullmatch(request.path)))


def _is_nowhere() -> bool:
    """Tells whether no route has this path. Under `/api` programs ask: they get JSON, whatever they accept."""
    return isinstance(request.routing_exception, NotFound) and not API.match(request.path)


@blueprint.after_app_request
def onward_by_a_click(response: Response) -> Response:
    """To an application's private scheme nobody is sent on without a click: any other may claim it (RFC 8252 §8.6)."""
    onward = response.headers.get("Location", "")
    if not (response.status_code == 303 and _is_page() and is_private(onward) and "code=" in onward):
        return response
    page = render("onward", onward=onward, scheme=urlsplit(onward).scheme)
    page.headers["Referrer-Policy"] = "no-referrer"
    for cookie in response.headers.getlist("Set-Cookie"):
        page.headers.add("Set-Cookie", cookie)
    return page


@blueprint.after_app_request
def errors_as_pages(response: Response) -> Response:
    """Also for what is refused before a view is reached, such as a method, and for paths that no route has."""
    if response.status_code < 400 or not response.is_json or not prefers_html():
        return response
    if _is_page():
        return as_page(response)
    return no_such_page(response) if _is_nowhere() else response


@blueprint.after_app_request
def page_session(response: Response) -> Response:
    """The cookies of who signed in on a page just now, or the removal of the page's."""
    return browser.send_cookie(session.send_cookie(response))
