"""S76: a stranger's guesses or requests keep nobody out who used the account before; nor do they give anybody more."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserver.extensions import db
from authserver.limits import devices
from authserver.limits.devices import known_device, remembering
from authserver.models import Mail, User
from authserver.visitor import Visitor
from tests.conftest import MakeApp
from tests.factories import PASSWORD, assert_error, sign_up, signup_body
from tests.pages import HOST, Browser, assert_leads, assert_page
from tests.security.guessing import hashes as hashes
from tests.security.guessing import statuses
from tests.security.test_races import counted

Advance = Callable[[float], None]
DEVICE = "__Host-device"
OWN = {"User-Agent": "the owner's browser", "X-Forwarded-For": "203.0.113.9"}
NEIGHBOUR = {**OWN, "X-Forwarded-For": "203.0.113.77"}
ELSEWHERE = {**OWN, "X-Forwarded-For": "198.51.100.7"}
OTHER_BROWSER = {**OWN, "User-Agent": "another browser"}


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(rate_limits=True, trusted_proxies=1, mail_url="smtp://127.0.0.1:9")


@pytest.fixture
def owner(client: FlaskClient) -> str:
    """Who signed up from their own browser and network."""
    answer = client.post("/api/signup/", json=signup_body(email="owner@example.com"), headers=OWN)
    assert answer.status_code == 201
    return "owner@example.com"


def log_in(client: FlaskClient, email: str, headers: dict[str, str], password: str = "a guess") -> TestResponse:
    return client.post("/api/login/", json={"email": email, "password": password}, headers=headers)


def from_everywhere(number: int) -> dict[str, str]:
    return {**OWN, "X-Forwarded-For": f"198.51.{number}.1"}


def test_s76_a_strangers_guesses_do_not_keep_the_owner_out(client: FlaskClient, owner: str, hashes: list[str]) -> None:
    assert statuses(*(log_in(client, owner, from_everywhere(n)) for n in range(12))) == [401] * 10 + [429] * 2
    assert log_in(client, owner, OWN, PASSWORD).status_code == 200
    assert log_in(client, owner, NEIGHBOUR, PASSWORD).status_code == 200
    assert_error(log_in(client, owner, ELSEWHERE, PASSWORD), 429, "throttled")
    assert_error(log_in(client, owner, OTHER_BROWSER, PASSWORD), 429, "throttled")


def test_s76_nor_do_a_strangers_guesses_from_the_same_ip_address(
    make_app: MakeApp, owner: str, hashes: list[str]
) -> None:
    client = make_app(rate_limits=True, trusted_proxies=1, rate_limit_login_address="5 per hour").test_client()
    answers = [log_in(client, f"p{n}@example.com", OTHER_BROWSER) for n in range(6)]
    assert statuses(*answers) == [401] * 5 + [429]
    assert log_in(client, owner, OWN, PASSWORD).status_code == 200


def test_s76_a_known_device_has_no_more_than_its_own_budget(client: FlaskClient, owner: str, hashes: list[str]) -> None:
    """Shared by the neighbourhood, and apart from the strangers'."""
    assert statuses(*(log_in(client, owner, (OWN, NEIGHBOUR)[n % 2]) for n in range(12))) == [401] * 10 + [429] * 2
    assert_error(log_in(client, owner, OWN, PASSWORD), 429, "throttled")
    varied = [{**OWN, "User-Agent": f"browser {n}", "X-Forwarded-For": f"203.0.113.{n}"} for n in range(12)]
    assert statuses(*(log_in(client, owner, headers) for headers in varied)) == [401] * 10 + [429] * 2
    assert len(hashes) == 20


def test_s76_all_known_devices_together_have_a_budget_too(
    make_app: MakeApp, owner: str, hashes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "ALL_DEVICES", 2)
    client = make_app(rate_limits=True, trusted_proxies=1).test_client()
    networks = [{**OWN, "X-Forwarded-For": f"192.0.{n}.1"} for n in range(3)]
    for headers in networks:
        assert log_in(client, owner, headers, PASSWORD).status_code == 200  # as strangers: known from here on
    hashes.clear()
    for headers in networks:
        for _ in range(10):
            log_in(client, owner, headers)
    assert len(hashes) == 20


def test_s76_a_device_is_known_for_90_days(client: FlaskClient, owner: str, advance: Advance) -> None:
    advance(timedelta(days=89).total_seconds())
    for _ in range(10):
        log_in(client, owner, ELSEWHERE)
    assert log_in(client, owner, OWN).status_code == 401
    advance(timedelta(days=2).total_seconds())
    for _ in range(10):
        log_in(client, owner, ELSEWHERE)
    assert_error(log_in(client, owner, OWN), 429, "throttled")


