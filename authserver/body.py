"""A JSON body becomes a typed value, or `invalid_request`; a feature declares its shapes once, as kinds of `Body`."""

import json
import logging
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from flask import Response, request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from authserver.errors import ApiError

log = logging.getLogger(__name__)

MAX_DEPTH = 16
LONGEST_NAME = 150  # characters
# Those of Unicode's category Zs, and the tab.
SPACES = "\t \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
# Control characters, line separators, Unicode's Bidi_Control, and surrogates, which have no UTF-8.
NOT_IN_NAMES = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Networks at home and in offices have mail servers under .local and home.arpa (RFC 6762, RFC 8375). The other names
# that email_validator knows as special have none: invalid, localhost, onion, and the rest of arpa.
SPECIAL_USE_DOMAIN_NAMES[:] = sorted({*SPECIAL_USE_DOMAIN_NAMES} - {"local", "arpa"})


class Body(BaseModel):
    """A request's shape: unknown fields are ignored, types are not converted."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


def _text(value: str) -> str:
    """Neither NUL, which PostgreSQL cannot store, nor a lone surrogate, which has no UTF-8 (JSON's `"\\ud800"`)."""
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("This has characters that are not allowed here.")
    return value


def name(value: str) -> str:
    """A person's name as it is stored; raises `ValueError`.

    Spaces of every kind and joiners belong to names. What is refused breaks the line, or turns the direction of the
    text around the name.
    """
    if NOT_IN_NAMES.search(value):
        raise ValueError("This may not contain control characters.")
    return value.strip()


def email_address(value: str) -> str:
    """The address in the one spelling under which it is stored and looked up; raises `ValueError`.

    The local part is ASCII and lowercased, the domain IDNA: two spellings of a mailbox are one account, and none that
    only looks alike reaches it. Space around it is no part of it. `=?` begins an encoded word (RFC 2047), which a mail
    program or a mail server may decode to another mailbox than the one that is stored here.
    """
    value = value.strip(SPACES)
    try:
        if len(value) > 254 or "=?" in value:
            raise EmailNotValidError
        parsed = validate_email(value, allow_smtputf8=False, check_deliverability=False, test_environment=True)
        address = (parsed.ascii_email or "").lower()
    except (EmailNotValidError, UnicodeError):
        address = ""
    domain = address.rpartition("@")[2]
    if "." not in domain or _is_infrastructure(domain) or len(address) > 254:
        raise ValueError("Enter a valid e-mail address.")
    return address


def _is_infrastructure(domain: str) -> bool:
    return domain.endswith(".arpa") and not f".{domain}".endswith(".home.arpa")


Text = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_text)]
Name = Annotated[str, StringConstraints(max_length=LONGEST_NAME), AfterValidator(name)]
Email = Annotated[str, AfterValidator(email_address), Field(description="an e-mail address")]
# Its rule belongs to passwords/policy.py, for a login must take what an older rule let through.
Password = Annotated[Text, Field(description="a password")]
Token = Annotated[
    str,
    StringConstraints(min_length=1, max_length=16384, pattern=r"^[\x21-\x7e]+$"),
    Field(description="ASCII without spaces"),
]

Shape = TypeVar("Shape", bound=Body)

SENTENCES = {
    "missing": "This field is required.",
    "string_type": "This must be a string.",
    "string_unicode": "This has characters that are not allowed here.",
    "bool_type": "This must be true or false.",
    "extra_forbidden": "There is no such field.",
    "string_too_long": "This is too long.",
    "string_too_short": "This may not be empty.",
    "string_pattern_mismatch": "This has characters that are not allowed here.",
}


def read(shape: type[Shape]) -> Shape:
    """The request's JSON body; raises `invalid_request`, naming every field to blame."""
    return validated(shape, _json_object())


def validated(shape: type[Shape], value: Mapping[str, Any]) -> Shape:
    """The same for what came otherwise, as by a page's form."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise ApiError("invalid_request", errors=sentences(error)) from None


def sentences(error: ValidationError) -> dict[str, list[str]]:
    """What is wrong with each field, in words that never repeat its value."""
    errors: dict[str, list[str]] = {}
    for one in error.errors(include_url=False, include_input=False):
        sentence = SENTENCES.get(one["type"], one["msg"].removeprefix("Value error, "))
        errors.setdefault(str(one["loc"][0]), []).append(sentence)
    return errors


def whole_body() -> bytes:
    """The body; raises 413 for one that goes on beyond the limit, and `invalid_request` for one that cannot be read."""
    try:
        raw = request.get_data()
        if len(raw) == request.max_content_length:
            request.stream.read(1)  # without a length (chunked) Werkzeug only stops at the limit: this is what raises
    except RequestEntityTooLarge:
        raise
    except Exception as error:  # each server has errors of its own for chunks that are none, or for a client that left
        raise _unreadable(type(error).__name__) from None
    if len(raw) < (request.content_length or 0):
        raise _unreadable("it is shorter than its Content-Length")
    return raw


def _unreadable(reason: str) -> ApiError:
    log.warning("A request's body cannot be read: %s", reason)
    return ApiError("invalid_request", "The body cannot be read: it breaks off, or it is not valid HTTP.")


def _json_object() -> dict[str, Any]:
    if request.mimetype != "application/json":
        raise ApiError("invalid_request", "Send a JSON body with the content type application/json.")
    raw = whole_body()
    if not raw:
        raise ApiError("invalid_request", "The body is missing.")
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ApiError("invalid_request", "The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise ApiError("invalid_request", "The body is not a JSON object.")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _too_deep(value):
        raise ApiError("invalid_request", "The body is nested too deeply.")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate key")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
    return any(isinstance(one, dict | list) for one in level)


def no_content() -> Response:
    """A 204, which has no body and so no type of one."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response
