"""S51, S52: what comes back from a provider counts once, and in its own browser."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserver.testing.standins import StandIns
from tests.factories import assert_error
from tests.providers import conftest
from tests.providers.redirecting import parameters
from tests.security.redirects import (
    arrive,
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
app = conftest.app
no_secret_is_logged = conftest.no_secret_is_logged

Advance = Callable[[float], None]
CROWD = 10


def test_s51_a_callback_without_the_state_of_its_browser_is_refused(app: Flask, standins: StandIns) -> None:
    trip = depart(app, standins)
    url, before = trip.callback(), stored(app)
    odd = [
        None,
        "",
        "unknown",
        trip.state[:-1],
        f"{trip.state}x",
        trip.state.swapcase(),
        "\0",
        "canary\u2028",
        "a" * 999,
    ]
    urls = {f"{state!r:.30}": changed(url, state=state) for state in odd}
    urls |= {
        "twice": f"{url}&state={trip.state}",
        "twice, first another": url.replace("?", "?state=unknown&"),
        "as a list": url.replace("state=", "state[]="),
        "in other letters": url.replace("state=", "STATE="),
        "no UTF-8": changed(url, state=None) + "&state=%ff%80",
        "too many parameters": url + "&a" * 60,
        "another code too": f"{url}&code=canary",
        "alone": changed(url, state="unknown", code=None),
        "an error": changed(url, state="unknown", code=None, error="access_denied"),
    }
    for name, other in urls.items():
        for answer in (open_url(trip.browser, other), with_cookies(app, other, f"__Host-flow-={trip.secret}")):
            assert (name, answer.status_code) == (name, 400)
            assert_refused(answer)
    assert stored(app) == before
    assert codes_asked(standins) == []
    assert "code" in parameters(open_url(trip.browser, url))


def test_s51_a_callback_counts_once(app: Flask, standins: StandIns) -> None:
    trip = depart(app, standins)
    url, cookies = trip.callback(), f"{trip.cookie}={trip.secret}"
    assert "code" in parameters(open_url(trip.browser, url))
    before = stored(app)
    assert_refused(open_url(trip.browser, url))
    assert_refused(with_cookies(app, url, cookies))
    assert_refused(with_cookies(app, changed(url, code=trip.callback("gmail")), cookies))
    assert stored(app) == before
    assert len(codes_asked(standins)) == 1


def test_s51_a_sign_in_takes_ten_minutes_and_no_longer(app: Flask, standins: StandIns, advance: Advance) -> None:
    late, in_time = depart(app, standins), depart(app, standins)
    advance(540)
    assert "code" in in_time.come_back()
    advance(60)
    before = stored(app)
    assert_refused(open_url(late.browser, late.callback()))
    assert {**stored(app), "authorizations": []} == {**before, "authorizations": []}
    assert len(codes_asked(standins)) == 1
    assert "authorizations" not in counts(app)


def test_s51_a_callback_in_another_browser_is_refused_and_uses_nothing_up(app: Flask, standins: StandIns) -> None:
    trip, other = depart(app, standins), depart(app, standins)
    url, before = trip.callback(), stored(app)
    assert_refused(open_url(app.test_client(), url))
    assert_refused(open_url(other.browser, url))
    for secret in (other.secret, "", "canary", trip.secret[:-1], trip.secret.lower(), "ticket", trip.state):
        assert_refused(with_cookies(app, url, f"{trip.cookie}={secret}"))
    assert stored(app) == before
    assert codes_asked(standins) == []
    assert "code" in parameters(open_url(trip.browser, url))


def test_s51_a_cookie_that_came_twice_or_is_not_ours_is_never_used(app: Flask, standins: StandIns) -> None:
    trip = depart(app, standins)
    url, before = trip.callback(), stored(app)
    name, value = trip.cookie, trip.secret
    for cookies in (
        f"{name}={value}; {name}={value}",
        f"{name}=canary; {name}={value}",
        f"{name}={value};{name}=",
        f"\xa0{name}={value}",
        f"\x85{name}={value}",
        f"{name}\xa0={value}",
        f"\x0b{name}={value}",
        f'{name}="{value}"',
        f"{name}={value}\xa0",
        f"{name.lower()}={value}",
        f"{name.replace('__Host-', '')}={value}",
        f"{name.replace('__Host-', '__Secure-')}={value}",
        f"$Version=1; x={name}={value}",
        f"{name}%3D{value}",
    ):
        answer = with_cookies(app, url, cookies)
        assert (ascii(cookies), answer.status_code) == (ascii(cookies), 400)
        assert_refused(answer)
    assert stored(app) == before
    assert codes_asked(standins) == []


def test_s51_a_planted_cookie_hides_ours_from_nobody(app: Flask, standins: StandIns) -> None:
    for around in (
        "{0}={1}; \xa0{0}=canary",
        "\x85{0}=canary; {0}={1}",
        'planted="; {0}={1}; other="',
        "planted; ={0}; {0}={1};;",
        "{0}={1}; {0}x=canary; x{0}=canary",
        " \t{0}={1}\t ",
    ):
        trip = depart(app, standins)
        cookies = around.format(trip.cookie, trip.secret)
        assert "code" in parameters(with_cookies(app, trip.callback(), cookies)), ascii(cookies)


def at_once(act: Callable[[int], TestResponse]) -> list[TestResponse]:
    with ThreadPoolExecutor(CROWD) as threads:
        return list(threads.map(act, range(CROWD)))


def test_s52_of_ten_callbacks_at_once_one_counts_and_the_provider_is_asked_once(app: Flask, standins: StandIns) -> None:
    trip = depart(app, standins)
    url, cookies = trip.callback(), f"{trip.cookie}={trip.secret}"
    answers = at_once(lambda _: with_cookies(app, url, cookies))
    assert sorted(answer.status_code for answer in answers) == [303] + [400] * (CROWD - 1)
    for answer in answers:
        if answer.status_code == 303:
            code = parameters(answer)["code"]
        else:
            assert_refused(answer)
    assert codes_asked(standins) == ["POST /google/token"]
    assert trip.flow.exchange(trip.browser, code).status_code == 200


def test_s52_of_ten_exchanges_at_once_one_counts(app: Flask, standins: StandIns) -> None:
    flow, code = arrive(app, standins)
    answers = at_once(lambda _: flow.exchange(app.test_client(), code))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * (CROWD - 1)
    for answer in answers:
        if answer.status_code == 400:
            assert_error(answer, 400, "one_time_token_not_valid")
    assert counts(app) == {"users": 1, "identities": 1, "sessions": 1}
    assert_error(flow.exchange(app.test_client(), code), 400, "one_time_token_not_valid")


def test_s52_a_code_is_good_for_a_minute(app: Flask, client: FlaskClient, standins: StandIns, advance: Advance) -> None:
    (late, late_code), (in_time, code) = arrive(app, standins), arrive(app, standins)
    advance(45)
    assert in_time.exchange(client, code).status_code == 200
    before = stored(app)
    advance(15)
    assert_error(late.exchange(client, late_code), 400, "one_time_token_not_valid")
    assert stored(app) == before
