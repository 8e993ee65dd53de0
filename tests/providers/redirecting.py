"""Signing in by redirect, as a browser and a frontend do."""

import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserver.testing.standins import Callback, Person, choose
from tests.conftest import PUBLIC_URL
from tests.factories import SignedIn

NEXT = "https://app.example.com/signed-in"


@dataclass
class Flow:
    """A frontend's sign-in: its verifier never leaves it before the exchange."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    next: str = NEXT
    state: str | None = "the-app's state & more"

    @property
    def challenge(self) -> str:
        challenge: str = create_s256_code_challenge(self.verifier)  # type: ignore[no-untyped-call]
        return challenge

    def query(self, **changes: str | None) -> str:
        given = {"next": self.next, "code_challenge": self.challenge, "state": self.state, **changes}
        return urlencode({name: value for name, value in given.items() if value is not None})

    def begin(self, browser: FlaskClient, provider: str, **changes: str | None) -> TestResponse:
        return browser.get(f"/api/auth/{provider}/login/?{self.query(**changes)}", base_url=PUBLIC_URL)

    def exchange(self, client: FlaskClient, code: str, **headers: str) -> TestResponse:
        body = {"code": code, "code_verifier": self.verifier}
        return client.post("/api/auth/exchange/", json=body, headers=headers)


def come_back(browser: FlaskClient, callback: Callback) -> TestResponse:
    """What the browser does with the provider's answer: it follows the redirect, or posts the form."""
    path = callback.url.removeprefix(PUBLIC_URL)
    if callback.form:
        return browser.post(path, data=dict(callback.form), base_url=PUBLIC_URL)
    return browser.get(path, base_url=PUBLIC_URL)


def parameters(answer: TestResponse) -> dict[str, str]:
    """What the frontend finds in its address."""
    assert answer.status_code == 303, answer.text
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query, strict_parsing=True))


def go(browser: FlaskClient, provider: str, person: Person | None, flow: Flow) -> dict[str, str]:
    """From the frontend to the provider and back; what comes with the browser."""
    began = flow.begin(browser, provider)
    assert began.status_code == 302, began.text
    return parameters(come_back(browser, choose(began.headers["Location"], person)))


def sign_in_by_redirect(browser: FlaskClient, provider: str, person: Person) -> SignedIn:
    flow = Flow()
    came = go(browser, provider, person, flow)
    assert "code" in came, (provider, came)
    answer = flow.exchange(browser, came["code"])
    assert answer.status_code == 200, answer.text
    return SignedIn(**answer.get_json())
