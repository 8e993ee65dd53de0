"""What an application asks for when it sends a browser here to sign in, and how the browser goes back to it."""

from collections.abc import Mapping
from typing import Annotated

from flask import Response, request
from pydantic import StringConstraints

from authserver.body import Body, Text, validated
from authserver.errors import invalid
from authserver.oauth.redirect import Request, check_next
from authserver.values import with_query

AppState = Annotated[str, StringConstraints(max_length=512, pattern=r"^[^\x00]*$")]
Challenge = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
Next = Annotated[str, StringConstraints(min_length=1, max_length=2048)]


class LoginQuery(Body):
    next: Next
    code_challenge: Challenge
    code_challenge_method: Text = "S256"
    state: AppState | None = None


def asked() -> Request:
    """By this request's query; raises `invalid_request`."""
    require_once(*request.args)
    query = validated(LoginQuery, request.args.to_dict())
    if query.code_challenge_method != "S256":
        raise invalid("code_challenge_method", "S256 is the only one.")
    check_next(query.next)
    return Request(query.next, query.code_challenge, query.state)


def require_once(*fields: str) -> None:
    """Raises `invalid_request` for a field of the query that came twice: others may read the other one."""
    doubled = [field for field in fields if len(request.args.getlist(field)) > 1]
    if doubled:
        raise invalid(doubled[0], "This came twice.")


def back(wanted: Request, answer: Mapping[str, str]) -> Response:
    """To the frontend; its page's own address, which has the code in it, is told to nobody (RFC 9700 §4.2.4)."""
    state = {} if wanted.state is None else {"state": wanted.state}
    response = Response(status=303, headers={"Location": with_query(wanted.next, {**answer, **state})})
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
