"""Sign-in by redirect, from the frontend to each provider and back."""

import pytest
from flask.testing import FlaskClient

from authserver.testing.standins import StandIns
from tests.providers import conftest
from tests.providers.redirecting import Flow, go, sign_in_by_redirect

served_standins = conftest.served_standins
standins = conftest.standins
app = conftest.app
no_secret_is_logged = conftest.no_secret_is_logged


NAMES = sorted(StandIns("http://127.0.0.1").each)


@pytest.mark.parametrize("name", NAMES)
def test_each_provider_signs_in_by_redirect(client: FlaskClient, standins: StandIns, name: str) -> None:
    standins.apple.introduced.clear()  # or it would tell the name no more
    person = standins.each[name].person("verified")
    first = sign_in_by_redirect(client, name, person)
    again = sign_in_by_redirect(client, name, person)
    assert (first.user, first.user["email"]) == (again.user, person.email)
    assert first.user["first_name"] in ("Ada", "Ada Lovelace")
    assert client.get("/api/me/", headers=again.bearer).get_json() == first.user


def test_a_declined_sign_in_comes_back_as_an_error(client: FlaskClient, standins: StandIns) -> None:
    for name in standins.each:
        came = go(client, name, None, Flow())
        assert came["error"] == "access_denied", name
        assert came["state"] == Flow().state
