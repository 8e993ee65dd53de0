import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.dev import home
from authserver.emails.delivery import deliver_due
from tests.conftest import MakeApp
from tests.each import each
from tests.factories import NOBODYS_ID, assert_error, sign_up

URL = "http://localhost:8000"


@pytest.fixture
def app(new_app: MakeApp) -> Flask:
    app = new_app(env="development", public_url=URL)
    home.install(app, home.Running("somewhere.db", {}))
    return app


def ids(text: str) -> list[str]:
    return re.findall(r'data-id="([0-9a-f-]{36})"', text)


def test_the_mailbox_shows_what_would_have_been_sent(app: Flask, client: FlaskClient) -> None:
    assert ids(client.get("/mailbox").text) == []
    assert "No mail yet" in client.get("/mailbox").text
    sign_up(client, email="ada@example.com")
    with app.app_context():
        assert deliver_due() == 1
        assert deliver_due() == 0
    page = client.get("/mailbox")
    assert page.headers["Cache-Control"] == "no-store"
    assert "ada@example.com" in page.text
    assert f'href="{URL}/email/verify#token=' in page.text


def test_the_newest_mail_comes_first_and_the_new_ones_can_be_asked_for(client: FlaskClient) -> None:
    sign_up(client, email="first@example.com")
    (first,) = ids(client.get("/mailbox").text)
    assert client.get(f"/mailbox/new?after={first}").text.strip() == ""
    sign_up(client, email="second@example.com")
    newer = client.get(f"/mailbox/new?after={first}").text
    assert "second@example.com" in newer
    assert "first@example.com" not in newer
    assert ids(client.get("/mailbox").text) == [*ids(newer), first]
    assert ids(client.get("/mailbox/new").text) == [*ids(newer), first]
    assert_error(client.get("/mailbox/new?after=x"), 404, "not_found")


def test_a_mails_html_runs_nothing_and_its_links_open_beside_the_mailbox(client: FlaskClient) -> None:
    sign_up(client, email="ada@example.com", first_name="<script>alert(1)</script>")
    (mail,) = ids(client.get("/mailbox").text)
    page = client.get(f"/mailbox/{mail}")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox allow-popups allow-popups-to-escape-sandbox" in policy
    assert "script" not in policy
    assert '<base target="_blank">' in page.text
    assert f'href="{URL}/email/verify#token=' in page.text
    assert_error(client.get(f"/mailbox/{NOBODYS_ID}"), 404, "not_found")


@each("host", ["evil.example.com", "localhost.evil.com", "192.168.1.5:8000", "[fe80::1]"])
def test_development_answers_loopback_names_alone(client: FlaskClient, host: str) -> None:
    for path in ("/mailbox", "/mailbox/new", "/dev/home.js"):
        assert_error(client.get(path, headers={"Host": host}), 404, "not_found")
    for own in ("localhost", "127.0.0.1:8000", "[::1]:8000", "app.localhost"):
        assert client.get("/mailbox", headers={"Host": own}).status_code == 200
