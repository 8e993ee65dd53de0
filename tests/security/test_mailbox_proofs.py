"""S72, S73: what becomes of an account when its mailbox is proved: every row of the table in `verification.py`."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select, update

from authserver import verification
from authserver.clock import now
from authserver.extensions import db
from authserver.models import Identity, OneTimeToken, Session, User
from authserver.passwords.hashing import hash_password
from authserver.testing.standins import Person, StandIns
from authserver.tokens.one_time import Purpose, digest
from tests.conftest import MakeApp
from tests.factories import PASSWORD, SignedIn, sign_up
from tests.mails import Mails
from tests.providers import conftest
from tests.providers.signing_in import settings_of, sign_in
from tests.security.test_passwords import change_user
from tests.test_emails import change, verify
from tests.test_passwords import reset

served_standins = conftest.served_standins
standins = conftest.standins
no_secret_is_logged = conftest.no_secret_is_logged

EMAIL, NEW_EMAIL = "owner@gmail.com", "elsewhere@example.com"
AT_FACEBOOK = Person(subject="first", email=EMAIL)  # which vouches for no e-mail address
AT_GOOGLE = Person(subject="mailbox", email=EMAIL, email_verified=True)  # which runs the mailbox
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns, mails: Mails) -> Flask:
    return make_app(**settings_of(standins), mail_url=mails.url)


def table() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Each row: the proof, how far the mailbox was proved before, and what stays, by column."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (verification.__doc__ or "").splitlines()
        if line.startswith("|") and not re.fullmatch(r"[|\- ]+", line)
    ]
    (_, _, *columns), *rows = lines
    for proof, before, *cells in rows:
        yield proof, before, dict(zip(columns, cells, strict=True))


class Account:
    """One made with a password or by Facebook, to which one of everything was added since, by whoever it was."""

    def __init__(self, app: Flask, standins: StandIns, mails: Mails, origin: str, before: str) -> None:
        self.app, self.standins, self.mails, self.origin = app, standins, mails, origin
        self.client = app.test_client()
        if origin == "password":
            self.person = sign_up(self.client, email=EMAIL)
        else:
            self.person = sign_in(self.client, "facebook", standins.facebook.token(AT_FACEBOOK))
        self.id = UUID(self.person.user["id"])
        if before == "by link":
            assert verify(self.client, self.mailed("verify")) == 204
        elif before == "by owner":
            change_user(app, EMAIL, email_verified=True)
        mails.take(app)
        self.signup = self.holds()
        with app.app_context():
            self.add()
        self.whole = self.holds()

    def add(self) -> None:
        moment = now()
        db.session.execute(update(Identity).values(created_at=moment - 20 * DAY))
        for subject, age in (("old", 10 * DAY), ("late", HOUR)):
            identity = Identity(provider="microsoft", tenant="", subject=subject, created_at=moment - age)
            identity.user_id = self.id
            db.session.add(identity)
        user = db.session.get_one(User, self.id)
        user.password_hash = user.password_hash or hash_password(PASSWORD)
        user.verified_by_link_at = user.verified_by_link_at and moment - 15 * DAY
        session = {"method": "microsoft", "ip": "192.0.2.1", "user_agent": "", "expires_at": moment + DAY}
        db.session.add(Session(user_id=self.id, **session))
        purposes = {"code": Purpose.SIGN_IN, "reset": Purpose.RESET}
        for name, age in {"code": HOUR, "reset": HOUR, "early": 2 * DAY, "used": DAY, "later": HOUR}.items():
            purpose = purposes.get(name, Purpose.RECOVER)
            times = {"created_at": moment - age, "expires_at": moment + DAY}
            token = OneTimeToken(user_id=self.id, purpose=purpose, token_hash=digest(name), email=EMAIL, **times)
            db.session.add(token)
        db.session.commit()
        db.session.remove()

    def mailed(self, page: str) -> str:
        return [mail for mail in self.mails.take(self.app) if mail.page.endswith(f"/{page}")][-1].token

    def holds(self) -> dict[str, set[Any]]:
        """What there is of each column."""
        names = {digest(name): name for name in ("code", "reset", "early", "used", "later")}
        with self.app.app_context():
            tokens = set(db.session.scalars(select(OneTimeToken.token_hash).where(OneTimeToken.user_id == self.id)))
            found = {names[one] for one in tokens & names.keys()}
            live = select(Session.id).where(Session.user_id == self.id, Session.revoked_at.is_(None))
            user = db.session.get_one(User, self.id)
            return {
                "password": {user.password_hash} - {None},
                "sessions": set(db.session.scalars(live)),
                "identities": set(db.session.scalars(select(Identity.subject).where(Identity.user_id == self.id))),
                "links and codes": found & {"code", "reset"},
                "recovery tokens": found - {"code", "reset"},
            }

    def expected(self, column: str, cell: str) -> set[Any]:
        match cell:
            case "ALL":
                return self.whole[column]
            case "NONE":
                return set()
            case "SIGNUP":
                return self.signup[column]
            case "OLD" if column == "recovery tokens":
                return {"early"}
            case "OLD":
                return self.whole["identities"] - {"late"}
            case "OLD, ADDED":
                return {"old"}
            case "ADDED":
                return {"old", "late"}
            case "RESETS":
                return {"reset"}
        raise AssertionError(f"{cell} is no word of the table")


def by_reset(account: Account) -> None:
    account.client.post("/api/password/forgot/", json={"email": EMAIL})
    assert reset(account.client, account.mailed("reset"), "the owner's own").status_code == 204
    change_user(account.app, EMAIL, password_hash=None)  # which is what became of the one before


def by_link(account: Account, signed_in: SignedIn | None = None) -> None:
    account.client.post("/api/email/verify/resend/", json={"email": EMAIL})
    assert verify(account.client, account.mailed("verify"), signed_in) == 204


def by_change(account: Account) -> None:
    assert change(account.client, account.person, NEW_EMAIL) == 202
    token = next(mail.token for mail in account.mails.take(account.app) if mail.to == NEW_EMAIL)
    assert verify(account.client, token, account.person) == 204


def by_recovery(account: Account) -> None:
    assert account.client.post("/api/account/recover/", json={"token": "used"}).status_code == 204


def by_provider(account: Account) -> None:
    signed_in = sign_in(account.client, "google", account.standins.google.token(AT_GOOGLE))
    assert signed_in.user["id"] == str(account.id)
    with account.app.app_context():  # what the sign-in itself made
        db.session.execute(update(Session).where(Session.method == "google").values(revoked_at=now()))
        db.session.execute(update(Identity).where(Identity.subject == "mailbox").values(subject="gone"))
        db.session.commit()
        db.session.remove()


PROOFS: dict[str, Callable[[Account], None]] = {
    "SIGNUP_LINK": by_link,
    "SIGNUP_LINK_SIGNED_IN": lambda account: by_link(account, account.person),
    "CHANGE_LINK": by_change,
    "RESET": by_reset,
    "RECOVERY": by_recovery,
    "TAKE_OVER": by_provider,
}
WHOLE = {"SIGNUP_LINK_SIGNED_IN", "RESET", "RECOVERY", "TAKE_OVER"}  # after these the owner is known
ROWS = list(table())


@pytest.mark.parametrize("origin", ["password", "facebook"])
@pytest.mark.parametrize(("proof", "before", "cells"), ROWS, ids=[f"{proof}, {before}" for proof, before, _ in ROWS])
def test_s72_s73_each_proof_leaves_what_its_row_says(
    app: Flask, standins: StandIns, mails: Mails, proof: str, before: str, cells: dict[str, str], origin: str
) -> None:
    account = Account(app, standins, mails, origin, before)
    PROOFS[proof](account)
    held = {column: found - {"gone"} for column, found in account.holds().items()}
    assert held == {column: account.expected(column, cell) for column, cell in cells.items()}
    with app.app_context():
        user = db.session.get_one(User, account.id)
        assert (user.email_verified, user.owner_proved) == (True, proof in WHOLE or before == "by owner")


def test_the_table_has_every_proof() -> None:
    assert {proof for proof, *_ in ROWS} == PROOFS.keys() == {one.name for one in verification.Proof}
