"""Signing in on our page for an application, which gets a code: by each way that there is, to each kind of address."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from authserver.dev.people import PASSWORD, PEOPLE
from tests.e2e import hosted
from tests.e2e.client_page import recording
from tests.e2e.hosted import CHALLENGE, NEW, VERIFIER, Visit, application, press, send
from tests.e2e.servers import Server, call, developing, make_checkout
from tests.e2e.visiting import Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

ADA = PEOPLE[0].email
EDSGER = "Edsger Dijkstra"  # GitHub has one field for a name
PRIVATE = "com.example.application:/signed-in"
STATE = "as it was & is"
# Chromium applies a form's policy to the redirect after it: each kind of address has to be in ours.
ADDRESSES = {"localhost": "/signed-in", "127.0.0.1": "/?kept=1", "::1": "/signed-in"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    checkout = make_checkout(tmp_path_factory.mktemp("onward") / "checkout")
    own = checkout / "own" / "pages" / "static"
    own.mkdir(parents=True)
    (own / "brand.css").write_text(":root { --accent: rgb(1, 2, 3); }")
    (own / "icon.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="7" height="3"/>')
    variables = {"AUTHSERVER_REDIRECT_URLS": PRIVATE, "AUTHSERVER_TEMPLATE_PATH": "own"}
    with developing(checkout, variables) as server:
        yield server


@pytest.fixture
def visit(browser: "Browser") -> Iterator[Visit]:
    with hosted.visiting(browser) as visit:
        yield visit


def page_for(server: Server, onward: str, page: str = "signin") -> str:
    return f"{server.url}/{page}?" + urlencode({"next": onward, "code_challenge": CHALLENGE, "state": STATE})


def redeemed(server: Server, page: "Page", onward: str) -> Any:
    """The person that the code in the page's address is worth."""
    page.wait_for_url(lambda url: url.startswith(onward))
    came = parse_qs(urlsplit(page.url).query)
    assert came.keys() - {"kept"} == {"code", "state"}
    assert came["state"] == [STATE]
    return redeem(server, came["code"][0])


def redeem(server: Server, code: str) -> Any:
    answer = call("POST", f"{server.url}/api/auth/exchange/", {"code": code, "code_verifier": VERIFIER})
    assert answer.status == 200, answer
    return answer.body["user"]


@pytest.mark.parametrize("host", ADDRESSES)
def test_every_way_to_sign_in_leads_to_the_application(server: Server, visit: Visit, host: str) -> None:
    with application(host) as origin:
        every_way(server, visit(), origin + ADDRESSES[host], f"new@{host.replace(':', 'v6')}.example.com")


def every_way(server: Server, visitor: Visitor, onward: str, newcomer: str) -> None:
    page = visitor.context.new_page()
    page.goto(page_for(server, onward))
    assert page.get_by_text(f"Afterwards you go on to {urlsplit(onward).netloc}.").is_visible()
    send(page, email=ADA, password=PASSWORD)
    assert redeemed(server, page, onward)["email"] == ADA
    page.goto(page_for(server, onward))
    press(page, "Continue as this person")
    assert redeemed(server, page, onward)["email"] == ADA
    visitor.context.clear_cookies()
    page.goto(page_for(server, onward))
    press(page, "Make an account")
    send(page, email=newcomer, password=NEW, password_confirm=NEW)
    assert redeemed(server, page, onward)["email"] == newcomer
    visitor.context.clear_cookies()
    page.goto(page_for(server, onward))
    press(page, "GitHub")
    press(page, "Edsger")
    assert redeemed(server, page, onward)["first_name"] == EDSGER
    page.goto(f"{server.url}/signout?" + urlencode({"next": onward}))
    press(page, "Sign out")
    page.wait_for_url(onward)
    assert visitor.complaints == []


