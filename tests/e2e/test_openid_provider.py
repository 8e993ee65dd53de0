"""Sign-in by redirect at a certified OpenID provider, in Chromium: login form, consent and all."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from joserfc.jwk import ECKey, RSAKey

from tests.e2e.frontend import NewVisit, Visit, frontend
from tests.e2e.page import tool
from tests.e2e.react_site import Site
from tests.e2e.servers import Server, developing, make_checkout, running
from tests.npm import installed
from tests.serving import free_port

pytestmark = pytest.mark.browser

OPENID = Path(__file__).with_name("openid")
SECRET = "it's a secret: 100% of +/= & more"  # each of which has to be encoded on its way (RFC 6749 §2.3.1)
# Each of authserver's providers, and the one method by which its OpenID provider has clients prove themselves.
CLIENTS = {"acme": "client_secret_basic", "acme_post": "client_secret_post", "acme_public": "none"}
# authserver asks for keys again no sooner than 30 s after it asked last; here it need not be waited for.
HASTY = """
from authserver.cli import main
from authserver.oauth import documents
documents.COOLDOWN = 0.0
main()
"""


@dataclass
class OpenID:
    """An OpenID provider for each of `names`, whose only client is authserver."""

    names: tuple[str, ...] = tuple(CLIENTS)
    server_port: int = field(default_factory=free_port)
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in CLIENTS})

    def issuer(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def variables(self) -> dict[str, str]:
        options: dict[str, str] = {}
        for name in self.names:
            secret = {"CLIENT_SECRET": SECRET} if CLIENTS[name] != "none" else {}
            of_one = {"TYPE": "oidc", "ISSUER": self.issuer(name), "CLIENT_ID": f"authserver: {name}", **secret}
            options |= {f"AUTHSERVER_PROVIDERS__{name.upper()}__{option}": value for option, value in of_one.items()}
        return options

    def settings(self, name: str, algorithm: str) -> dict[str, Any]:
        """oidc-provider's, with a key that it has never signed with before."""
        client = {
            "client_id": f"authserver: {name}",
            "token_endpoint_auth_method": CLIENTS[name],
            "id_token_signed_response_alg": algorithm,
            "redirect_uris": [f"http://localhost:{self.server_port}/api/auth/{name}/callback/"],
        }
        secret = {"client_secret": SECRET} if CLIENTS[name] != "none" else {}
        key: RSAKey | ECKey = RSAKey.generate_key(2048) if algorithm == "RS256" else ECKey.generate_key("P-256")
        return {
            "port": self.ports[name],
            "clients": [{**client, **secret}],
            "clientAuthMethods": [CLIENTS[name]],
            "jwks": {"keys": [{**key.as_dict(private=True), "use": "sig", "alg": algorithm}]},
            "cookies": {"keys": ["of a test"]},
        }

    def running(self, folder: Path, algorithm: str = "RS256") -> AbstractContextManager[Server]:
        installed(OPENID)
        settings = [self.settings(name, algorithm) for name in self.names]
        folder.mkdir()
        command = [tool("node"), str(OPENID / "provider.mjs")]
        return running(command, folder, settings[-1]["port"], {"PROVIDERS": json.dumps(settings)})


@pytest.fixture(scope="module")
def openid() -> OpenID:
    return OpenID()


