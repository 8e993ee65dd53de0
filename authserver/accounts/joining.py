"""Who may have an account here: said alike for known and unknown addresses, and for those who come by a provider."""

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.errors import ApiError
from authserver.extensions import current_settings, fetch_one
from authserver.models import Invitation
from authserver.tokens.one_time import digest


def check_may_join(email: str | None, invitation: str | None, *, proved: bool) -> bool:
    """Returns whether an invitation lets this person in; raises `signup_not_allowed`; changes nothing.

    `proved`: a provider vouches for the address, which then needs no invitation's token, only the invitation.
    """
    invited = fetch_one(select(Invitation.id).where(*_open(email, invitation, proved))) is not None
    _require_right(email, invited)
    return invited


def accept_invitation(transaction: Transaction, email: str | None, invitation: str | None, *, proved: bool) -> bool:
    """Uses an invitation up in the transaction that makes the account; says whether there was one.

    Raises `signup_not_allowed` where one is needed and was used by another sign-up, or revoked, since it was looked at.
    """
    used = transaction.execute(update(Invitation).where(*_open(email, invitation, proved)).values(accepted_at=now()))
    accepted: bool = used.rowcount > 0  # type: ignore[attr-defined]
    _require_right(email, accepted)
    return accepted


def _require_right(email: str | None, invited: bool) -> None:
    settings = current_settings()
    by_invitation = invited and settings.signup != "closed"
    by_themselves = settings.signup == "open" and settings.takes_domain_of(email)
    if not by_invitation and not by_themselves:
        raise ApiError("signup_not_allowed")


def _open(email: str | None, invitation: str | None, proved: bool) -> list[ColumnElement[bool]]:
    token = [] if proved and email else [Invitation.token_hash == digest(invitation or "")]
    return [
        Invitation.email == (email or ""),
        *token,
        Invitation.accepted_at.is_(None),
        Invitation.revoked_at.is_(None),
        Invitation.expires_at > now(),
    ]
