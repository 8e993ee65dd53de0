from datetime import timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.errors import ApiError
from authserver.extensions import current_settings, writing
from authserver.models import Session, User
from authserver.tokens.guard import find_caller
from authserver.tokens.issue import access_token
from authserver.tokens.verify import Kind, verify


def start(transaction: Transaction, user: User) -> Session:
    """A new session of the user's, written in the caller's transaction."""
    begun = now()
    lifetime = timedelta(seconds=current_settings().refresh_token_lifetime)
    session = Session(user_id=user.id, created_at=begun, expires_at=begun + lifetime)
    transaction.add(session)
    return session


def refresh(token: str) -> str:
    """A new access token for a refresh token whose session is live and not at its end."""
    caller = find_caller(verify(token, "refresh"))
    if caller.session_expires_at <= now():
        raise ApiError("token_not_valid")
    return access_token(caller.id, caller.session_id, fresh=False)


def end(token: str, kind: Kind) -> None:
    """Ends the session of a token of ours, at once and for good; an expired or revoked one has nothing left to end."""
    claims = verify(token, kind, even_expired=True)
    with writing() as transaction:
        transaction.execute(
            update(Session)
            .where(
                Session.id == claims.session_id,
                Session.user_id == claims.user_id,
                Session.revoked_at.is_(None),
            )
            .values(revoked_at=now())
        )