def test_s76_the_limit_costs_and_answers_alike_for_unknown_addresses(
    app: Flask, client: FlaskClient, owner: str, hashes: list[str]
) -> None:
    runs, answers = [], []
    for email in (owner, "nobody@example.com"):
        with counted(app) as statements:
            came = [log_in(client, email, from_everywhere(n)) for n in range(12)]
        runs.append([one for one in statements if not one.startswith("DELETE FROM rate_limits")])  # now and then
        # Not its seconds: they run down while the next e-mail address is tried.
        answers.append([(one.status_code, one.data, "Retry-After" in one.headers) for one in came])
    assert runs[0] == runs[1]
    assert answers[0] == answers[1]


# The cookie


def device_of(browser: Browser) -> str:
    found = browser.client.get_cookie(DEVICE, HOST)
    assert found
    return found.value


def at_page(app: Flask, email: str, cookie: str, password: str = "a guess") -> TestResponse:
    """From nowhere known, with that cookie."""
    body = {"email": email, "password": password}
    headers = {**ELSEWHERE, "Origin": f"https://{HOST}", "Accept": "text/html", "Cookie": cookie}
    return app.test_client(use_cookies=False).post("/signin", data=body, headers=headers, base_url=f"https://{HOST}")


@pytest.fixture
def cookie(app: Flask, owner: str) -> str:
    """Of the owner's browser, which signed in on the page."""
    browser = Browser(app)
    assert_leads(browser.sign_in(owner), "/account")
    return device_of(browser)


def test_s76_a_browser_that_signed_in_on_a_page_is_known_wherever_it_is(
    app: Flask, client: FlaskClient, owner: str, cookie: str, hashes: list[str]
) -> None:
    for number in range(10):
        log_in(client, owner, from_everywhere(number))
    own = f"{DEVICE}={cookie}"
    assert_page(at_page(app, owner, "", PASSWORD), 429)
    assert_leads(at_page(app, owner, own, PASSWORD), "/account")
    answers = [at_page(app, owner, own) for _ in range(11)]
    assert statuses(*answers) == [401] * 9 + [429] * 2, "its own budget, in which the sign-in counted"
    api = app.test_client(use_cookies=False)
    assert_error(log_in(api, owner, {**from_everywhere(99), "Cookie": own}, PASSWORD), 429, "throttled")


def test_s76_the_cookie_is_kept_from_scripts_and_other_sites_and_names_nobody(app: Flask, owner: str) -> None:
    answer = Browser(app).sign_in(owner)
    (sent,) = [one for one in answer.headers.getlist("Set-Cookie") if one.startswith(f"{DEVICE}=")]
    attributes = {one for one in sent.split("; ")[1:] if not one.startswith("Expires=")}
    assert attributes == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", f"Max-Age={400 * 86400}"}
    with app.app_context():
        user_id = str(db.session.scalar(select(User.id)))
    assert user_id not in sent
    assert "@" not in sent


def altered(cookie: str) -> dict[str, str]:
    device, until, code = cookie.split(".")
    swapped = code[:-2] + ("A" if code[-2] != "A" else "B") + code[-1]
    return {
        "another device": f"{DEVICE}={'A' * 16}.{until}.{code}",
        "a longer life": f"{DEVICE}={device}.{int(until) + 1}.{code}",
        "another code": f"{DEVICE}={device}.{until}.{swapped}",
        "no code": f"{DEVICE}={device}.{until}.",
        "two cookies": f"{DEVICE}={cookie}; {DEVICE}={cookie}",
        "a sibling's": f"\xa0{DEVICE}={cookie}",
        "rubbish": f"{DEVICE}=~~~.{'9' * 5000}.~\x85~" + "A" * 3000,
        "in the tenth place": f"{DEVICE}={'~'.join(['x'] * 9)}~{cookie}",
    }


def test_s76_a_forged_cookie_is_no_cookie(
    app: Flask, client: FlaskClient, owner: str, cookie: str, hashes: list[str]
) -> None:
    for number in range(10):
        log_in(client, owner, from_everywhere(number))
    for name, forged in altered(cookie).items():
        assert at_page(app, owner, forged, PASSWORD).status_code == 429, name
    assert hashes.count("a guess") == 9, "in the strangers' budget, with the first sign-in on the page"


def test_s76_the_cookie_is_worth_nothing_for_another_account_and_nothing_elsewhere(
    app: Flask, client: FlaskClient, owner: str, cookie: str, hashes: list[str]
) -> None:
    other = sign_up(client).user["email"]
    for number in range(10):
        log_in(client, other, from_everywhere(number))
    assert at_page(app, other, f"{DEVICE}={cookie}", PASSWORD).status_code == 429
    for name in ("page", "refresh", "device"):
        browser = Browser(app, Cookie=f"__Host-{name}={cookie}")
        assert_leads(browser.get("/account"), "/signin")
    headers = {"Cookie": f"__Host-refresh={cookie}", "X-Auth-Transport": "cookie", "Origin": f"https://{HOST}"}
    api = app.test_client(use_cookies=False)
    assert_error(api.post("/api/token/refresh/", headers=headers), 401, "token_not_valid")
    for token in (cookie, cookie.partition(".")[0]):
        assert_error(client.get("/api/me/", headers={"Authorization": f"Bearer {token}"}), 401, "token_not_valid")


