"""Whose account a provider's identity signs in to: decide first, write after.

What becomes of an identity that is not known yet, by who else has its address, and what the provider says of it:

| the address is     | authoritative | verified | unverified, or none |
| ------------------ | ------------- | -------- | ------------------- |
| nobody's           | JOIN          | JOIN     | JOIN                |
| verified here      | LINK          | LINK     | REFUSE              |
| not verified here  | TAKE_OVER     | REFUSE   | REFUSE              |

Whoever signed up with an address and never verified it may have done so to wait for its owner, who must not walk in
(pre-hijacking, USENIX Security 2022): only the provider that runs the mailbox can say who the owner is, and then
nothing of the first one stays.
"""

from collections.abc import Callable
from dataclasses import asdict
from enum import Enum, auto
from typing import TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as Transaction

from authserver.accounts.joining import accept_invitation, check_may_join
from authserver.emails.deferred import Asked, defer
from authserver.emails.delivery import wake
from authserver.emails.flows import require_mail, tell_owner
from authserver.emails.notices import notify, send_link, tell
from authserver.errors import ApiError
from authserver.events.record import Happened, record
from authserver.extensions import current_settings, fetch_one, provider_label, writing
from authserver.limits.devices import limit_mails
from authserver.models import Identity, Session, User
from authserver.models.mail import Deferred
from authserver.oauth import provider
from authserver.sessions import flows as sessions
from authserver.tokens.one_time import Purpose
from authserver.verification import Proof, Ways, become_verified
from authserver.visitor import Visitor

Made = TypeVar("Made")


class Overtaken(Exception):
    """What was decided was decided of an account that is not there any more."""


class Decision(Enum):
    JOIN = auto()  # a new account
    LINK = auto()  # one more way into the account of this address
    TAKE_OVER = auto()  # the same, after everything that was there before is gone
    REFUSE = auto()  # sign in to that account, and link from there


def decide(identity: provider.Identity, verified_here: bool | None) -> Decision:
    """`verified_here`: whether the account of the identity's address has verified it; None where there is none."""
    if verified_here is None:
        return Decision.JOIN
    if verified_here and identity.email_verified:
        return Decision.LINK
    return Decision.TAKE_OVER if identity.email_authoritative else Decision.REFUSE


def sign_in(name: str, identity: provider.Identity, visitor: Visitor) -> tuple[User, Session]:
    """A session of the identity's account; raises `account_exists` where its e-mail is another account's."""
    return with_account(
        name, identity, visitor, lambda transaction, user: (user, sessions.start(transaction, user, visitor, name))
    )


def with_account(
    name: str, identity: provider.Identity, visitor: Visitor, then: Callable[[Transaction, User], Made]
) -> Made:
    """What `then` makes of the identity's account, which may be a new one, in the same transaction."""
    try:
        made = _with_account(name, identity, visitor, then)
    except (IntegrityError, Overtaken):
        # Another request may have made this identity, or an account with its address, since it was looked for. The
        # second look finds the identity or decides anew: an account is never found by e-mail instead.
        try:
            made = _with_account(name, identity, visitor, then)
        except (IntegrityError, Overtaken):
            raise ApiError("account_exists") from None
    wake()
    if made is None:
        raise ApiError("email_not_verified")
    return made


def _with_account(
    name: str, identity: provider.Identity, visitor: Visitor, then: Callable[[Transaction, User], Made]
) -> Made | None:
    """None where an address has to be verified first: an account's own, or the one that the provider gave."""
    columns = (User.email, User.email_verified, User.disabled_at)
    known = fetch_one(select(*columns).join(Identity).where(*same(name, identity)))
    if known and known.disabled_at is not None:
        raise ApiError("no_active_account")
    address = known or identity
    if address.email and _must_be_verified(address.email, address.email_verified):
        _leave_to_delivery(name, identity, address.email, visitor, is_known=known is not None)
        return None
    may_join = not known and decide(identity, _verified_here(identity)) in (Decision.JOIN, Decision.REFUSE)
    if may_join:  # said alike, whether the address has an account
        check_may_join(_proved_email(identity), None, proved=True)
    with writing() as transaction:
        user = owner(transaction, name, identity)
        if user is None and not known:
            user = _unknown(transaction, name, identity, visitor, may_join)
        if user is None or user.disabled_at is not None:  # unlinked or erased since it was found: it may not join
            raise ApiError("no_active_account")
        if _must_be_verified(user.email, user.email_verified):  # it was another address a moment ago
            _defer(transaction, name, identity, visitor)
            return None
        return then(transaction, user)


def _must_be_verified(email: str | None, verified: bool) -> bool:
    return bool(email) and not verified and current_settings().must_verify


