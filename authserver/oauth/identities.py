"""The identities of an account: listed, linked, unlinked by the one who is signed in; and signing in with one again."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from authserver.clock import now, rfc3339
from authserver.emails.delivery import wake
from authserver.emails.notices import notify
from authserver.errors import ApiError
from authserver.events.record import Happened, record
from authserver.extensions import db, provider_label, writing
from authserver.models import Identity, OneTimeToken, Session
from authserver.oauth import provider
from authserver.oauth.linking import add, same
from authserver.oauth.verify import Proved
from authserver.sessions import flows as sessions
from authserver.tokens.acting import acting
from authserver.tokens.guard import Caller
from authserver.tokens.one_time import Purpose
from authserver.visitor import Visitor

RECENT = timedelta(minutes=5)  # how old a sign-in at the provider may be that makes a token fresh again
NOT_OWN = "This is not an identity of this account."
TAKEN = "This account of the provider's belongs to another account here."


def identity_json(identity: Identity) -> dict[str, Any]:
    return {
        "id": str(identity.id),
        "provider": identity.provider,
        "email": identity.email,
        "created_at": rfc3339(identity.created_at),
    }


def identities(user_id: UUID) -> Sequence[Identity]:
    return db.session.scalars(select(Identity).where(Identity.user_id == user_id).order_by(Identity.id)).all()


def link(user_id: UUID, session_id: UUID, name: str, identity: provider.Identity, visitor: Visitor) -> Identity:
    """Links it to the account, where it may be already; raises `account_exists` where it is another's."""
    try:
        with writing() as transaction:
            user = acting(transaction, user_id, session_id)
            known = transaction.scalar(select(Identity).where(*same(name, identity)))
            if known is not None and known.user_id != user_id:
                raise ApiError("account_exists", TAKEN)
            linked = known or add(transaction, user, name, identity, visitor, session_id)
    except IntegrityError:  # another sign-in made it in between
        raise ApiError("account_exists", TAKEN) from None
    wake()
    return linked


def unlink(user_id: UUID, session_id: UUID, identity_id: UUID, enabled: Collection[str], visitor: Visitor) -> None:
    """Raises `last_login_method` where nothing else would let its owner in: one of `enabled`, or a password.

    A password is asked for together with an address, which not every account has.
    """
    with writing() as transaction:
        user = acting(transaction, user_id, session_id)
        all_of_them = transaction.scalars(select(Identity).where(Identity.user_id == user_id)).all()
        unlinked = next((one for one in all_of_them if one.id == identity_id), None)
        if unlinked is None:
            raise ApiError("not_found")
        others = [one for one in all_of_them if one is not unlinked and one.provider in enabled]
        by_password = user.password_hash is not None and user.email is not None
        if not by_password and not others:
            raise ApiError("last_login_method")
        transaction.delete(unlinked)
        # Who came by it is out; codes that it brought are on their way to somebody.
        by_it = Session.method == unlinked.provider
        sessions.end(transaction, user_id, by_it, Session.id != session_id)
        codes = (Purpose.SIGN_IN, Purpose.LINK)
        transaction.execute(
            delete(OneTimeToken).where(OneTimeToken.user_id == user_id, OneTimeToken.purpose.in_(codes))
        )
        record(transaction, Happened.IDENTITY_UNLINKED, visitor, user_id, session_id)
        notify(transaction, "identity_unlinked", user, user.email, visitor, provider=provider_label(unlinked.provider))
    wake()


def reauthenticate(caller: Caller, name: str, proved: Proved, visitor: Visitor) -> None:
    """By an identity of this account whose person signed in just now; raises where it is none.

    A provider that does not say when (`auth_time`) may have let an old session of its own pass.
    """
    recent = (now() - RECENT).timestamp()
    if proved.authenticated_at is None or proved.authenticated_at < recent:
        raise ApiError(
            "reauthentication_required", "The provider did not say that this was a fresh sign-in: use the password."
        )
    confirm(caller, name, proved.identity, visitor)


def confirm(caller: Caller, name: str, identity: provider.Identity, visitor: Visitor) -> None:
    """The session is fresh again, where the identity is one of its account's; raises where it is none."""
    with writing() as transaction:
        user = acting(transaction, caller.id, caller.session_id)
        own = select(Identity.id).where(Identity.user_id == user.id, *same(name, identity))
        if transaction.scalar(own) is None:
            raise ApiError("provider_token_not_valid", NOT_OWN)
        sessions.reauthenticated(transaction, user, caller.session_id, visitor)
