"""The client's ways to sign in on another page, in Chromium, and what needs tokens that live as long as usual."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from authserver.testing import standins as providers
from authserver.testing.standins import Person, StandIns
from tests.e2e.client_page import LISTENING, NewVisitor, Tab, Visitor, hosting, write_page
from tests.e2e.servers import Server, developing, make_checkout

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def standins() -> Iterator[StandIns]:
    with providers.serve() as standins:
        yield standins


@pytest.fixture(scope="module")
def server(standins: StandIns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    checkout = make_checkout(tmp_path_factory.mktemp("redirect") / "checkout")
    with developing(checkout, {**standins.variables(), "AUTHSERVER_RATE_LIMITS": "false"}) as server:
        yield server


@pytest.fixture(scope="module")
def origin(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("pages")
    write_page(folder / "index.html", server.url)
    with hosting(folder) as origin:
        yield origin


@pytest.fixture
def visitor(new_visitor: NewVisitor) -> Visitor:
    return new_visitor()


def choose(tab: Tab, person: Person) -> None:
    """On the provider's page; the client is ready when it is back."""
    tab.page.locator(f'button[name="person"][value="{person.subject}"]').click()
    back(tab)


def back(tab: Tab) -> None:
    tab.page.wait_for_url(re.compile(re.escape(tab.url.partition("?")[0])))
    tab.settle()


def begin(tab: Tab, how: str) -> None:
    with tab.page.expect_navigation():
        tab.js(f"() => void auth.{how}")


def test_a_provider_signs_one_in_and_leaves_nothing_in_the_address_or_in_storage(
    new_visitor: NewVisitor, standins: StandIns
) -> None:
    visitor = new_visitor(LISTENING)
    tab = visitor.tab("/?tab=settings")
    here = tab.url.partition("?")[0]
    begin(tab, f"signInWith('google', {{ next: '{here}' }})")
    choose(tab, standins.google.person("verified"))
    assert tab.user()["email"] == "ada@google.example"
    assert tab.js("() => auth.error") is None
    assert tab.page.url == here
    assert tab.js("() => Object.keys(sessionStorage)") == []
    exchange = next(one for one in tab.responses if one.url.endswith("/api/auth/exchange/"))
    verifier = json.loads(exchange.request.post_data or "")["code_verifier"]
    assert re.fullmatch(r"[\w-]{43}", verifier)
    sent = tab.js("() => bodies")
    stored = sent[next(at for at, body in enumerate(sent) if verifier in body) + 1]
    assert stored == "[]", "the verifier was out of storage before it was sent"
    assert visitor.cookie()
    tab.reload()
    assert tab.user()["email"] == "ada@google.example"


def test_a_query_and_a_fragment_that_are_not_ours_stay_in_the_address(visitor: Visitor) -> None:
    tab = visitor.tab("/?tab=settings&code=SUMMER#top")
    assert tab.page.url == tab.url
    tab.open(visitor.origin + "/?tab=settings&code=x&state=y#top")
    assert tab.page.url == visitor.origin + "/?tab=settings#top"


def test_a_state_that_the_client_did_not_make_is_ignored(visitor: Visitor) -> None:
    tab = visitor.tab()
    begin(tab, "signInWith('google')")
    for query in ("code=stolen&state=made-up", "error=access_denied&error_description=Phish&state=made-up", "code=x"):
        tab.open(f"{visitor.origin}/?{query}")
        assert tab.user() is None
        assert tab.js("() => auth.error") is None
    assert not [one for one in tab.calls() if one.startswith("POST")], "nothing was redeemed"
    assert len(tab.js("() => Object.values(sessionStorage)")) == 1, "and the sign-in that was begun can go on"


def test_who_declines_is_told_so_and_whoever_was_signed_in_still_is(visitor: Visitor) -> None:
    tab = visitor.tab()
    for signed_in in (False, True):
        present = tab.sign_up() if signed_in else None
        begin(tab, "signInWith('google')")
        tab.page.get_by_role("button", name="Cancel").click()
        back(tab)
        assert tab.js("() => [auth.error.code, auth.error.message]") == ["access_denied", "The sign-in was declined."]
        assert tab.user() == present
        assert tab.page.url == tab.url


def test_a_code_that_counts_no_more_is_reported(visitor: Visitor, standins: StandIns) -> None:
    tab = visitor.tab()
    begin(tab, "signInWith('github')")
    visitor.context.route("**/api/auth/exchange/", spoil)
    choose(tab, standins.github.person("verified"))
    assert tab.js("() => auth.error.code") == "one_time_token_not_valid"
    assert tab.user() is None


def spoil(route: "Route") -> None:
    route.continue_(post_data=json.dumps({"code": "used", "code_verifier": "a" * 43}))


def test_the_hosted_page_signs_one_in_by_each_way_and_a_logout_ends_its_session(
    visitor: Visitor, standins: StandIns
) -> None:
    tab = visitor.tab()
    hosted = f"{visitor.server.url}/signin"
    begin(tab, "signIn()")
    assert tab.page.url.startswith(f"{hosted}?")
    assert parse_qs(urlsplit(tab.page.url).query).keys() == {"next", "code_challenge", "state"}
    tab.page.get_by_role("link", name="Google").click()
    choose(tab, standins.google.person("verified"))
    present = tab.user()
    assert present["email"] == "ada@google.example"

    begin(tab, "signIn()")
    tab.page.locator('form[action^="/signin/continue"] button').click()
    back(tab)
    assert tab.user() == present, "who is signed in on the page goes on by a click"

    tab.js("() => auth.logout()")
    tab.page.goto(f"{visitor.server.url}/account")
    assert tab.page.url == hosted, "the next person is not offered this one's account"


def test_the_providers_are_listed_and_an_unknown_one_is_an_error(visitor: Visitor, standins: StandIns) -> None:
    tab = visitor.tab()
    assert {one["name"] for one in tab.js("() => auth.providers()")} == set(standins.each)
    assert tab.failure("auth.signInWith('myspace')") == "not_found"


def test_a_token_of_the_providers_own_sdk_signs_in(visitor: Visitor, standins: StandIns) -> None:
    tab = visitor.tab()
    token = standins.google.token(Person(subject="77", email="kay@gmail.com", email_verified=True))
    user = tab.js("(access_token) => auth.signInWith('google', { access_token })", token)
    assert (user["email"], tab.user()) == ("kay@gmail.com", user)
    assert visitor.cookie()


def test_a_tab_that_opens_leaves_the_other_its_fresh_token(visitor: Visitor) -> None:
    """A refreshed token is not fresh, and sensitive changes need one that is."""
    first = visitor.tab()
    first.sign_up()
    second = visitor.tab()
    second.js("() => new Promise((heard) => setTimeout(heard, 200))")
    assert second.js("async () => (await auth.fetch('/api/me/', { method: 'DELETE' })).status") == 403
    assert first.js("async () => (await auth.fetch('/api/me/', { method: 'DELETE' })).status") == 204
