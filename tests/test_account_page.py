"""One's own account on the hosted pages: each form does what the API's endpoint of the same purpose does."""

import html
import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.devices import device
from authserver.events.record import Happened
from authserver.extensions import db
from authserver.models import Event, User
from authserver.pages.access import EVENTS, NOTICES
from authserver.pages.session import AFTERWARDS
from tests.conftest import MakeApp
from tests.each import each
from tests.factories import NOBODYS_ID, PASSWORD, SignedIn, assert_error, log_in, sign_up
from tests.mails import Mails
from tests.pages import OURS, Browser, alive, assert_leads, assert_page, everything, holds, signed_in_on_page
from tests.security.test_passwords import change_user

Advance = Callable[[float], None]
NEW = "a new and better password"
PAGES = ["", "/profile", "/password", "/email", "/sessions", "/identities", "/events", "/export", "/delete", "/confirm"]
FRESH = {"/account/email": "email", "/account/delete": "delete"}


@pytest.fixture
def app(make_app: MakeApp, mails: Mails) -> Flask:
    return make_app(mail_url=mails.url, new_device_mail=False)


@pytest.fixture
def person(client: FlaskClient, app: Flask, mails: Mails) -> SignedIn:
    signed_up = sign_up(client)
    mails.take(app)
    return signed_up


@pytest.fixture
def browser(app: Flask, person: SignedIn) -> Browser:
    return signed_in_on_page(app, person)


def me(app: Flask, person: SignedIn) -> dict[str, object]:
    answer = app.test_client().get("/api/me/", headers=person.bearer)
    return dict(answer.get_json())


def new_password(**changes: str) -> dict[str, str]:
    return {"current_password": PASSWORD, "password": NEW, "password_confirm": NEW, **changes}


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_who_is_not_signed_in_is_led_to_sign_in(app: Flask, method: str) -> None:
    browser = Browser(app)
    for path in PAGES:
        answer = browser.open(method, f"/account{path}", OURS)
        if answer.status_code != 405:
            then = path.strip("/").partition("/")[0]
            assert_leads(answer, f"/signin?then={then}" if then in AFTERWARDS else "/signin")
    assert_leads(browser.post("/account/identities/unlink"), "/signin?then=identities")


def test_a_sensitive_change_takes_a_recent_sign_in(app: Flask, browser: Browser, advance: Advance) -> None:
    """S70."""
    advance(10 * 60)
    before = everything(app)
    for path, then in FRESH.items():
        for answer in (browser.get(path), browser.post(path, {"email": "other@example.com"})):
            assert_leads(answer, f"/account/confirm?then={then}")
    for path in ("/account/identities", "/account/identities/unlink"):
        answer = browser.post(path, {"provider": "google", "identity": NOBODYS_ID})
        assert_leads(answer, "/account/confirm?then=identities")
    assert everything(app) == before
    wrong = browser.post("/account/confirm?then=delete", {"password": "canary"})
    assert_page(wrong, 400)
    assert "canary" not in wrong.text
    assert_leads(browser.get("/account/delete"), "/account/confirm?then=delete")
    assert_leads(browser.post("/account/confirm?then=delete", {"password": PASSWORD}), "/account/delete")
    for path in FRESH:
        assert_page(browser.get(path))
    advance(10 * 60)
    assert_leads(browser.get("/account/delete"), "/account/confirm?then=delete")


def test_looking_at_a_page_counts_as_use_of_its_session_now_and_then(
    app: Flask, browser: Browser, advance: Advance
) -> None:
    begun = browser.session().last_used_at
    for minutes, used in ((4, False), (2, True)):
        advance(minutes * 60)
        browser.get("/account")
        assert (browser.session().last_used_at > begun) is used


CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
IOS = "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"


