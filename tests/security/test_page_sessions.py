"""S63, S66: what a page's session is opened by, what ends it, and that nothing of it opens the API."""

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from authserver.accounts import data
from authserver.clock import now
from authserver.events.record import record
from authserver.extensions import db
from authserver.models import Session, User
from authserver.oauth import codes
from authserver.pages import session as pages
from authserver.sessions import flows as sessions
from authserver.tokens.one_time import digest
from authserver.visitor import Visitor
from tests.conftest import PUBLIC_URL, MakeApp
from tests.each import each
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up
from tests.mails import Mails
from tests.pages import (
    COOKIE,
    Browser,
    alive,
    assert_leads,
    assert_page,
    claims,
    code_of,
    everything,
    exchanged,
    holds,
    session_of,
    signed_in_on_page,
)
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow
from tests.security.test_passwords import change_user
from tests.test_passwords import NEW, reset

served_standins = conftest.served_standins
standins = conftest.standins
no_secret_is_logged = conftest.no_secret_is_logged

APP = "https://app.example.com"
TRANSPORT = {"X-Auth-Transport": "cookie", "Origin": APP}
DEVICE = "__Host-device"  # by which a limit knows the browser again
End = Callable[[Flask, SignedIn, Browser, Mails], object]


@pytest.fixture
def app(make_app: MakeApp, mails: Mails) -> Flask:
    return make_app(redirect_urls=NEXT, mail_url=mails.url, cors_origins=APP)


@pytest.fixture
def person(client: FlaskClient) -> SignedIn:
    return sign_up(client)


@pytest.fixture
def browser(app: Flask, person: SignedIn) -> Browser:
    return signed_in_on_page(app, person)


def opens(app: Flask, cookies: str) -> bool:
    """Whether this `Cookie` header, to the letter, is somebody signed in, as GET and as POST."""
    sent = Browser(app, Cookie=cookies)
    shown = sent.get("/account").status_code == 200
    assert (sent.get("/signin").text.count('name="user"') == 1) == shown
    users = re.findall(r'name="user" value="([\w-]+)"', sent.get("/account/confirm").text)
    refused = sent.post("/account/confirm", {"password": "wrong", "user": "".join(users)})
    assert (refused.status_code == 400) == shown
    return shown


# S63


def test_s63_a_cookie_that_is_not_ours_or_came_twice_opens_no_session(app: Flask, browser: Browser) -> None:
    value = browser.cookie
    for cookies in (
        f"{COOKIE}={value}; {COOKIE}={value}",
        f"{COOKIE}=planted; {COOKIE}={value}",
        f"{COOKIE}={value};{COOKIE}=",
        f"{COOKIE}={value};\t{COOKIE}",
        f"\xa0{COOKIE}={value}",
        f"\x85{COOKIE}={value}",
        f"{COOKIE}\xa0={value}",
        f"\x0b{COOKIE}={value}",
        f'{COOKIE}="{value}"',
        f"{COOKIE}={value}\xa0",
        f"{COOKIE.lower()}={value}",
        f"page={value}",
        f"__Secure-page={value}",
        f"authserver_443_page={value}",
        f"$Version=1; x={COOKIE}={value}",
        f"{COOKIE}%3D{value}",
    ):
        assert not opens(app, cookies), ascii(cookies)
    assert opens(app, f"{COOKIE}={value}")


def test_s63_a_planted_cookie_hides_ours_from_nobody(app: Flask, browser: Browser) -> None:
    for around in (
        "{0}={1}; \xa0{0}=planted",
        "\x85{0}=planted; {0}={1}",
        'planted="; {0}={1}; other="',
        "planted; ={0}; {0}={1};;",
        "{0}={1}; {0}x=planted; x{0}=planted",
        " \t{0}={1}\t ",
    ):
        assert opens(app, around.format(COOKIE, browser.cookie)), ascii(around)


