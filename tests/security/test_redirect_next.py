"""S54: where a browser may be sent."""

import html
import re
from itertools import cycle
from urllib.parse import urlencode, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.settings import SettingsError
from authserver.testing.standins import StandIns
from tests.conftest import PUBLIC_URL, MakeApp, settings_for
from tests.factories import assert_error, sign_up
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow
from tests.providers.signing_in import settings_of
from tests.security.addresses import BAD_SETTINGS, EVIL, LISTED, LOOPBACK, NOT_LOOPBACK
from tests.security.redirects import (
    assert_refused,
    counts,
    depart,
    open_url,
    stored,
)

served_standins = conftest.served_standins
standins = conftest.standins
no_secret_is_logged = conftest.no_secret_is_logged

LOCAL = "http://localhost:8000"


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns) -> Flask:
    return make_app(**settings_of(standins), redirect_urls=",".join(LISTED))


@pytest.fixture
def developed(make_app: MakeApp, standins: StandIns) -> Flask:
    return make_app(**settings_of(standins), redirect_urls=NEXT, env="development", public_url=LOCAL)


def refuse_each(app: Flask, base_url: str, addresses: list[str]) -> None:
    browser = app.test_client()
    for address in addresses:
        query = Flow(next=address).query()
        answer = browser.get(f"/api/auth/google/login/?{query}", base_url=base_url)
        assert (ascii(address)[:60], answer.status_code) == (ascii(address)[:60], 400)
        assert_refused(answer, "next")
        assert "evil" not in answer.text
    for query in (
        urlencode({"code_challenge": Flow().challenge}),
        f"{Flow().query()}&next={NEXT}",
        f"{Flow().query()}&next=https://evil.example",
        f"next=https://evil.example&{Flow().query()}",
        Flow().query().replace("next=", "next[]="),
        Flow().query().replace("next=", "Next="),
    ):
        assert_refused(browser.get(f"/api/auth/google/login/?{query}", base_url=base_url), "next")
    assert counts(app) == {}


def test_s54_a_browser_is_sent_to_no_address_but_a_listed_one_to_the_letter(app: Flask) -> None:
    refuse_each(app, PUBLIC_URL, [*EVIL, *LOOPBACK, *NOT_LOOPBACK])


def test_s54_in_development_every_loopback_origin_is_allowed_and_nothing_else(developed: Flask) -> None:
    refuse_each(developed, LOCAL, [*EVIL, *NOT_LOOPBACK])
    for address in (*LOOPBACK, NEXT):
        query = Flow(next=address).query()
        answer = developed.test_client().get(f"/api/auth/google/login/?{query}", base_url=LOCAL)
        assert answer.status_code == 302, address


def test_s54_a_link_is_begun_for_a_listed_address_only(app: Flask, client: FlaskClient) -> None:
    person = sign_up(client)
    before = stored(app)
    for address in (*EVIL, *LOOPBACK, *NOT_LOOPBACK):
        body = {"next": address, "code_challenge": Flow().challenge}
        answer = client.post("/api/identities/google/login/", json=body, headers=person.bearer)
        assert_error(answer, 400, "invalid_request", "next")
    assert stored(app) == before


@pytest.mark.parametrize("address", LISTED)
def test_s54_a_listed_address_gets_its_answer_behind_it_and_stays_to_the_letter(
    app: Flask, standins: StandIns, address: str
) -> None:
    trip = depart(app, standins, flow=Flow(next=address, state=None))
    answer = open_url(trip.browser, trip.callback())
    joint = "&" if "?" in address else "?"
    onward = rf"{re.escape(address)}{re.escape(joint)}code=[\w-]{{43}}"
    if address.startswith("http"):
        assert re.fullmatch(onward, answer.headers["Location"])
    else:  # nobody is sent on to an application's own scheme without a click
        assert (answer.status_code, "Location" in answer.headers) == (200, False)
        assert re.search(rf'<a class="button" href="{onward}">', html.unescape(answer.text))
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Max-Age=0" in answer.headers["Set-Cookie"]
    trip = depart(app, standins, flow=Flow(next=address, state="s"))
    answer = open_url(trip.browser, trip.callback(None))
    assert answer.headers["Location"].startswith(f"{address}{joint}error=access_denied&error_description=")
    assert answer.headers["Location"].endswith("&state=s")


def test_s54_a_redirect_url_that_is_none_stops_the_start() -> None:
    plain = [
        "http://app.example.com/",
        "HTTP://app.example.com/",
        "http://192.168.0.1/",
        "http://localhost.evil.example/",
    ]
    said = set()
    for address in [*BAD_SETTINGS, *plain]:
        for value in (f"{NEXT},{address}", address):
            with pytest.raises(SettingsError) as stopped:
                settings_for("sqlite:////tmp/a.db", redirect_urls=value)
            said.add(str(stopped.value))
    assert said == {
        "AUTHSERVER_REDIRECT_URLS: expected URLs, comma-separated, such as https://app.example.com/signed-in",
        "AUTHSERVER_REDIRECT_URLS: production needs https, expected a URL such as https://auth.example.com",
    }
    good = [*LISTED, "http://localhost:5173/x", "http://127.0.0.1/", "https://app.example.com:8443/a,"]
    assert settings_for("sqlite:////tmp/a.db", redirect_urls=",".join(good)).redirect_urls == tuple(
        address.rstrip(",") for address in good
    )


