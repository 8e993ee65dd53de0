"""S83: a HEAD, and what a browser fetches before anybody opens it, change nothing: at no address, in no table."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserver.extensions import db
from authserver.looking import WouldChange, require_more_than_a_look
from authserver.testing.standins import StandIns
from tests.conftest import PUBLIC_URL, MakeApp
from tests.each import each
from tests.factories import NOBODYS_ID, SignedIn, assert_error, sign_up
from tests.page_trips import depart, depart_to_link, ticket_page
from tests.pages import OURS, Browser, assert_leads, holds, signed_in_on_page
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow
from tests.providers.signing_in import settings_of
from tests.security import redirects

served_standins = conftest.served_standins
standins = conftest.standins

AHEAD = [
    {"Sec-Purpose": "prefetch"},
    {"Sec-Purpose": "prefetch;prerender"},
    {"Sec-Purpose": "prefetch;anonymous-client-ip"},
    {"Purpose": "prefetch"},
    {"Purpose": "Prefetch"},
    {"X-Purpose": "preview"},
    {"X-Moz": "prefetch"},
]
LOOKS: list[tuple[str, dict[str, str]]] = [("HEAD", {}), *(("GET", headers) for headers in AHEAD)]
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
Rows = dict[str, list[str]]


def rows(app: Flask) -> Rows:
    """All of every table, also when a session was last used."""
    with app.app_context():
        return {
            table.name: sorted(repr(tuple(row)) for row in db.session.execute(select(*table.columns)))
            for table in db.metadata.sorted_tables
        }


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns) -> Flask:
    return make_app(**settings_of(standins), redirect_urls=NEXT, rate_limits="true")


@dataclass(frozen=True)
class Way:
    """An address that a GET changes something by, and the browser that may."""

    browser: Browser
    url: str
    status: int  # of the real request

    def look(self, method: str, headers: dict[str, str]) -> TestResponse:
        return self.browser.open(method, self.url, {**OURS, **SAME_ORIGIN, **headers})


def ways(app: Flask, standins: StandIns, person: SignedIn) -> list[Way]:
    """One for each thing that a GET changes."""
    browser = signed_in_on_page(app, person)
    to_page = depart(app, standins)
    back_at_page = to_page.come_back("verified")
    to_link = depart_to_link(standins, browser)
    back_at_account = to_link.come_back("no e-mail address")
    to_application = redirects.depart(app, standins)
    api = Browser(app)
    api.client = to_application.browser
    ticket, _ = ticket_page(browser, "facebook")
    return [
        Way(api, to_application.callback("gmail"), 303),
        Way(Browser(app), f"{PUBLIC_URL}/api/auth/google/login/?{Flow().query()}", 302),
        Way(browser, ticket, 302),
        Way(to_page.browser, back_at_page, 303),
        Way(browser, back_at_account, 303),
        Way(Browser(app), "/signin/google", 302),
        Way(browser, "/account/confirm/google", 302),
    ]


def test_s83_looking_uses_nothing_up_and_begins_nothing(app: Flask, standins: StandIns) -> None:
    for way in ways(app, standins, sign_up(app.test_client())):
        before, asked = rows(app), len(standins.asked)
        for method, headers in LOOKS:
            answer = way.look(method, headers)
            assert answer.status_code == (405 if method == "HEAD" else 503), (way.url, answer.text)
            assert "Set-Cookie" not in answer.headers
            assert answer.headers["Cache-Control"] == "no-store"
            if method == "HEAD":
                assert "GET" in answer.headers["Allow"].split(", ")
                assert answer.data == b""
            else:
                assert int(answer.headers["Retry-After"]) > 0
                json = way.browser.open("GET", way.url, {**SAME_ORIGIN, **headers})
                assert_error(json, 503, "temporarily_unavailable")
        assert rows(app) == before, way.url
        assert len(standins.asked) == asked, "no provider was asked"
        assert way.look("GET", {}).status_code == way.status, way.url
        assert rows(app) != before, "the real request changes something"


def gets(app: Flask) -> list[str]:
    """Every address that answers a GET, with something for each of its parts."""
    found = []
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()):
            values = {"name": "google"} if rule.rule.startswith(("/signin", "/account")) else {"name": "page.css"}
            known = {**values, "session_id": NOBODYS_ID, "identity_id": NOBODYS_ID, "mail_id": NOBODYS_ID}
            with app.test_request_context(base_url=PUBLIC_URL):
                build = app.url_map.bind("x").build
                found.append(build(rule.endpoint, {one: known[one] for one in rule.arguments}, "GET"))
    return found


def test_s83_no_get_of_any_route_changes_a_row_for_who_only_looks(app: Flask, advance: Callable[[float], None]) -> None:
    """Six minutes later, when looking at a page would count as use of its session."""
    person = sign_up(app.test_client())
    browser = signed_in_on_page(app, person)
    advance(6 * 60)
    before, paths = rows(app), gets(app)
    assert {"/api/me", "/account", "/signin", "/api/auth/google/login", "/api/auth/google/callback"} <= set(paths)
    query = f"?{Flow().query()}"
    for path in paths:
        for method, headers in LOOKS[:2] + LOOKS[-1:]:
            for more in ("", query, f"{query}&ticket=x" if path.endswith("/login") else "?state=x"):
                answer = browser.open(method, path + more, {**OURS, **headers, **person.bearer})
                assert answer.status_code < 500 or answer.status_code == 503, (path, answer.text)
                assert "Set-Cookie" not in answer.headers
                answer.close()
    assert rows(app) == before
    browser.get("/account")
    assert rows(app) != before, "while somebody who opens it uses their session"


def test_s83_what_changes_nothing_is_answered_to_who_only_looks(app: Flask, advance: Callable[[float], None]) -> None:
    """Also a page whose opening would count as use of its session."""
    person = sign_up(app.test_client())
    browser = signed_in_on_page(app, person)
    advance(6 * 60)
    for path in ("/api/me/", "/.well-known/jwks.json", "/account", "/signin", "/pages/page.css", "/authserver.js"):
        looked = []
        for method, headers in LOOKS:
            answer = browser.open(method, path, {**OURS, **person.bearer, **headers})
            looked.append((answer.status_code, answer.mimetype, answer.get_data()))
            answer.close()
        there = browser.open("GET", path, {**OURS, **person.bearer})
        seen = (200, there.mimetype, there.get_data())
        there.close()
        assert looked == [(*seen[:2], b""), *[seen] * len(AHEAD)], path
    assert holds(browser)


@each("purpose", ["", "navigate", "prefetching", "no"])
def test_s83_another_purpose_is_no_look(app: Flask, purpose: str) -> None:
    headers = {"Sec-Purpose": purpose, "Purpose": purpose}
    assert Browser(app).open("GET", "/signin/google", {**OURS, **SAME_ORIGIN, **headers}).status_code == 302


def test_s83_a_post_and_a_command_are_no_looks(app: Flask) -> None:
    for headers in AHEAD:
        body = {"email": "nobody@example.com", "password": "canary"}
        answer = app.test_client().post("/api/login/", json=body, headers=headers)
        assert_error(answer, 401, "no_active_account")
    require_more_than_a_look()
    with app.test_request_context("/", method="HEAD"), pytest.raises(WouldChange):
        require_more_than_a_look()


def test_s83_after_looking_the_way_can_be_gone(app: Flask, standins: StandIns) -> None:
    trip = depart(app, standins)
    back = trip.come_back("verified")
    for method, headers in LOOKS:
        trip.browser.open(method, back, {**OURS, **headers})
    assert_leads(trip.browser.get(back), "/account")
