"""The hosted pages with the providers: signing in by one, and linking one to the account."""

from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from authserver import errors
from authserver.clock import now
from authserver.extensions import db
from authserver.models import Identity, User
from authserver.testing.standins import Person, StandIns
from tests.conftest import PUBLIC_URL, MakeApp
from tests.factories import NOBODYS_ID, SignedIn, assert_error, sign_up
from tests.mails import Mails
from tests.page_trips import CLICK, PageTrip, depart, depart_to_link, states
from tests.pages import (
    Browser,
    assert_leads,
    assert_page,
    claims,
    everything,
    exchanged,
    holds,
    signed_in_on_page,
)
from tests.providers.redirecting import NEXT, Flow
from tests.providers.signing_in import settings_of
from tests.security.redirects import counts
from tests.serving import free_port

PRIVATE = "com.example.app:/signed-in"


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns, mails: Mails) -> Flask:
    return make_app(**settings_of(standins), redirect_urls=f"{NEXT},{PRIVATE}", mail_url=mails.url)


@pytest.fixture
def person(client: FlaskClient) -> SignedIn:
    return sign_up(client, email="taken@example.com")


def test_each_provider_signs_in_on_the_page(app: Flask, standins: StandIns) -> None:
    for name in standins.each:
        trip = depart(app, standins, name)
        location = trip.come_back("no e-mail address")
        assert location.startswith(f"{PUBLIC_URL}/signin?")
        assert_leads(trip.browser.get(location), "/account")
        assert trip.browser.session().method == name
        cookies = trip.browser.client._cookies or {}
        left = {cookie.key for cookie in cookies.values()}
        assert left == {"__Host-page", "__Host-device"}, "nothing of the way is left"
    assert counts(app) == {one: len(standins.each) for one in ("users", "identities", "sessions")}


def test_a_sign_in_for_an_application_ends_there(app: Flask, standins: StandIns) -> None:
    flow = Flow()
    for name in ("google", "apple"):
        trip = depart(app, standins, name, f"?{flow.query()}")
        theirs = exchanged(app, trip.finish("no e-mail address"), flow)
        page = trip.browser.session()
        assert claims(theirs.access)["fresh"] == int(page.created_at.timestamp()) + 600
        listed = app.test_client().get("/api/sessions/", headers=theirs.bearer).get_json()
        assert [one["method"] for one in listed] == [name, name]
        assert len({one["id"] for one in listed}) == 2


def test_who_has_to_confirm_comes_back_to_what_they_wanted(app: Flask, standins: StandIns) -> None:
    trip = depart(app, standins, "github", "?then=delete")
    assert_leads(trip.finish("no e-mail address"), "/account/delete")


def test_to_a_private_scheme_a_click_leads(app: Flask, standins: StandIns) -> None:
    flow = Flow(next=PRIVATE)
    answer = depart(app, standins, query=f"?{flow.query()}").finish()
    assert_page_with_link(answer.status_code, answer.text)
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Location" not in answer.headers


def assert_page_with_link(status: int, text: str) -> None:
    assert status == 200
    assert f'href="{PRIVATE}?code=' in text


@pytest.mark.parametrize("name", ["google", "apple"])
@pytest.mark.parametrize(
    ("who", "status", "code"),
    [
        (None, 401, "declined"),
        ("declines", 401, "declined"),
        ("an account's e-mail address", 409, "account_exists"),
        ("tokens of another", 401, "provider_token_not_valid"),
    ],
)
def test_a_refusal_shows_the_page_with_what_the_application_asked_for(
    app: Flask, standins: StandIns, person: SignedIn, name: str, who: str | None, status: int, code: str
) -> None:
    flow = Flow()
    trip = depart(app, standins, name, f"?{flow.query()}")
    before = counts(app)
    answer = trip.finish(who)
    assert_page(answer, status)
    sentence = errors.CODES[code][1] if code in errors.CODES else "The sign-in was declined."
    assert sentence in answer.text.replace("&#39;", "'")
    action = answer.text.partition('action="/signin?')[2].partition('"')[0].replace("&amp;", "&")
    assert dict(parse_qsl(action)) == dict(parse_qsl(flow.query()))
    assert trip.browser.cookie is None
    after = counts(app)
    assert {**after, "authorizations": 0} == {**before, "authorizations": 0}
    assert "authorizations" not in after


