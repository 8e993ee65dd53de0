"""Signing in, up and out on the hosted pages, for one's account and for an application."""

import re
from collections.abc import Callable
from html import unescape
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.models import Session, User
from tests.conftest import PUBLIC_URL, MakeApp
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up
from tests.mails import Mails
from tests.pages import (
    HTML,
    Browser,
    alive,
    assert_leads,
    assert_page,
    claims,
    code_of,
    everything,
    exchanged,
    holds,
    joining,
    query_of,
    session_of,
    signed_in_on_page,
)
from tests.providers.redirecting import NEXT, Flow
from tests.test_signup_page import count, invite

Advance = Callable[[float], None]
PRIVATE = "com.example.app:/signed-in"
MINUTE = 60


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(redirect_urls=f"{NEXT},{PRIVATE}")


@pytest.fixture
def person(client: FlaskClient) -> SignedIn:
    return sign_up(client)


def test_who_signs_in_or_up_is_led_to_their_account_under_a_cookie_of_the_page(app: Flask, person: SignedIn) -> None:
    newcomer = joining()
    for path, fields in (("/signin", {"email": person.user["email"], "password": PASSWORD}), ("/signup", newcomer)):
        browser = Browser(app)
        assert_leads(browser.get("/account"), "/signin")
        answer = browser.post(path, fields)
        assert_leads(answer, "/account")
        cookie, device = answer.headers.getlist("Set-Cookie")
        assert device.startswith("__Host-device="), "which signs nobody in: tests/security/test_known_devices.py"
        name_and_value, *attributes = cookie.split("; ")
        assert name_and_value == f"__Host-page={browser.cookie}"
        assert set(attributes) == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=86400"} | {
            one for one in attributes if one.startswith("Expires=")
        }
        assert fields["email"] in browser.get("/account").text
        assert browser.session().method == "password"
    assert log_in(app.test_client(), newcomer["email"]).status_code == 200


@pytest.mark.parametrize("path", ["/signin", "/signup"])
def test_an_application_gets_a_session_of_its_own(app: Flask, person: SignedIn, path: str) -> None:
    flow, browser, joiner = Flow(), Browser(app), joining()
    assert_page(browser.get(f"{path}?{flow.query()}"))
    fields = joiner if path == "/signup" else {"email": person.user["email"], "password": PASSWORD}
    theirs = exchanged(app, browser.post(f"{path}?{flow.query()}", fields), flow)
    assert theirs.user["email"] == fields["email"]
    page, own = browser.session(), session_of(app, Session.id == UUID(claims(theirs.access)["sid"]))
    assert page.id != own.id
    assert (own.method, own.page_session_id, own.page_hash) == ("password", page.id, None)
    assert claims(theirs.refresh)["exp"] == int(own.expires_at.timestamp())
    listed = app.test_client().get("/api/sessions/", headers=theirs.bearer).get_json()
    assert {one["id"]: one["current"] for one in listed}.items() >= {str(own.id): True, str(page.id): False}.items()


@pytest.mark.parametrize("state", [None, "", " ", "a=b&code=evil#?/;", "ü漢\U0001f600", "\r\nSet-Cookie: x=1\t"])
def test_the_applications_state_comes_back_to_the_letter_on_every_way(
    app: Flask, person: SignedIn, state: str | None
) -> None:
    flow, browser = Flow(state=state), Browser(app)
    ways = [
        browser.sign_in(person.user["email"], query=f"?{flow.query()}"),
        browser.go_on(person, f"?{flow.query()}"),
        Browser(app).post(f"/signup?{flow.query()}", joining()),
    ]
    for answer in ways:
        assert query_of(answer).get("state") == state


def test_a_click_makes_nothing_fresh_and_the_password_does(app: Flask, person: SignedIn, advance: Advance) -> None:
    """S66, S70."""
    flow = Flow()
    query, browser = f"?{flow.query()}", Browser(app)
    first = exchanged(app, browser.sign_in(person.user["email"], query=query), flow)
    signed_in_at = int(browser.session().created_at.timestamp())
    assert claims(first.access)["fresh"] == signed_in_at + 600
    advance(9 * MINUTE)
    assert claims(exchanged(app, browser.go_on(person, query), flow).access)["fresh"] == signed_in_at + 600
    advance(2 * MINUTE)
    stale = exchanged(app, browser.go_on(person, query), flow)
    assert claims(stale.access)["fresh"] is False
    assert_error(app.test_client().delete("/api/me/", headers=stale.bearer), 403, "reauthentication_required")
    assert_leads(browser.post("/account/confirm?then=email", {"password": PASSWORD}), "/account/email")
    confirmed_at = browser.session().authenticated_at
    assert confirmed_at is not None
    advance(5 * MINUTE)
    again = exchanged(app, browser.go_on(person, query), flow)
    assert claims(again.access)["fresh"] == int(confirmed_at.timestamp()) + 600
    advance(5 * MINUTE)
    assert claims(exchanged(app, browser.go_on(person, query), flow).access)["fresh"] is False


