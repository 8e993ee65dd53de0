"""A person's data as a whole: all that is stored of it, and its erasure."""

import json
from collections.abc import Iterable, Iterator, Mapping
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, false, select, update
from sqlalchemy.orm import Session as Transaction

from authserver.clock import rfc3339
from authserver.errors import ApiError
from authserver.events.record import Happened, record
from authserver.events.views import event_json
from authserver.extensions import db, writing
from authserver.models import Authorization, Event, Identity, Invitation, Mail, OneTimeToken, Session, User
from authserver.sessions.answer import session_json, user_json
from authserver.tokens.acting import acting, existing
from authserver.visitor import Visitor

IN_MEMORY = 256 * 1024  # bytes of an export; what is longer is on the disk
PIECE = 64 * 1024  # bytes that are sent at once


def export(user_id: UUID, session_id: UUID) -> Iterator[bytes]:
    """All that is stored of the user, without secrets, as JSON in pieces.

    Written to a temporary file first: memory does not grow with what is stored, and no transaction waits for who reads.
    """
    pieces = _written(_stored(user_id, session_id))
    next(pieces)  # all is written, and whoever drops the rest closes the file
    return pieces


def _written(stored: Mapping[str, dict[str, Any] | Iterable[dict[str, Any]]]) -> Iterator[bytes]:
    with SpooledTemporaryFile(IN_MEMORY) as file:
        separator = b"{"
        for name, part in stored.items():
            file.write(separator + f'\n"{name}": '.encode())
            if isinstance(part, dict):
                file.write(_json(part))
            else:
                _write_list(file, part)
            separator = b","
        file.write(b"\n}\n")
        file.seek(0)
        yield b""
        while piece := file.read(PIECE):
            yield piece


def _write_list(file: IO[bytes], rows: Iterable[dict[str, Any]]) -> None:
    separator = b"["
    for row in rows:
        file.write(separator + b"\n" + _json(row))
        separator = b","
    file.write(b"[]" if separator == b"[" else b"\n]")


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _stored(user_id: UUID, session_id: UUID) -> Mapping[str, dict[str, Any] | Iterable[dict[str, Any]]]:
    """Reads what an export holds: no hash, no token."""
    user = db.session.get(User, user_id)
    if user is None:  # erased since the guard looked
        raise ApiError("token_not_valid")

    def rows(model: Any) -> Iterator[Any]:
        of_user = select(model).where(model.user_id == user_id).order_by(model.id)
        yield from db.session.scalars(of_user.execution_options(yield_per=500))

    return {
        "user": {**user_json(user), "has_password": user.password_hash is not None},
        "identities": (
            {
                "id": str(one.id),
                "provider": one.provider,
                "tenant": one.tenant,
                "subject": one.subject,
                "email": one.email,
                "created_at": rfc3339(one.created_at),
            }
            for one in rows(Identity)
        ),
        "sessions": (
            {
                **session_json(one, session_id),
                "browser": one.browser,
                "ended_at": rfc3339(one.revoked_at) if one.revoked_at else None,
            }
            for one in rows(Session)
        ),
        "mailed_links": (
            {
                "purpose": one.purpose,
                "email": one.email,
                "created_at": rfc3339(one.created_at),
                "expires_at": rfc3339(one.expires_at),
            }
            for one in rows(OneTimeToken)
            if one.code is None
        ),
        "invitations": (
            {
                "email": one.email,
                "created_at": rfc3339(one.created_at),
                "expires_at": rfc3339(one.expires_at),
                "accepted_at": rfc3339(one.accepted_at) if one.accepted_at else None,
            }
            for one in db.session.scalars(select(Invitation).where(_own_invitations(user)))
        ),
        # Not those to an address that is not the account's yet: whether one goes there depends on who else has it.
        "mails": (
            {"kind": one.kind, "created_at": rfc3339(one.created_at)}
            for one in rows(Mail)
            if one.kind != "change_email"
        ),
        "events": (event_json(one) for one in rows(Event)),
    }


def erase(user_id: UUID, visitor: Visitor, session_id: UUID | None = None) -> None:
    """Erases everything of the user; what happened stays as events that say neither where from nor of whom.

    `session_id` where the user asks, whose session has to be live still.
    """
    with writing() as transaction:
        user = acting(transaction, user_id, session_id) if session_id else existing(transaction, user_id)
        _erase(transaction, user, visitor)


def _erase(transaction: Transaction, user: User, visitor: Visitor) -> None:
    user_id = user.id
    for model in (Session, Identity, OneTimeToken, Authorization, Mail):
        transaction.execute(delete(model).where(model.user_id == user_id))
    transaction.execute(delete(Invitation).where(_own_invitations(user)))
    record(transaction, Happened.ACCOUNT_ERASED, visitor, user_id)
    transaction.flush()
    transaction.execute(update(Event).where(Event.user_id == user_id).values(ip=None, user_agent=None))
    transaction.delete(user)


def _own_invitations(user: User) -> ColumnElement[bool]:
    """Selects those to the user's e-mail address; a person who never verified it may not be whom they invite."""
    return Invitation.email == user.email if user.email_verified else false()
