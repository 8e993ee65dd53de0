"""What every response says to browsers and caches, whatever it is."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import PUBLIC_URL, MakeApp
from tests.each import each
from tests.factories import sign_up

ALLOWED = "https://app.example.com"
HSTS = "Strict-Transport-Security"


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(cors_origins=ALLOWED)


def many(client: FlaskClient, **headers: str) -> list[TestResponse]:
    """Successes and errors of all kinds, for programs and for people."""
    bearer = sign_up(client).bearer
    asked = [
        client.get("/.well-known/jwks.json", headers=headers),
        client.get("/api/me/", headers={**headers, **bearer}),
        client.get("/api/me/", headers=headers),
        client.get("/api/auth/", headers=headers),
        client.get("/nothing", headers=headers),
        client.get("/api//me/", headers=headers),
        client.put("/api/me/", headers=headers),
        client.options("/api/me/", headers=headers),
        client.post("/api/login/", data="{", headers=headers),
        client.post("/api/login/", data=b"x" * 70_000, content_type="application/json", headers=headers),
        client.delete("/api/sessions/", headers={**headers, **bearer}),
        client.get("/signin", headers=headers),
        client.get("/account", headers=headers),
        client.get("/authserver.js", headers=headers),
        client.get("/pages/page.css", headers=headers),
    ]
    for answer in asked:
        answer.get_data()
        answer.close()
    assert {answer.status_code for answer in asked} == {200, 204, 303, 400, 401, 404, 405, 413}
    return asked


def test_every_response_is_taken_for_what_it_says_and_keeps_browsers_on_https(client: FlaskClient) -> None:
    for answer in many(client):
        assert answer.headers.getlist("X-Content-Type-Options") == ["nosniff"], answer.request.path
        (kept,) = answer.headers.getlist(HSTS)
        assert re.fullmatch(r"max-age=\d+", kept)
        assert int(kept.removeprefix("max-age=")) >= 365 * 86400, "OWASP ASVS 5, 3.4.1"
        assert len(answer.headers.getlist("Cache-Control")) == 1


def test_a_failure_says_so_too(new_app: MakeApp) -> None:
    app = new_app(cors_origins=ALLOWED)

    def broken() -> str:
        raise KeyError

    app.add_url_rule("/broken", view_func=broken)
    answer = app.test_client().get("/broken")
    assert answer.status_code == 500
    assert {"X-Content-Type-Options", HSTS, "Vary"} <= set(answer.headers.keys())
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("public_url", ["http://localhost:8000", "https://localhost:8443", "https://127.0.0.1:8443"])
def test_a_browser_is_not_kept_on_https_for_the_other_ports_of_this_machine(make_app: MakeApp, public_url: str) -> None:
    client = make_app(env="development", public_url=public_url).test_client()
    answer = client.get("/api/me/", base_url=public_url)
    assert answer.status_code == 401
    assert HSTS not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@each("origin", [None, ALLOWED, "https://evil.example", "null", PUBLIC_URL])
def test_s57_a_cache_keeps_the_answers_to_different_origins_apart(app: Flask, client: FlaskClient, origin: str) -> None:
    """The public keys may be cached for five minutes, and would have lost the header that another origin needs."""
    unlike = 0
    for plain, allowed, answer in zip(
        many(client),
        many(client, Origin=ALLOWED),
        many(client, **({} if origin is None else {"Origin": origin})),
        strict=True,
    ):
        permitted = [answer.headers.get("Access-Control-Allow-Origin") for answer in (plain, allowed)]
        if permitted[0] != permitted[1]:
            assert [one.strip() for one in answer.headers["Vary"].split(",")].count("Origin") == 1, answer.request.path
            unlike += 1
        else:
            assert "Origin" not in answer.headers.get("Vary", ""), answer.request.path
    assert unlike == 12, "all but the pages, and the client, which is everybody's"


def test_s57_a_star_is_kept_apart_from_none(make_app: MakeApp) -> None:
    client = make_app(env="development", cors_origins="*").test_client()
    assert client.get("/.well-known/jwks.json").headers["Vary"] == "Origin"


def test_what_varies_by_more_says_both(new_app: MakeApp) -> None:
    app = new_app(cors_origins=ALLOWED)
    app.add_url_rule("/varied", view_func=lambda: ({}, 200, {"Vary": "Accept-Language"}))
    for headers in ({}, {"Origin": ALLOWED}):
        assert set(app.test_client().get("/varied", headers=headers).vary) == {"Accept-Language", "Origin"}
