"""Whose account a provider's identity signs in to: decide first, write after."""

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as Transaction

from authserver.errors import ApiError
from authserver.extensions import writing
from authserver.models import Identity, Session, User
from authserver.oauth import provider
from authserver.sessions import flows as sessions


class _EmailTaken(Exception):
    """The identity's address is another account's."""


def sign_in(name: str, identity: provider.Identity) -> tuple[User, Session]:
    """The account of this identity, or a new one; raises `account_exists` where its e-mail is another account's."""
    try:
        return _sign_in(name, identity)
    except (IntegrityError, _EmailTaken):
        # Another request may have made this identity, or an account with its address, since it was looked for. The
        # second look finds the identity or refuses the address: an account is never found by e-mail.
        try:
            return _sign_in(name, identity)
        except (IntegrityError, _EmailTaken):
            raise ApiError("account_exists") from None


def _sign_in(name: str, identity: provider.Identity) -> tuple[User, Session]:
    with writing() as transaction:
        user = _owner(transaction, name, identity) or _join(transaction, name, identity)
        if user.disabled_at is not None:
            raise ApiError("no_active_account")
        return user, sessions.start(transaction, user)


def _owner(transaction: Transaction, name: str, identity: provider.Identity) -> User | None:
    return transaction.scalar(
        select(User)
        .join(Identity)
        .where(
            Identity.provider == name,
            Identity.tenant == identity.tenant,
            Identity.subject == identity.subject,
        )
        .with_for_update(read=True, of=User)
    )


def _join(transaction: Transaction, name: str, identity: provider.Identity) -> User:
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
    return user
