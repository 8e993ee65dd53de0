import pytest
from flask.testing import FlaskClient

from authserver.emails.delivery import deliver_due
from tests.conftest import MakeApp
from tests.factories import assert_error, sign_up


def test_the_mailbox_shows_what_would_have_been_sent(make_app: MakeApp) -> None:
    app = make_app(env="development", public_url="http://localhost:8000")
    client = app.test_client()
    assert "No mail yet" in client.get("/mailbox").text
    sign_up(client, email="ada@example.com")
    with app.app_context():
        assert deliver_due() == 1
        assert deliver_due() == 0
    page = client.get("/mailbox")
    assert page.headers["Cache-Control"] == "no-store"
    assert "ada@example.com" in page.text
    assert 'href="http://localhost:8000/email/verify#token=' in page.text


def test_production_has_no_mailbox(client: FlaskClient) -> None:
    assert_error(client.get("/mailbox"), 404, "not_found")


@pytest.mark.parametrize("host", ["evil.example.com", "localhost.evil.com", "192.168.1.5:8000", "[fe80::1]"])
def test_development_answers_loopback_names_alone(make_app: MakeApp, host: str) -> None:
    client = make_app(env="development").test_client()
    assert_error(client.get("/mailbox", headers={"Host": host}), 404, "not_found")
    for own in ("localhost", "127.0.0.1:8000", "[::1]:8000", "app.localhost"):
        assert client.get("/mailbox", headers={"Host": own}).status_code == 200
