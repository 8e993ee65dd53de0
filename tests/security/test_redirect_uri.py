"""S85: a code that came to this server's callback is worth something there alone, in the browser that began."""

from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.testing.standins import StandIns
from tests.conftest import PUBLIC_URL
from tests.factories import SignedIn, assert_error, sign_up
from tests.providers import conftest
from tests.security.redirects import depart, stored

served_standins = conftest.served_standins
standins = conftest.standins
app = conftest.app
no_secret_is_logged = conftest.no_secret_is_logged

CALLBACK = f"{PUBLIC_URL}/api/auth/google/callback/"
HOST = urlsplit(PUBLIC_URL).netloc
OURS = [
    CALLBACK,
    CALLBACK.rstrip("/"),
    f"{CALLBACK}/",
    f"{CALLBACK}?x=y",
    f"{CALLBACK}#x",
    f"{CALLBACK}further",
    CALLBACK.replace("https", "HTTPS").replace(HOST, HOST.upper()),
    CALLBACK.replace("https", "http"),
    CALLBACK.replace(HOST, f"{HOST}:443"),
    CALLBACK.replace(HOST, f"{HOST}:0443"),
    CALLBACK.replace(HOST, f"{HOST}:"),
    CALLBACK.replace(HOST, f"{HOST}."),
    CALLBACK.replace(HOST, f"x:y@{HOST}"),
    CALLBACK.replace(HOST, "\uff41uth.example.com"),
    CALLBACK.replace("/api/", "//api/"),
    CALLBACK.replace("/api/", "/./api/"),
    CALLBACK.replace("/api/", "/x/%2e%2e/api/"),
    CALLBACK.replace("/api/", "/x/../api/"),
    CALLBACK.replace("/api/", "/%61pi/"),
    CALLBACK.replace("/api/", "/API/"),
    CALLBACK.replace("/api/", "/api%2F"),
    CALLBACK.replace("/", "\\"),
    CALLBACK.replace("https://", "https:/"),
    f" {CALLBACK}\t",
    CALLBACK.replace("google", "apple"),
    f"https://{HOST}:port/",
    "https://[x/",
]
CLIENTS = [
    "https://app.example.com/api/auth/google/callback/",
    f"{PUBLIC_URL}:8443/api/auth/google/callback/",
    f"{PUBLIC_URL}/signed-in",
    f"{PUBLIC_URL}.evil.example/api/auth/google/callback/",
    f"{PUBLIC_URL}/apis",
    "com.example.app:/signed-in",
    "postmessage",
    "urn:ietf:wg:oauth:2.0:oob",
]


@pytest.fixture
def person(client: FlaskClient) -> SignedIn:
    return sign_up(client)


def test_s85_a_redirects_code_is_not_redeemed_without_its_browser(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn
) -> None:
    """At Apple and LinkedIn, which know no PKCE, nothing else would be in the way."""
    for name in standins.each:
        trip = depart(app, standins, name)
        (code,) = parse_qs(urlsplit(trip.callback("verified")).query)["code"]
        body = {"code": code, "redirect_uri": f"{PUBLIC_URL}/api/auth/{name}/callback/"}
        before = stored(app)
        standins.asked.clear()
        for path in (f"/api/auth/{name}/", f"/api/auth/{name}/reauthenticate/", f"/api/identities/{name}/"):
            answer = client.post(path, headers=person.bearer, json=body)
            assert_error(answer, 400, "invalid_request", "redirect_uri")
        assert standins.asked == []
        assert stored(app) == before


def test_s85_our_callback_is_refused_however_it_is_written(client: FlaskClient, standins: StandIns) -> None:
    for uri in OURS:
        answer = client.post("/api/auth/google/", json={"code": "canary", "redirect_uri": uri})
        assert answer.status_code == 400, uri
        assert_error(answer, 400, "invalid_request", "redirect_uri")
    assert standins.asked == []


def test_a_redirect_uri_of_the_clients_own_is_left_to_the_provider(client: FlaskClient, standins: StandIns) -> None:
    for number, uri in enumerate(CLIENTS, 1):
        answer = client.post("/api/auth/google/", json={"code": "canary", "redirect_uri": uri})
        assert_error(answer, 401, "provider_token_not_valid")
        assert len([path for path in standins.asked if "token" in str(path)]) == number, uri
