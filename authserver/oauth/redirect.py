"""Sign-in by redirect, from the frontend to a provider and back with a one-use code (RFC 6749, 7636, 9700).

A row stands for each browser that is under way, and only that browser has the secret of its cookie. What goes back:
`codes.py`.
"""

import re
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import delete

from authserver.clock import now
from authserver.errors import ApiError, invalid
from authserver.extensions import current_settings, writing
from authserver.models import Authorization
from authserver.tokens.acting import locked
from authserver.tokens.one_time import digest
from authserver.values import is_loopback, redirect_url

LIFETIME = timedelta(minutes=10)  # for the person to sign in at the provider
ID = re.compile(r"[\w-]{22}", re.ASCII)  # of whatever else comes the database is not asked: NUL would be its error
# A desktop application listens on whichever port is free (RFC 8252 §7.3). To the letter, so that nothing but the port
# differs from the listed URL: no user, no other host, no port that a browser would read otherwise.
LOOPBACK_PORT = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\])):([1-9][0-9]{0,4})(?=[/?]|\Z)")
TICKET = "ticket"  # instead of a cookie's secret: a link has been asked for, and no browser has begun it


@dataclass(frozen=True)
class Request:
    """What a frontend asks for."""

    next: str
    code_challenge: str
    state: str | None = None
    user_id: UUID | None = None  # with the session: an identity is to be linked to this account
    session_id: UUID | None = None


@dataclass(frozen=True)
class Begun:
    state: str
    secret: str = field(repr=False)


def check_next(url: str) -> None:
    """Raises `invalid_request` unless the URL is listed, to the letter (RFC 9700 §2.1) but for a loopback's port."""
    settings = current_settings()
    if url in settings.redirect_urls or _without_loopback_port(url) in settings.redirect_urls:
        return
    try:
        parts = urlsplit(redirect_url(url))
        good = not settings.production and parts.scheme in ("http", "https") and is_loopback(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise invalid("next", "This is not one of AUTHSERVER_REDIRECT_URLS.")


def _without_loopback_port(url: str) -> str:
    """Takes the port out of an http URL of 127.0.0.1 or [::1]; any other URL stays. `localhost` may be another host."""
    port = LOOPBACK_PORT.match(url)
    return port[1] + url[port.end() :] if port and int(port[2]) < 2**16 else url


def begin(name: str, request: Request) -> Begun:
    """Remembers the request for the browser that is being sent to the provider; its cookie gets the secret.

    Raises `token_not_valid` where the user that it is for is gone. Whether the session lives is seen on the way back.
    """
    secret = f"{int(now().timestamp() * 1000)}-{secrets.token_urlsafe(32)}"  # when, for a browser that has too many
    return Begun(_remember(name, request, digest(secret)), secret)


def begin_later(name: str, request: Request) -> str:
    """A ticket that begins it once, in whatever browser it is opened."""
    return _remember(name, request, TICKET)


def take(name: str, ticket: str) -> Request:
    """What the ticket was given for; raises `invalid_request` for one that was used or has expired."""
    return _taken(name, ticket, TICKET)


def finish(name: str, state: str, secrets_sent: list[str]) -> Request:
    """What this browser had begun, once; raises `invalid_request` for whatever else comes back from a provider."""
    return _taken(name, state, digest(secrets_sent[0]) if len(secrets_sent) == 1 else None)


COLUMNS = (
    Authorization.next,
    Authorization.code_challenge,
    Authorization.state,
    Authorization.user_id,
    Authorization.session_id,
)


def _remember(name: str, request: Request, secret_hash: str) -> str:
    state = secrets.token_urlsafe(16)
    with writing() as transaction:
        if request.user_id is not None:
            user = locked(transaction, request.user_id)
            if user is None or user.disabled_at is not None:
                raise ApiError("token_not_valid")
        transaction.add(
            Authorization(
                id=state,
                secret_hash=secret_hash,
                provider=name,
                next=request.next,
                code_challenge=request.code_challenge,
                state=request.state,
                user_id=request.user_id,
                session_id=request.session_id,
                expires_at=now() + LIFETIME,
            )
        )
    return state


def _taken(name: str, state: str, secret_hash: str | None) -> Request:
    """Gone with this, also where it is brought to another provider's callback than it was begun for."""
    found = None
    if secret_hash is not None and ID.fullmatch(state):
        with writing() as transaction:
            found = transaction.execute(
                delete(Authorization)
                .where(Authorization.id == state, Authorization.secret_hash == secret_hash)
                .returning(Authorization.provider, Authorization.expires_at, *COLUMNS)
            ).first()
    if found is None or found.provider != name or found.expires_at <= now():
        raise ApiError(
            "invalid_request", "This sign-in was not begun in this browser, or took too long. Please begin again."
        )
    return Request(*found[2:])