def test_s76_several_accounts_are_known_on_one_browser_but_not_without_end(app: Flask) -> None:
    ids = [UUID(int=n) for n in range(1, 12)]
    sent: tuple[str, ...] = ()
    with app.test_request_context():
        for user_id in ids:
            sent = devices.parts(remembering(user_id, sent))
        known = [user_id for user_id in ids if known_device(user_id, Visitor(devices=sent))]
        assert known == ids[-devices.MOST_ACCOUNTS :]
        names = [known_device(user_id, Visitor(devices=sent)) for user_id in known]
        again = devices.parts(remembering(ids[-3], sent))
        assert [known_device(user_id, Visitor(devices=again)) for user_id in known] == names, "it stays what it was"
        assert len(again) == devices.MOST_ACCOUNTS


def test_s76_the_cookie_ends_and_outlives_a_change_of_the_secret(
    app: Flask, make_app: MakeApp, advance: Advance
) -> None:
    user_id = UUID(int=1)
    with app.test_request_context():
        sent = devices.parts(remembering(user_id, ()))
    rotated = make_app(
        secret_key="Nq3mZ8wYt1KxJ5vLr7Ug0bHcEo2PdSf4Ai6TjWkXyQs",
        secret_key_previous=app.extensions["authserver.settings"].secret_key,
    )
    with rotated.test_request_context():
        assert known_device(user_id, Visitor(devices=sent))
        advance(devices.LIFETIME.total_seconds())
        assert known_device(user_id, Visitor(devices=sent)) is None


# Mails


def forgot(client: FlaskClient, email: str, headers: dict[str, str], path: str = "password/forgot") -> TestResponse:
    return client.post(f"/api/{path}/", json={"email": email}, headers=headers)


@pytest.mark.parametrize("email", ["owner@example.com", "nobody@example.com"])
def test_s76_a_strangers_requests_for_mails_do_not_use_up_the_owners(
    client: FlaskClient, owner: str, email: str
) -> None:
    paths = ["password/forgot", "email/verify/resend"] * 3
    assert statuses(*(forgot(client, email, ELSEWHERE, path) for path in paths)) == [202] * 5 + [429]
    assert statuses(*(forgot(client, email, OTHER_BROWSER) for _ in range(6))) == [202] * 5 + [429]


def test_s76_strangers_from_everywhere_use_up_a_wider_budget_and_not_the_owners(
    app: Flask, client: FlaskClient, owner: str
) -> None:
    for email in (owner, "nobody@example.com"):
        answers = [forgot(client, email, from_everywhere(n)) for n in range(22)]
        assert statuses(*answers) == [202] * 20 + [429] * 2
    assert forgot(client, owner, OWN).status_code == 202
    assert_error(forgot(client, "nobody@example.com", OWN), 429, "throttled")
    browser = Browser(app)
    assert_leads(browser.sign_in(owner), "/account")
    for headers, status in (({"Cookie": f"{DEVICE}={device_of(browser)}"}, 200), ({}, 429)):
        sent = {**from_everywhere(99), "Origin": f"https://{HOST}", "Accept": "text/html", **headers}
        asked = app.test_client(use_cookies=False)
        assert_page(
            asked.post("/password/forgot", data={"email": owner}, headers=sent, base_url=f"https://{HOST}"), status
        )
    with app.app_context():
        kinds = list(db.session.scalars(select(Mail.kind).where(Mail.kind == "reset_asked")))
    assert len(kinds) == 20 + 20 + 2


def test_s76_a_stranger_who_signs_up_with_an_address_does_not_keep_its_owner_from_it(make_app: MakeApp) -> None:
    client = make_app(
        rate_limits=True, trusted_proxies=1, mail_url="smtp://127.0.0.1:9", email_verification="required"
    ).test_client()

    def join(headers: dict[str, str]) -> TestResponse:
        return client.post("/api/signup/", json=signup_body(email="ada@example.com"), headers=headers)

    assert statuses(*(join(ELSEWHERE) for _ in range(6))) == [202] * 5 + [429]
    assert join(OWN).status_code == 202


# Neighbourhoods


@pytest.mark.parametrize("addresses", ["64:ff9b:1::192.0.2.{}", "2001:0:102:304:0:0:3fff:fd{:02x}"])
def test_s76_strangers_behind_a_translator_are_no_neighbours(
    client: FlaskClient, hashes: list[str], addresses: str
) -> None:
    """The whole of IPv4 is in one /48 there."""
    first, second = ({**OWN, "X-Forwarded-For": addresses.format(n)} for n in (16, 32))
    email = "ada@example.com"
    assert client.post("/api/signup/", json=signup_body(email=email), headers=first).status_code == 201
    for number in range(10):
        log_in(client, email, from_everywhere(number))
    assert_error(log_in(client, email, second, PASSWORD), 429, "throttled")
    assert log_in(client, email, first, PASSWORD).status_code == 200
