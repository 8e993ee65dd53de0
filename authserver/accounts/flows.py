import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as Transaction

from authserver.accounts.joining import accept_invitation, check_may_join
from authserver.clock import now
from authserver.emails.deferred import Asked, defer
from authserver.emails.delivery import wake
from authserver.emails.flows import require_mail, tell_owner
from authserver.emails.notices import send_link
from authserver.errors import ApiError
from authserver.events.record import Happened, record
from authserver.extensions import current_settings, fetch_one, new_id, upsert, writing
from authserver.limits import Limit, by_address, count
from authserver.limits.devices import limit_login, limit_mails
from authserver.models import Session, User
from authserver.models.mail import Deferred
from authserver.passwords.hashing import hash_password, is_outdated, matches, require_room
from authserver.sessions import flows as sessions
from authserver.tokens.acting import acting, holder
from authserver.tokens.one_time import Purpose
from authserver.visitor import Visitor

Made = TypeVar("Made")


@dataclass(frozen=True)
class Newcomer:
    """What a sign-up says; the password has passed the policy."""

    email: str
    password: str
    first_name: str = ""
    last_name: str = ""
    invitation: str | None = None


def sign_up(newcomer: Newcomer, visitor: Visitor) -> tuple[User, Session] | None:
    """A new account and its first session; None where the address has to be verified before anything else."""
    return _join(newcomer, visitor, lambda transaction, user: (user, _start(transaction, user, visitor)))


def sign_up_without_session(newcomer: Newcomer, visitor: Visitor) -> User | None:
    """The same for who signs in elsewhere: no session is left behind that nobody holds a token of."""
    return _join(newcomer, visitor, lambda transaction, user: user)


def _join(newcomer: Newcomer, visitor: Visitor, then: Callable[[Transaction, User], Made]) -> Made | None:
    """A new account and what `then` makes of it in the same transaction; None where it has to be verified first."""
    hidden = current_settings().must_verify
    require_room()
    by_ip = by_address(Limit.SIGNUP_ADDRESS, visitor.ip)
    count(by_ip)
    invited = check_may_join(newcomer.email, newcomer.invitation, proved=False)
    if hidden and not invited:
        require_mail()  # or nobody could ever sign in to the account
    if hidden:  # a taken address gets a mail every time
        limit_mails(newcomer.email, visitor, "sign-up")
    made = (_join_hidden if hidden else _join_openly)(newcomer, visitor, then)
    wake()
    return made


def _join_openly(newcomer: Newcomer, visitor: Visitor, then: Callable[[Transaction, User], Made]) -> Made:
    if fetch_one(select(User.id).where(User.email == newcomer.email)) is not None:
        raise ApiError("account_exists")
    password_hash = hash_password(newcomer.password)
    try:
        with writing() as transaction:
            user = User(**_columns(newcomer, password_hash))
            transaction.add(user)
            transaction.flush()
            user.email_verified = _accept_invitation(transaction, newcomer)
            record(transaction, Happened.SIGNED_UP, visitor, user.id)
            if current_settings().email_verification != "off" and not user.email_verified:
                send_link(transaction, "verify", Purpose.VERIFY, user, newcomer.email, visitor)
            return then(transaction, user)
    except IntegrityError:  # another sign-up was faster
        raise ApiError("account_exists") from None


def _join_hidden(newcomer: Newcomer, visitor: Visitor, then: Callable[[Transaction, User], Made]) -> Made | None:
    """Lets nobody learn whether the e-mail address has an account, by the time neither: its owner does, by mail.

    For a taken e-mail address the same statements write as much. Which mail goes to it, the delivery finds out.

    A second sign-up with the same password before the e-mail address is verified, as by a double click, sends the
    sign-up's mail again. One with another password counts as somebody else's.
    """
    password_hash = hash_password(newcomer.password, _signup_salt(newcomer.email))
    own_id = new_id()
    write = upsert(User).values(id=own_id, date_joined=now(), email_verified=False, **_columns(newcomer, password_hash))
    write = write.on_conflict_do_update(index_elements=[User.email], set_={"email_verified": User.email_verified})
    with writing() as transaction:
        stored = write.returning(User.id, User.disabled_at, User.email_verified, User.password_hash)
        row = transaction.execute(stored).one()
        is_new = row.id == own_id
        is_same = row.password_hash == password_hash and not row.email_verified
        invited = (is_new or newcomer.invitation is None) and _accept_invitation(transaction, newcomer)
        if is_new:
            record(transaction, Happened.SIGNED_UP, visitor, own_id)
        else:  # the owner's event only where their mail leads to set a password; it is written in any case
            owner = None if row.disabled_at or is_same else row.id
            record(transaction, Happened.PASSWORD_RESET_REQUESTED, visitor, owner)
        if invited:
            user = transaction.get_one(User, own_id)
            user.email_verified = True
            return then(transaction, user)
        signed_up = row.id if is_same else own_id
        defer(transaction, Deferred.SIGN_UP, visitor, email=newcomer.email, id=str(signed_up))
    return None


