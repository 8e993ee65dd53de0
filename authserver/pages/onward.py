"""Where a sign-in on our pages leads: to the application that sent the browser here, or to one's account."""

from collections.abc import Collection
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from flask import Response, request

from authserver.errors import ApiError
from authserver.extensions import current_settings
from authserver.models import Session
from authserver.oauth import codes
from authserver.oauth.application import asked, back
from authserver.oauth.blueprint import enabled_by_name
from authserver.oauth.redirect import Request
from authserver.oauth.registry import Enabled
from authserver.pages.page import Facts
from authserver.pages.render import see_other
from authserver.pages.session import AFTERWARDS, hold, holder
from authserver.values import is_private

ACCOUNT = "/account"
FIRST = ("google", "facebook", "microsoft", "apple", "github")


def wanted() -> Request:
    """By this request's query, with `next` an application's, else ours; raises `invalid_request`."""
    return asked() if "next" in request.args else within()


def within() -> Request:
    """A page of the account's, by this request's query."""
    then = request.args.get("then", "")
    return Request(f"{ACCOUNT}/{then}" if then in AFTERWARDS else ACCOUNT, "")


def is_applications(onward: Request) -> bool:
    return bool(onward.code_challenge)


def query(onward: Request) -> str:
    """What carries it from page to page."""
    if is_applications(onward):
        state = {} if onward.state is None else {"state": onward.state}
        return "?" + urlencode({"next": onward.next, "code_challenge": onward.code_challenge, **state})
    then = onward.next.removeprefix(ACCOUNT).removeprefix("/")
    return f"?then={then}" if then else ""


def lead_on(user_id: UUID, session_id: UUID, onward: Request) -> Response:
    """To the application with a code, which is worth a session of its own."""
    if not is_applications(onward):
        return see_other(onward.next)
    return back(onward, {"code": codes.code_of_page(user_id, session_id, onward.code_challenge)})


def enter(session: Session, onward: Request) -> Response:
    """After a sign-in: the page holds its session and leads on."""
    hold(session)
    return lead_on(session.user_id, session.id, onward)


def facts(onward: Request) -> Facts:
    """What the pages for signing in and up know."""
    return {
        "query": query(onward),
        "providers": ways("/signin", onward),
        "destination": destination(onward.next),
        "leads_to": onward.next if is_applications(onward) else "",
        "may_sign_up": current_settings().signup != "closed",
        "who": holder(),
    }


def by_redirect() -> list[Enabled]:
    """The providers that a page can lead to, those that most people have first."""
    ways = [one for one in enabled_by_name().values() if one.takes_codes]
    return sorted(ways, key=lambda one: FIRST.index(one.name) if one.name in FIRST else len(FIRST))


def enabled_by_redirect(name: str) -> Enabled:
    """One of them; raises `not_found`."""
    found = next((one for one in by_redirect() if one.name == name), None)
    if found is None:
        raise ApiError("not_found")
    return found


def ways(path: str, onward: Request, names: Collection[str] | None = None) -> list[dict[str, str]]:
    """The buttons that lead to them, or to those of the names."""
    return [
        {"label": one.provider.label, "mark": one.provider.mark, "url": f"{path}/{one.name}{query(onward)}"}
        for one in by_redirect()
        if names is None or one.name in names
    ]


def destination(address: str) -> str:
    """The host, or the private scheme, that the person will be sent on to."""
    parts = urlsplit(address)
    return parts.scheme if is_private(address) else parts.netloc
