"""Showing once more who it is, before a sensitive change: by password, or by a provider."""

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from authserver.errors import ApiError
from authserver.limits import Limit, limit_address
from authserver.oauth.binding import require_navigation
from authserver.oauth.blueprint import to_provider
from authserver.oauth.identities import identities
from authserver.oauth.redirect import Request
from authserver.pages.detour import from_elsewhere, set_out
from authserver.pages.onward import ACCOUNT, enabled_by_redirect, query, ways, within
from authserver.pages.page import Facts, page, refused
from authserver.pages.render import render, see_other
from authserver.pages.session import Holder, for_holder
from authserver.passwords import flows as passwords
from authserver.passwords.views import ReauthenticateBody
from authserver.passwords.views import confirm as confirm_password

blueprint = Blueprint("confirm", __name__)


@blueprint.route("/confirm", methods=["GET", "POST"])
@for_holder
def confirm(who: Holder) -> ResponseReturnValue:
    """Makes the page's session fresh again, by password, or by a provider."""
    onward = within()

    def act(body: ReauthenticateBody) -> Response:
        confirm_password(who.caller, body)
        return see_other(onward.next)

    return page("confirm", ReauthenticateBody, act, lambda: _facts(who, onward))


@blueprint.get("/confirm/<name>")
@for_holder
def confirm_by_provider(who: Holder, name: str) -> ResponseReturnValue:
    """Leads to a provider, to sign in there as one of this account's identities."""
    require_navigation()
    onward = within()
    if from_elsewhere():
        return see_other("/account/confirm" + query(onward))
    enabled = enabled_by_redirect(name)
    limit_address(Limit.PROVIDER_ADDRESS)
    return set_out(ACCOUNT, who.asks(onward.next), lambda asked: to_provider(enabled, asked))


def turn_back(who: Holder, onward: Request, error: ApiError) -> Response:
    """The page again, with why the provider did not confirm it."""
    return render("confirm", error.status, **{**_facts(who, onward), **refused(error)})


def _facts(who: Holder, onward: Request) -> Facts:
    mine = {one.provider for one in identities(who.caller.id)}
    return {
        "who": who,
        "query": query(onward),
        "has_password": passwords.has_password(who.caller.id),
        "providers": ways("/account/confirm", onward, mine),
    }
