"""Guesses, and what became of them."""

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserver.extensions import db
from authserver.models import RateLimit
from tests.factories import PASSWORD


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that reached the hash; only the right one matches, at no cost."""
    seen: list[str] = []

    def verify(self: PasswordHasher, password_hash: str, password: str) -> bool:
        seen.append(password)
        return password == PASSWORD

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    return seen


def guess(client: FlaskClient, email: str, address: str = "192.0.2.1", path: str = "/api/login/") -> TestResponse:
    body = {"email": email, "password": "a guess"}
    return client.post(path, json=body, headers={"X-Forwarded-For": address})


def statuses(*answers: TestResponse) -> list[int]:
    return [answer.status_code for answer in answers]


def counted(app: Flask) -> list[str]:
    with app.app_context():
        return list(db.session.scalars(select(RateLimit.key)))