def test_who_was_disabled_is_refused(app: Flask, standins: StandIns) -> None:
    first = depart(app, standins)
    assert_leads(first.finish(), "/account")
    with app.app_context():
        db.session.execute(update(User).values(disabled_at=now()))
        db.session.commit()
    second = depart(app, standins)
    assert_page(second.finish(), 401)
    assert [holds(one.browser) for one in (first, second)] == [False, False]


def test_a_provider_that_is_down_shows_the_page_and_when_to_try_again(make_app: MakeApp, standins: StandIns) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    down = {**settings_of(standins), "providers__github__base_url": nowhere, "providers__acme__issuer": nowhere}
    app, flow = make_app(**down, redirect_urls=NEXT), Flow()
    browser = Browser(app)
    began = browser.get(f"/signin/acme?{flow.query()}", **CLICK)
    assert (began.status_code, urlsplit(began.headers["Location"]).path) == (303, "/signin")
    came = browser.get(began.headers["Location"])
    assert_page(came, 503)
    assert "Retry-After" in came.headers
    assert f"next={NEXT.replace(':', '%3A').replace('/', '%2F')}" in came.text
    trip = depart(app, standins, "github")
    assert_page(trip.finish(), 503)
    assert counts(app).keys() <= {"authorizations"}


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_s67_another_sites_link_to_a_provider_shows_the_page_first(app: Flask, standins: StandIns, site: str) -> None:
    flow = Flow()
    before = everything(app)
    for query in ("", "?then=delete", f"?{flow.query()}"):
        answer = Browser(app).get(f"/signin/google{query}", Sec_Fetch_Site=site)
        assert answer.status_code == 303
        location = urlsplit(answer.headers["Location"])
        assert (location.netloc, location.path) == ("", "/signin")
        assert dict(parse_qsl(location.query)) == dict(parse_qsl(query[1:]))
        assert "Set-Cookie" not in answer.headers
    assert everything(app) == before


def test_what_is_no_provider_is_not_found(make_app: MakeApp, standins: StandIns) -> None:
    app = make_app(**settings_of(standins), redirect_urls=NEXT)
    for name in ("nowhere", "Google", "google%00", "%ff", "google/x", "x" * 3000, "continue"):
        assert Browser(app).get(f"/signin/{name}", **CLICK).status_code == 404, name
        assert_error(Browser(app).open("GET", f"/signin/{name}", {}), 404, "not_found")


def test_a_provider_confirms_who_it_is_and_nobody_elses_identity_does(
    app: Flask, standins: StandIns, person: SignedIn, advance: Callable[[float], None]
) -> None:
    """S70: it keeps the session, and makes no account of whoever else signs in at the provider."""
    browser = signed_in_on_page(app, person)
    depart_to_link(standins, browser).finish("verified")
    held = browser.session().id
    advance(11 * 60)
    assert_leads(browser.get("/account/delete"), "/account/confirm?then=delete")
    assert "/account/confirm/google?then=delete" in browser.get("/account/confirm?then=delete").text
    before = users(app)
    stranger = Person(subject="777", email="other@gmail.com", email_verified=True)
    for somebody, status, location in (("other", 401, None), (None, 401, None), ("verified", 303, "/account/delete")):
        began = browser.get("/account/confirm/google?then=delete", **CLICK)
        trip = PageTrip(standins, browser, began.headers["Location"], states(began))
        answer = trip.finish(stranger if somebody == "other" else somebody)
        assert (answer.status_code, answer.headers.get("Location")) == (status, location), answer.text
        assert status == 303 or "/account/confirm/google?then=delete" in answer.text, "one may try again"
        assert users(app) == before
        assert browser.session().id == held
        assert (browser.get("/account/delete").status_code == 200) is (status == 303)
    elsewhere = browser.get("/account/confirm/google?then=delete", Sec_Fetch_Site="cross-site")
    assert_leads(elsewhere, "/account/confirm?then=delete")