@pytest.fixture(scope="module")
def site(openid: OpenID, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("openid")
    checkout = make_checkout(folder / "checkout")
    with (
        openid.running(folder / "provider"),
        developing(checkout, openid.variables(), openid.server_port) as server,
        frontend(folder / "frontend", server) as site,
    ):
        yield site


def sign_in(visitor: Visit, provider: str, login: str) -> dict[str, Any]:
    visitor.begin(provider)
    log_in(visitor, login)
    visitor.page.get_by_role("heading", name="Authorize").wait_for()
    visitor.click("Continue")
    return visitor.signed_in()


def log_in(visitor: Visit, login: str) -> None:
    visitor.page.get_by_placeholder("Enter any login").fill(login)
    visitor.page.get_by_placeholder("and password").fill("any")
    visitor.click("Sign-in")


@pytest.mark.parametrize(("provider", "login"), [("acme", "ada"), ("acme_post", "grace"), ("acme_public", "alan")])
def test_a_person_signs_in_and_is_found_again(
    openid: OpenID, site: Site, new_visit: NewVisit, provider: str, login: str
) -> None:
    visitor = new_visit(site)
    signed_in = sign_in(visitor, provider, login)
    me = signed_in["me"]
    assert (me["email"], me["email_verified"]) == (f"{login}@example.com", True)
    assert (me["first_name"], me["last_name"]) == (login.title(), "Example")
    came = dict(parse_qsl(urlsplit(visitor.callback().url).query))
    assert came["iss"] == openid.issuer(provider)
    assert visitor.server_cookies() == []

    visitor.begin(provider)
    assert visitor.signed_in()["me"] == me  # the provider still knows who it is, and asks nothing


def test_who_declines_comes_back_with_access_denied(site: Site, new_visit: NewVisit) -> None:
    visitor = new_visit(site)
    for logs_in_first in (False, True):
        visitor.begin("acme")
        if logs_in_first:
            log_in(visitor, "edsger")
            visitor.page.get_by_role("heading", name="Authorize").wait_for()
        visitor.page.get_by_role("link", name="Cancel").click()
        assert visitor.outcome() == {"failed": "The sign-in was declined."}
        assert visitor.came_back_with()["error"] == "access_denied"
        assert visitor.server_cookies() == []


@pytest.mark.parametrize("changes", [{}, {"iss": None}, {"iss": "http://127.0.0.1:1"}])
def test_an_answer_counts_only_with_the_issuer_that_was_asked(
    site: Site, new_visit: NewVisit, changes: dict[str, str | None]
) -> None:
    visitor = new_visit(site)
    visitor.begin("acme")
    log_in(visitor, "donald")
    visitor.page.get_by_role("heading", name="Authorize").wait_for()
    callback, _, query = callback_after_consent(visitor).partition("?")
    answer = {**dict(parse_qsl(query)), **changes}
    assert "iss" in answer
    left = {name: value for name, value in answer.items() if value is not None}
    visitor.page.goto(f"{callback}?{urlencode(left)}")
    if changes:
        assert "refused" in visitor.outcome()["failed"]
        assert visitor.came_back_with()["error"] == "provider_token_not_valid"
    else:
        assert visitor.signed_in()["me"]["email"] == "donald@example.com"


def callback_after_consent(visitor: Visit) -> str:
    """Where the browser would be sent: what its Continue button does, up to there, with its cookies."""
    form = visitor.page.locator("form")
    url = form.evaluate("form => form.action")
    answer = visitor.context.request.post(url, form={"prompt": "consent"}, max_redirects=0)
    resumed = visitor.context.request.get(answer.headers["location"], max_redirects=0)
    location: str = resumed.headers["location"]
    assert location.startswith(f"{visitor.site.server.url}/api/auth/acme/callback/?")
    return location


def hasty(checkout: Path, variables: Mapping[str, str], port: int) -> AbstractContextManager[Server]:
    command = [sys.executable, "-c", HASTY, "dev", "--port", str(port)]
    return running(command, checkout, port, variables)


def test_new_keys_of_the_provider_are_followed(tmp_path: Path, new_visit: NewVisit) -> None:
    openid = OpenID(("acme",))
    checkout = make_checkout(tmp_path / "checkout")
    with (
        hasty(checkout, openid.variables(), openid.server_port) as server,
        frontend(tmp_path / "frontend", server) as site,
    ):
        with openid.running(tmp_path / "provider"):
            before = sign_in(new_visit(site), "acme", "barbara")
        with openid.running(tmp_path / "provider with other keys", "ES256"):
            after = sign_in(new_visit(site), "acme", "barbara")
    assert after["me"] == before["me"]
