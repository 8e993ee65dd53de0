"""S50, S51: what a redirect answers on its way: cookies, hosts, pages, limits, the application's own state."""

import json
import re
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserver.oauth.provider import Provider, ProviderSettings
from authserver.testing.standins import StandIns
from providers import oidc
from tests.conftest import PUBLIC_URL, MakeApp
from tests.factories import assert_error
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow, parameters
from tests.providers.signing_in import settings_of
from tests.security.addresses import LISTED, WITH_QUERY
from tests.security.redirects import (
    assert_refused,
    changed,
    codes_asked,
    counts,
    depart,
    open_url,
    stored,
    with_cookies,
)

served_standins = conftest.served_standins
standins = conftest.standins
no_secret_is_logged = conftest.no_secret_is_logged

LOCAL = "http://localhost:8000"


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns) -> Flask:
    return make_app(**settings_of(standins), redirect_urls=",".join(LISTED))


@pytest.fixture
def developed(make_app: MakeApp, standins: StandIns) -> Flask:
    return make_app(**settings_of(standins), redirect_urls=NEXT, env="development", public_url=LOCAL)


def query_of(answer: TestResponse) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query, keep_blank_values=True, strict_parsing=True))


def test_the_applications_state_comes_back_to_the_letter(app: Flask, standins: StandIns) -> None:
    for state in (
        "",
        " ",
        "+ %2B%",
        "a=b&code=evil#?/;",
        "ü漢\U0001f600\u2028",
        "\r\nSet-Cookie: x=1\t",
        "漢" * 512,
        '"<>\\',
    ):
        for person in ("verified", None):
            trip = depart(app, standins, flow=Flow(state=state))
            answer = open_url(trip.browser, trip.callback(person))
            assert query_of(answer)["state"] == state
            assert answer.headers["Location"].startswith(f"{NEXT}?")
            assert answer.headers["Location"].isascii()
    before = stored(app)
    for state in ("x" * 513, "漢" * 513, "canary\0"):
        assert_refused(Flow(state=state).begin(app.test_client(), "google"), "state")
    assert_refused(open_url(app.test_client(), f"/api/auth/google/login/?{Flow().query()}&state=x"), "state")
    assert stored(app) == before


def attributes(answer: TestResponse) -> tuple[str, str, set[str]]:
    """The name and value of the one cookie that is set, and what else is said of it."""
    (header,) = answer.headers.getlist("Set-Cookie")
    pair, *rest = header.split("; ")
    name, _, value = pair.partition("=")
    return name, value, {one for one in rest if not one.startswith("Expires=")}


def test_s51_the_cookie_of_a_flow_is_of_this_host_alone_and_cleared_at_the_callback(
    app: Flask, standins: StandIns
) -> None:
    usual = {"HttpOnly", "Secure", "SameSite=Lax", "Path=/"}
    browser = app.test_client()
    began = Flow().begin(browser, "google")
    name, value, rest = attributes(began)
    state = dict(parse_qsl(urlsplit(began.headers["Location"]).query))["state"]
    assert (name, rest) == (f"__Host-flow-{state}", {*usual, "Max-Age=600"})
    assert re.fullmatch(r"\d{13}-[\w-]{43}", value), "when it was begun, and 256 random bits"
    assert began.headers["Cache-Control"] == "no-store"
    for person, changes in (("verified", {}), (None, {}), ("verified", {"code": "canary"})):
        trip = depart(app, standins)
        answer = open_url(trip.browser, changed(trip.callback(person), **changes))
        assert attributes(answer) == (trip.cookie, "", {*usual, "Max-Age=0"})
        assert trip.browser.get_cookie(trip.cookie, "auth.example.com") is None
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.data == b""