@each(
    ("agent", "known_as"),
    [
        (CHROME, "Chrome on Linux"),
        (f"{CHROME} Edg/156.0", "Edge on Linux"),
        (CHROME.replace("X11; Linux", "X11; CrOS"), "Chrome on ChromeOS"),
        (CHROME.replace("X11; Linux x86_64", "Linux; Android 16"), "Chrome on Android"),
        (f"{IOS} Version/26.0 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
        (f"{IOS} CriOS/156.0 Mobile/15E148 Safari/604.1", "Chrome on iPhone"),
        (f"{IOS} FxiOS/150.0 Mobile/15E148 Safari/605.1.15", "Firefox on iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox on Windows"),
        ("curl/8.5.0", ""),
        ("Firefox/150.0", "Firefox"),
        ("Linux", ""),
        (None, ""),
    ],
)
def test_a_browser_is_named_as_people_name_it(agent: str | None, known_as: str) -> None:
    assert device(agent, "en") == known_as


def test_a_browser_is_named_in_the_readers_language(client: FlaskClient, browser: Browser, person: SignedIn) -> None:
    phone = f"{IOS} CriOS/156.0 Mobile/15E148 Safari/604.1"
    for agent in (CHROME, phone, "curl/8.5.0 <b>"):
        body = {"email": person.user["email"], "password": PASSWORD}
        assert client.post("/api/login/", json=body, headers={"User-Agent": agent}).status_code == 200
    for language, named in {
        "en": ("Chrome on Linux", "Chrome on iPhone"),
        "de": ("Chrome unter Linux", "Chrome auf iPhone"),
        "fr": ("Chrome sous Linux", "Chrome sur iPhone"),
    }.items():
        for page in ("/account/sessions", "/account/events"):
            text = browser.get(page, Accept_Language=language).text
            assert all(words in text for words in (*named, "curl/8.5.0 &lt;b&gt;")), (language, page)


def test_names_are_changed(app: Flask, browser: Browser, person: SignedIn) -> None:
    assert_page(browser.get("/account/profile"))
    answer = browser.post("/account/profile", {"first_name": " Ada ", "last_name": "<b>Lovelace</b>"})
    assert_leads(answer, "/account?done=profile")
    assert (me(app, person)["first_name"], me(app, person)["last_name"]) == ("Ada", "<b>Lovelace</b>")
    assert "<b>Lovelace" not in browser.get("/account").text
    assert_page(browser.post("/account/profile", {"first_name": "x" * 151}), 400)
    assert me(app, person)["first_name"] == "Ada"


def test_a_new_password_ends_every_other_session_and_is_told_by_mail(
    app: Flask, browser: Browser, person: SignedIn, mails: Mails
) -> None:
    other = signed_in_on_page(app, person)
    assert_leads(browser.post("/account/password", new_password()), "/account?done=password")
    assert [holds(browser), holds(other), alive(app, person)] == [True, False, False]
    assert log_in(app.test_client(), person.user["email"], NEW).status_code == 200
    assert [mail.to for mail in mails.take(app)] == [person.user["email"]]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"current_password": "canary"}, "current_password"),
        ({"password": "short", "password_confirm": "short"}, "password"),
        ({"password_confirm": "another"}, "password_confirm"),
    ],
)
def test_what_is_wrong_is_said_as_by_the_api(
    app: Flask, browser: Browser, person: SignedIn, changes: dict[str, str], field: str
) -> None:
    before = everything(app)
    body = new_password(**changes)
    by_api = app.test_client().post("/api/password/change/", json=body, headers=person.bearer)
    (sentence,) = assert_error(by_api, 400, "invalid_request", field)["errors"][field]
    by_page = browser.post("/account/password", body)
    assert_page(by_page, 400)
    assert re.search(rf'id="{field}-error">{re.escape(html.escape(sentence))} ', by_page.text)
    assert not [value for value in body.values() if value in by_page.text]
    assert everything(app) == before


def test_the_first_password_takes_a_recent_sign_in_and_no_other_password(
    app: Flask, browser: Browser, person: SignedIn, advance: Advance
) -> None:
    change_user(app, person.user["email"], password_hash=None)
    assert 'name="current_password"' not in browser.get("/account/password").text
    advance(10 * 60)
    for answer in (browser.get("/account/password"), browser.post("/account/password", new_password())):
        assert_leads(answer, "/account/confirm?then=password")
    advance(-60)
    fields = {name: value for name, value in new_password().items() if name != "current_password"}
    assert_leads(browser.post("/account/password", fields), "/account?done=password")
    assert log_in(app.test_client(), person.user["email"], NEW).status_code == 200


def test_another_address_counts_once_its_mail_is_confirmed(
    app: Flask, browser: Browser, person: SignedIn, mails: Mails
) -> None:
    assert_page(browser.post("/account/email", {"email": "no address"}), 400)
    assert_leads(browser.post("/account/email", {"email": "new@example.com"}), "/account?done=email")
    assert me(app, person)["email"] == person.user["email"]
    link = next(mail for mail in mails.take(app) if mail.to == "new@example.com")
    assert_page(browser.post("/email/verify", {"token": link.token}))
    assert me(app, person)["email"] == "new@example.com"
    assert "new@example.com" in browser.get("/account").text


