"""The pages behind the links in mails: opening one consumes nothing, its button does (contract: BROWSER.md)."""

from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, request
from flask.typing import ResponseReturnValue

from authserver.body import Shape, validated
from authserver.emails import flows as emails
from authserver.emails.views import VerifyBody
from authserver.errors import ApiError
from authserver.extensions import current_settings
from authserver.pages.forms import fields, require_own_origin
from authserver.pages.render import as_page, prefers_html, render, static_file
from authserver.passwords import flows as passwords
from authserver.passwords.policy import check_new_password
from authserver.passwords.views import RecoverBody, ResetBody
from authserver.settings import is_loopback
from authserver.visitor import visitor

blueprint = Blueprint("pages", __name__)
PATHS = {"/email/verify", "/password/reset", "/account/recover"}


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


def page(name: str, shape: type[Shape], act: Callable[[Shape], None]) -> ResponseReturnValue:
    """The form; for a POST what came of it, or the form again with the API's sentence of what is wrong."""
    if request.method != "POST":
        return _moved() or render(name)
    require_own_origin()
    sent = fields()
    try:
        act(validated(shape, sent))
    except ApiError as error:
        if not prefers_html():
            raise
        response = render(name, error.status, token=sent.get("token", ""), **_blamed(error))
        response.headers.update(error.headers)
        return response
    return render(name, done=True)


def _blamed(error: ApiError) -> dict[str, object]:
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
def errors_as_pages(response: Response) -> Response:
    """Also for what is refused before a view is reached, such as a method."""
    if response.status_code >= 400 and request.path in PATHS and response.is_json and prefers_html():
        return as_page(response)
    return response
