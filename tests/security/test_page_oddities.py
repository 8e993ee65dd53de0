"""Whatever is sent to a hosted page: never a 5xx, a page for who prefers one and else the contract's JSON, uncached."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserver.extensions import db
from authserver.models import Session
from authserver.oauth import identities
from authserver.sessions import flows as sessions
from authserver.testing.standins import StandIns
from tests.conftest import PUBLIC_URL, MakeApp
from tests.each import each
from tests.factories import PASSWORD, SignedIn, assert_error, sign_up
from tests.page_trips import depart_to_link
from tests.pages import (
    COOKIE,
    HTML,
    OURS,
    Browser,
    assert_leads,
    assert_page,
    code_of,
    everything,
    exchanged,
    holds,
    signed_in_on_page,
)
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow
from tests.providers.signing_in import settings_of
from tests.security.test_page_forms import forms, paths

served_standins = conftest.served_standins
standins = conftest.standins
no_secret_is_logged = conftest.no_secret_is_logged

FORM = "application/x-www-form-urlencoded"
CROWD = 10
ODD_QUERIES = [
    *("%00", "state=%00", "then=%00", "next=%00", "next=%ff", "state=%ff&code=%00", "state=&code=", "a&" * 2000),
    *("state=x&state=y", "then=a&then=b", "state[]=x", "next[]=x", "error=%00&state=x", "before=%00", "done=%ff"),
    *("ticket=%00", "code=x", "next=" + "x" * 5000, "state=" + "x" * 5000, "%", "=", "?", "\xff\xfe", "then=\x80"),
]
ODD_BODIES = [
    *(b"", b"%", b"=", b"&&&", b"\0", b"\xff", b"email=%ff", b"email=%00&password=%00", b"email=a&email=b"),
    *(b"email=a%40example.com&password=" + b"x" * 5000, b"email=%F0%9F%98%80&password=x", b"a=1&" * 30),
    *(b"user=%00", b"session=%00", b"provider=%00", b"identity=%00", b"token=%00", b"first_name=%00&last_name=%0a"),
    *(b"email=" + b"a" * 300 + b"%40example.com", b"email=%ED%A0%80%40example.com", b"password=%ED%A0%80"),
]


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns) -> Flask:
    return make_app(**settings_of(standins), redirect_urls=NEXT, mail_url="smtp://127.0.0.1:9")


@pytest.fixture
def person(client: FlaskClient) -> SignedIn:
    return sign_up(client)


@pytest.fixture(autouse=True)
def nothing_unexpected(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [one for one in caplog.get_records("call") if one.levelno >= logging.ERROR]


def assert_answered(answer: TestResponse, accept_html: bool, what: object) -> None:
    assert answer.status_code < 500, what
    assert answer.headers["Cache-Control"] == "no-store", what
    if answer.status_code >= 400 and accept_html:
        assert_page(answer, answer.status_code)
    elif answer.status_code >= 400:
        assert_error(answer, answer.status_code, answer.get_json()["code"], *answer.get_json().get("errors", {}))


@pytest.mark.slow
@pytest.mark.parametrize("accept", [HTML, {}], ids=["a browser", "no browser"])
def test_an_odd_query_is_answered_and_changes_nothing(app: Flask, person: SignedIn, accept: dict[str, str]) -> None:
    browsers = [Browser(app), signed_in_on_page(app, person)]
    before = everything(app)
    for browser in browsers:
        for path in paths(app, "GET"):
            for query in ODD_QUERIES:
                answer = browser.open("GET", f"{path}?{query}", {**accept, "Sec-Fetch-Site": "cross-site"})
                assert_answered(answer, accept is HTML, (path, query))
                assert COOKIE not in str(answer.headers.getlist("Set-Cookie"))
    assert everything(app) == before


@pytest.mark.slow
@pytest.mark.parametrize("accept", [HTML, {}], ids=["a browser", "no browser"])
def test_an_odd_form_is_answered(app: Flask, accept: dict[str, str]) -> None:
    headers = {**accept, "Origin": PUBLIC_URL}
    for path in forms(app):
        browser = signed_in_on_page(app, sign_up(app.test_client()))
        for body in ODD_BODIES:
            if path in ("/signout", "/account/delete"):
                browser = signed_in_on_page(app, sign_up(app.test_client()))
            answer = browser.open("POST", path, headers, data=body, content_type=FORM)
            assert_answered(answer, accept is HTML, (path, body))
        for kind in (
            f"{FORM}; charset=utf-16",
            "multipart/form-data; boundary=x",
            "application/json",
            "text/plain",
            "",
        ):
            answer = browser.open("POST", path, headers, data=b"email=a", content_type=kind)
            assert_answered(answer, accept is HTML, (path, kind))
        huge = browser.open("POST", path, headers, data=b"a=" + b"x" * 70_000, content_type=FORM)
        assert huge.status_code in (303, 413), path
        assert_answered(huge, accept is HTML, path)


@each("cookies", ["", ";", "=", "\0", "x" * 9000, "ä\xff", f"{COOKIE}=\0", f"{COOKIE}=" + "é" * 9000])
def test_an_odd_cookie_is_nobodys(app: Flask, person: SignedIn, cookies: str) -> None:
    browser = Browser(app, Cookie=cookies.encode().decode("latin-1"))
    for path in paths(app, "GET"):
        assert_answered(browser.get(path, Sec_Fetch_Site="cross-site"), True, path)
    for path in forms(app):
        if path not in ("/signin", "/signup"):
            assert_answered(browser.post(path), True, path)
    assert_leads(browser.sign_in(person.user["email"]), "/account")


@each("path", ["/signin/%00", "/signin/%ff", "/account/%00", "/account/x", "/signin/a/b", "/account//"])
def test_an_odd_path_is_a_404_page(app: Flask, path: str) -> None:
    answer = Browser(app).get(path)
    assert answer.status_code == 404
    assert_error(Browser(app).open("GET", path, {}), 404, "not_found")


def test_opening_a_page_changes_nothing(app: Flask, person: SignedIn) -> None:
    browser = signed_in_on_page(app, person)
    before = everything(app)
    for path in paths(app, "GET"):
        for method in ("GET", "HEAD", "OPTIONS"):
            if not path.startswith(("/signin/", "/account/confirm/", "/api/")):  # the ways to providers
                browser.open(method, path, OURS)
    assert everything(app) == before
    assert holds(browser)


def test_other_methods_are_no_way_around(app: Flask, person: SignedIn) -> None:
    browser = signed_in_on_page(app, person)
    before = everything(app)
    fields = {"email": "new@example.com", "password": PASSWORD, "session": "others", "first_name": "Mallory"}
    for path in forms(app):
        for method in ("PUT", "PATCH", "DELETE", "GET"):
            headers = {**HTML, "X-HTTP-Method-Override": "POST", "X-HTTP-Method": "POST"}
            answer = browser.open(method, f"{path}?_method=POST", headers, data=fields)
            assert answer.status_code in ((200, 303, 404, 405) if method == "GET" else (405,)), path
    assert everything(app) == before


def test_a_password_is_never_taken_from_the_address(app: Flask, person: SignedIn) -> None:
    browser = Browser(app)
    query = f"email={person.user['email'].replace('@', '%40')}&password={PASSWORD.replace(' ', '+')}"
    assert_page(browser.get(f"/signin?{query}"))
    assert_page(browser.post(f"/signin?{query}"), 400)
    assert PASSWORD not in browser.get(f"/signin?{query}").text
    assert browser.cookie is None


def test_no_secret_of_a_page_is_logged(app: Flask, standins: StandIns, person: SignedIn) -> None:
    """What the fixture looks for: the page's cookie, codes, states, verifiers; and these made up here."""
    flow = Flow(state="canary")
    browser = Browser(app)
    browser.sign_in(person.user["email"], "canary password", f"?{flow.query()}")
    browser.sign_in(person.user["email"], query=f"?{flow.query()}")
    exchanged(app, browser.go_on(person, f"?{flow.query()}"), flow)
    depart_to_link(standins, browser).finish()
    new = {
        "current_password": PASSWORD,
        "password": "canary battery staple",
        "password_confirm": "canary battery staple",
    }
    browser.post("/account/password", new)
    browser.post("/signin", {"email": "canary@example.com", "password": "canary"})
    browser.get("/signin?state=canary&code=canary")
    Browser(app, Cookie=f"{COOKIE}=canary").get("/account")
    for headers in ({"Origin": "https://evil.example"}, {}):
        browser.post("/signin?code=canary", {"email": "canary@example.com", "password": "canary"}, headers)


