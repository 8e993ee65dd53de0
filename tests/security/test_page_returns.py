"""S51, S53, S70: what comes back to a page from a provider counts once, in its browser, its session and its flow."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.testing.standins import StandIns
from tests.conftest import MakeApp
from tests.each import each
from tests.factories import SignedIn, assert_error, sign_up
from tests.page_trips import CLICK, PageTrip, depart, depart_to_link, ticket_page
from tests.pages import (
    COOKIE,
    Browser,
    alive,
    assert_leads,
    assert_page,
    everything,
    exchanged,
    signed_in_on_page,
)
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow, parameters
from tests.providers.signing_in import settings_of
from tests.security.redirects import changed, counts
from tests.security.redirects import depart as depart_from_application

served_standins = conftest.served_standins
standins = conftest.standins
no_secret_is_logged = conftest.no_secret_is_logged

Advance = Callable[[float], None]
CROWD = 10


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns) -> Flask:
    return make_app(**settings_of(standins), redirect_urls=NEXT)


@pytest.fixture
def person(client: FlaskClient) -> SignedIn:
    return sign_up(client)


@pytest.fixture
def browser(app: Flask, person: SignedIn) -> Browser:
    return signed_in_on_page(app, person)


def test_s51_a_return_without_the_state_of_its_browser_is_refused_and_uses_nothing_up(
    app: Flask, standins: StandIns
) -> None:
    trip = depart(app, standins)
    url = trip.come_back()
    states = ["", "unknown", trip.own[:-1], f"{trip.own}x", trip.own.swapcase(), trip.state, "\0", "ü", "a" * 999]
    before = everything(app)
    for state in states:
        for answer in (
            trip.browser.get(changed(url, state=state)),
            Browser(app, Cookie=f"__Host-flow-={trip.secret}").get(changed(url, state=state)),
        ):
            assert_page(answer, 400)
            assert "Set-Cookie" not in answer.headers
    for odd in (url + "&state=unknown", url.replace("state=", "State="), url.replace("state=", "state[]=")):
        answer = Browser(app).get(odd)
        assert COOKIE not in str(answer.headers)
    assert everything(app) == before
    assert_leads(trip.browser.get(url), "/account")


def test_s51_a_return_in_another_browser_signs_nobody_in_and_uses_nothing_up(app: Flask, standins: StandIns) -> None:
    """Also how an attacker's own return, mailed to a victim, would log them in as the attacker."""
    trip, other = depart(app, standins), depart(app, standins)
    url = trip.come_back()
    before = everything(app)
    name, value = f"__Host-flow-{trip.own}", trip.secret
    browsers = [Browser(app), other.browser]
    for cookies in (
        f"{name}={other.secret}",
        f"{name}=",
        f"{name}={value}; {name}={value}",
        f"{name}=planted; {name}={value}",
        f"\xa0{name}={value}",
        f'{name}="{value}"',
        f"{name.lower()}={value}",
        f"{name}={value[:-1]}",
        f"{name}={trip.own}",
        f"{name}=ticket",
    ):
        browsers.append(Browser(app, Cookie=cookies))
    for one in browsers:
        for method in ("GET", "HEAD"):
            answer = one.get(url, method=method)
            assert "Set-Cookie" not in answer.headers
        assert_page(one.get(url), 400)
    assert everything(app) == before
    assert_leads(trip.browser.get(url), "/account")


def test_s51_a_return_counts_once_and_for_ten_minutes(app: Flask, standins: StandIns, advance: Advance) -> None:
    trip, late = depart(app, standins), depart(app, standins)
    url, cookies = trip.come_back(), f"__Host-flow-{trip.own}={trip.secret}"
    assert_leads(trip.browser.get(url), "/account")
    before = everything(app)
    for again in (trip.browser, Browser(app, Cookie=cookies)):
        assert_page(again.get(url), 400)
    assert everything(app) == before
    advance(590)
    url = late.come_back()
    advance(11)
    assert_page(late.browser.get(url), 400)
    assert late.browser.cookie is None


def test_s51_a_code_waits_a_minute(app: Flask, standins: StandIns, advance: Advance) -> None:
    trip = depart(app, standins)
    url = trip.come_back()
    advance(61)
    assert_page(trip.browser.get(url), 400)
    assert (trip.browser.cookie, counts(app).get("sessions")) == (None, None)