def _signup_salt(email: str) -> bytes:
    """Makes the salt of an e-mail address: always the same one, which nobody knows without the server's secret.

    So two sign-ups with the same password have the same hash. Checking the second password against the first one's hash
    would take a second hash, and that time would tell that there is an account. A password that is set later has a
    random salt.
    """
    return hmac.digest(current_settings().derived_keys("sign-up salt")[0], email.encode(), "sha256")[:16]


def finish_sign_up(transaction: Transaction, asked: Asked) -> None:
    email = asked.facts["email"]
    user = holder(transaction, email)
    if user is None or str(user.id) != asked.facts["id"]:
        tell_owner(transaction, email, asked.visitor)
    elif not user.email_verified:
        send_link(transaction, "verify", Purpose.VERIFY, user, email, asked.visitor)


def _columns(newcomer: Newcomer, password_hash: str) -> dict[str, Any]:
    return {
        "email": newcomer.email,
        "password_hash": password_hash,
        "first_name": newcomer.first_name,
        "last_name": newcomer.last_name,
    }


def _accept_invitation(transaction: Transaction, newcomer: Newcomer) -> bool:
    """Whoever has the invitation's token got it by a mail to this address, or from the operator, who vouches for it."""
    return accept_invitation(transaction, newcomer.email, newcomer.invitation, proved=False)


def _start(transaction: Transaction, user: User, visitor: Visitor) -> Session:
    return sessions.start(transaction, user, visitor, "password")


def log_in(email: str, password: str, visitor: Visitor, *, again: bool = True) -> tuple[User, Session]:
    """A new session; an unknown address, a wrong password and a disabled account cost and answer the same.

    `again`: whether to look once more where the hash was replaced meanwhile, by another login as like as not; that is
    no other attempt.
    """
    found = fetch_one(select(User.id, User.password_hash).where(User.email == email))
    if again:
        require_room()
        limit_login(email, found.id if found else None, visitor)
    if not matches(found.password_hash if found else None, password) or found is None:
        _remember_failure(found.id if found else None, visitor)
        raise ApiError("no_active_account")
    better_hash = hash_password(password) if is_outdated(found.password_hash) else None
    with writing() as transaction:
        # What was read before the hash may have changed: the lock makes a password reset come before or after.
        user = transaction.scalar(
            select(User)
            .where(User.id == found.id, User.password_hash == found.password_hash, User.disabled_at.is_(None))
            .with_for_update()
        )
        if user is not None:
            user.password_hash = better_hash or user.password_hash
            if user.email_verified or not current_settings().must_verify:
                session = _start(transaction, user, visitor)
    if user is None:
        if better_hash and again:
            return log_in(email, password, visitor, again=False)
        _remember_failure(found.id, visitor)
        raise ApiError("no_active_account")
    if not user.email_verified and current_settings().must_verify:
        raise ApiError("email_not_verified")
    wake()
    return user, session


def _remember_failure(user_id: UUID | None, visitor: Visitor) -> None:
    """An account that was erased while its password was hashed is one more that nobody knows.

    It is held for that, so that an erasure comes after, and by the same statement for none: nobody can tell.
    """
    this = select(User.id).where(User.id == literal(user_id, User.id.type)).with_for_update(read=True, key_share=True)
    with writing() as transaction:
        record(transaction, Happened.SIGN_IN_FAILED, visitor, transaction.scalar(this))


def change_profile(user_id: UUID, session_id: UUID, changes: Mapping[str, str]) -> User:
    """Sets what is in `changes` (`first_name`, `last_name`) and leaves the rest."""
    with writing() as transaction:
        user = acting(transaction, user_id, session_id)
        for field, value in changes.items():
            setattr(user, field, value)
        return user