# Concurrency


def at_once(act: Callable[[int], TestResponse]) -> list[TestResponse]:
    with ThreadPoolExecutor(CROWD) as threads:
        return list(threads.map(act, range(CROWD)))


def test_ten_sign_ins_of_one_browser_at_once_end_what_it_held(app: Flask, person: SignedIn) -> None:
    browser = signed_in_on_page(app, person)
    held, cookies = browser.session().id, f"{COOKIE}={browser.cookie}"
    answers = at_once(lambda _: Browser(app, Cookie=cookies).sign_in(person.user["email"]))
    assert [answer.status_code for answer in answers] == [303] * CROWD
    assert len({answer.headers["Set-Cookie"] for answer in answers}) == CROWD
    with app.app_context():
        ended = [row.id for row in db.session.query(Session) if row.revoked_at]
    assert ended == [held]


def test_ten_clicks_at_once_give_ten_codes_each_for_a_session_of_its_own(app: Flask, person: SignedIn) -> None:
    browser, flow = signed_in_on_page(app, person), Flow()
    cookies = f"{COOKIE}={browser.cookie}"
    answers = at_once(lambda _: Browser(app, Cookie=cookies).go_on(person, f"?{flow.query()}"))
    assert len({code_of(answer, flow) for answer in answers}) == CROWD
    assert len({exchanged(app, answer, flow).refresh for answer in answers}) == CROWD