@each("value", ["", "x" * 5000, "a\0b", "ä\xff", "null", "%", "'; DROP TABLE sessions", "\ud7ff"])
def test_s63_whatever_a_cookie_holds_is_nobody(app: Flask, person: SignedIn, value: str) -> None:
    before = everything(app)
    raw = value.encode().decode("latin-1")
    sent = Browser(app, Cookie=f"{COOKIE}={raw}")
    assert_leads(sent.get("/account"), "/signin")
    assert_page(sent.get("/signin"))
    assert_page(sent.post("/signout"))
    assert everything(app) == before
    assert_leads(sent.sign_in(person.user["email"]), "/account")


def test_s20_s66_a_cookie_that_was_there_before_is_never_adopted(app: Flask, person: SignedIn) -> None:
    """Session fixation: what an attacker put there is neither kept nor ended up signed in."""
    planted = signed_in_on_page(app, sign_up(app.test_client()))
    for before in (planted.cookie, "planted"):
        victim = Browser(app, Cookie=f"{COOKIE}={before}")
        answer = victim.sign_in(person.user["email"])
        sent = dict(one.partition(";")[0].split("=", 1) for one in answer.headers.getlist("Set-Cookie"))
        assert sent.keys() == {COOKIE, DEVICE}
        fresh = sent[COOKIE]
        assert fresh not in (before, "")
        assert not opens(app, f"{COOKIE}={before}")
        assert person.user["email"] in Browser(app, Cookie=f"{COOKIE}={fresh}").get("/account").text


# S66


def test_s66_the_pages_cookie_opens_nothing_in_the_api(app: Flask, browser: Browser) -> None:
    value, session = browser.cookie, str(browser.session().id)
    cookies = f"{COOKIE}={value}; __Host-refresh={value}"
    client = app.test_client(use_cookies=False)
    before = everything(app)
    for secret in (value, session, digest(value or "")):
        for headers in ({"Authorization": f"Bearer {secret}"}, {"Authorization": f"bearer {COOKIE}={secret}"}):
            assert_error(client.get("/api/me/", headers={**headers, "Cookie": cookies}), 401, "token_not_valid")
        body = {"refresh": secret}
        assert_error(client.post("/api/token/refresh/", json=body), 401, "token_not_valid")
        assert_error(client.post("/api/token/verify/", json={"token": secret}), 401, "token_not_valid")
        exchange = {"code": secret, "code_verifier": secret}
        assert_error(client.post("/api/auth/exchange/", json=exchange), 400, "one_time_token_not_valid")
    for path in ("/api/me/", "/api/sessions/", "/api/me/export/", "/api/identities/", "/api/events/"):
        answer = client.get(path, headers={"Cookie": cookies, **TRANSPORT}, base_url=PUBLIC_URL)
        assert_error(answer, 401, "not_authenticated")
    for path in ("/api/token/refresh/", "/api/token/blacklist/", "/api/logout/"):
        answer = client.post(path, headers={"Cookie": cookies, **TRANSPORT}, base_url=PUBLIC_URL)
        assert_error(answer, 401, "token_not_valid")
        only = client.post(path, headers={"Cookie": f"{COOKIE}={value}", **TRANSPORT}, base_url=PUBLIC_URL)
        assert only.status_code in (400, 401)
    assert everything(app) == before
    assert holds(browser)


def test_s66_the_refresh_cookie_and_tokens_open_nothing_on_a_page(app: Flask, person: SignedIn) -> None:
    browser = Browser(app)
    body = {"email": person.user["email"], "password": PASSWORD}
    signed_in = browser.client.post("/api/login/", json=body, headers=TRANSPORT, base_url=PUBLIC_URL)
    refresh = signed_in.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
    assert not holds(browser)
    assert_leads(browser.go_on(person), "/signin")
    for secret in (refresh, person.access, person.refresh, claims(person.access)["sid"]):
        assert not opens(app, f"{COOKIE}={secret}; __Host-refresh={refresh}")
    assert_leads(browser.get("/account", Authorization=f"Bearer {person.access}"), "/signin")


