"""People and requests for tests."""

from dataclasses import dataclass
from itertools import count
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

PASSWORD = "correct horse battery staple"
NOBODYS_ID = "5a1c7a52-6d0b-4f0e-9a53-2f6f0c1b7e4d"  # the same in each worker, for the names of tests have to agree
_numbers = count(1)


@dataclass
class SignedIn:
    """What a sign-up or sign-in answered."""

    access: str
    refresh: str
    user: dict[str, Any]

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access}"}


def signup_body(**changes: object) -> dict[str, object]:
    body = {"email": f"person{next(_numbers)}@example.com", "password": PASSWORD, "password_confirm": PASSWORD}
    return {**body, **changes}


def sign_up(client: FlaskClient, **changes: object) -> SignedIn:
    answer = client.post("/api/signup/", json=signup_body(**changes))
    assert answer.status_code == 201, answer.text
    return SignedIn(**answer.get_json())


def log_in(client: FlaskClient, email: str, password: str = PASSWORD) -> TestResponse:
    return client.post("/api/login/", json={"email": email, "password": password})


def assert_error(answer: TestResponse, status: int, code: str, *fields: str) -> dict[str, Any]:
    """The contract's error and nothing else; `fields` are the ones to blame."""
    body: dict[str, Any] = answer.get_json()
    assert (answer.status_code, body["code"]) == (status, code), answer.text
    assert body["detail"].endswith((".", "type")), body
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(body.get("errors", {})) == set(fields), body
    assert body.keys() <= {"detail", "code", "errors", "error_id"}
    return body
