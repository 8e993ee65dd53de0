"""The people that a development server begins with, so that there is somebody to sign in as."""

from dataclasses import dataclass, replace

from flask import Flask
from sqlalchemy import select

from authserver.accounts import admin
from authserver.extensions import db
from authserver.models import User
from authserver.passwords.hashing import matches

PASSWORD = "analytical engine"
TAKEN = "ada@example.org"  # the e-mail address that somebody at each stand-in has too, unverified


@dataclass(frozen=True)
class Seeded:
    email: str
    first_name: str
    last_name: str
    verified: bool = True
    disabled: bool = False

    @property
    def role(self) -> str:
        if self.disabled:
            return "disabled account"
        return "verified e-mail address" if self.verified else "e-mail address not verified"


# The docs log in as them and sign nobody up with their e-mail addresses.
PEOPLE = (
    Seeded(TAKEN, "Ada", "Lovelace"),
    Seeded("grace@example.org", "Grace", "Hopper", verified=False),
    Seeded("charles@example.org", "Charles", "Babbage", disabled=True),
)


def seed(app: Flask) -> bool:
    """Makes them where the database has nobody at all; returns whether it did."""
    with app.app_context():
        try:
            if db.session.scalar(select(User.id).limit(1)) is not None:
                return False
            for one in PEOPLE:
                user, _ = admin.create(
                    one.email, PASSWORD, first_name=one.first_name, last_name=one.last_name, verified=one.verified
                )
                if one.disabled:
                    admin.disable(user.id)
        finally:
            db.session.remove()
    return True


def still_here() -> list[Seeded]:
    """Returns those who have not been erased, nor changed their e-mail address, as they are by now."""
    rows = db.session.execute(
        select(User.email, User.email_verified, User.disabled_at).where(User.email.in_([one.email for one in PEOPLE]))
    )
    found = {row.email: row for row in rows}
    return [
        replace(one, verified=found[one.email].email_verified, disabled=found[one.email].disabled_at is not None)
        for one in PEOPLE
        if one.email in found
    ]


def with_published_password() -> list[str]:
    """The e-mail addresses of those who can sign in by it. Only theirs are checked: a hash takes a while."""
    columns = select(User.email, User.password_hash).where(
        User.email.in_([one.email for one in PEOPLE]), User.disabled_at.is_(None)
    )
    rows = db.session.execute(columns.order_by(User.email)).all()
    return [str(email) for email, stored in rows if stored and matches(stored, PASSWORD)]
