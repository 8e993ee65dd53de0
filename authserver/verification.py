"""What becomes of an account when somebody proves to read the mail of its e-mail address.

Whoever made an account need not be who reads its mail: somebody may have signed up with another person's e-mail
address, to wait for them (pre-hijacking, USENIX Security 2022). So each proof says what stays of what was set before,
by how far the mailbox was proved until then:

| proof                 | proved before | password | sessions | identities | links and codes | recovery tokens |
| --------------------- | ------------- | -------- | -------- | ---------- | --------------- | --------------- |
| SIGNUP_LINK           | not           | SIGNUP   | SIGNUP   | SIGNUP     | RESETS          | ALL             |
| SIGNUP_LINK_SIGNED_IN | not           | ALL      | ALL      | ALL        | RESETS          | ALL             |
| CHANGE_LINK           | not           | ALL      | ALL      | ALL        | NONE            | ALL             |
| CHANGE_LINK           | by link       | ALL      | ALL      | ALL        | NONE            | ALL             |
| CHANGE_LINK           | by owner      | ALL      | ALL      | ALL        | NONE            | ALL             |
| RESET                 | not           | NONE     | NONE     | NONE       | NONE            | ALL             |
| RESET                 | by link       | NONE     | NONE     | ADDED      | NONE            | ALL             |
| RESET                 | by owner      | NONE     | NONE     | ALL        | NONE            | ALL             |
| RECOVERY              | not           | NONE     | NONE     | NONE       | NONE            | OLD             |
| RECOVERY              | by link       | NONE     | NONE     | OLD, ADDED | NONE            | OLD             |
| RECOVERY              | by owner      | NONE     | NONE     | OLD        | NONE            | OLD             |
| TAKE_OVER             | not           | NONE     | NONE     | NONE       | NONE            | NONE            |

The link of a sign-up's mail proves the mailbox, not that its owner made the account. So it keeps what the sign-up
itself set (SIGNUP): the password, or the identity that the account was made by, and the sessions begun with it. A
person can sign up on one device, press the link on another and sign in. The mailbox is proved "by link" from then on,
and "by owner" once who reads the mail also sets what signs in, by a reset or a recovery, or presses a link while signed
in to the account. Only who is signed in to the account or has its password can confirm a change of e-mail address; one
away from an e-mail address that nobody had proved counts as "by link", for its owner may ask for the account yet.

OLD is what was there before the oldest mail whose "this wasn't me" still counts. ADDED is what was linked after that
link was pressed. A TAKE_OVER is a sign-in with the provider that runs the mailbox (oauth/linking.py). Where a way to
sign in is lost that an owner may have set, a mail tells of it.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Any

from sqlalchemy import ColumnElement, delete, false, func, or_, select, true
from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.extensions import provider_label
from authserver.models import Identity, OneTimeToken, Session, User
from authserver.sessions import flows as sessions
from authserver.tokens.one_time import Purpose, Redeemed, kill_all, kill_later_recoveries

# An identity and the mail that tells of it are one transaction, which may wait for locks between their two moments.
ONE_TRANSACTION = timedelta(minutes=1)


class Proof(Enum):
    """How somebody proved to read the mail of an account's e-mail address."""

    SIGNUP_LINK = auto()
    SIGNUP_LINK_SIGNED_IN = auto()
    CHANGE_LINK = auto()
    RESET = auto()
    RECOVERY = auto()
    TAKE_OVER = auto()


@dataclass(frozen=True)
class Ways:
    """The ways to sign in to an account, but for a password that is set anew."""

    lost: tuple[str, ...]  # the names of the lost identities' providers
    lost_password: bool
    kept: tuple[Identity, ...]

    def __bool__(self) -> bool:
        """Whether any was lost."""
        return self.lost_password or bool(self.lost)

    def facts(self) -> dict[str, Any]:
        """What a mail says of them."""
        return {
            "lost": ", ".join(map(provider_label, self.lost)),
            "lost_password": self.lost_password,
            "kept": ", ".join(map(_named, self.kept)),
        }


