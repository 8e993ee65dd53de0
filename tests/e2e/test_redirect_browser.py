"""Sign-in by redirect with each provider's stand-in, in Chromium, by the docs' own JavaScript."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from authserver.testing import standins as providers
from authserver.testing.standins import Person, StandIns
from tests.e2e.frontend import NewVisit, Visit, frontend
from tests.e2e.react_site import Site
from tests.e2e.servers import call, developing, make_checkout

pytestmark = pytest.mark.browser

NAMES = sorted(StandIns("http://127.0.0.1").each)
BY_FORM = {"apple"}
NOT_BEGUN = "This sign-in was not begun in this browser, or took too long. Please begin again."


@pytest.fixture(scope="module")
def standins() -> Iterator[StandIns]:
    with providers.serve() as standins:
        yield standins


@pytest.fixture(scope="module")
def site(standins: StandIns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("redirect")
    variables = {**standins.variables(), "AUTHSERVER_RATE_LIMITS": "false"}
    with (
        developing(make_checkout(folder / "checkout"), variables) as server,
        frontend(folder / "frontend", server) as site,
    ):
        yield site


def newcomer(standins: StandIns, name: str, first_name: str = "Ada") -> Person:
    """Somebody new on the provider's page."""
    stand_in = standins.each[name]
    number = 100 + len(stand_in.people)
    person = Person(
        subject=stand_in.subject(number),
        email=f"{first_name.lower()}.{number}@{name}.example.com",
        email_verified=stand_in.verified,
        first_name=first_name,
        last_name="Lovelace",
    )
    stand_in.people.append(person)
    return person


def choose(visitor: Visit, person: Person) -> None:
    visitor.page.locator(f'button[name="person"][value="{person.subject}"]').click()


def sign_in(visitor: Visit, name: str, person: Person) -> dict[str, Any]:
    visitor.begin(name)
    choose(visitor, person)
    return visitor.signed_in()


def sessions(site: Site, access: str) -> int:
    return len(call("GET", f"{site.server.url}/api/sessions/", bearer=access).body)


@pytest.mark.parametrize("name", NAMES)
def test_a_person_signs_in_and_is_found_again(standins: StandIns, site: Site, new_visit: NewVisit, name: str) -> None:
    person = newcomer(standins, name)
    visitor = new_visit(site)
    visitor.begin(name)
    visitor.page.get_by_role("heading", name="Sign in with").wait_for()
    (cookie,) = visitor.server_cookies()
    assert cookie["name"].startswith(f"authserver_{urlsplit(site.server.url).port}_flow_")
    assert (cookie["sameSite"], cookie["secure"]) == (("None", True) if name in BY_FORM else ("Lax", False))
    assert (cookie["httpOnly"], cookie["path"]) == (True, "/")

    choose(visitor, person)
    signed_in = visitor.signed_in()
    assert signed_in["user"]["email"] == person.email
    assert signed_in["user"]["first_name"].startswith("Ada")
    assert visitor.server_cookies() == []
    assert sign_in(visitor, name, person)["user"] == signed_in["user"]
    assert visitor.server_cookies() == []

    came = visitor.came_back_with()
    assert came.keys() == {"code", "state"}
    asked = " ".join(request.url for request in visitor.requests)
    assert signed_in["access"] not in asked
    assert signed_in["refresh"] not in asked
    assert not [one for one in visitor.referers() if "?" in one]


def test_who_declines_comes_back_with_access_denied(standins: StandIns, site: Site, new_visit: NewVisit) -> None:
    visitor = new_visit(site)
    for name in NAMES:
        visitor.begin(name)
        visitor.click("Cancel")
        assert visitor.outcome() == {"failed": "The sign-in was declined."}, name
        assert visitor.came_back_with().keys() == {"error", "error_description", "state"}
        assert visitor.came_back_with()["error"] == "access_denied"
        assert visitor.server_cookies() == []


def test_apples_form_brings_the_cookie_from_another_site_and_the_name_once(
    standins: StandIns, site: Site, new_visit: NewVisit
) -> None:
    """A cookie that is Lax does not come along: why the flow's is None, and so Secure on plain loopback too."""
    person = newcomer(standins, "apple", "Katherine")
    visitor = new_visit(site)
    visitor.context.add_cookies([{"name": "lax", "value": "1", "url": site.server.url, "sameSite": "Lax"}])
    for introduced in (True, False):
        user = sign_in(visitor, "apple", person)["user"]
        assert (user["first_name"], user["last_name"]) == ("Katherine", "Lovelace")
        callback = visitor.callback()
        form = parse_qs(callback.post_data or "", strict_parsing=True)
        assert (callback.method, "user" in form) == ("POST", introduced)
        headers = callback.all_headers()
        assert (headers["origin"], headers["sec-fetch-site"]) == (standins.url, "cross-site")
        (cookie,) = headers["cookie"].split("; ")
        assert "_flow_" in cookie