def test_a_pages_session_has_the_absolute_end_of_any_and_no_code_outlives_it(
    app: Flask, person: SignedIn, advance: Advance
) -> None:
    flow, browser = Flow(), signed_in_on_page(app, person)
    advance(86400 - 30)
    assert holds(browser)
    code = code_of(browser.go_on(person, f"?{flow.query()}"), flow)
    advance(31)
    assert_error(flow.exchange(app.test_client(), code), 400, "one_time_token_not_valid")
    assert_leads(browser.get("/account"), "/signin")
    assert_leads(browser.go_on(person), "/signin")


def test_s17_an_applications_session_ends_a_lifetime_after_the_sign_in_and_not_after_the_click(
    app: Flask, person: SignedIn, advance: Advance
) -> None:
    flow, browser = Flow(), signed_in_on_page(app, person)
    advance(86400 - 600)
    application = exchanged(app, browser.go_on(person, f"?{flow.query()}"), flow)
    client = app.test_client()
    assert client.post("/api/token/refresh/", json={"refresh": application.refresh}).status_code == 200
    advance(601)
    refused = client.post("/api/token/refresh/", json={"refresh": application.refresh})
    assert_error(refused, 401, "token_not_valid")


def test_the_sign_in_page_names_the_scheme_of_an_application_and_not_what_comes_after_it(make_app: MakeApp) -> None:
    for onward, named in (
        ("com.example.app://callback", "com.example.app"),
        ("https://app.example.com:8443/x", "app.example.com:8443"),
    ):
        browser = Browser(make_app(redirect_urls=onward))
        assert f"go on to {named}." in browser.get(f"/signin?next={onward}&code_challenge={'a' * 43}").text


def test_password_managers_find_where_a_password_is_changed(app: Flask) -> None:
    answer = Browser(app).get("/.well-known/change-password")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/account/password")


def test_a_person_who_is_signed_in_may_go_on_to_their_account_too(app: Flask, person: SignedIn) -> None:
    browser = signed_in_on_page(app, person)
    shown = browser.get("/signin?then=password")
    assert_page(shown)
    assert f'name="user" value="{person.user["id"]}"' in shown.text
    assert_leads(browser.go_on(person, "?then=password"), "/account/password")


def test_a_wrong_password_shows_the_page_again_with_the_applications_request(app: Flask, person: SignedIn) -> None:
    flow, browser = Flow(), Browser(app)
    refused = browser.sign_in(person.user["email"], "canary", f"?{flow.query()}")
    assert_page(refused, 401)
    assert "canary" not in refused.text
    assert f'value="{person.user["email"]}"' in refused.text
    (action,) = re.findall(r'action="(/signin\?[^"]+)"', refused.text)
    assert dict(parse_qsl(urlsplit(unescape(action)).query)) == dict(parse_qsl(flow.query()))
    assert browser.cookie is None
    json = browser.post("/signin", {"email": person.user["email"], "password": "x"}, {"Origin": PUBLIC_URL})
    assert_error(json, 401, "no_active_account")


def test_where_verification_is_required_a_sign_up_signs_nobody_in_before_it(make_app: MakeApp, mails: Mails) -> None:
    app = make_app(email_verification="required", mail_url=mails.url, redirect_urls=NEXT)
    flow, browser, fields = Flow(), Browser(app), joining()
    query = f"?{flow.query()}"
    answer = browser.post(f"/signup{query}", fields)
    assert_page(answer)
    assert "Set-Cookie" not in answer.headers
    assert (count(app, User), count(app, Session)) == (1, 0)
    before = everything(app)
    assert_page(browser.sign_in(fields["email"], query=query), 403)
    assert (browser.cookie, everything(app)["sessions"]) == (None, before["sessions"])
    token = mails.one(app, fields["email"]).token
    assert_page(browser.post("/email/verify", {"token": token}))
    theirs = exchanged(app, browser.sign_in(fields["email"], query=query), flow)
    assert theirs.user["email_verified"] is True


