"""S53, S67, S7: verifiers, nonces, issuers and providers have to be those of the flow."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.oauth.upstream import Upstream, UpstreamAsk
from authserver.testing.standins import StandIns
from tests.factories import assert_error
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow, parameters
from tests.security.redirects import (
    arrive,
    assert_refused,
    changed,
    codes_asked,
    counts,
    depart,
    open_url,
    signed_in,
    stored,
)

served_standins = conftest.served_standins
standins = conftest.standins
app = conftest.app
no_secret_is_logged = conftest.no_secret_is_logged

Advance = Callable[[float], None]
CROWD = 10


WRONG_VERIFIERS = ["x", "canary" * 8, "challenge", "verifier.", "-verifier", "VERIFIER", "a" * 4096]
NO_VERIFIERS = ["", "é" * 43, "\u2028", "canary canary", "canary\n"]


def test_s53_s67_a_code_without_its_verifier_is_used_up_and_worth_nothing(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    for wrong in WRONG_VERIFIERS:
        flow, code = arrive(app, standins)
        right = flow.verifier
        verifier = {"challenge": flow.challenge, "VERIFIER": right.swapcase()}.get(wrong)
        verifier = wrong.replace("verifier", right) if verifier is None else verifier
        answer = Flow(verifier=verifier).exchange(client, code)
        assert (ascii(wrong)[:20], answer.status_code) == (ascii(wrong)[:20], 400)
        assert_error(answer, 400, "one_time_token_not_valid")
        assert_error(flow.exchange(client, code), 400, "one_time_token_not_valid")
    assert counts(app) == {"users": 1, "identities": 1}


def test_s67_what_is_no_exchange_is_a_400_and_the_code_stays_good(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    flow, code = arrive(app, standins)
    before = stored(app)
    none: list[tuple[dict[str, object], str]] = [
        ({"code": code, "code_verifier": wrong}, "code_verifier") for wrong in NO_VERIFIERS
    ]
    bodies: list[tuple[dict[str, object], str]] = [
        ({"code": code}, "code_verifier"),
        ({"code": code, "code_verifier": None}, "code_verifier"),
        ({"code": code, "code_verifier": [flow.verifier]}, "code_verifier"),
        ({"code": code, "code_verifier": f"{flow.verifier}\0"}, "code_verifier"),
        ({"code": code, "code_verifier": "a" * 16385}, "code_verifier"),
        *none,
        ({"code_verifier": flow.verifier}, "code"),
        ({"code": "", "code_verifier": flow.verifier}, "code"),
        ({"code": [code], "code_verifier": flow.verifier}, "code"),
        ({"code": f"{code}\n", "code_verifier": flow.verifier}, "code"),
    ]
    for body, blamed in bodies:
        assert_error(client.post("/api/auth/exchange/", json=body), 400, "invalid_request", blamed)
    for other in (code[:-1], f"{code}x", code.swapcase(), "canary"):
        assert_error(flow.exchange(client, other), 400, "one_time_token_not_valid")
    query = f"/api/auth/exchange/?code={code}&code_verifier={flow.verifier}"
    assert_error(client.get(query), 405, "method_not_allowed")
    assert_error(client.post(query), 400, "invalid_request")
    assert stored(app) == before
    assert flow.exchange(client, code).status_code == 200


def test_s67_a_challenge_is_that_of_s256_in_its_one_spelling(app: Flask, standins: StandIns) -> None:
    flow = Flow(verifier="canary-verifier")
    good = flow.challenge
    assert len(good) == 43
    wrong = [
        "",
        good[:-1],
        f"{good}A",
        f"{good}=",
        f"{good[:-1]}=",
        f"{good}\n",
        f" {good}",
        "+" + good[1:],
        "/" + good[1:],
    ]
    browser = app.test_client()
    for challenge in [None, *wrong, "é" + good[1:], "\0" + good[1:], "." * 43]:
        assert_refused(flow.begin(browser, "google", code_challenge=challenge), "code_challenge")
    for method in ("plain", "", "s256", "S256 ", "none", "S512"):
        assert_refused(flow.begin(browser, "google", code_challenge_method=method), "code_challenge_method")
    assert_refused(open_url(browser, f"/api/auth/google/login/?{flow.query()}&code_challenge={good}"), "code_challenge")
    assert counts(app) == {}
    assert flow.begin(browser, "google", code_challenge_method="S256").status_code == 302


def test_s53_the_verifier_and_nonce_of_the_provider_are_new_each_time_and_not_the_frontends(
    app: Flask, standins: StandIns
) -> None:
    flow = Flow()
    first, second = depart(app, standins, flow=flow), depart(app, standins, flow=flow)
    for name in ("state", "nonce", "code_challenge"):
        assert len({first.asked[name], second.asked[name], flow.challenge, flow.verifier, flow.state}) == 5
    assert first.asked["code_challenge_method"] == "S256"
    assert len(first.secret) >= 43
    kept = repr(stored(app))
    for trip in (first, second):
        assert not [one for one in (trip.secret, trip.asked["nonce"], trip.asked["code_challenge"]) if one in kept]


@pytest.mark.parametrize("name", ["google", "microsoft", "acme"])
def test_s53_a_sign_in_of_other_than_was_asked_for_is_refused(
    app: Flask, standins: StandIns, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    signed_in(app, standins, name=name)
    before = {**stored(app), "authorizations": []}

    def refused(reason: str, trip_to: Callable[[Flow], dict[str, str]]) -> None:
        caplog.clear()
        flow = Flow()
        came = trip_to(flow)
        assert (came.get("error"), came["state"]) == ("provider_token_not_valid", flow.state), reason
        assert came.keys() == {"error", "error_description", "state"}
        assert f"{name} token refused: {reason}" in caplog.text
        assert {**stored(app), "authorizations": []} == before

    def asking(**changes: str | None) -> Callable[[Flow], dict[str, str]]:
        def go(flow: Flow) -> dict[str, str]:
            trip = depart(app, standins, name, flow)
            trip.url = changed(trip.url, **changes)
            return trip.come_back()

        return go

    def saying(**claims: object) -> Callable[[Flow], dict[str, str]]:
        return lambda flow: depart(app, standins, name, flow).come_back("verified", **claims)

    def answering(**changes: str | None) -> Callable[[Flow], dict[str, str]]:
        def go(flow: Flow) -> dict[str, str]:
            trip = depart(app, standins, name, flow)
            return parameters(open_url(trip.browser, changed(trip.callback(), **changes)))

        return go

    other = depart(app, standins, name)
    for nonce in (other.asked["nonce"], "canary", "", None):
        refused("with another nonce", asking(nonce=nonce))
    for claim in (None, [], ["canary"], 7, True, other.asked["nonce"]):
        refused("with another nonce", saying(nonce=claim))
    for challenge in (other.asked["code_challenge"], Flow().challenge):
        refused("", asking(code_challenge=challenge))
    refused("", asking(code_challenge=None, code_challenge_method=None))
    for issuer in ("https://evil.example", "", "canary", None, 7, ["https://accounts.google.com"]):
        refused("", saying(iss=issuer))
    for iss in ("https://evil.example", "", f"{standins.each[name].url}/", standins.facebook.url):
        refused("the answer is of another issuer", answering(iss=iss))
    if name == "google":
        refused("the answer is of another issuer", answering(iss=None))
    for code in ("canary", "", None, "\0", "canary&code=x"):
        refused("", answering(code=code))
    assert "code" in depart(app, standins, name).come_back()


def test_s53_one_providers_state_at_anothers_callback_is_refused_and_used_up(app: Flask, standins: StandIns) -> None:
    for mine, other in (("google", "acme"), ("acme", "google"), ("github", "facebook"), ("facebook", "microsoft")):
        trip = depart(app, standins, mine)
        url = trip.callback()
        assert_refused(open_url(trip.browser, url.replace(f"/{mine}/", f"/{other}/")))
        assert_refused(open_url(trip.browser, url))
    assert counts(app) == {}
    assert codes_asked(standins) == []


def test_s7_a_code_is_no_other_token_and_no_other_token_is_a_code(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    person = signed_in(app, standins)
    trip = depart(app, standins)
    flow, code = trip.flow, trip.come_back()["code"]
    trip = depart(app, standins)
    before = stored(app)
    new = {"password": "a new long password", "password_confirm": "a new long password"}
    for path in ("/api/password/reset/", "/api/email/verify/", "/api/account/recover/"):
        assert_error(client.post(path, json={"token": code, **new}), 400, "one_time_token_not_valid")
    for path in ("/api/token/verify/", "/api/token/refresh/"):
        assert_error(client.post(path, json={"token": code, "refresh": code}), 401, "token_not_valid")
    for token in (person.access, person.refresh, trip.state, trip.secret, flow.challenge, flow.verifier):
        assert_error(flow.exchange(client, token), 400, "one_time_token_not_valid")
    answer = client.post("/api/auth/google/", json={"code": code, "redirect_uri": NEXT})
    assert_error(answer, 401, "provider_token_not_valid")
    assert stored(app) == before
    assert flow.exchange(client, code).status_code == 200


def test_s29_all_that_one_callback_asks_of_a_provider_has_one_deadline(
    app: Flask, standins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Upstream] = []
    ask = Upstream.ask

    def begin(upstream: Upstream) -> UpstreamAsk:
        begun.append(upstream)
        return ask(upstream)

    trip = depart(app, standins)
    monkeypatch.setattr(Upstream, "ask", begin)
    assert "code" in parameters(open_url(trip.browser, trip.callback()))
    assert len(begun) == 1