def test_s66_a_sign_in_on_a_page_leaves_the_applications_cookie_alone(app: Flask, person: SignedIn) -> None:
    browser = Browser(app)
    body = {"email": person.user["email"], "password": PASSWORD}
    app_session = browser.client.post("/api/login/", json=body, headers=TRANSPORT, base_url=PUBLIC_URL).get_json()
    other = sign_up(app.test_client())
    answer = browser.sign_in(other.user["email"])
    assert [one.partition("=")[0] for one in answer.headers.getlist("Set-Cookie")] == [COOKIE, DEVICE]
    refreshed = browser.client.post("/api/token/refresh/", headers=TRANSPORT, base_url=PUBLIC_URL).get_json()
    assert claims(refreshed["access"])["sub"] == person.user["id"]
    assert claims(refreshed["access"])["sid"] == claims(app_session["access"])["sid"]


def by_reset(app: Flask, person: SignedIn, browser: Browser, mails: Mails) -> None:
    mails.take(app)
    app.test_client().post("/api/password/forgot/", json={"email": person.user["email"]})
    assert reset(app.test_client(), mails.take(app)[-1].token).status_code == 204


def by_recovery(app: Flask, person: SignedIn, browser: Browser, mails: Mails) -> None:
    body = {"email": "thief@example.com"}
    app.test_client().post("/api/email/change/", json=body, headers=person.bearer)
    token = next(mail.token for mail in mails.take(app) if mail.page.endswith("/account/recover"))
    assert_page(Browser(app).post("/account/recover", {"token": token}))


def by_disabling(app: Flask, person: SignedIn, browser: Browser, mails: Mails) -> None:
    change_user(app, person.user["email"], disabled_at=now())


def by_a_change_elsewhere(app: Flask, person: SignedIn, browser: Browser, mails: Mails) -> None:
    body = {"current_password": PASSWORD, "password": NEW, "password_confirm": NEW}
    assert app.test_client().post("/api/password/change/", json=body, headers=person.bearer).status_code == 204


def by_ending_the_others(app: Flask, person: SignedIn, browser: Browser, mails: Mails) -> None:
    assert app.test_client().delete("/api/sessions/", headers=person.bearer).status_code == 204


def by_ending_this_one(app: Flask, person: SignedIn, browser: Browser, mails: Mails) -> None:
    path = f"/api/sessions/{browser.session().id}/"
    assert app.test_client().delete(path, headers=person.bearer).status_code == 204


def by_the_operator(app: Flask, person: SignedIn, browser: Browser, mails: Mails) -> None:
    with app.app_context():
        assert sessions.end_all(browser.session().user_id, Visitor()) > 0


def by_signing_out(app: Flask, person: SignedIn, browser: Browser, mails: Mails) -> None:
    Browser(app, Cookie=f"{COOKIE}={browser.cookie}").post("/signout")


def by_deletion(app: Flask, person: SignedIn, browser: Browser, mails: Mails) -> None:
    with app.app_context():
        data.erase(browser.session().user_id, Visitor())


ENDS: list[End] = [
    *(by_reset, by_recovery, by_disabling, by_a_change_elsewhere, by_ending_the_others, by_ending_this_one),
    *(by_the_operator, by_signing_out, by_deletion),
]


@pytest.mark.parametrize("end", ENDS)
def test_s19_s32_s66_a_pages_session_and_the_codes_that_it_gave_end_with(
    app: Flask, person: SignedIn, browser: Browser, mails: Mails, end: End
) -> None:
    flow = Flow()
    code = code_of(browser.go_on(person, f"?{flow.query()}"), flow)
    assert holds(browser)
    end(app, person, browser, mails)
    assert not opens(app, f"{COOKIE}={browser.cookie}")
    before = everything(app)["sessions"]
    assert_error(flow.exchange(app.test_client(), code), 400, "one_time_token_not_valid")
    assert everything(app)["sessions"] == before
    assert_leads(browser.go_on(person), "/signin")
    assert_leads(browser.post("/account/profile", {"first_name": "Mallory"}), "/signin?then=profile")
    assert "Mallory" not in str(everything(app))