def test_where_verification_is_required_the_page_is_alike_for_taken_addresses(make_app: MakeApp, mails: Mails) -> None:
    app = make_app(email_verification="required", mail_url=mails.url, redirect_urls=NEXT)
    fields, query = joining(), f"?{Flow().query()}"
    pages = [Browser(app).post(f"/signup{query}", fields) for _ in range(2)]
    for page in pages:
        assert_page(page)
    assert pages[0].text == pages[1].text
    assert sorted(page.headers.keys()) == sorted(pages[0].headers.keys())
    assert (count(app, User), count(app, Session)) == (1, 0)


@pytest.mark.parametrize(("signup", "status"), [("closed", 403), ("invited", 403), ("open", 303)])
def test_who_may_not_join_may_not_by_the_page_either(make_app: MakeApp, signup: str, status: int) -> None:
    app = make_app(signup=signup)
    browser = Browser(app)
    assert ('href="/signup"' in browser.get("/signin").text) == (signup != "closed")
    before = everything(app)
    answer = browser.post("/signup", joining())
    assert answer.status_code == status
    assert (browser.cookie is None) == (everything(app) == before) == (status == 403)


def test_an_invitation_signs_its_address_in(make_app: MakeApp) -> None:
    app = make_app(signup="invited", redirect_urls=NEXT)
    flow, code = Flow(), invite(app)
    answer = Browser(app).post(f"/signup?{flow.query()}", joining(email="ada@example.com", invitation=code))
    assert exchanged(app, answer, flow).user["email_verified"] is True


def test_without_pages_those_of_mails_and_the_client_stay(make_app: MakeApp) -> None:
    browser = Browser(make_app(pages=False))
    for path in ("/", "/signin", "/signin/google", "/signin/continue", "/signout", "/account", "/account/email"):
        for method in ("GET", "POST"):
            assert_error(browser.get(path, method=method, Accept="*/*"), 404, "not_found")
            assert_page(browser.get(path, method=method), 404)
    for path in ("/password/forgot", "/email/resend"):
        assert_page(browser.get(path), 404)
    for path in ("/signup", "/email/verify", "/password/reset", "/account/recover"):
        assert_page(browser.get(path))
        assert "/signin" not in browser.get(path).text
    for path in ("/authserver.js", "/authserver.d.ts", "/pages/page.css"):
        with browser.get(path) as file:
            assert file.status_code == 200


@pytest.mark.parametrize("app_url", [None, "https://app.example.com/start"])
def test_the_servers_own_address_leads_to_the_application_or_to_the_account(
    make_app: MakeApp, app_url: str | None
) -> None:
    app = make_app(**({"app_url": app_url} if app_url else {}))
    answer = Browser(app).get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, app_url or "/account")
    assert "Set-Cookie" not in answer.headers


def test_signing_out_asks_ends_the_pages_session_alone_and_leads_back(app: Flask, person: SignedIn) -> None:
    flow, browser = Flow(), Browser(app)
    theirs = exchanged(app, browser.sign_in(person.user["email"], query=f"?{flow.query()}"), flow)
    cookie, before = browser.cookie, everything(app)
    assert_page(browser.get(f"/signout?next={NEXT}"))
    assert everything(app) == before
    assert_leads(browser.post(f"/signout?next={NEXT}"), NEXT)
    assert (browser.cookie, cookie is None) == (None, False)
    assert_leads(Browser(app, Cookie=f"__Host-page={cookie}").get("/account"), "/signin")
    assert alive(app, theirs)
    for path in ("/signout", f"/signout?next={PRIVATE}"):
        assert_page(browser.get(path))
        assert_page(browser.post(path))
    assert f'href="{PRIVATE}"' in browser.post(f"/signout?next={PRIVATE}").text


def test_another_persons_sign_in_ends_the_session_that_the_page_held(
    app: Flask, client: FlaskClient, person: SignedIn
) -> None:
    browser, other = signed_in_on_page(app, person), sign_up(client)
    held = browser.session().id
    browser.sign_in(other.user["email"])
    assert other.user["email"] in browser.get("/account").text
    assert session_of(app, Session.id == held).revoked_at is not None


def test_in_development_a_page_under_another_loopback_name_leads_to_the_public_url(make_app: MakeApp) -> None:
    client = make_app(env="development", public_url="http://localhost:8000", redirect_urls=NEXT).test_client()
    query = Flow().query()
    for path in ("/signin", "/signup", "/signout", "/password/forgot", f"/signin?{query}", "/signin?then=%ff%0d%0aX:"):
        moved = client.get(path, base_url="http://127.0.0.1:8000", headers=HTML)
        assert (moved.status_code, moved.headers["Location"]) == (302, f"http://localhost:8000{path}")
