"""What `authserver dev` serves, from the test's own process: the home page, its people and the offline providers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserver import clock
from authserver.app import create_app
from authserver.dev import home
from authserver.dev.offline import Offline, offline_providers, settings_of
from authserver.dev.people import seed
from authserver.extensions import db
from authserver.settings import load
from tests.conftest import variables
from tests.serving import free_port, served


@dataclass
class Development:
    app: Flask
    url: str
    offline: Offline

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def press(self, path: str, body: object, origin: str | None = None, method: str = "POST") -> TestResponse:
        """What a button of the page sends, from the page's own origin or another; "" for none."""
        headers = {"Origin": self.url if origin is None else origin}
        sent = headers if headers["Origin"] else None
        return self.client.open(path, method=method, json=body, base_url=self.url, headers=sent)

    def client_token(self, name: str, kind: str, role: str = "verified") -> str:
        person = self.offline[name].person(role)
        answer = self.press("/dev/token", {"provider": name, "person": person.subject, "kind": kind})
        assert answer.status_code == 200, answer.text
        return str(answer.get_json()["token"])

    def sign_in(self, name: str, kind: str, token: str) -> TestResponse:
        return self.client.post(f"/api/auth/{name}/", json={kind: token})


@pytest.fixture
def development(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Development]:
    monkeypatch.setattr(clock, "ahead", timedelta(0))  # and back to it afterwards
    port = free_port()
    url = f"http://localhost:{port}"
    given = variables(database, env="development", public_url=url)
    offline = offline_providers(url, given)
    app = create_app(load({**given, **settings_of(offline)})[0], unsafe_development=True)
    home.install(app, home.Running("somewhere.db", offline))
    seed(app)
    with served(app, port):
        yield Development(app, url, offline)
    with app.app_context():
        db.engine.dispose()