def test_sessions_are_ended_one_by_one_or_all_others(
    app: Flask, client: FlaskClient, browser: Browser, person: SignedIn
) -> None:
    others = [SignedIn(**log_in(client, person.user["email"]).get_json()) for _ in range(3)]
    page = browser.get("/account/sessions")
    ids = {one["id"] for one in client.get("/api/sessions/", headers=person.bearer).get_json()}
    mine = str(browser.session().id)
    assert {found for found in ids if found in page.text} == ids - {mine}
    first = client.get("/api/sessions/", headers=others[0].bearer).get_json()
    current = next(one["id"] for one in first if one["current"])
    assert_leads(browser.post("/account/sessions", {"session": current}), "/account/sessions?done=ended")
    assert [alive(app, one) for one in others] == [False, True, True]
    strangers = str(sign_up_session(client))
    for wrong in (strangers, current, str(uuid4()), "x", "", "\0", "others "):
        assert browser.post("/account/sessions", {"session": wrong}).status_code in (400, 404), wrong
    assert_page(browser.post("/account/sessions"), 400)
    assert [alive(app, one) for one in others] == [False, True, True]
    assert_leads(browser.post("/account/sessions", {"session": "others"}), "/account/sessions?done=ended")
    assert [alive(app, one) for one in (*others, person)] == [False] * 4
    assert holds(browser)
    assert_leads(browser.post("/account/sessions", {"session": mine}), "/account/sessions?done=ended")
    assert not holds(browser)


def sign_up_session(client: FlaskClient) -> str:
    """S18: another person's session."""
    (one,) = client.get("/api/sessions/", headers=sign_up(client).bearer).get_json()
    return str(one["id"])


def test_the_export_is_the_apis(app: Flask, browser: Browser, person: SignedIn) -> None:
    by_page = browser.get("/account/export")
    assert by_page.headers["Content-Disposition"] == 'attachment; filename="account.json"'
    assert by_page.headers["Cache-Control"] == "no-store"
    by_api = app.test_client().get("/api/me/export/", headers=person.bearer).get_json()
    exported = by_page.get_json()
    for stored in (by_api, exported):
        currents = [one.pop("current") for one in stored["sessions"]]
        assert sorted(currents) == [False, True]
    assert exported == by_api
    assert browser.cookie
    assert browser.cookie not in by_page.text


def test_an_account_is_deleted_for_good(app: Flask, browser: Browser, person: SignedIn) -> None:
    before = everything(app)
    assert_page(browser.get("/account/delete"))
    assert everything(app) == before
    assert_page(browser.post("/account/delete"))
    assert browser.cookie is None
    after = everything(app)
    assert {name for name in ("users", "sessions", "identities", "one_time_tokens") if after[name]} == set()
    assert not [row for rows in after.values() for row in rows if person.user["email"] in row]
    assert not alive(app, person)
    assert_leads(browser.get("/account"), "/signin")


def test_events_are_read_page_by_page(app: Flask, browser: Browser, person: SignedIn) -> None:
    with app.app_context():
        user = db.session.query(User).filter_by(email=person.user["email"]).one()
        db.session.add_all(Event(user_id=user.id, type=kind, user_agent="<b>") for kind in list(Happened) * 5)
        db.session.commit()
    path, seen = "/account/events", 0
    while path:
        shown = browser.get(path)
        assert_page(shown)
        assert "<b>" not in shown.text
        seen += shown.text.count("<time ")
        older = re.findall(r'href="(/account/events\?before=[\w-]+)"', shown.text)
        path = older[0] if older else ""
    assert seen == len(Happened) * 5 + 3, "a sign-up, its sign-in and the page's"
    for odd in ("x", "%00", "%ff", "1" * 5000):
        assert_page(browser.get(f"/account/events?before={odd}"), 400)
    assert_page(browser.get(f"/account/events?before={NOBODYS_ID}"))


def test_each_kind_of_event_has_its_words() -> None:
    assert set(EVENTS) == set(Happened)


def test_what_was_done_is_said_in_our_own_sentences_only(browser: Browser) -> None:
    for done, sentence in NOTICES.items():
        assert html.escape(sentence) in browser.get(f"/account?done={done}").text
    for odd in ("<b>evil", "", "%00", "__class__"):
        shown = browser.get(f"/account?done={odd}")
        assert_page(shown)
        assert 'role="status"' not in shown.text
        assert "evil" not in shown.text


@pytest.mark.parametrize(
    ("path", "fields", "limit"),
    [
        ("/account/confirm", {"password": "wrong"}, "login_account"),
        ("/account/password", new_password(current_password="wrong"), "login_account"),
        ("/account/email", {"email": "new@example.com"}, "mail_account"),
    ],
)
def test_the_limits_are_the_apis(
    make_app: MakeApp, mails: Mails, path: str, fields: dict[str, str], limit: str
) -> None:
    limits = {"rate_limits": "true", f"rate_limit_{limit}": "3 per hour"}
    app = make_app(mail_url=mails.url, **limits)
    person = sign_up(app.test_client())
    browser = signed_in_on_page(app, person)
    statuses = [browser.post(path, fields).status_code for _ in range(3)]
    assert 429 not in statuses
    refused = browser.post(path, fields)
    assert_page(refused, 429)
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    body = fields if "email" in fields else {"password": "wrong"}
    api = "/api/email/change/" if "email" in fields else "/api/reauthenticate/"
    assert_error(app.test_client().post(api, json=body, headers=person.bearer), 429, "throttled")
