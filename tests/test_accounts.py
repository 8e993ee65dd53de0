from flask.testing import FlaskClient

from tests.factories import sign_up


def test_me(client: FlaskClient) -> None:
    person = sign_up(client)
    assert client.get("/api/me/", headers=person.bearer).get_json() == person.user
