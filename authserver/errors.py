"""One error type, one shape, every handler. The table is the contract's (API.md)."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from uuid import uuid4

from flask import Flask, Response, jsonify, request
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt import PyJWTError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from authserver.looking import WouldChange
from authserver.settings import SettingsError

log = logging.getLogger(__name__)

# code: (status, what is said where the raiser says nothing better)
CODES: dict[str, tuple[int, str]] = {
    "invalid_request": (400, "The request is not valid."),
    "one_time_token_not_valid": (400, "This link or code is not valid any more: it was used, replaced or has expired."),
    "token_not_valid": (401, "Given token not valid for any token type"),
    "not_authenticated": (401, "Authentication credentials were not provided."),
    "no_active_account": (401, "No active account found with the given credentials."),
    "provider_token_not_valid": (401, "The provider's token was refused or was issued to another application."),
    "reauthentication_required": (403, "Sign in again, or confirm your password, before this change."),
    "signup_not_allowed": (403, "This server takes no new account for this address."),
    "origin_not_allowed": (403, "This was sent from a page that is not allowed to."),
    "email_not_verified": (403, "Confirm your e-mail address first: a mail with a link was sent."),
    "not_found": (404, "Not found."),
    "method_not_allowed": (405, "This method is not allowed here."),
    "account_exists": (409, "An account with this e-mail address already exists."),
    "last_login_method": (409, "Nothing else would let you in: set a password or link another provider first."),
    "request_too_large": (413, "The request is too large."),
    "throttled": (429, "Too many attempts. Try again later."),
    "server_error": (500, "Something went wrong on the server."),
    "provider_unavailable": (503, "The provider cannot be reached right now. Try again in a moment."),
    "mail_unavailable": (503, "No mail can be sent from here."),
    "temporarily_unavailable": (503, "The service is temporarily unavailable. Try again in a moment."),
}
BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}
UNREACHABLE = (OperationalError, InterfaceError, PoolTimeout)  # what the database's being away looks like
RETRY_AFTER = 5  # seconds: what an outage usually needs at least

FieldErrors = Mapping[str, Sequence[str]]


class ApiError(Exception):
    """A refusal that the client is told of; `code` is one of `CODES`."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        errors: FieldErrors | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.status, usual = CODES[code]
        self.detail = detail or usual
        self.errors = errors
        self.headers = dict(headers or {})
        if self.status == 503 and code != "mail_unavailable":  # waiting does not help there
            self.headers.setdefault("Retry-After", str(RETRY_AFTER))


def invalid(field: str, sentence: str) -> ApiError:
    """A 400 for which one field is to blame."""
    return ApiError("invalid_request", errors={field: [sentence]})


def answer(error: ApiError, **more: str) -> Response:
    body: dict[str, object] = {"detail": error.detail, "code": error.code, **more}
    if error.errors:
        body["errors"] = error.errors
    response = jsonify(body)
    response.status_code = error.status
    response.headers.update(error.headers)
    return response


def register(app: Flask) -> None:
    app.register_error_handler(ApiError, answer)
    app.register_error_handler(HTTPException, _http_error)
    for unreachable in UNREACHABLE:
        app.register_error_handler(unreachable, lambda error: answer(database_error(error)))
    app.register_error_handler(SettingsError, _not_ready)
    app.register_error_handler(WouldChange, _would_change)
    for kind in (*_with_subclasses(PyJWTError), *_with_subclasses(JWTExtendedException)):
        app.register_error_handler(kind, _token_error)
    app.register_error_handler(Exception, _unexpected)


def _http_error(error: HTTPException) -> Response | HTTPException:
    """What Flask and Werkzeug raise themselves; a status that the contract does not list keeps its number."""
    status = error.code or 500
    if status < 400:
        return error
    if status >= 500:
        return _unexpected(error)
    response = answer(ApiError(BY_STATUS.get(status, "invalid_request")))
    response.status_code = status
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after"):
            response.headers[name] = value
    return response


def _with_subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from _with_subclasses(subclass)


def _token_error(error: Exception) -> Response:
    """Behind the guard, which lets none through: flask-jwt-extended's own handlers would answer in another shape."""
    log.error("A token error escaped", exc_info=error)
    return answer(ApiError("token_not_valid"))


def database_reason(error: Exception) -> str:
    """What the database said, in its first line: the others may quote data."""
    return str(getattr(error, "orig", None) or type(error).__name__).strip().partition("\n")[0]


def database_error(error: Exception) -> ApiError:
    """What is said of one of `UNREACHABLE`."""
    log.error("The database did not answer: %s", database_reason(error))
    return ApiError("temporarily_unavailable")


def _would_change(_: WouldChange) -> Response:
    """A HEAD is told what to ask with. What was fetched ahead of time is asked for again once a person wants it."""
    if request.method != "HEAD":
        return answer(ApiError("temporarily_unavailable", "This is not answered before somebody opens it."))
    methods = (request.url_rule.methods if request.url_rule else None) or set()
    return answer(ApiError("method_not_allowed", headers={"Allow": ", ".join(sorted(methods - {"HEAD"}))}))


def _not_ready(error: SettingsError) -> Response:
    """What would have stopped the start has come up since, as signing keys under a secret that is not set here."""
    log.error("%s", error)
    return answer(ApiError("temporarily_unavailable"))


def _unexpected(error: Exception) -> Response:
    error_id = uuid4().hex
    log.error("Unexpected error %s", error_id, exc_info=error)
    return answer(ApiError("server_error"), error_id=error_id)
