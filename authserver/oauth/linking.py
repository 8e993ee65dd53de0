"""Whose account a provider's identity signs in to: decide first, write after."""

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as Transaction

from authserver.accounts.joining import accept_invitation, check_may_join
from authserver.emails.delivery import wake
from authserver.emails.notices import send_link
from authserver.errors import ApiError
from authserver.events.record import Happened, record
from authserver.extensions import current_settings, fetch_one, writing
from authserver.models import Identity, Session, User
from authserver.oauth import provider
from authserver.sessions import flows as sessions
from authserver.tokens.one_time import Purpose
from authserver.visitor import Visitor


class _EmailTaken(Exception):
    """The identity's address is another account's."""


def sign_in(name: str, identity: provider.Identity, visitor: Visitor) -> tuple[User, Session]:
    """The account of this identity, or a new one; raises `account_exists` where its e-mail is another account's."""
    try:
        user, session = _sign_in(name, identity, visitor)
    except (IntegrityError, _EmailTaken):
        # Another request may have made this identity, or an account with its address, since it was looked for. The
        # second look finds the identity or refuses the address: an account is never found by e-mail.
        try:
            user, session = _sign_in(name, identity, visitor)
        except (IntegrityError, _EmailTaken):
            raise ApiError("account_exists") from None
    wake()
    if session is None:
        raise ApiError("email_not_verified")
    return user, session


def _sign_in(name: str, identity: provider.Identity, visitor: Visitor) -> tuple[User, Session | None]:
    known = _is_known(name, identity)
    if not known:
        check_may_join(_proved_email(identity), None, proved=True)
    with writing() as transaction:
        user = _owner(transaction, name, identity)
        if user is None and not known:
            user = _join(transaction, name, identity, visitor)
        if user is None or user.disabled_at is not None:  # unlinked or erased since it was found: it may not join
            raise ApiError("no_active_account")
        if user.email and not user.email_verified and current_settings().email_verification == "required":
            send_link(transaction, "verify", Purpose.VERIFY, user, user.email, visitor)
            return user, None
        return user, sessions.start(transaction, user, visitor, name)


def _is_known(name: str, identity: provider.Identity) -> bool:
    return fetch_one(select(Identity.id).where(*_same(name, identity))) is not None


def _owner(transaction: Transaction, name: str, identity: provider.Identity) -> User | None:
    # The identity is locked with its user: one that a reset or recovery removes meanwhile signs nobody in.
    return transaction.scalar(select(User).join(Identity).where(*_same(name, identity)).with_for_update())


def _same(name: str, identity: provider.Identity) -> tuple[ColumnElement[bool], ...]:
    return (
        Identity.provider == name,
        Identity.tenant == identity.tenant,
        Identity.subject == identity.subject,
    )


def _proved_email(identity: provider.Identity) -> str | None:
    return identity.email if identity.email_verified else None


def _join(transaction: Transaction, name: str, identity: provider.Identity, visitor: Visitor) -> User:
    if identity.email and transaction.scalar(select(User.id).where(User.email == identity.email)):
        raise _EmailTaken
    user = User(
        email=identity.email,
        email_verified=identity.email_verified,
        first_name=identity.first_name,
        last_name=identity.last_name,
    )
    transaction.add(user)
    transaction.flush()
    transaction.add(
        Identity(
            user_id=user.id,
            provider=name,
            tenant=identity.tenant,
            subject=identity.subject,
            email=identity.email,
        )
    )
    transaction.flush()
    accept_invitation(transaction, _proved_email(identity), None, proved=True)
    if user.email and not user.email_verified and current_settings().email_verification == "optional":
        send_link(transaction, "verify", Purpose.VERIFY, user, user.email, visitor)
    record(transaction, Happened.SIGNED_UP, visitor, user.id)
    return user