def test_s52_of_ten_returns_at_once_one_signs_in(app: Flask, standins: StandIns) -> None:
    trip = depart(app, standins)
    url, cookies = trip.come_back(), f"__Host-flow-{trip.own}={trip.secret}"
    with ThreadPoolExecutor(CROWD) as threads:
        answers = list(threads.map(lambda _: Browser(app, Cookie=cookies).get(url), range(CROWD)))
    assert sorted(answer.status_code for answer in answers) == [303] + [400] * (CROWD - 1)
    assert sum(COOKIE in str(answer.headers) for answer in answers) == 1
    assert counts(app)["sessions"] == 1


def test_s53_another_flows_code_is_worth_nothing_and_gone(app: Flask, standins: StandIns) -> None:
    trip, other = depart(app, standins), depart(app, standins)
    theirs = query_of_url(other.come_back("gmail"))["code"]
    assert_page(trip.browser.get(changed(trip.come_back(), code=theirs)), 400)
    assert trip.browser.cookie is None
    assert_page(other.browser.get(f"/signin?state={other.own}&code={theirs}"), 400)
    assert "sessions" not in counts(app)


def query_of_url(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def test_s53_a_pages_state_is_worth_nothing_at_a_callback_and_a_callbacks_none_on_a_page(
    app: Flask, standins: StandIns
) -> None:
    trip = depart(app, standins)
    cookies = f"__Host-flow-{trip.own}={trip.secret}"
    callback = changed(trip.callback().url, state=trip.own)
    for sent in (trip.browser, Browser(app, Cookie=cookies)):
        assert_page(sent.get(callback), 400)
    trip = depart(app, standins)
    for path in ("/signin", "/account"):
        assert trip.browser.get(f"{path}?state={trip.state}&code=x").status_code in (303, 400)
    assert "sessions" not in counts(app)
    of_an_application = depart_from_application(app, standins)
    browser = Browser(app, Cookie=f"__Host-flow-{of_an_application.state}={of_an_application.secret}")
    for path in ("/signin", "/account"):
        answer = browser.get(f"{path}?state={of_an_application.state}&code=x")
        assert answer.status_code in (303, 400)
        assert COOKIE not in str(answer.headers)


def test_s53_a_code_of_a_pages_flow_is_worth_nothing_to_an_application_and_the_other_way_round(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    code = query_of_url(depart(app, standins).come_back())["code"]
    assert_error(Flow().exchange(client, code), 400, "one_time_token_not_valid")
    trip, flow = depart(app, standins), depart_from_application(app, standins)
    theirs = flow.come_back()["code"]
    assert_page(trip.browser.get(f"/signin?state={trip.own}&code={theirs}"), 400)
    assert "sessions" not in counts(app)


@each("error", ["access_denied", "server_error", "token_not_valid", "x<script>canary", "", "\0"])
def test_an_address_that_says_an_error_is_shown_in_our_words_only(app: Flask, standins: StandIns, error: str) -> None:
    trip = depart(app, standins)
    answer = trip.browser.get(changed(trip.come_back(), error=error, error_description="canary"))
    assert_page(answer, answer.status_code)
    assert 400 <= answer.status_code < 504
    assert "canary" not in answer.text
    assert (trip.browser.cookie, counts(app).get("sessions")) == (None, None)


# S70


def test_s70_a_ticket_is_for_one_use_and_its_provider(
    app: Flask, standins: StandIns, browser: Browser, advance: Advance
) -> None:
    url, _ = ticket_page(browser)
    assert browser.get(url, **CLICK).status_code == 302
    assert_page(browser.get(url, **CLICK), 400)
    mine, _ = ticket_page(browser)
    assert_page(browser.get(mine.replace("/google/", "/acme/"), **CLICK), 400)
    late, _ = ticket_page(browser)
    advance(601)
    assert_page(browser.get(late, **CLICK), 400)
    assert "identities" not in counts(app)


def test_s70_a_ticket_that_a_victim_is_lured_to_links_nothing_and_signs_nobody_in(
    app: Flask, client: FlaskClient, standins: StandIns, browser: Browser
) -> None:
    """An attacker's ticket, a victim who is signed in at the provider and, on our page, as themself."""
    victim = signed_in_on_page(app, sign_up(client))
    url, _ = ticket_page(browser)
    began = victim.get(url, Sec_Fetch_Site="cross-site")
    trip = PageTrip(standins, victim, began.headers["Location"], set())
    location = trip.come_back()
    assert_page(victim.get(location), 400)
    assert "identities" not in counts(app)
    for one in (victim, browser):
        assert one.get("/account").status_code == 200


Finish = Callable[[Flask, PageTrip, str], Browser]


def in_another_session(app: Flask, trip: PageTrip, email: str) -> Browser:
    assert_leads(trip.browser.sign_in(email), "/account")
    return trip.browser


def in_another_persons(app: Flask, trip: PageTrip, email: str) -> Browser:
    other = sign_up(app.test_client())
    assert_leads(trip.browser.sign_in(other.user["email"]), "/account")
    return trip.browser


def after_a_sign_out(app: Flask, trip: PageTrip, email: str) -> Browser:
    trip.browser.post("/signout")
    return trip.browser


def after_a_sign_out_and_in(app: Flask, trip: PageTrip, email: str) -> Browser:
    trip.browser.post("/signout")
    return in_another_session(app, trip, email)


def in_another_browser(app: Flask, trip: PageTrip, email: str) -> Browser:
    other = Browser(app)
    other.sign_in(email)
    return other


FINISHES: list[Finish] = [
    *(in_another_session, in_another_persons, after_a_sign_out, after_a_sign_out_and_in, in_another_browser),
]


@pytest.mark.parametrize("finish", FINISHES)
@pytest.mark.parametrize("at", ["the provider", "the page"])
def test_s70_a_link_is_not_finished_in_another_session_than_it_began_in(
    app: Flask, standins: StandIns, person: SignedIn, browser: Browser, finish: Finish, at: str
) -> None:
    trip = depart_to_link(standins, browser)
    if at == "the page":
        url = trip.come_back()
        there = finish(app, trip, person.user["email"])
    else:
        there = finish(app, trip, person.user["email"])
        url = trip.come_back()
    answer = there.get(url)
    assert answer.status_code in (303, 400, 401), answer.status_code
    assert answer.headers.get("Location", "/signin") == "/signin"
    assert "identities" not in counts(app)
    again = depart_to_link(standins, signed_in_on_page(app, person))
    assert_leads(again.finish(), "/account/identities?done=linked")


def test_s70_a_link_that_was_begun_fresh_may_be_finished_a_little_later(
    app: Flask, standins: StandIns, browser: Browser, advance: Advance
) -> None:
    """As by the API: a fresh session is what it takes to begin."""
    trip = depart_to_link(standins, browser)
    advance(595)
    assert_leads(trip.finish(), "/account/identities?done=linked")


def test_s70_a_link_is_no_sign_in_and_a_sign_in_no_link(
    app: Flask, standins: StandIns, person: SignedIn, browser: Browser
) -> None:
    link = depart_to_link(standins, browser)
    cookie = browser.cookie
    assert_page(browser.get(link.come_back().replace("/account?", "/signin?")), 400)
    assert browser.cookie == cookie
    login = depart(app, standins, browser=browser)
    assert_page(browser.get(login.come_back("gmail").replace("/signin?", "/account?")), 400)
    assert browser.cookie == cookie
    link, login = depart_to_link(standins, browser), depart(app, standins, browser=browser)
    codes = [query_of_url(one.come_back("gmail"))["code"] for one in (link, login)]
    assert_page(browser.get(f"/account?state={link.own}&code={codes[1]}"), 400)
    assert_page(browser.get(f"/signin?state={login.own}&code={codes[0]}"), 400)
    assert counts(app).get("identities") == 1, "the sign-in's own"
    assert app.test_client().get("/api/identities/", headers=person.bearer).get_json() == []


def test_s70_a_pages_link_is_not_finished_by_the_api_nor_the_apis_by_a_page(
    app: Flask, client: FlaskClient, standins: StandIns, person: SignedIn, browser: Browser
) -> None:
    code = query_of_url(depart_to_link(standins, browser).come_back())["code"]
    assert_error(Flow().exchange(client, code, **person.bearer), 401, "token_not_valid")
    flow = Flow()
    body = {"next": NEXT, "code_challenge": flow.challenge}
    url = client.post("/api/identities/google/login/", json=body, headers=person.bearer).get_json()["url"]
    began = browser.get(url, **CLICK)
    callback = standins.google.authorize(began.headers["Location"], standins.google.person("verified"))
    code = parameters(browser.get(callback.url))["code"]
    trip = depart_to_link(standins, browser)
    trip.come_back()
    assert browser.get(f"/account?state={trip.own}&code={code}").status_code in (400, 401)
    assert "identities" not in counts(app)


def test_s66_after_a_link_or_a_sign_in_the_pages_session_is_what_it_should_be(
    app: Flask, standins: StandIns, person: SignedIn, browser: Browser
) -> None:
    cookie, flow = browser.cookie, Flow()
    depart_to_link(standins, browser).finish()
    assert browser.cookie == cookie, "no sign-in"
    theirs = exchanged(app, depart(app, standins, query=f"?{flow.query()}", browser=browser).finish(), flow)
    assert browser.cookie != cookie
    assert theirs.user["id"] == person.user["id"]
    assert alive(app, theirs)