def users(app: Flask) -> list[str]:
    return everything(app)["users"]


def test_an_identity_is_linked_and_unlinked_on_the_page(app: Flask, standins: StandIns, person: SignedIn) -> None:
    browser = signed_in_on_page(app, person)
    for name in ("google", "apple"):
        location = depart_to_link(standins, browser, name).come_back("no e-mail address")
        assert location.startswith(f"{PUBLIC_URL}/account?")
        assert_leads(browser.get(location), "/account/identities?done=linked")
    assert counts(app).items() >= {"users": 1, "identities": 2, "sessions": 2}.items()
    trip = depart(app, standins, "apple")
    assert_leads(trip.finish("no e-mail address"), "/account")
    assert person.user["email"] in trip.browser.get("/account").text
    linked = app.test_client().get("/api/identities/", headers=person.bearer).get_json()
    ids = {one["provider"]: one["id"] for one in linked}
    for wrong in (NOBODYS_ID, "x", "", "\0"):
        assert browser.post("/account/identities/unlink", {"identity": wrong}).status_code in (400, 404)
    answer = browser.post("/account/identities/unlink", {"identity": ids["apple"]})
    assert_leads(answer, "/account/identities?done=unlinked")
    assert not holds(trip.browser), "who came by it is out"
    assert [one["provider"] for one in app.test_client().get("/api/identities/", headers=person.bearer).get_json()] == [
        "google"
    ]


def test_s35_the_last_way_in_is_not_unlinked(app: Flask, standins: StandIns) -> None:
    trip = depart(app, standins)
    trip.finish("no e-mail address")
    with app.app_context():
        identity = db.session.query(Identity).one()
    before = everything(app)
    answer = trip.browser.post("/account/identities/unlink", {"identity": str(identity.id)})
    assert_page(answer, 409)
    assert errors.CODES["last_login_method"][1] in answer.text
    assert everything(app) == before


def test_s35_an_identity_of_another_account_is_not_linked(app: Flask, standins: StandIns, person: SignedIn) -> None:
    depart(app, standins).finish("gmail")
    browser = signed_in_on_page(app, person)
    before = counts(app)
    answer = depart_to_link(standins, browser).finish("gmail")
    assert_page(answer, 409)
    assert counts(app) == before


@pytest.mark.parametrize("who", [None, "tokens of another"])
def test_a_link_that_the_provider_refuses_shows_the_identities(
    app: Flask, standins: StandIns, person: SignedIn, who: str | None
) -> None:
    browser = signed_in_on_page(app, person)
    assert_page(depart_to_link(standins, browser).finish(who), 401)
    assert holds(browser)
    assert counts(app).keys() == {"users", "sessions", "one_time_tokens"}


def test_a_provider_that_takes_no_redirects_is_not_offered(make_app: MakeApp, standins: StandIns) -> None:
    app = make_app(**settings_of(standins, google__client_secret=""))
    browser = signed_in_on_page(app, sign_up(app.test_client()))
    takes = {one["name"] for one in app.test_client().get("/api/auth/").get_json() if one["login_url"]}
    assert "google" not in takes
    shown = browser.get("/signin").text
    assert {name for name in standins.each if f'href="/signin/{name}"' in shown} == takes
    assert_page(browser.get("/signin/google", **CLICK), 404)
    for name in (*(standins.each.keys() - takes), "nowhere", "", "\0"):
        assert browser.post("/account/identities", {"provider": name}).status_code in (400, 404)


def test_heads_of_pages_begin_and_consume_nothing(app: Flask, standins: StandIns, person: SignedIn) -> None:
    """As some mail scanners and chat previews ask."""
    browser = signed_in_on_page(app, person)
    trip = depart(app, standins)
    back = trip.come_back("gmail")
    before = everything(app)
    trip.browser.get(back, method="HEAD")
    assert everything(app) == before
    assert trip.browser.cookie is None
    assert_leads(trip.browser.get(back), "/account")
    link = depart_to_link(standins, browser)
    back = link.come_back("no e-mail address")
    before = everything(app)
    browser.get(back, method="HEAD")
    assert everything(app) == before
    assert_leads(browser.get(back), "/account/identities?done=linked")