def test_on_plain_http_the_cookie_of_a_flow_is_named_after_the_port(developed: Flask, standins: StandIns) -> None:
    flow = Flow()
    browser = developed.test_client()
    began = browser.get(f"/api/auth/google/login?{flow.query()}", base_url=LOCAL)
    name, value, rest = attributes(began)
    state = dict(parse_qsl(urlsplit(began.headers["Location"]).query))["state"]
    assert name == f"authserver_8000_flow_{state}"
    assert rest == {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"}
    url = standins.google.authorize(began.headers["Location"], standins.google.person("verified")).url
    assert url.startswith(f"{LOCAL}/api/auth/google/callback/?")
    path = url.removeprefix(LOCAL)
    raw = developed.test_client(use_cookies=False)
    for other in (f"__Host-flow-{state}", f"authserver_8001_flow_{state}", f"flow_{state}", f"authserver_flow_{state}"):
        assert_refused(raw.get(path, base_url=LOCAL, headers={"Cookie": f"{other}={value}"}))
    assert "code" in parameters(browser.get(path, base_url=LOCAL))


@pytest.fixture
def posting(make_app: MakeApp, standins: StandIns) -> Flask:
    """Acme sends the browser back by a form, as Apple does."""

    def provider(settings: ProviderSettings) -> Provider:
        return replace(oidc.provider(settings), form_post=True)

    return make_app(**settings_of(standins), redirect_urls=NEXT, factories={"oidc": provider})


def test_s51_a_form_that_the_provider_posts_is_bound_to_its_browser_too(posting: Flask, standins: StandIns) -> None:
    trip = depart(posting, standins, "acme")
    _, _, rest = attributes(trip.flow.begin(posting.test_client(), "acme"))
    assert rest == {"HttpOnly", "Secure", "SameSite=None", "Path=/", "Max-Age=600"}
    person = standins.oidc.person("verified")
    callback = standins.oidc.authorize(trip.url, person)
    assert callback.form
    path, form, before = "/api/auth/acme/callback/", callback.form, stored(posting)

    def post(browser: FlaskClient, data: object, kind: str = "application/x-www-form-urlencoded") -> TestResponse:
        return browser.post(path, data=data, content_type=kind, base_url=PUBLIC_URL, headers={"Origin": "null"})

    sent = urlencode(form)
    assert_refused(post(posting.test_client(), sent))
    for body in (
        "",
        f"{sent}&state={form['state']}",
        f"state={form['state']}&{sent}",
        f"{sent}&x=\xff",
        "a&" * 60 + sent,
    ):
        assert_refused(post(trip.browser, body.encode("latin-1")))
    assert_refused(post(trip.browser, json.dumps(form), "application/json"))
    assert_error(post(trip.browser, f"{sent}&x={'x' * 65536}"), 413, "request_too_large")
    assert_refused(trip.browser.post(f"{path}?{sent}", base_url=PUBLIC_URL))
    assert stored(posting) == before
    assert codes_asked(standins) == []
    answer = post(trip.browser, sent)
    assert "code" in parameters(answer)
    assert attributes(answer) == (trip.cookie, "", {"HttpOnly", "Secure", "SameSite=None", "Path=/", "Max-Age=0"})
    assert_error(posting.test_client().post("/api/auth/google/callback/", data=form), 405, "method_not_allowed")


def test_two_tabs_at_once_each_end_their_own_sign_in(app: Flask, standins: StandIns) -> None:
    browser, trips = app.test_client(), []
    for address in (NEXT, WITH_QUERY):
        trip = depart(app, standins, flow=Flow(next=address, state=address))
        trips.append(trip)
        browser.set_cookie(trip.cookie, trip.secret, domain="auth.example.com")
    for trip, person in zip(reversed(trips), ("gmail", "verified"), strict=True):
        answer = open_url(browser, trip.callback(person))
        assert answer.headers["Location"].startswith(trip.flow.next)
        code = answer.headers["Location"].partition("code=")[2].partition("&")[0]
        user = trip.flow.exchange(browser, code).get_json()["user"]
        assert user["email"] == standins.google.person(person).email


def test_s50_a_login_under_another_host_is_led_to_the_public_url_before_anything_is_set(
    app: Flask, standins: StandIns
) -> None:
    query = f"{Flow().query()}&x=%2f+%0d%0a"
    browser = app.test_client()
    hosts = ("evil.example", "auth.example.com.evil.example", "auth.example.com:8443", "127.0.0.1", "[::1]:8000")
    for host in hosts:
        answer = browser.get(f"/api/auth/google/login/?{query}", base_url=f"https://{host}")
        assert answer.status_code == 302
        assert answer.headers["Location"] == f"{PUBLIC_URL}/api/auth/google/login/?{query}&moved=1"
        assert "Set-Cookie" not in answer.headers
        assert answer.headers["Cache-Control"] == "no-store"
    assert counts(app) == {}
    began = open_url(browser, answer.headers["Location"])
    assert began.headers["Location"].startswith(standins.google.url)
    # Behind a proxy that does not pass the host on, each request seems to come elsewhere: it goes on all the same.
    began = app.test_client().get(answer.headers["Location"].removeprefix(PUBLIC_URL), base_url="https://10.0.0.7:8000")
    assert began.headers["Location"].startswith(standins.google.url)
    asked = dict(parse_qsl(urlsplit(began.headers["Location"]).query))
    assert asked["redirect_uri"] == f"{PUBLIC_URL}/api/auth/google/callback/"


HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def test_a_failed_redirect_without_a_trustworthy_next_is_a_page_for_a_browser_and_json_for_others(
    app: Flask, standins: StandIns
) -> None:
    trip = depart(app, standins)
    bad_next = f"/api/auth/google/login/?{Flow(next='https://evil.example/<script>canary').query()}"
    for url in (bad_next, "/api/auth/google/login", "/api/auth/google/callback?state=<b>canary&code=canary"):
        for accept in ("application/json", "*/*", "", "text/plain"):
            assert open_url(trip.browser, url, Accept=accept).get_json()["code"] == "invalid_request"
        page = open_url(trip.browser, url, Accept=HTML)
        assert (page.status_code, page.mimetype) == (400, "text/html")
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert not [one for one in ("canary", "evil") if one in page.text]
        assert not {"Location", "Set-Cookie"} & set(page.headers.keys())
    for path in ("/api/auth/google/login/x", "/api/auth/google", "/api/auth/exchange"):
        assert open_url(trip.browser, path, Accept=HTML).mimetype == "application/json"
    answer = open_url(trip.browser, trip.callback(None), Accept=HTML)
    assert parameters(answer)["error"] == "access_denied"


def test_a_head_request_begins_nothing(app: Flask, standins: StandIns) -> None:
    browser = app.test_client()
    for url, status in (
        (f"/api/auth/google/login/?{Flow().query()}", 405),
        ("/api/auth/google/login/", 405),
        ("/api/auth/google/callback/?state=canary&code=canary", 400),
        ("/api/auth/exchange/", 405),
    ):
        answer = browser.head(url, base_url=PUBLIC_URL)
        assert (answer.status_code, answer.data) == (status, b"")
    assert counts(app) == {}


def test_a_login_is_limited_by_address_and_leaves_nothing_where_it_was_refused(
    make_app: MakeApp, standins: StandIns
) -> None:
    limits = {"rate_limits": "true", "rate_limit_provider_address": "3 per hour"}
    app = make_app(**settings_of(standins), redirect_urls=NEXT, **limits)
    trips = [depart(app, standins) for _ in range(3)]
    before = stored(app)
    for accept in ("*/*", HTML):
        answer = open_url(app.test_client(), f"/api/auth/google/login/?{Flow().query()}", Accept=accept)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (429, False)
        assert 0 < int(answer.headers["Retry-After"]) <= 3600
        assert answer.mimetype == ("text/html" if accept == HTML else "application/json")
    assert stored(app) == before
    assert "code" in trips[0].come_back()
    assert_refused(with_cookies(app, trips[0].callback(), ""))