def test_an_application_may_lead_on_to_another_origin_at_once(server: Server, visit: Visit) -> None:
    """A policy that names the origin of `next` alone would have the code used up and the person before the form."""
    with recording() as backend, application("127.0.0.1") as frontend:
        onward = f"{backend.url}/signed-in"
        backend.redirects["/signed-in"] = f"{frontend}/home"
        page = visit().context.new_page()
        page.goto(page_for(server, onward))
        send(page, email=ADA, password=PASSWORD)
        page.wait_for_url(f"{frontend}/home")


def test_to_a_private_scheme_every_way_ends_on_a_page_with_a_link(server: Server, visit: Visit) -> None:
    visitor = visit()
    page = visitor.open(page_for(server, PRIVATE))
    for way in ("password", "continue", "provider"):
        if way == "password":
            send(page, email=ADA, password=PASSWORD)
        elif way == "continue":
            press(page, "Continue as this person")
        else:
            press(page, "GitHub")
            press(page, "Edsger")
        link = page.get_by_role("link", name="Continue to com.example.application")
        onward = str(link.get_attribute("href"))
        assert onward.startswith(f"{PRIVATE}?")
        came = parse_qs(urlsplit(onward).query)
        assert came["state"] == [STATE]
        assert redeem(server, came["code"][0])["first_name"] == (EDSGER if way == "provider" else "Ada")
        page.goto(page_for(server, PRIVATE))
    visitor.assert_clean()


def test_s65_a_page_cannot_be_framed(server: Server, visit: Visit) -> None:
    visitor = visit()
    page = visitor.open(f"{server.url}/signin")
    send(page, email=ADA, password=PASSWORD)
    paths = ("signin", "signup", "account", "account/delete", "account/password", "signout")
    frames = "".join(f'<iframe src="{server.url}/{path}"></iframe>' for path in paths)
    with application("localhost", frames) as attackers:  # of the same site, so that the page's cookie is sent
        page.goto(attackers)
    assert [frame.url for frame in page.frames[1:]] == ["chrome-error://chromewebdata/"] * len(paths)
    refusals = [one for one in visitor.complaints if "frame-ancestors 'none'" in one]
    assert len(refusals) == len(paths), visitor.complaints


def test_pages_speak_german_and_french_and_fit_narrowly(server: Server, visit: Visit) -> None:
    paths = ("signin", "signup", "password/forgot", "email/resend", "signout", "password/reset", "account/recover")
    inside = ("", "/profile", "/password", "/email", "/identities", "/sessions", "/events", "/confirm", "/delete")
    for locale, language, title in (("de-AT", "de", "Anmelden"), ("fr-FR", "fr", "Se connecter")):
        visitor = visit(locale=locale, viewport={"width": 360, "height": 640})
        page = visitor.open(f"{server.url}/signin")
        page.get_by_role("heading", name=title, exact=True).wait_for()
        for path in paths:
            page.goto(f"{server.url}/{path}")
            assert page.evaluate("document.documentElement.lang") == language
            assert page.evaluate("document.documentElement.scrollWidth") == 360, (path, language)
        page.goto(f"{server.url}/signin")
        send(page, email=ADA, password=PASSWORD)
        for path in inside:
            page.goto(f"{server.url}/account{path}")
            assert page.evaluate("document.documentElement.lang") == language
            assert page.evaluate("document.documentElement.scrollWidth") == 360, (path, language)
            assert not re.search(r"\b(your|the|with)\b", page.inner_text("main")), (path, language)
        page.goto(f"{server.url}/account/events")
        moment = page.locator("time").first
        said = "new Date(time.dateTime).toLocaleString('LANGUAGE', { dateStyle: 'medium', timeStyle: 'short' })"
        assert moment.inner_text() == moment.evaluate(f"(time) => {said.replace('LANGUAGE', language)}")
        visitor.assert_clean()


def test_a_brand_of_the_operators_own_takes_the_place_of_ours(server: Server, visit: Visit) -> None:
    visitor = visit()
    page = visitor.open(f"{server.url}/signin")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('button:not([type=button])')).backgroundColor")
        == "rgb(1, 2, 3)"
    )
    assert page.evaluate("document.querySelector('img').naturalWidth") == 7
    visitor.assert_clean()