def test_ten_deletions_at_once_are_one(app: Flask, person: SignedIn) -> None:
    cookies = f"{COOKIE}={signed_in_on_page(app, person).cookie}"
    answers = at_once(lambda _: Browser(app, Cookie=cookies).post("/account/delete", {"user": person.user["id"]}))
    assert {answer.status_code for answer in answers} <= {200, 303}
    assert 200 in {answer.status_code for answer in answers}
    assert everything(app)["users"] == []


def test_an_identity_that_another_tab_unlinked_meanwhile_is_no_error(
    app: Flask, standins: StandIns, person: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = signed_in_on_page(app, person)
    depart_to_link(standins, browser).finish()
    (linked,) = app.test_client().get("/api/identities/", headers=person.bearer).get_json()
    original = identities.unlink

    def overtaken(*arguments: object) -> None:
        monkeypatch.setattr(identities, "unlink", original)
        path = f"/api/identities/{linked['id']}/"
        other = app.test_client()
        assert in_another_thread(lambda: other.delete(path, headers=person.bearer)).status_code == 204
        original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(identities, "unlink", overtaken)
    answer = browser.post("/account/identities/unlink", {"identity": linked["id"]})
    assert_page(answer, 404)


def test_an_account_that_is_deleted_meanwhile_is_no_error(
    app: Flask, person: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = signed_in_on_page(app, person)
    original = sessions.end_one

    def overtaken(*arguments: object) -> None:
        monkeypatch.setattr(sessions, "end_one", original)
        client = app.test_client()
        assert in_another_thread(lambda: client.delete("/api/me/", headers=person.bearer)).status_code == 204
        original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sessions, "end_one", overtaken)
    session = str(browser.session().id)
    assert_leads(browser.post("/account/sessions", {"session": session}), "/signin")
    assert_leads(browser.get("/account"), "/signin")


def in_another_thread(act: Callable[[], TestResponse]) -> TestResponse:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(act).result()
