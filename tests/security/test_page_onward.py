"""S67, S54: where a page sends a browser on to, with whose click, and what the code is worth that goes along."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlencode, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.testing.standins import StandIns
from tests.conftest import PUBLIC_URL, MakeApp
from tests.each import each
from tests.factories import PASSWORD, SignedIn, assert_error, sign_up
from tests.page_trips import depart
from tests.pages import (
    COOKIE,
    HTML,
    Browser,
    assert_leads,
    assert_page,
    code_of,
    everything,
    exchanged,
    holds,
    joining,
    signed_in_on_page,
)
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow
from tests.providers.signing_in import settings_of
from tests.security.addresses import EVIL, LISTED, LOOPBACK, NOT_LOOPBACK, PRIVATE
from tests.security.redirects import counts

served_standins = conftest.served_standins
standins = conftest.standins
no_secret_is_logged = conftest.no_secret_is_logged

CROWD = 10
LOCAL = "http://localhost:8000"


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns) -> Flask:
    return make_app(**settings_of(standins), redirect_urls=",".join(LISTED))


@pytest.fixture
def person(client: FlaskClient) -> SignedIn:
    return sign_up(client)


@pytest.fixture
def browser(app: Flask, person: SignedIn) -> Browser:
    return signed_in_on_page(app, person)


def test_s67_a_code_is_useless_without_its_verifier_and_gone_after_a_wrong_one(
    app: Flask, client: FlaskClient, person: SignedIn, browser: Browser
) -> None:
    flow = Flow()
    code = code_of(browser.go_on(person, f"?{flow.query()}"), flow)
    before = everything(app)
    for body, field in (({"code": code}, "code_verifier"), ({"code": code, "code_verifier": ""}, "code_verifier")):
        assert_error(client.post("/api/auth/exchange/", json=body), 400, "invalid_request", field)
    assert everything(app) == before
    assert_error(Flow().exchange(client, code), 400, "one_time_token_not_valid")
    assert_error(flow.exchange(client, code), 400, "one_time_token_not_valid")
    assert counts(app) == {"users": 1, "sessions": 2}


def test_s67_the_challenge_itself_is_no_verifier(app: Flask, person: SignedIn, browser: Browser) -> None:
    flow = Flow()
    code = code_of(browser.go_on(person, f"?{flow.query()}"), flow)
    assert_error(Flow(verifier=flow.challenge).exchange(app.test_client(), code), 400, "one_time_token_not_valid")


def test_s52_of_ten_exchanges_of_a_pages_code_at_once_one_counts(
    app: Flask, person: SignedIn, browser: Browser
) -> None:
    flow = Flow()
    code = code_of(browser.go_on(person, f"?{flow.query()}"), flow)
    with ThreadPoolExecutor(CROWD) as threads:
        answers = list(threads.map(lambda _: flow.exchange(app.test_client(), code), range(CROWD)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * (CROWD - 1)
    assert counts(app) == {"users": 1, "sessions": 3}


def test_s67_a_code_is_of_the_person_and_the_flow_that_it_was_given_for(
    app: Flask, client: FlaskClient, person: SignedIn, browser: Browser
) -> None:
    other, mine, theirs = sign_up(client), Flow(), Flow()
    their_browser = signed_in_on_page(app, other)
    code = code_of(browser.go_on(person, f"?{mine.query()}"), mine)
    their_code = code_of(their_browser.go_on(other, f"?{theirs.query()}"), theirs)
    assert_error(mine.exchange(client, their_code), 400, "one_time_token_not_valid")
    answer = mine.exchange(client, code, **other.bearer)
    assert answer.get_json()["user"] == person.user


@pytest.mark.parametrize("path", ["/signin", "/signup", "/signin/google", "/signin/continue"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_s67_nobody_who_is_signed_in_is_sent_on_without_a_click(
    app: Flask, standins: StandIns, browser: Browser, path: str, method: str
) -> None:
    """However often they were there before."""
    visitors = [browser, depart(app, standins).browser]
    assert_leads(depart(app, standins, browser=visitors[1]).finish(), "/account")
    before = everything(app)
    for visitor in visitors:
        for address in LISTED:
            query = Flow(next=address).query()
            for also in ("", "&prompt=none", "&user=1", "&then=delete", "&code=x", "&continue=1"):
                for site in ("cross-site", "none", "same-site"):
                    answer = visitor.get(f"{path}?{query}{also}", method=method, Sec_Fetch_Site=site)
                    onward = answer.headers.get("Location", "")
                    assert answer.status_code == {"/signin/google": 303, "/signin/continue": 404}.get(path, 200)
                    assert urlsplit(onward).netloc + urlsplit(onward).scheme == "", onward
                    assert "code=" not in f"{onward}{answer.text}".replace("code=x", "")
    assert everything(app) == before
    assert [holds(one) for one in visitors] == [True, True]


def test_s67_going_on_takes_our_own_form_and_the_right_person(
    app: Flask, client: FlaskClient, person: SignedIn, browser: Browser
) -> None:
    query = f"?{Flow().query()}"
    before = everything(app)
    for origin in ("https://evil.example", "null", "https://app.example.com"):
        headers = {**HTML, "Origin": origin}
        assert_page(browser.post(f"/signin/continue{query}", {"user": person.user["id"]}, headers), 403)
    for user in ("", "x", sign_up(client).user["id"], person.user["id"].upper(), "\0"):
        answer = browser.post(f"/signin/continue{query}", {"user": user})
        assert urlsplit(answer.headers["Location"])[:3] == ("", "", "/signin"), user
        assert "code=" not in answer.headers["Location"]
    assert_leads(browser.post("/signin/continue"), "/signin")
    after = everything(app)
    assert after["one_time_tokens"] == before["one_time_tokens"]
    assert after["authorizations"] == before["authorizations"]
    assert "code=" in browser.go_on(person, query).headers["Location"]


def test_s67_another_tabs_sign_in_between_page_and_click_asks_again(
    app: Flask, client: FlaskClient, person: SignedIn, browser: Browser
) -> None:
    flow, other = Flow(), sign_up(client)
    query = f"?{flow.query()}"
    assert f'name="user" value="{person.user["id"]}"' in browser.get(f"/signin{query}").text
    browser.sign_in(other.user["email"])
    answer = browser.go_on(person, query)
    assert urlsplit(answer.headers["Location"])[:3] == ("", "", "/signin")
    shown = browser.get(answer.headers["Location"])
    assert f'name="user" value="{other.user["id"]}"' in shown.text
    assert exchanged(app, browser.go_on(other, query), flow).user == other.user


def test_s67_a_private_scheme_is_reached_by_a_link_on_every_way(
    app: Flask, person: SignedIn, browser: Browser, standins: StandIns
) -> None:
    flow = Flow(next=PRIVATE)
    query = f"?{flow.query()}"
    for answer in (
        browser.go_on(person, query),
        browser.sign_in(person.user["email"], query=query),
        Browser(app).post(f"/signup{query}", joining()),
        depart(app, standins, "google", query).finish(),
        depart(app, standins, "apple", query).finish("no e-mail address"),
    ):
        assert_private(answer.status_code, answer.text)
        assert "Location" not in answer.headers
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
    assert COOKIE in str(answer.headers.getlist("Set-Cookie")), "the cookies of the way are set all the same"


def assert_private(status: int, text: str) -> None:
    assert status == 200
    assert f'href="{PRIVATE}?code=' in text
    assert "http-equiv" not in text.lower()


def test_s54_a_page_leads_to_no_address_but_a_listed_one_to_the_letter(
    app: Flask, person: SignedIn, browser: Browser
) -> None:
    before = everything(app)
    for address in (*EVIL, *LOOPBACK, *NOT_LOOPBACK):
        query = Flow(next=address).query()
        refused = [browser.get(f"{path}?{query}") for path in ("/signin", "/signup")]
        refused.append(browser.get(f"/signin/google?{query}", Sec_Fetch_Site="same-origin"))
        refused.append(browser.sign_in(person.user["email"], query=f"?{query}"))
        refused.append(browser.go_on(person, f"?{query}"))
        if address:
            out = urlencode({"next": address})
            refused += [browser.get(f"/signout?{out}"), browser.post(f"/signout?{out}")]
        for answer in refused:
            assert (ascii(address)[:60], answer.status_code) == (ascii(address)[:60], 400)
            assert_page(answer, 400)
            assert "evil" not in answer.text
            assert not {"Location", "Set-Cookie"} & set(answer.headers.keys())
    assert everything(app) == before


def test_s54_in_development_only_loopback_is_allowed_besides(make_app: MakeApp) -> None:
    client = make_app(env="development", public_url=LOCAL, redirect_urls=NEXT).test_client()
    for address, status in [(one, 400) for one in (*EVIL, *NOT_LOOPBACK)] + [(one, 200) for one in (*LOOPBACK, NEXT)]:
        for path in ("/signin", "/signup", "/signout"):
            if path != "/signout" or address:
                query = Flow(next=address).query()
                answer = client.get(f"{path}?{query}", base_url=LOCAL, headers=HTML)
                assert (path, ascii(address)[:60], answer.status_code) == (path, ascii(address)[:60], status)


@each("path", ["/signin", "/signup", "/signout", "/signin/google"])
def test_s54_a_next_that_came_twice_is_refused(app: Flask, path: str) -> None:
    query = Flow().query()
    for odd in (f"{query}&next={NEXT}", f"{query}&next=https://evil.example", f"next=https://evil.example&{query}"):
        answer = Browser(app).get(f"{path}?{odd}", Sec_Fetch_Site="same-origin")
        assert answer.status_code == 400, odd
        assert "evil" not in answer.text


HOSTILE = ["https://evil.example", "//evil.example", "/evil", "..", "../signout", "delete/", "Delete", " delete"]
HOSTILE += [
    "delete?x",
    "delete#x",
    "delete%00",
    "%2e%2e/signout",
    "\\evil",
    "javascript:alert(1)",
    "confirm",
    "x" * 5000,
]


@each("then", HOSTILE)
def test_s54_then_leads_to_the_pages_of_the_account_that_it_may_and_nowhere_else(
    app: Flask, person: SignedIn, then: str
) -> None:
    browser = Browser(app)
    for spelt in (quote(then, safe=""), quote(then, safe="%/:?")):
        query = f"?then={spelt}"
        assert_leads(browser.sign_in(person.user["email"], query=query), "/account")
        assert_leads(browser.go_on(person, query), "/account")
        assert_leads(browser.post(f"/account/confirm{query}", {"password": PASSWORD}), "/account")
        assert "evil" not in browser.get(f"/signin{query}").text
        assert "evil" not in browser.get(f"/account/confirm{query}").text
    assert_leads(
        browser.sign_in(person.user["email"], query="?then=delete&then=https://evil.example"), "/account/delete"
    )


def test_our_own_pages_are_no_next_for_an_application(app: Flask, browser: Browser) -> None:
    for path in ("/account", "/signin", "/signin?x", "/account/delete"):
        query = Flow(next=PUBLIC_URL + path).query()
        assert_page(browser.get(f"/signin?{query}"), 400)
        assert_page(browser.get(f"/api/auth/google/login/?{query}"), 400)
