"""S42-S45: what guessing, mailing and signing up costs whoever does it often. Counted in the database here."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserver.extensions import db
from authserver.limits import network
from authserver.models import Mail, RateLimit
from authserver.settings import SettingsError, load
from tests.conftest import PUBLIC_URL, SECRET, MakeApp
from tests.each import each
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up, signup_body
from tests.security.guessing import counted, guess, hashes, statuses

__all__ = ["hashes"]  # a fixture, used by name

Advance = Callable[[float], None]


LIMITED = {"rate_limits": True, "trusted_proxies": 1}


@pytest.fixture
def make_limited(make_app: MakeApp) -> MakeApp:
    return lambda **changes: make_app(**{**LIMITED, **changes})


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(**LIMITED)


def test_s43_an_account_is_limited_across_addresses(client: FlaskClient, hashes: list[str]) -> None:
    email = sign_up(client).user["email"]
    assert statuses(*(guess(client, email, f"192.0.2.{n}") for n in range(10))) == [401] * 10
    assert_error(guess(client, email, "198.51.100.1"), 429, "throttled")
    assert_error(guess(client, email.upper(), "2001:db8::1", "/api/token/"), 429, "throttled")
    assert len(hashes) == 10, "none is hashed once there were too many"
    assert guess(client, "someone.else@example.com").status_code == 401


@pytest.mark.slow
def test_s43_an_address_is_limited_across_accounts(client: FlaskClient, hashes: list[str]) -> None:
    paths = ["/api/login/", "/api/token/"] * 50
    assert statuses(*(guess(client, f"p{n}@example.com", path=path) for n, path in enumerate(paths))) == [401] * 100
    assert_error(guess(client, "p100@example.com"), 429, "throttled")
    assert guess(client, "p100@example.com", "192.0.2.2").status_code == 401
    assert len(hashes) == 101


@pytest.mark.parametrize(("proxies", "spoofed"), [(0, "{n}.1.1.1"), (1, "{n}.1.1.1, 192.0.2.1"), (1, "192.0.2.1:{n}")])
def test_s43_spoofed_headers_change_nothing(make_limited: MakeApp, proxies: int, spoofed: str) -> None:
    client = make_limited(trusted_proxies=proxies, rate_limit_login_address="3 per hour").test_client()
    answers = [guess(client, f"p{n}@example.com", spoofed.format(n=n)) for n in range(1, 6)]
    assert statuses(*answers) == [401, 401, 401, 429, 429]


def test_s43_an_ipv6_address_counts_by_its_64(make_limited: MakeApp) -> None:
    client = make_limited(rate_limit_login_address="3 per hour").test_client()
    addresses = [f"2001:db8:0:1:{n:x}::{n:x}" for n in range(1, 5)]
    answers = [guess(client, f"p{n}@example.com", address) for n, address in enumerate(addresses)]
    assert statuses(*answers) == [401, 401, 401, 429]
    assert guess(client, "p@example.com", "2001:db8:0:2::1").status_code == 401


@pytest.mark.parametrize(
    ("addresses", "most"),
    [
        ("2001:db8:0:1::{:x}", 3),
        ("2001:db8:0:{:x}::1", 12),  # over the /64s of one /56
        ("2001:db8:0:{:x}00::1", 48),  # over the /56s of one /48
        ("2001:db8:{:x}::1", None),
        ("64:ff9b:1::192.0.2.{:d}", None),  # a NAT64 of the operator's own: each of these is another client
        ("2002:c000:201:{:x}::1", 3),  # 6to4: all of them are 192.0.2.1's
        ("2001:0:{:x}:0:0:0:3fff:fdfe", 3),  # Teredo: likewise, whatever server it names
    ],
)
def test_s43_the_networks_around_an_ipv6_address_have_wider_budgets(
    make_limited: MakeApp, hashes: list[str], addresses: str, most: int | None
) -> None:
    app = make_limited(rate_limit_login_address="3 per hour")
    client = app.test_client()
    answers = [guess(client, f"p{n}@example.com", addresses.format(n)) for n in range(1, 61)]
    assert statuses(*answers) == ([401] * 60 if most is None else [401] * most + [429] * (60 - most))
    before = counts(app)
    if most is not None:
        guess(client, "p@example.com", addresses.format(77))
        assert counts(app) == before, "who is refused writes nothing"


@pytest.mark.slow
def test_s45_parallel_guesses_from_one_network_are_no_more_than_its_budget(
    make_limited: MakeApp, hashes: list[str]
) -> None:
    app = make_limited(rate_limit_login_address="1 per hour")

    def from_another_64(n: int) -> TestResponse:
        return guess(app.test_client(), f"p{n}@example.com", f"2001:db8:0:{n:x}::1")

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(from_another_64, range(20)))
    assert sorted(statuses(*answers)) == [401] * 4 + [429] * 16
    assert len(hashes) == 4


def counts(app: Flask) -> dict[str, int]:
    with app.app_context():
        return {row.key: row.count for row in db.session.scalars(select(RateLimit))}


@each(
    ("address", "counted_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:443", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("64:ff9b::192.0.2.1", "192.0.2.1"),
        ("[64:ff9b::c000:201]:443", "192.0.2.1"),
        ("64:ff9b:1::192.0.2.1", "64:ff9b:1::c000:201"),
        ("64:ff9b:1:c000:2:100::", "64:ff9b:1:c000:2:100::"),
        ("::ffff:0:192.0.2.1", "192.0.2.1"),
        ("::192.0.2.1", "192.0.2.1"),
        ("::1", "::/64"),
        ("2002:c000:201::1", "192.0.2.1"),
        ("2001:0:1:2:3:4:3fff:fdfe", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("[2001:db8::ffff:1]:443", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("_hidden", "unknown"),
        ("999.1.1.1:80", "unknown"),
    ],
)
def test_what_counts_as_one_address(address: str, counted_as: str) -> None:
    assert network(address) == counted_as


def test_s44_the_right_password_works_again_after_the_window(client: FlaskClient, advance: Advance) -> None:
    email = sign_up(client).user["email"]
    right = {"email": email, "password": PASSWORD}
    elsewhere = {"X-Forwarded-For": "198.51.100.1"}
    for _ in range(10):
        guess(client, email)
    refused = client.post("/api/login/", json=right, headers=elsewhere)
    assert_error(refused, 429, "throttled")
    assert int(refused.headers["Retry-After"]) in range(290, 301)
    advance(200)
    refused = guess(client, email)
    assert int(refused.headers["Retry-After"]) in range(90, 101)
    advance(int(refused.headers["Retry-After"]))
    again = client.post("/api/login/", json=right, headers=elsewhere)
    assert again.status_code == 200, "refused attempts do not make the window longer"


@pytest.mark.slow
def test_s45_of_fifty_parallel_guesses_no_more_than_the_limit_are_hashed(
    make_limited: MakeApp, hashes: list[str]
) -> None:
    workers = [make_limited(), make_limited()]
    email = sign_up(workers[0].test_client()).user["email"]
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda n: guess(workers[n % 2].test_client(), email, f"192.0.2.{n}"), range(50)))
    assert sorted(statuses(*answers)) == [401] * 10 + [429] * 40
    assert len(hashes) == 10


@pytest.mark.parametrize("path", ["/api/password/forgot/", "/api/email/verify/resend/"])
def test_s42_forgot_and_resend_answer_alike_when_limited(make_limited: MakeApp, path: str) -> None:
    app = make_limited(mail_url="smtp://127.0.0.1:1", email_verification="required")
    client = app.test_client()
    client.post("/api/signup/", json=signup_body(email="known@example.com"))
    known, unknown = (
        [client.post(path, json={"email": f"{name}@example.com"}) for _ in range(6)] for name in ("known", "unknown")
    )
    assert statuses(*known) == statuses(*unknown) == [202] * 5 + [429]
    assert [answer.data for answer in known] == [answer.data for answer in unknown]
    with app.app_context():
        assert len(list(db.session.scalars(select(Mail.id)))) == 1 + 5 + 5, "the sign-up's, and those let through"


def test_asking_for_mails_is_limited_by_address_too(make_limited: MakeApp) -> None:
    client = make_limited(mail_url="smtp://127.0.0.1:1").test_client()
    paths = ["/api/password/forgot/", "/api/email/verify/resend/"] * 16
    answers = [client.post(path, json={"email": f"p{n}@example.com"}) for n, path in enumerate(paths)]
    assert statuses(*answers) == [202] * 30 + [429] * 2


def test_changes_of_address_are_limited_by_account(make_limited: MakeApp) -> None:
    client = make_limited(mail_url="smtp://127.0.0.1:1").test_client()
    person, other = sign_up(client), sign_up(client)

    def ask(who: SignedIn, n: int) -> TestResponse:
        return client.post("/api/email/change/", json={"email": f"n{n}@example.com"}, headers=who.bearer)

    assert statuses(*(ask(person, n) for n in range(6))) == [202] * 5 + [429]
    assert ask(other, 7).status_code == 202


def test_password_checks_of_someone_signed_in_are_limited_by_account(client: FlaskClient, hashes: list[str]) -> None:
    person = sign_up(client)
    change = {"current_password": "a guess", "password": "another passphrase", "password_confirm": "another passphrase"}
    for path, body in (("/api/reauthenticate/", {"password": "a guess"}), ("/api/password/change/", change)):
        for _ in range(5):
            assert client.post(path, json=body, headers=person.bearer).status_code == 400
    for path, body in (("/api/reauthenticate/", {"password": PASSWORD}), ("/api/password/change/", change)):
        assert_error(client.post(path, json=body, headers=person.bearer), 429, "throttled")
    assert len(hashes) == 10
    assert log_in(client, person.user["email"]).status_code == 200, "whoever guesses inside locks nobody out outside"


def test_signups_that_are_valid_are_limited_by_address(client: FlaskClient, hashes: list[str]) -> None:
    for _ in range(31):
        body = signup_body(password="short", password_confirm="short")
        assert_error(client.post("/api/signup/", json=body), 400, "invalid_request", "password")
    sign_up(client, email="taken@example.com")
    for _ in range(29):  # whether an address has an account can be asked this often and no more
        assert_error(client.post("/api/signup/", json=signup_body(email="taken@example.com")), 409, "account_exists")
    assert_error(client.post("/api/signup/", json=signup_body()), 429, "throttled")


def test_sign_ins_by_a_provider_are_limited_before_it_is_asked(make_limited: MakeApp) -> None:
    refused = "https://127.0.0.1:1"
    client = make_limited(
        rate_limit_provider_address="2 per hour",
        providers__google__client_id="id",
        providers__google__tokeninfo_url=refused,
        providers__google__userinfo_url=refused,
    ).test_client()
    answers = [client.post("/api/auth/google/", json={"access_token": "x"}) for _ in range(3)]
    assert statuses(*answers) == [503, 503, 429]


def test_refused_refreshes_are_limited_and_accepted_ones_not_even_counted(make_limited: MakeApp) -> None:
    app = make_limited(rate_limit_refresh_address="3 per hour")
    client = app.test_client()
    person = sign_up(client)
    before = counted(app)

    def refresh(token: str) -> TestResponse:
        return client.post("/api/token/refresh/", json={"refresh": token})

    assert statuses(*(refresh(person.refresh) for _ in range(5))) == [200] * 5
    assert counted(app) == before
    assert statuses(*(refresh("x.y.z") for _ in range(5))) == [401, 401, 401, 429, 429]
    assert statuses(refresh(person.refresh), refresh(person.access)) == [200, 429]


def test_no_limit_counts_where_they_are_switched_off(make_limited: MakeApp, hashes: list[str]) -> None:
    app = make_limited(rate_limits=False)
    assert statuses(*(guess(app.test_client(), "p@example.com") for _ in range(12))) == [401] * 12
    assert counted(app) == []


@pytest.mark.slow
def test_development_has_ten_times_as_much_where_nothing_is_set(make_limited: MakeApp, hashes: list[str]) -> None:
    client = make_limited(env="development", rate_limit_mail_account="2 per day").test_client()
    assert statuses(*(guess(client, "p@example.com") for _ in range(101))) == [401] * 100 + [429]
    forgot = [client.post("/api/password/forgot/", json={"email": "p@example.com"}) for _ in range(3)]
    assert statuses(*forgot) == [202, 202, 429]


WRONG = """10 | ten per minute | 10 per fortnight | 0 per minute | 10 per 0 minutes | 10 per minute; 5 per hour
| -1 per minute | 1.5 per minute | 10 per 5 years | 10000000 per minute | 1 per 99999999999999999999 days"""


@each("wrong", [one.strip() for one in WRONG.split("|")])
def test_a_wrong_limit_refuses_the_start_by_its_name(wrong: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(
            {
                "AUTHSERVER_SECRET_KEY": SECRET,
                "AUTHSERVER_PUBLIC_URL": PUBLIC_URL,
                "AUTHSERVER_RATE_LIMIT_LOGIN_ACCOUNT": wrong,
            }
        )
    assert str(refused.value) == "AUTHSERVER_RATE_LIMIT_LOGIN_ACCOUNT: expected one limit, such as 10 per 5 minutes"


def test_nobody_is_named_in_a_key_and_old_rows_go(app: Flask, client: FlaskClient, advance: Advance) -> None:
    guess(client, "ada@example.com", "192.0.2.1")
    first = counted(app)
    assert len(first) == 2
    assert not any("ada" in key or "example" in key or "192" in key for key in first)
    advance(301)
    guess(client, "grace@example.com", "192.0.2.2")
    assert len(counted(app)) == 2
    assert not set(first) & set(counted(app))
