"""A page with a form: shown, sent, and shown again with what is wrong."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from flask import Response, request
from flask.typing import ResponseReturnValue

from authserver.body import Shape, validated
from authserver.errors import ApiError
from authserver.extensions import current_settings
from authserver.pages.forms import fields, require_own_origin, typed
from authserver.pages.render import prefers_html, render, see_other
from authserver.values import is_loopback

Facts = Mapping[str, Any]
HIDDEN = {"session", "provider", "identity"}  # fields that nobody types: a page has no place for their sentences


def page(
    name: str,
    shape: type[Shape],
    act: Callable[[Shape], Facts | Response | None],
    facts: Facts | Callable[[], Facts] | None = None,
) -> ResponseReturnValue:
    """The form; for a POST what came of it, or the form again with the API's sentence of what is wrong.

    `act` returns where to go on, or what else the page has to know of what came of it; `facts` it knows always. Rows
    are looked up by a function, after `act`: what was read before a change may be gone by then.
    """
    known = facts if callable(facts) else lambda: facts or {}
    if request.method != "POST":
        return moved() or render(name, **known())
    require_own_origin()
    sent = fields()
    try:
        done = act(validated(shape, sent))
    except ApiError as error:
        if error.code == "token_not_valid":  # the page's session was ended elsewhere
            return see_other("/signin")
        if not prefers_html():
            raise
        again = {**known(), **blamed(error), "token": sent.get("token", ""), "typed": typed(sent)}
        response = render(name, error.status, **again)
        response.headers.update(error.headers)
        return response
    return done if isinstance(done, Response) else render(name, **{**known(), "done": True, **(done or {})})


def blamed(error: ApiError) -> Facts:
    """What is said of which field; a link that counts no more is its field's matter."""
    if error.code == "one_time_token_not_valid":
        return {"errors": {"token": [error.detail]}}
    seen = {name: sentences for name, sentences in (error.errors or {}).items() if name not in HIDDEN}
    return {"errors": seen} if seen else refused(error)


def refused(error: ApiError) -> Facts:
    return {"alert": error.detail, "code": error.code}


def moved() -> Response | None:
    """In development a page under another loopback name leads to the public URL: there alone its form is accepted."""
    settings = current_settings()
    asked, public = urlsplit(request.host_url).hostname, urlsplit(settings.public_url).hostname
    if settings.production or asked == public or not is_loopback(asked):
        return None
    return Response(status=302, headers={"Location": settings.public_url + request.full_path.rstrip("?")})