def test_s66_the_cookie_changes_at_each_sign_in_and_the_old_one_is_dead(app: Flask, person: SignedIn) -> None:
    browser, seen = Browser(app), []
    for way in ("sign-in", "sign-in", "another", "sign-in"):
        someone = sign_up(app.test_client()) if way == "another" else person
        assert_leads(browser.sign_in(someone.user["email"]), "/account")
        seen.append(browser.cookie)
    assert len(set(seen)) == 4
    assert [opens(app, f"{COOKIE}={one}") for one in seen] == [False, False, False, True]
    with app.app_context():
        stored = [row.page_hash for row in db.session.query(Session)]
    assert not set(stored) & set(seen), "stored as a hash"


def test_s66_a_failed_sign_in_leaves_who_is_there(app: Flask, person: SignedIn, browser: Browser) -> None:
    cookie = browser.cookie
    assert_page(browser.sign_in(person.user["email"], "wrong"), 401)
    assert (browser.cookie, holds(browser)) == (cookie, True)


LOGOUTS = {
    "logout by body": lambda c, one: c.post("/api/logout/", json={"refresh": one.refresh}),
    "logout by Bearer": lambda c, one: c.post("/api/logout/", headers=one.bearer),
    "blacklist": lambda c, one: c.post("/api/token/blacklist/", json={"refresh": one.refresh}),
}


@pytest.mark.parametrize("logout", LOGOUTS)
def test_s66_an_applications_logout_ends_the_pages_session_that_made_it(
    app: Flask, person: SignedIn, browser: Browser, logout: str
) -> None:
    flow, bystander = Flow(), signed_in_on_page(app, person)
    query = f"?{flow.query()}"
    theirs, another = (exchanged(app, browser.go_on(person, query), flow) for _ in range(2))
    assert LOGOUTS[logout](app.test_client(), theirs).status_code in (200, 204)
    assert [alive(app, theirs), holds(browser)] == [False, False]
    assert [alive(app, another), holds(bystander), alive(app, person)] == [True, True, True]


def by_cookie(browser: Browser, path: str, json: object = None) -> TestResponse:
    return browser.client.post(path, json=json, headers=TRANSPORT, base_url=PUBLIC_URL)


@pytest.mark.parametrize("path", ["/api/logout/", "/api/token/blacklist/"])
def test_s66_with_the_cookie_transport_a_logout_ends_it_too_and_a_new_sign_in_does_not(
    app: Flask, person: SignedIn, browser: Browser, path: str
) -> None:
    accesses = []
    for _ in range(2):  # the second replaces the first
        flow = Flow()
        body = {"code": code_of(browser.go_on(person, f"?{flow.query()}"), flow), "code_verifier": flow.verifier}
        answer = by_cookie(browser, "/api/auth/exchange/", body)
        accesses.append(SignedIn(answer.get_json()["access"], "", {}))
    assert [alive(app, one) for one in accesses] == [False, True]
    assert holds(browser)
    by_cookie(browser, "/api/login/", {"email": person.user["email"], "password": PASSWORD})
    assert not alive(app, accesses[1])
    assert holds(browser)
    flow = Flow()
    body = {"code": code_of(browser.go_on(person, f"?{flow.query()}"), flow), "code_verifier": flow.verifier}
    by_cookie(browser, "/api/auth/exchange/", body)
    assert by_cookie(browser, path).status_code in (200, 204)
    assert not holds(browser)


def test_s66_ending_the_pages_session_leaves_the_applications(app: Flask, person: SignedIn, browser: Browser) -> None:
    flow = Flow()
    theirs = exchanged(app, browser.go_on(person, f"?{flow.query()}"), flow)
    browser.post("/signout")
    assert alive(app, theirs)
    assert app.test_client().post("/api/token/refresh/", json={"refresh": theirs.refresh}).status_code == 200
    assert app.test_client().post("/api/logout/", json={"refresh": theirs.refresh}).status_code == 204


def test_s66_a_logout_long_after_the_pages_end_records_no_second_one(app: Flask, person: SignedIn) -> None:
    flow, browser = Flow(), Browser(app)
    theirs = exchanged(app, browser.sign_in(person.user["email"], query=f"?{flow.query()}"), flow)
    page = browser.session()
    browser.post("/signout")
    ended = session_of(app, Session.id == page.id).revoked_at
    app.test_client().post("/api/logout/", json={"refresh": theirs.refresh})
    assert session_of(app, Session.id == page.id).revoked_at == ended


