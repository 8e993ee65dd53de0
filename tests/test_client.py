"""How the client is served, and how large it is. As a package: e2e/test_client_node.py."""

import gzip
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.conftest import MakeApp

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "authserver" / "client"
SERVED = {"authserver.js": "text/javascript; charset=utf-8", "authserver.d.ts": "application/typescript; charset=utf-8"}
MOST = 5_000  # bytes, compressed


@pytest.mark.parametrize("name", SERVED)
def test_any_page_may_import_it(client: FlaskClient, name: str) -> None:
    for origin in ("https://anywhere.example", "null", None):
        answer = client.get(f"/{name}", headers={"Origin": origin} if origin else {})
        assert (answer.status_code, answer.data) == (200, (FOLDER / name).read_bytes())
        assert answer.headers["Content-Type"] == SERVED[name]
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_an_allowed_origin_gets_the_same_headers_and_no_warning_is_logged(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_app(cors_origins="https://app.example.com").test_client()
    for origin in ("https://app.example.com", "https://elsewhere.example"):
        assert client.get("/authserver.js", headers={"Origin": origin}).headers["Access-Control-Allow-Origin"] == "*"
    assert caplog.messages == []


@pytest.mark.parametrize("name", SERVED)
def test_it_is_asked_for_again_and_sent_where_it_has_changed(client: FlaskClient, name: str) -> None:
    answer = client.get(f"/{name}")
    assert answer.headers["Cache-Control"] == "no-cache"
    again = client.get(f"/{name}", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Access-Control-Allow-Origin"] == "*"
    assert client.get(f"/{name}", headers={"If-None-Match": '"another"'}).status_code == 200
    assert client.post(f"/{name}").status_code == 405


def test_it_is_at_most_5_kb_compressed(client: FlaskClient) -> None:
    assert len(gzip.compress(client.get("/authserver.js").data)) <= MOST
