"""Who can get into one's account, and who did: sessions, identities and events."""

from uuid import UUID

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from authserver.body import Body, Text
from authserver.errors import ApiError
from authserver.events.flows import events_of
from authserver.events.record import Happened
from authserver.events.views import DEFAULT_LIMIT, before
from authserver.extensions import provider_label
from authserver.limits import Limit, limit_address
from authserver.oauth import codes, identities
from authserver.oauth import redirect as redirects
from authserver.oauth.blueprint import enabled_by_name, login_url
from authserver.pages import confirm
from authserver.pages.detour import come_back, set_out
from authserver.pages.onward import ACCOUNT, by_redirect, enabled_by_redirect
from authserver.pages.page import Facts, page, refused
from authserver.pages.render import render, see_other
from authserver.pages.session import Holder, for_fresh_holder, for_holder
from authserver.sessions import flows as sessions
from authserver.visitor import visitor

OTHERS = "others"
LINKED = "/account/identities?done=linked"
NOTICES = {
    "profile": "Your name is saved.",
    "password": "Your new password is set, and everybody else is signed out.",
    "email": "A mail with a link is on its way to the new address. Nothing changes until you confirm it there.",
    "linked": "Linked: that account signs you in from now on.",
    "unlinked": "Unlinked: that account no longer signs you in.",
    "other": "Somebody else signed in here in the meantime. Nothing was changed.",
    "ended": "Done: nobody is signed in there any more.",
}
EVENTS = {
    Happened.SIGNED_UP: "Account made",
    Happened.SIGNED_IN: "Signed in",
    Happened.SIGN_IN_FAILED: "Sign-in with a wrong password",
    Happened.REAUTHENTICATED: "Confirmed that it's you",
    Happened.SESSION_ENDED: "Signed out",
    Happened.OTHER_SESSIONS_ENDED: "Signed out everywhere else",
    Happened.ALL_SESSIONS_ENDED: "Signed out everywhere by the operator",
    Happened.REFRESH_REUSED: "Signed out, because the sign-in may have been copied",
    Happened.PASSWORD_CHANGED: "New password set",
    Happened.PASSWORD_RESET_REQUESTED: "Mail to set a new password requested",
    Happened.PASSWORD_RESET: "New password set by a mail's link",
    Happened.EMAIL_VERIFIED: "E‑mail address confirmed",
    Happened.EMAIL_CHANGE_REQUESTED: "Change of the e‑mail address requested",
    Happened.EMAIL_CHANGED: "E‑mail address changed",
    Happened.IDENTITY_LINKED: "Way to sign in linked",
    Happened.IDENTITY_UNLINKED: "Way to sign in unlinked",
    Happened.ACCOUNT_RECOVERED: "Account secured by a mail's link",
    Happened.ACCOUNT_CREATED: "Account made by the operator",
    Happened.ACCOUNT_DISABLED: "Account disabled by the operator",
    Happened.ACCOUNT_ENABLED: "Account enabled again by the operator",
    Happened.ACCOUNT_ERASED: "Account deleted",
}

blueprint = Blueprint("access", __name__)


class SessionBody(Body):
    session: Text  # its id, or `others`


class ProviderBody(Body):
    provider: Text


class IdentityBody(Body):
    identity: Text


def notice() -> str:
    """What was done just now: one of our own sentences, for the address may be anybody's."""
    return NOTICES.get(request.args.get("done", ""), "")


def done(what: str, where: str = "/account") -> Response:
    return see_other(f"{where}?done={what}")


@blueprint.route("/sessions", methods=["GET", "POST"])
@for_holder
def sessions_(who: Holder) -> ResponseReturnValue:
    """Where one is signed in; ends one of these sessions, or all but this."""

    def act(body: SessionBody) -> Response:
        if body.session == OTHERS:
            sessions.end_others(who.caller.id, who.caller.session_id, visitor())
        else:
            sessions.end_one(who.caller.id, _id(body.session), visitor(), who.caller.session_id)
        return done("ended", "/account/sessions")

    def facts() -> Facts:
        live = sessions.live_sessions(who.caller.id, who.caller.session_id)
        return {"who": who, "sessions": live, "label": provider_label, "notice": notice()}

    return page("sessions", SessionBody, act, facts)


@blueprint.get("/identities")
@for_holder
def identities_(who: Holder) -> ResponseReturnValue:
    """The providers' accounts that sign one in, and the providers that could."""
    return render("identities", notice=notice(), **_identities(who))


@blueprint.post("/identities")
@for_fresh_holder
def link(who: Holder) -> ResponseReturnValue:
    """Begins to link an identity: the answer is a page whose link leads to the provider, once and for this session."""

    def act(body: ProviderBody) -> Response:
        enabled = enabled_by_redirect(body.provider)
        limit_address(Limit.PROVIDER_ADDRESS)

        def lead(asked: redirects.Request) -> Response:
            url = f"{login_url(enabled)}?ticket={redirects.begin_later(enabled.name, asked)}"
            return render("link", who=who, label=enabled.provider.label, url=url)

        return set_out(ACCOUNT, who.asks(LINKED), lead)

    return page("identities", ProviderBody, act, lambda: _identities(who))


@blueprint.post("/identities/unlink")
@for_fresh_holder
def unlink(who: Holder) -> ResponseReturnValue:
    """Unlinks an identity, unless nothing else would let one in."""

    def act(body: IdentityBody) -> Response:
        mine = (who.caller.id, who.caller.session_id)
        identities.unlink(*mine, _id(body.identity), enabled_by_name().keys(), visitor())
        return done("unlinked", "/account/identities")

    return page("identities", IdentityBody, act, lambda: _identities(who))


def back_from_provider(who: Holder) -> Response:
    """The code of a detour is redeemed here, by the session that began it and no other: to link, or to confirm."""

    def arrive(begun: redirects.Request, code: str, verifier: str) -> Response:
        if begun.next != LINKED:
            codes.exchange_confirmation(code, verifier, who.caller, visitor())
            return see_other(begun.next)
        codes.exchange_link(code, verifier, who.caller, visitor())
        return see_other(LINKED)

    def turn_back(begun: redirects.Request, error: ApiError) -> Response:
        if begun.next != LINKED:
            return confirm.turn_back(who, begun, error)
        return render("identities", error.status, **refused(error), **_identities(who))

    return come_back(ACCOUNT, arrive, turn_back)


@blueprint.get("/events")
@for_holder
def events(who: Holder) -> ResponseReturnValue:
    """What happened to one's account, newest first."""
    found = events_of(who.caller.id, before(), DEFAULT_LIMIT)
    return render("events", who=who, events=found, most=DEFAULT_LIMIT, words=EVENTS)


def _identities(who: Holder) -> Facts:
    linked = identities.identities(who.caller.id)
    return {"who": who, "identities": linked, "label": provider_label, "providers": by_redirect()}


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ApiError("not_found") from None
