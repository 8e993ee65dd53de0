"""S78: whatever another site has a browser begin, its cookies stay few, and nothing is begun that no person sees."""

import re

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from authserver.oauth import binding
from authserver.testing.standins import StandIns
from tests.conftest import MakeApp
from tests.each import each
from tests.factories import assert_error, sign_up
from tests.page_trips import CLICK, depart
from tests.pages import HTML, OURS, Browser, assert_leads, assert_page, everything, signed_in_on_page
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow
from tests.providers.signing_in import settings_of

served_standins = conftest.served_standins
standins = conftest.standins

HEADER = 8190  # bytes of a header that gunicorn reads, beyond which everything is a 431
FLOW = re.compile(r"__Host-flow-([\w-]{22})=([^;]*)")


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns) -> Flask:
    return make_app(**settings_of(standins), redirect_urls=NEXT)


def set_by(answer: TestResponse) -> list[tuple[str, str]]:
    """The cookies of redirects that the answer sets, and with "" those that it clears."""
    found = [FLOW.match(one) for one in answer.headers.getlist("Set-Cookie")]
    return [(one[1], one[2]) for one in found if one]


def held(browser: Browser) -> set[str]:
    cookies = (browser.client._cookies or {}).values()
    return {cookie.key for cookie in cookies if cookie.key.startswith("__Host-flow-")}


def begin(browser: Browser, name: str = "google") -> TestResponse:
    answer = browser.open("GET", f"/api/auth/{name}/login/?{Flow().query()}", {})
    assert answer.status_code == 302, answer.text
    return answer


@pytest.mark.parametrize("name", ["google", "apple"])
def test_s78_of_many_that_are_begun_the_newest_eight_are_kept(app: Flask, name: str) -> None:
    browser, begun = Browser(app), []
    for _ in range(3 * binding.MOST):
        ((state, _),) = [(state, value) for state, value in set_by(begin(browser, name)) if value]
        begun.append(f"__Host-flow-{state}")
        assert held(browser) == set(begun[-binding.MOST :])
    sent = "; ".join(f"{cookie.key}={cookie.value}" for cookie in (browser.client._cookies or {}).values())
    assert len(sent) < HEADER / 4


def test_s78_a_page_that_begins_two_at_once_keeps_eight_in_all(app: Flask, standins: StandIns) -> None:
    """Its own and the provider's; and the latest sign-in still ends well."""
    browser = signed_in_on_page(app, sign_up(app.test_client()))
    for number in range(2 * binding.MOST):
        if number % 2:
            assert browser.get("/account/confirm/google", **CLICK).status_code == 302
        else:
            assert_page(browser.post("/account/identities", {"provider": "facebook"}))
        assert len(held(browser)) <= binding.MOST
    trip = depart(app, standins, browser=browser)
    assert len(held(browser)) == binding.MOST
    assert trip.states <= {name.removeprefix("__Host-flow-") for name in held(browser)}
    assert_leads(trip.finish("gmail"), "/account")