def _leave_to_delivery(name: str, identity: provider.Identity, email: str, visitor: Visitor, *, is_known: bool) -> None:
    """Lets nobody learn whether an address that the provider did not verify has an account, by the time neither.

    Each of these sign-ins has a mail sent to the address that it is about, and does no more before the answer.
    """
    try:
        check_may_join(_proved_email(identity), None, proved=True)
    except ApiError:
        if not is_known:
            raise
    require_mail()  # or nobody could ever verify it
    limit_mails(email, visitor, "sign-up")
    with writing() as transaction:
        _defer(transaction, name, identity, visitor)


def _defer(transaction: Transaction, name: str, identity: provider.Identity, visitor: Visitor) -> None:
    defer(transaction, Deferred.PROVIDER_SIGN_IN, visitor, provider=name, identity=asdict(identity))


def finish_sign_in(transaction: Transaction, asked: Asked) -> None:
    """Mails a link to the address of the identity's account, which may be a new one; another's owner is told."""
    name, identity = asked.facts["provider"], provider.Identity(**asked.facts["identity"])
    user = owner(transaction, name, identity)
    taken = select(User.id).where(User.email == identity.email)
    if user is None and identity.email and transaction.scalar(taken) is not None:
        tell_owner(transaction, identity.email, asked.visitor)
        return
    user = user or _join(transaction, name, identity, asked.visitor)
    if user.disabled_at is None and _must_be_verified(user.email, user.email_verified):
        send_link(transaction, "verify", Purpose.VERIFY, user, user.email or "", asked.visitor)


def _verified_here(identity: provider.Identity) -> bool | None:
    row = fetch_one(select(User.email_verified).where(User.email == identity.email)) if identity.email else None
    return row.email_verified if row else None


def owner(transaction: Transaction, name: str, identity: provider.Identity) -> User | None:
    """The account of an identity that is known. Both are held: one that a reset or recovery removes signs nobody in."""
    return transaction.scalar(select(User).join(Identity).where(*same(name, identity)).with_for_update())


def same(name: str, identity: provider.Identity) -> tuple[ColumnElement[bool], ...]:
    return (
        Identity.provider == name,
        Identity.tenant == identity.tenant,
        Identity.subject == identity.subject,
    )


def _proved_email(identity: provider.Identity) -> str | None:
    return identity.email if identity.email_verified else None


def _unknown(
    transaction: Transaction, name: str, identity: provider.Identity, visitor: Visitor, may_join: bool
) -> User:
    holder = None
    if identity.email:
        holder = transaction.scalar(select(User).where(User.email == identity.email).with_for_update())
    decision = decide(identity, holder.email_verified if holder else None)
    if decision is Decision.REFUSE:
        raise ApiError("account_exists")
    if holder is None:
        if not may_join:
            raise Overtaken
        return _join(transaction, name, identity, visitor)
    if holder.disabled_at is not None:
        raise ApiError("no_active_account")
    lost = _strip(transaction, holder, identity) if decision is Decision.TAKE_OVER else None
    add(transaction, holder, name, identity, visitor)
    if lost:  # the first one may have been its owner, too
        tell(transaction, "ways_lost", holder, holder.email or "", visitor, **lost.facts())
    return holder


def _join(transaction: Transaction, name: str, identity: provider.Identity, visitor: Visitor) -> User:
    user = User(
        email=identity.email,
        email_verified=identity.email_verified,
        first_name=identity.first_name,
        last_name=identity.last_name,
    )
    transaction.add(user)
    transaction.flush()
    row = _row(user, name, identity)
    transaction.add(row)
    transaction.flush()
    user.signup_identity_id = row.id
    accept_invitation(transaction, _proved_email(identity), None, proved=True)
    record(transaction, Happened.SIGNED_UP, visitor, user.id)
    if user.email and not user.email_verified and current_settings().email_verification == "optional":
        send_link(transaction, "verify", Purpose.VERIFY, user, user.email, visitor)
    return user


def _strip(transaction: Transaction, user: User, identity: provider.Identity) -> Ways:
    """Whatever the one who signed up with somebody else's address could come back by, and the names they gave."""
    user.first_name, user.last_name = identity.first_name, identity.last_name
    return become_verified(transaction, user, Proof.TAKE_OVER)


def add(
    transaction: Transaction,
    user: User,
    name: str,
    identity: provider.Identity,
    visitor: Visitor,
    session_id: UUID | None = None,
) -> Identity:
    """One more way into an account, of which its owner is told; `session_id` where someone who is signed in asked."""
    row = _row(user, name, identity)
    transaction.add(row)
    transaction.flush()
    record(transaction, Happened.IDENTITY_LINKED, visitor, user.id, session_id)
    notify(transaction, "identity_linked", user, user.email, visitor, provider=provider_label(name))
    return row


def _row(user: User, name: str, identity: provider.Identity) -> Identity:
    return Identity(
        user_id=user.id,
        provider=name,
        tenant=identity.tenant,
        subject=identity.subject,
        email=identity.email,
    )
