"""S89: the example people of `authserver dev` never sign in to a server in production."""

import pytest
from flask.testing import FlaskClient

from authserver.dev import people
from authserver.dev.people import PASSWORD, PEOPLE, TAKEN, seed
from authserver.settings import SettingsError
from tests.conftest import MakeApp, Run
from tests.factories import assert_error, sign_up, signup_body

DEVELOPMENT = {"env": "development", "public_url": "http://localhost:8000"}


def test_s89_production_refuses_a_database_with_people_of_the_published_password(new_app: MakeApp, run: Run) -> None:
    seed(new_app(**DEVELOPMENT))
    able = [one.email for one in PEOPLE if not one.disabled]
    with pytest.raises(SettingsError, match=f"{' and '.join(sorted(able))} can sign in .* another database"):
        new_app()
    new_app(**DEVELOPMENT)
    for email in able:
        assert run("users", "erase", email, "--yes").stdout == "Erased.\n", "by the commands that it names"
    new_app()


def test_s89_nobody_can_stop_a_start_by_choosing_that_password(client: FlaskClient, make_app: MakeApp) -> None:
    body = signup_body(email=TAKEN, password=PASSWORD, password_confirm=PASSWORD)
    assert_error(client.post("/api/signup/", json=body), 400, "invalid_request", "password")
    sign_up(client, email=TAKEN)
    make_app()


def test_s89_the_start_hashes_for_nobody_else(
    client: FlaskClient, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_up(client)
    monkeypatch.setattr(people, "matches", lambda *_: pytest.fail("a password was checked"))
    make_app()