def test_two_tabs_sign_in_at_once_each_as_its_own_person(standins: StandIns, site: Site, new_visit: NewVisit) -> None:
    first = new_visit(site)
    tabs = [(first, "google"), (Visit(first.context, site), "google"), (Visit(first.context, site), "apple")]
    people = [newcomer(standins, name) for _, name in tabs]
    for tab, name in tabs:
        tab.begin(name)
        tab.page.get_by_role("heading", name="Sign in with").wait_for()
    assert len(first.server_cookies()) == 3
    for (tab, _), person in reversed(list(zip(tabs, people, strict=True))):
        choose(tab, person)
        assert tab.signed_in()["user"]["email"] == person.email
    assert first.server_cookies() == []


@pytest.mark.parametrize("name", ["google", "apple"])
def test_going_back_to_the_provider_and_choosing_again_shows_a_page_and_signs_nobody_in(
    standins: StandIns, site: Site, new_visit: NewVisit, name: str
) -> None:
    person = newcomer(standins, name)
    visitor = new_visit(site)
    signed_in = sign_in(visitor, name, person)
    visitor.page.go_back()
    choose(visitor, person)
    assert_not_begun(visitor)
    assert visitor.server_cookies() == []
    assert sessions(site, signed_in["access"]) == 1


def test_the_callback_opened_again_shows_a_page_and_signs_nobody_in(
    standins: StandIns, site: Site, new_visit: NewVisit
) -> None:
    visitor = new_visit(site)
    signed_in = sign_in(visitor, "google", newcomer(standins, "google"))
    visitor.page.goto(visitor.callback().url)
    assert_not_begun(visitor)
    answer = visitor.page.reload()
    assert answer
    assert answer.status == 400
    assert_not_begun(visitor)
    assert sessions(site, signed_in["access"]) == 1


def test_the_callback_of_anothers_sign_in_signs_nobody_in(standins: StandIns, site: Site, new_visit: NewVisit) -> None:
    attacker, victim = new_visit(site), new_visit(site)
    attacker.begin("google")
    attacker.page.get_by_role("heading", name="Sign in with").wait_for()
    callback = standins.google.authorize(attacker.page.url, newcomer(standins, "google", "Mallory"))
    victim.page.goto(callback.url)
    assert_not_begun(victim)
    attacker.page.goto(callback.url)
    assert attacker.signed_in()["user"]["first_name"] == "Mallory"


def assert_not_begun(visitor: Visit) -> None:
    page = visitor.page
    page.get_by_text(NOT_BEGUN).wait_for()
    assert page.evaluate("document.contentType") == "text/html"
    assert page.evaluate("document.styleSheets[0].cssRules.length") > 0
    page.set_viewport_size({"width": 360, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") == 360


@pytest.mark.parametrize("name", ["github", "apple"])
def test_another_provider_is_linked_by_redirect(standins: StandIns, site: Site, new_visit: NewVisit, name: str) -> None:
    visitor = new_visit(site)
    user = sign_in(visitor, "gitlab", newcomer(standins, "gitlab"))["user"]
    person = newcomer(standins, name, "Grace")
    visitor.click(f"Link {name}")
    choose(visitor, person)
    outcome = visitor.outcome()
    assert outcome["status"] == 201, outcome
    assert (outcome["linked"]["provider"], outcome["linked"]["email"]) == (name, person.email)
    assert sorted(identity["provider"] for identity in outcome["identities"]) == sorted(["gitlab", name])
    assert visitor.server_cookies() == []
    assert sign_in(new_visit(site), name, person)["user"]["id"] == user["id"]


def test_what_the_server_refuses_is_said_in_its_words(standins: StandIns, site: Site, new_visit: NewVisit) -> None:
    visitor = new_visit(site)
    visitor.begin("google")
    choose(visitor, standins.google.person("tokens of another application"))
    assert "was issued to another application" in visitor.outcome()["failed"]
    assert visitor.came_back_with()["error"] == "provider_token_not_valid"


def test_a_sign_in_begun_under_another_loopback_name_goes_on_under_the_public_url(
    standins: StandIns, site: Site, new_visit: NewVisit
) -> None:
    visitor = new_visit(site)
    visitor.open()
    login_url = f"http://127.0.0.1:{urlsplit(site.server.url).port}/api/auth/google/login/"
    begin = "([url, next]) => import('./redirect.js').then(({ begin }) => begin(url, next))"
    person = newcomer(standins, "google")
    visitor.page.goto(visitor.page.evaluate(begin, [login_url, f"{site.origin}/"]))
    choose(visitor, person)
    assert visitor.signed_in()
