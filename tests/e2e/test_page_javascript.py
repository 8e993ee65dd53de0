"""The page's `refreshAccessToken` and `makeAPIRequest`, run by Node."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.page import ADDRESS, between, filled, tool
from tests.e2e.servers import Server, call, developing, environment, make_checkout, sign_up, wait_until_expired
from tests.factories import SignedIn

pytestmark = pytest.mark.slow

HARNESS = Path(__file__).with_name("harness.mjs")


@dataclass(frozen=True)
class Script:
    """The page's functions, as the page has them."""

    code: str

    def request(self, server: Server, person: SignedIn, **options: object) -> dict[str, Any]:
        """What came of `makeAPIRequest('/api/me/', options)`."""
        given = {
            "code": filled(self.code, {ADDRESS: server.url}),
            "tokens": {"access": person.access, "refresh": person.refresh},
            "endpoint": "/api/me/",
            "options": options,
        }
        node = subprocess.run(
            [tool("node"), str(HARNESS)],
            input=json.dumps(given),
            env=environment(server.log.parent, {}),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert node.returncode == 0, node.stderr
        seen: dict[str, Any] = json.loads(node.stdout)
        return seen


@pytest.fixture(scope="module")
def script() -> Script:
    tool("node")
    refresh = between("JavaScript Implementation", "Automatic Token Refresh")
    request = between(
        "Handle 401 errors automatically and retry the request:", "Complete Example (React with All Auth Methods)"
    )
    return Script(refresh + request)


@pytest.fixture(scope="module")
def server(script: Script, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its access tokens expire soon."""
    folder = make_checkout(tmp_path_factory.mktemp("javascript") / "checkout")
    with developing(folder, {"AUTHSERVER_ACCESS_TOKEN_LIFETIME": "3"}) as server:
        yield server


def test_a_request_with_a_good_token_is_answered(script: Script, server: Server) -> None:
    person = sign_up(server)
    seen = script.request(server, person)
    assert (seen["status"], seen["body"]) == (200, person.user)
    assert seen["requests"] == ["GET /api/me/ 200"]


def test_an_expired_token_is_refreshed_once_and_the_request_retried(script: Script, server: Server) -> None:
    person = sign_up(server)
    wait_until_expired(person.access)
    seen = script.request(server, person)
    assert (seen["status"], seen["body"]) == (200, person.user)
    assert seen["requests"] == ["GET /api/me/ 401", "POST /api/token/refresh/ 200", "GET /api/me/ 200"]
    assert seen["logged"] == ["Token expired, refreshing...", "Token refreshed successfully"]
    assert seen["tokens"]["access"] != person.access
    assert (seen["tokens"]["refresh"], seen["redirects"]) == (person.refresh, 0)


def test_the_retry_sends_the_same_request_again(script: Script, server: Server) -> None:
    person = sign_up(server)
    wait_until_expired(person.access)
    seen = script.request(server, person, method="PATCH", body=json.dumps({"first_name": "Grace"}))
    assert (seen["status"], seen["body"]) == (200, {**person.user, "first_name": "Grace"})
    assert seen["requests"] == ["PATCH /api/me/ 401", "POST /api/token/refresh/ 200", "PATCH /api/me/ 200"]


def assert_asked_to_sign_in(seen: dict[str, Any]) -> None:
    assert (seen["status"], seen["body"]["code"]) == (401, "token_not_valid")
    assert seen["requests"] == ["GET /api/me/ 401", "POST /api/token/refresh/ 401"]
    assert seen["redirects"] == 1
    assert seen["logged"][-2:] == ["Token refresh failed", "Session expired. Please sign in again."]


def test_a_session_that_was_ended_leads_to_the_login(script: Script, server: Server) -> None:
    person = sign_up(server)
    assert call("POST", f"{server.url}/api/logout/", {"refresh": person.refresh}).status == 204
    assert_asked_to_sign_in(script.request(server, person))


def test_an_expired_refresh_token_leads_to_the_login(script: Script, checkout: Path) -> None:
    lifetimes = {"AUTHSERVER_ACCESS_TOKEN_LIFETIME": "1", "AUTHSERVER_REFRESH_TOKEN_LIFETIME": "1"}
    with developing(checkout, lifetimes) as server:
        person = sign_up(server)
        wait_until_expired(person.access)
        wait_until_expired(person.refresh)
        assert_asked_to_sign_in(script.request(server, person))
