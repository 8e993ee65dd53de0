"""Who may have an account here: said alike for known and unknown addresses, and for those who come by a provider."""

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.errors import ApiError
from authserver.extensions import current_settings, fetch_one
from authserver.models import Invitation
from authserver.tokens.one_time import digest


def check_may_join(email: str | None, invitation: str | None, *, proved: bool) -> None:
    """Raises `signup_not_allowed`; changes nothing.

    `proved`: a provider vouches for the address, which then needs no invitation's token, only the invitation.
    """
    settings = current_settings()
    if settings.signup == "closed":
        raise ApiError("signup_not_allowed")
    invited = fetch_one(select(Invitation.id).where(*_open(email, invitation, proved))) is not None
    if settings.signup == "invited" and not invited:
        raise ApiError("signup_not_allowed")
    if settings.signup_domains and not invited and (email or "").rpartition("@")[2] not in settings.signup_domains:
        raise ApiError("signup_not_allowed")


def accept_invitation(transaction: Transaction, email: str | None, invitation: str | None, *, proved: bool) -> bool:
    """Uses an invitation up in the transaction that makes the account; says whether there was one.

    Raises `signup_not_allowed` where one is needed and another sign-up has used it since.
    """
    used = transaction.execute(update(Invitation).where(*_open(email, invitation, proved)).values(accepted_at=now()))
    accepted: bool = used.rowcount > 0  # type: ignore[attr-defined]
    if not accepted and current_settings().signup == "invited":
        raise ApiError("signup_not_allowed")
    return accepted


def _open(email: str | None, invitation: str | None, proved: bool) -> list[ColumnElement[bool]]:
    token = [] if proved and email else [Invitation.token_hash == digest(invitation or "")]
    return [
        Invitation.email == (email or ""),
        *token,
        Invitation.accepted_at.is_(None),
        Invitation.revoked_at.is_(None),
        Invitation.expires_at > now(),
    ]
