"""The people that a development server begins with, so that there is somebody to sign in as."""

from dataclasses import dataclass

from flask import Flask
from sqlalchemy import select

from authserver.accounts import admin
from authserver.extensions import db
from authserver.models import User

PASSWORD = "analytical engine"
TAKEN = "ada@example.org"  # the address that somebody at each stand-in has too, unverified


@dataclass(frozen=True)
class Seeded:
    email: str
    first_name: str
    last_name: str
    role: str
    verified: bool = True
    disabled: bool = False


# Not @example.com, which the page's examples, ours and the stand-ins' people use.
PEOPLE = (
    Seeded(TAKEN, "Ada", "Lovelace", "verified address"),
    Seeded("grace@example.org", "Grace", "Hopper", "address not verified", verified=False),
    Seeded("charles@example.org", "Charles", "Babbage", "disabled account", disabled=True),
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
    """Those who have not been erased, nor changed their address."""
    addresses = [one.email for one in PEOPLE]
    found = set(db.session.scalars(select(User.email).where(User.email.in_(addresses))))
    return [one for one in PEOPLE if one.email in found]