def test_s78_eight_tabs_may_be_under_way_at_once(app: Flask, standins: StandIns) -> None:
    browser = Browser(app)
    trips = [depart(app, standins, browser=browser) for _ in range(binding.MOST // 2)]
    for trip in trips:
        assert_leads(trip.finish("gmail"), "/account")


def in_order(app: Flask, values: list[str]) -> list[int]:
    """Which of these are cleared, sent in this order beside a redirect that begins."""
    states = [f"{number:022}" for number in range(len(values))]
    sent = "; ".join(f"__Host-flow-{state}={value}" for state, value in zip(states, values, strict=True))
    answer = begin(Browser(app, Cookie=sent))
    cleared = [(state, value) for state, value in set_by(answer) if state in states]
    assert {value for _, value in cleared} <= {""}
    return [states.index(state) for state, _ in cleared]


def test_s78_the_oldest_go_by_when_they_were_begun_whatever_their_order(app: Flask) -> None:
    begun = [f"{1_700_000_000_000 + number * 1000}-{'x' * 43}" for number in range(20)]
    assert in_order(app, begun[:7]) == []
    assert in_order(app, begun) == list(range(13))
    assert in_order(app, begun[::-1]) == list(range(19, 6, -1))
    same = [begun[0]] * 10
    assert in_order(app, same) == [0, 1, 2], "browsers send the older first"


@each(
    "odd",
    [
        "",
        "x",
        "-",
        "1-",
        "9" * 4000,
        f"{10**14}-x",
        "99999999999999999999-x",
        "\xb2-x",
        "-1-x",
        "1700000000000",
        '"1-x"',
    ],
)
def test_s78_what_says_no_time_of_ours_goes_first(app: Flask, odd: str) -> None:
    """Whoever could plant one, as another port of localhost can, keeps it no longer than we keep ours."""
    begun = [f"{1_700_000_000_000 + number}-{'x' * 43}" for number in range(7)]
    assert in_order(app, [*begun[:3], odd, *begun[3:]]) == [3]


def test_s78_what_is_named_as_no_cookie_of_ours_is_let_alone(app: Flask) -> None:
    others = "; ".join(
        f"__Host-flow-{name}={name}" for name in ("", "x", "x" * 21, "x" * 23, "\xe9" * 22, '"' * 22, "\t")
    )
    others += "; __Host-page=canary; __Host-refresh=canary; flow-" + "x" * 22 + "=y"
    answer = begin(Browser(app, Cookie="; ".join([others] * 3)))
    assert len(answer.headers.getlist("Set-Cookie")) == 1


def test_s78_on_plain_http_too(make_app: MakeApp, standins: StandIns) -> None:
    local = "http://localhost:8000"
    settings = {**settings_of(standins), "env": "development", "public_url": local}
    client = make_app(**settings).test_client()
    for _ in range(2 * binding.MOST):
        began = client.get(f"/api/auth/google/login?{Flow(next='http://localhost:5173/').query()}", base_url=local)
        assert began.status_code == 302, began.text
    names = [cookie.key for cookie in (client._cookies or {}).values()]
    assert len([name for name in names if name.startswith("authserver_8000_flow_")]) == binding.MOST


UNSEEN = [
    "image",
    "iframe",
    "frame",
    "script",
    "style",
    "empty",
    "object",
    "embed",
    "video",
    "fencedframe",
    "",
    "Document",
]


@pytest.mark.parametrize("destination", UNSEEN)
def test_s78_nothing_is_begun_that_no_person_sees(make_app: MakeApp, standins: StandIns, destination: str) -> None:
    """Nor is it counted: a page full of pictures must not use up what its reader may do."""
    app = make_app(**settings_of(standins), redirect_urls=NEXT, rate_limits="true")
    person = sign_up(app.test_client())
    browser = signed_in_on_page(app, person)
    link = app.test_client().post(
        "/api/identities/google/login/",
        json={"next": NEXT, "code_challenge": Flow().challenge},
        headers=person.bearer,
    )
    before = everything(app)
    for path in (
        f"/api/auth/google/login/?{Flow().query()}",
        link.get_json()["url"],
        "/signin/google",
        f"/signin/google?{Flow().query()}",
        "/account/confirm/google",
    ):
        for site in ("same-origin", "cross-site", "same-site", "none"):
            headers = {"Sec-Fetch-Dest": destination, "Sec-Fetch-Site": site}
            answer = browser.open("GET", path, headers)
            assert_error(answer, 400, "invalid_request")
            assert "Set-Cookie" not in answer.headers
        assert_page(browser.open("GET", path, {**HTML, **headers}), 400)
    assert everything(app) == before
    headers = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "same-origin"}
    for path in (link.get_json()["url"], "/signin/google", "/account/confirm/google"):
        assert browser.open("GET", path, {**OURS, **headers}).status_code == 302