NATIVE = ["http://127.0.0.1/callback", "http://[::1]/callback?x=1", "http://127.0.0.1:9000/fixed"]
WITH_A_PORT = [
    "http://127.0.0.1/callback",
    "http://127.0.0.1:1/callback",
    "http://127.0.0.1:65535/callback",
    "http://[::1]:53124/callback?x=1",
    "http://127.0.0.1:9000/fixed",
]
EVIL_PORTS = [
    "http://127.0.0.1:80@evil.example/callback",
    "http://127.0.0.1:80@evil.example",
    "http://x@127.0.0.1:8080/callback",
    "http://x:1@127.0.0.1/callback",
    "http://127.0.0.1:8080.evil.example/callback",
    "http://127.0.0.1.evil.example:8080/callback",
    "http://127.0.0.1:8080\\@evil.example/callback",
    "http://127.0.0.1:8080\\callback",
    "http://127.0.0.1:99999/callback",
    "http://127.0.0.1:65536/callback",
    "http://127.0.0.1:0/callback",
    "http://127.0.0.1:080/callback",
    "http://127.0.0.1:/callback",
    "http://127.0.0.1:+80/callback",
    "http://127.0.0.1:8_0/callback",
    "http://127.0.0.1:٣/callback",
    "http://127.0.0.1:80:80/callback",
    "http://127.0.0.1:8080",
    "http://127.0.0.1:8080/",
    "http://127.0.0.1:8080/callback/",
    "http://127.0.0.1:8080//callback",
    "http://127.0.0.1:8080/x/../callback",
    "http://127.0.0.1:8080/Callback",
    "http://127.0.0.1:8080/callback?",
    "http://127.0.0.1:8080/callback?x=1",
    "http://127.0.0.1:8080/callback#",
    "http://127.0.0.1:8080/callback#x",
    "http://127.0.0.1:8080/callback\n",
    " http://127.0.0.1:8080/callback",
    "https://127.0.0.1:8080/callback",
    "HTTP://127.0.0.1:8080/callback",
    "ws://127.0.0.1:8080/callback",
    "//127.0.0.1:8080/callback",
    "http://localhost:8080/callback",
    "http://localhost/callback",
    "http://127.0.0.2:8080/callback",
    "http://127.1:8080/callback",
    "http://2130706433:8080/callback",
    "http://0.0.0.0:8080/callback",
    "http://[::ffff:127.0.0.1]:8080/callback?x=1",
    "http://[0:0:0:0:0:0:0:1]:8080/callback?x=1",
    "http://[::1]:8080/callback",
    "http://[::1]:8080.evil.example/callback?x=1",
    "http://::1:8080/callback?x=1",
    "http://127.0.0.1:9001/fixed",
    "http://127.0.0.1/fixed",
    "https://app.example.com:8443/signed-in",
    "http://app.example.com:80/signed-in",
]


def test_s54_a_listed_loopback_url_allows_any_port_and_nothing_else(make_app: MakeApp, standins: StandIns) -> None:
    app = make_app(**settings_of(standins), redirect_urls=",".join([NEXT, *NATIVE]))
    refuse_each(app, PUBLIC_URL, EVIL_PORTS)
    browser = app.test_client()
    for page, address in zip(cycle(("signin", "signup", "signout")), EVIL_PORTS, strict=False):
        assert_refused(browser.get(f"/{page}?{Flow(next=address).query()}", base_url=PUBLIC_URL), "next")
    for address in WITH_A_PORT:
        trip = depart(app, standins, flow=Flow(next=address))
        answer = open_url(trip.browser, trip.callback())
        assert answer.headers["Location"].startswith(f"{address}{'&' if '?' in address else '?'}code=")
        shown = browser.get(f"/signin?{Flow(next=address).query()}", base_url=PUBLIC_URL)
        assert (shown.status_code, f"Afterwards you go on to {urlsplit(address).netloc}." in shown.text) == (200, True)
        assert "form-action 'self' http:;" in shown.headers["Content-Security-Policy"]


def test_s54_a_listed_localhost_or_https_url_allows_its_own_port_alone(make_app: MakeApp, standins: StandIns) -> None:
    listed = ["http://localhost/callback", "https://127.0.0.1/callback", "http://127.0.0.2/callback", NEXT]
    app = make_app(**settings_of(standins), redirect_urls=",".join(listed))
    refuse_each(app, PUBLIC_URL, [one.replace("/callback", ":8080/callback") for one in listed[:3]])