def test_s18_another_persons_session_is_not_ended_on_the_page(
    app: Flask, client: FlaskClient, person: SignedIn, browser: Browser
) -> None:
    other = signed_in_on_page(app, sign_up(client))
    for session in (str(other.session().id), f"{{{other.session().id}}}"):
        assert_page(browser.post("/account/sessions", {"session": session}), 404)
    assert holds(other)


def overtaken_by(end: Callable[[], object], monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> None:
    """`end` comes just before what is named is called, once."""
    original = getattr(where, name)

    def overtaken(*arguments: object, **named: object) -> object:
        monkeypatch.setattr(where, name, original)
        end()
        return original(*arguments, **named)

    monkeypatch.setattr(where, name, overtaken)


def test_s66_a_sign_in_that_a_reset_overtakes_holds_nothing(
    app: Flask, person: SignedIn, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser(app)
    overtaken_by(lambda: by_reset(app, person, browser, mails), monkeypatch, pages, "end")
    assert_leads(browser.sign_in(person.user["email"]), "/signin")
    assert browser.cookie is None
    with app.app_context():
        assert all(row.revoked_at for row in db.session.query(Session))


def test_s66_a_click_that_a_reset_overtakes_gives_no_code(
    app: Flask, person: SignedIn, browser: Browser, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    overtaken_by(lambda: by_reset(app, person, browser, mails), monkeypatch, codes, "code_of_page")
    answer = browser.go_on(person, f"?{Flow().query()}")
    assert "code=" not in answer.headers.get("Location", "")
    assert answer.status_code in (303, 401)
    assert not holds(browser)


def test_s66_who_was_disabled_is_not_let_in_by_a_click(app: Flask, person: SignedIn, browser: Browser) -> None:
    with app.app_context():
        db.session.execute(update(User).values(disabled_at=now()))
        db.session.commit()
    assert_leads(browser.go_on(person), "/signin")
    assert_page(browser.sign_in(person.user["email"]), 401)
    assert log_in(app.test_client(), person.user["email"]).status_code == 401


def test_a_logout_and_the_end_of_all_others_at_once_both_succeed(
    app: Flask, person: SignedIn, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A logout ends two sessions: it must not hold one while it waits for the other."""
    flow = Flow()
    theirs = exchanged(app, browser.go_on(person, f"?{flow.query()}"), flow)
    others = []

    def overtaken(*arguments: object) -> None:
        monkeypatch.setattr(sessions, "record", record)
        client = app.test_client()
        others.append(thread.submit(lambda: client.delete("/api/sessions/", headers=person.bearer)))
        time.sleep(0.3)  # it waits for what the logout has ended by now
        record(*arguments)  # type: ignore[arg-type]

    with ThreadPoolExecutor(1) as thread:
        monkeypatch.setattr(sessions, "record", overtaken)
        logout = app.test_client().post("/api/logout/", json={"refresh": theirs.refresh})
        assert [logout.status_code, others[0].result().status_code] == [204, 204]
    assert [alive(app, theirs), holds(browser), alive(app, person)] == [False, False, True]


def test_signing_out_everywhere_else_ends_what_a_code_makes_at_the_same_time(
    app: Flask, person: SignedIn, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code came first, but its session is written after the others were looked for."""
    flow, others, start = Flow(), [], sessions.start
    answer = browser.go_on(person, f"?{flow.query()}")

    def overtaken(*arguments: object, **more: object) -> Session:
        client = app.test_client()
        others.append(thread.submit(lambda: client.delete("/api/sessions/", headers=person.bearer)))
        time.sleep(0.3)  # it waits for this exchange, or does not
        return start(*arguments, **more)  # type: ignore[arg-type]

    with ThreadPoolExecutor(1) as thread:
        monkeypatch.setattr(sessions, "start", overtaken)
        theirs = exchanged(app, answer, flow)
        assert others[0].result().status_code == 204
    assert [alive(app, theirs), holds(browser), alive(app, person)] == [False, False, True]