def _named(identity: Identity) -> str:
    label = provider_label(identity.provider)
    return f"{label} ({identity.email})" if identity.email else label


def become_verified(transaction: Transaction, user: User, proof: Proof, redeemed: Redeemed | None = None) -> Ways:
    """Makes the account's e-mail address verified and drops what the table says; the caller holds the user's lock.

    `redeemed` is the recovery token of a `RECOVERY`.
    """
    lost: list[str] = []
    had_password = user.password_hash is not None
    if proof is Proof.SIGNUP_LINK:
        lost = _keep_what_the_signup_set(transaction, user)
    elif proof in (Proof.RESET, Proof.RECOVERY, Proof.TAKE_OVER):
        lost = _drop_what_signs_in(transaction, user, redeemed)
    by_signup = proof in (Proof.SIGNUP_LINK, Proof.SIGNUP_LINK_SIGNED_IN)
    kill_all(transaction, user.id, *([Purpose.RESET] if by_signup else []))  # which went to this mailbox too
    if redeemed:
        kill_later_recoveries(transaction, redeemed)
    if proof is Proof.TAKE_OVER:
        transaction.execute(delete(OneTimeToken).where(OneTimeToken.user_id == user.id))
    if proof is Proof.SIGNUP_LINK or _leaves_an_address_unproved(user, proof):
        user.verified_by_link_at = user.verified_by_link_at or now()
    else:
        user.verified_by_link_at = None
    user.email_verified = True
    kept = transaction.scalars(select(Identity).where(Identity.user_id == user.id).order_by(Identity.id))
    lost_password = had_password and user.password_hash is None and proof in (Proof.SIGNUP_LINK, Proof.TAKE_OVER)
    return Ways(tuple(lost), lost_password, tuple(kept))


def _leaves_an_address_unproved(user: User, proof: Proof) -> bool:
    """Tells whether the account changes away from an e-mail address whose owner may still ask for the account."""
    return proof is Proof.CHANGE_LINK and user.email is not None and not user.owner_proved


def _keep_what_the_signup_set(transaction: Transaction, user: User) -> list[str]:
    """Returns the providers whose identities are lost."""
    first = select(Identity).where(Identity.user_id == user.id, Identity.id == user.signup_identity_id)
    identity = transaction.scalar(first)
    if identity is not None:  # so the password was set later
        user.password_hash = None
    sessions.end(transaction, user.id, Session.method != (identity.provider if identity else "password"))
    others = Identity.id != identity.id if identity else true()
    return _drop_identities(transaction, user, others)


def _drop_what_signs_in(transaction: Transaction, user: User, redeemed: Redeemed | None) -> list[str]:
    """Returns the providers whose identities are lost."""
    user.password_hash = None
    if not user.email_verified:
        # Ended ones would make the browsers of whoever made the account known ones.
        transaction.execute(delete(Session).where(Session.user_id == user.id))
        return _drop_identities(transaction, user, true())
    sessions.end(transaction, user.id)
    which = _linked_lately(transaction, redeemed) if redeemed else false()
    if not user.owner_proved:
        which = or_(which, Identity.created_at <= user.verified_by_link_at)
    return _drop_identities(transaction, user, which)


def _linked_lately(transaction: Transaction, redeemed: Redeemed) -> ColumnElement[bool]:
    """Selects what was linked since the oldest mail that can still be disowned: somebody else may have been in then."""
    standing = select(func.min(OneTimeToken.created_at, type_=OneTimeToken.created_at.type)).where(
        OneTimeToken.user_id == redeemed.user_id,
        OneTimeToken.purpose == Purpose.RECOVER,
        OneTimeToken.expires_at > now(),
    )
    since = min(transaction.scalar(standing) or redeemed.created_at, redeemed.created_at)
    return Identity.created_at >= since - ONE_TRANSACTION


def _drop_identities(transaction: Transaction, user: User, which: ColumnElement[bool]) -> list[str]:
    """Deletes those of the user's; returns their providers' names."""
    deleted = delete(Identity).where(Identity.user_id == user.id, which).returning(Identity.provider)
    return sorted(transaction.scalars(deleted))
