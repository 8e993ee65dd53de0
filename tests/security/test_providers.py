"""S21-S23, S25-S29: nobody signs in by a token that is not theirs or not ours; a provider's outage stays theirs."""

import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from queue import SimpleQueue
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from authserver.oauth import upstream
from authserver.oauth.verify import SentAccessToken, identify
from authserver.testing.standins import Person, StandIns
from providers import google
from tests.conftest import MakeApp
from tests.factories import assert_error, log_in, sign_up
from tests.providers import conftest
from tests.providers.faults import GOOD, QUICK, SLOW
from tests.providers.raw_server import PATIENCE, Connection, RawServer, Request, serving
from tests.providers.shipped import NAMES, made
from tests.providers.signing_in import ADA, PROVIDERS, post, refuse, refuse_each, settings_of, sign_in, token_of
from tests.serving import free_port

served_standins = conftest.served_standins
standins = conftest.standins
app = conftest.app
no_secret_is_logged = conftest.no_secret_is_logged

PROFILES = {
    "/google/userinfo",
    "/facebook/v25.0/me",
    "/microsoft/v1.0/me",
    "/github/api/user",
    "/github/api/user/emails",
    "/gitlab/oauth/userinfo",
    "/discord/api/v10/users/@me",
}


def takes_access_tokens(name: str) -> bool:
    kind = made(name).access_token if name in NAMES else None
    return kind is not None and kind.issued_to is not None


TAKING = tuple(filter(takes_access_tokens, StandIns("http://127.0.0.1").each))  # from clients, not only for codes


def each(name: str, *values: object) -> list[dict[str, object]]:
    return [{name: value} for value in values]


def profiles_asked(standins: StandIns) -> list[str]:
    return [asked for asked in standins.asked if asked.partition(" ")[2] in PROFILES]


def foreign_token(standins: StandIns, provider: str, person: Person) -> str:
    """A good token, which the person gave to another application of the attacker's."""
    return token_of(standins, provider, replace(person, other_application=True))


def token_for_another_subject(standins: StandIns, provider: str, person: Person) -> str:
    """The provider's check names the victim, its profile the person."""
    says: dict[str, dict[str, Any]] = {
        "google": {"sub": ADA.subject},
        "facebook": {"user_id": ADA.subject},
        "microsoft": {"oid": ADA.subject},
        "github": {"user": {"id": int(ADA.subject)}},
        "gitlab": {"resource_owner_id": int(ADA.subject)},
        "discord": {"user": {"id": ADA.subject}},
    }
    return standins.each[provider].token(person, **says[provider])


@pytest.mark.parametrize("provider", TAKING)
def test_s21_a_token_of_another_application_is_refused_before_the_profile_is_read(
    app: Flask, client: FlaskClient, standins: StandIns, caplog: pytest.LogCaptureFixture, provider: str
) -> None:
    sign_in(client, provider, token_of(standins, provider, ADA))
    assert profiles_asked(standins), "the good one is"
    standins.asked.clear()
    refuse(app, provider, foreign_token(standins, provider, ADA))
    refuse(app, provider, foreign_token(standins, provider, Person(subject="2002")))
    assert standins.asked or provider == "microsoft", "whose tokens say themselves whom they are for"
    assert profiles_asked(standins) == []
    # GitHub is asked in the application's name, and knows no token of another.
    reason = "the provider answered 404" if provider == "github" else "not issued to this application"
    assert f"{provider} token refused: {reason}" in caplog.text


def test_s21_an_audience_is_compared_whole_and_of_the_right_type(app: Flask, standins: StandIns) -> None:
    ours = standins.microsoft.client_id
    odd: list[object] = [[ours], {ours: True}, "", True, 0, f"{ours},x", f" {ours}", ours.upper(), ours[:-1], "*"]
    attempts: dict[str, tuple[str, object]] = {}
    for audience in odd:
        attempts[f"appid {audience}"] = ("microsoft", standins.microsoft.token(ADA, appid=audience))
        attempts[f"app_id {audience}"] = ("facebook", standins.facebook.token(ADA, app_id=audience))
    refuse_each(app, attempts)
    assert profiles_asked(standins) == []


@pytest.mark.parametrize("provider", TAKING)
def test_s22_a_profile_of_another_subject_than_the_checked_one_is_refused(
    app: Flask, client: FlaskClient, standins: StandIns, caplog: pytest.LogCaptureFixture, provider: str
) -> None:
    sign_in(client, provider, token_of(standins, provider, ADA))
    subjects = ["666", "10010", "100"]
    if provider in ("facebook", "google", "microsoft"):  # whose subjects are text
        subjects += ["1001 ", "01001"]
    people = [replace(ADA, subject=subject) for subject in subjects]
    refuse_each(app, {one.subject: (provider, token_for_another_subject(standins, provider, one)) for one in people})
    assert "the subject of the check is not the subject of the profile" in caplog.text


MISSING = object()


def test_s23_only_a_real_true_verifies_an_address(make_app: MakeApp) -> None:
    odd = ["true", "True", "1", 1, 1.0, None, MISSING, "false", False, 0, "", [], [True], {"value": True}]
    profile: dict[str, object] = {}
    with serving(lambda request, connection: connection.reply(profile)) as server:
        client = google_at(make_app, server).test_client()
        for number, value in enumerate([*odd, True]):
            profile |= {**GOOD, "sub": f"{number}", "email": f"{number}@gmail.com", "email_verified": value}
            if value is MISSING:
                del profile["email_verified"]
            user = sign_in(client, "google", "canary").user
            assert (user["email"], user["email_verified"]) == (f"{number}@gmail.com", value is True), value


def test_s25_what_facebook_does_not_call_a_valid_token_of_a_user_is_refused(app: Flask, standins: StandIns) -> None:
    odd = [
        *each("is_valid", False, None, "true", 1),
        *each("type", "PAGE", "APP", "SYSTEM_USER", "user", "", None),
        *each("expires_at", 1, -1, int(time.time()) - 1, "9999999999", [0]),
    ]
    refuse_each(app, {str(debug): ("facebook", standins.facebook.token(ADA, **debug)) for debug in odd})
    assert profiles_asked(standins) == []
    for user_id in (None, "", 0, [ADA.subject]):
        refuse(app, "facebook", standins.facebook.token(ADA, user_id=user_id))


def test_s25_what_facebook_does_not_say_is_not_assumed(app: Flask, standins: StandIns) -> None:
    attempts = {}
    for missing in ("app_id", "is_valid", "type", "expires_at", "user_id"):
        token = standins.facebook.token(ADA)
        del standins.facebook.grants[token].debug[missing]
        attempts[missing] = ("facebook", token)
    refuse_each(app, attempts)
    assert profiles_asked(standins) == []


def test_s26_what_a_microsoft_token_says_of_itself_counts_only_if_graph_accepts_it(
    app: Flask, standins: StandIns
) -> None:
    microsoft = standins.microsoft
    refuse(app, "microsoft", microsoft.forged_token(ADA))
    refuse(
        app, "microsoft", microsoft.forged_token(ADA, iss="https://evil.example/", appid=None, azp=microsoft.client_id)
    )
    assert standins.asked == ["GET /microsoft/v1.0/me"] * 2


def test_s26_a_microsoft_token_that_does_not_name_us_is_refused_though_graph_would_accept_it(
    app: Flask, standins: StandIns
) -> None:
    ours, other = standins.microsoft.client_id, standins.microsoft.other_client_id
    odd: list[dict[str, object]] = [
        {"appid": None},
        {"appid": None, "azp": other},
        {"appid": other, "azp": ours},
        {"appid": "", "azp": ours},
        {"appid": None, "aud": ours},
        {"tid": None},
        {"oid": None},
    ]
    refuse_each(app, {str(claims): ("microsoft", standins.microsoft.token(ADA, **claims)) for claims in odd})
    assert standins.asked == []


def test_s26_a_microsoft_token_of_an_odd_tenant_or_subject_is_refused(
    app: Flask, client: FlaskClient, standins: StandIns
) -> None:
    sign_in(client, "microsoft", standins.microsoft.token(ADA))
    odd = [
        *each("oid", [ADA.subject], {"id": ADA.subject}, 1001, True, "", "1001\0", "\ud800", "x" * 256),
        *each("tid", [ADA.tenant], {"id": ADA.tenant}, 1, True, "\0", "\ud800", "x" * 256),
    ]
    refuse_each(app, {str(claims): ("microsoft", standins.microsoft.token(ADA, **claims)) for claims in odd})


def jwt_of(payload: bytes) -> str:
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in (b'{"alg":"RS256"}', payload, b"canary"))


def test_s26_what_is_no_jwt_is_refused_unasked(app: Flask, standins: StandIns) -> None:
    payloads = [b"", b"[]", b'"x"', b"null", b"7", b"{", b"\xff", b"[" * 9000, b'{"a":' * 1500, b"9" * 9000, b"NaN"]
    texts = [
        "canary",
        "canary.",
        "canary..",
        ".canary.",
        "a.canary",
        "a.b.c.canary",
        "a.!canary!.c",
        "...",
        "canary=.=.=",
    ]
    refuse_each(app, {token[:60]: ("microsoft", token) for token in [*map(jwt_of, payloads), *texts]})
    assert standins.asked == []


@pytest.mark.parametrize("provider", TAKING)
def test_s27_a_token_of_one_provider_is_worth_nothing_at_another(app: Flask, standins: StandIns, provider: str) -> None:
    others = standins.each.keys() - {provider}
    refuse_each(app, {other: (provider, standins.each[other].token(ADA)) for other in others})
    assert profiles_asked(standins) == []


def test_an_id_token_sent_as_an_access_token_is_named_in_the_refusal(app: Flask, standins: StandIns) -> None:
    for provider, ours in (
        ("google", standins.google.client_id),
        ("facebook", standins.facebook.client_id),
        ("microsoft", standins.microsoft.client_id),
    ):
        said = refuse(app, provider, standins.microsoft.forged_token(ADA, aud=ours, appid=None))["detail"]
        assert "id_token" in said
        foreign = standins.microsoft.forged_token(ADA, aud="another", appid=None)
        assert "id_token" not in refuse(app, provider, foreign)["detail"]


NO_TOKENS: list[object] = [
    None,
    True,
    7,
    1.5,
    [],
    ["canary"],
    {},
    {"access_token": "canary"},
    "",
    " ",
    " canary",
    "canary\r\nX-Injected: 1",
    "canary\n",
    "canary\0",
    "canary\x7f",
    "canaré",
    "\ud800",
    "canary\u2028",
    "c" * 16385,
]


@pytest.mark.parametrize("provider", TAKING)
def test_s28_what_can_be_no_token_is_a_400_and_nothing_is_asked(app: Flask, standins: StandIns, provider: str) -> None:
    refuse_each(app, {f"{value!r:.60}": (provider, value) for value in NO_TOKENS}, 400, "invalid_request")
    path = f"/api/auth/{provider}/"
    client = app.test_client()
    good = token_of(standins, provider, ADA)
    assert_error(client.post(path, json={"access_token": "c" * 100_000}), 413, "request_too_large")
    assert_error(client.post(path, json={"token": good}), 400, "invalid_request", "access_token")
    assert_error(client.post(f"{path}?access_token={good}", json={}), 400, "invalid_request", "access_token")
    assert_error(client.post(path, data={"access_token": good}), 400, "invalid_request")
    twice = f'{{"access_token": "canary", "access_token": "{good}"}}'
    assert_error(client.post(path, data=twice, content_type="application/json"), 400, "invalid_request")
    assert standins.asked == []


ODD_TOKENS = [
    "canary&access_token=victim",
    "canary&input_token=victim#",
    "canary%00",
    "canary%0d%0aX-Injected:%201",
    "canary+%2B+",
    "../../canary/../me?x=",
    "//canary.example/",
    "http://canary.example/",
    "canary?fields=id;DROP",
    "canary|secret",
    "{canary}$.%s%(x)s{0}",
    "'\"<canary>\\",
    "%ud800canary",
    "c" * 16384,
]


def answer_as_every_provider(request: Request, connection: Connection) -> None:
    """Whatever the token, it is ours and of subject 1001."""
    if request.path.endswith("/debug_token"):
        debug = {"app_id": "ours", "user_id": "1001", "is_valid": True, "type": "USER", "expires_at": 0}
        connection.reply({"data": debug})
    else:
        connection.reply({**GOOD, "id": "1001"})


def assert_carried_whole(asked: list[Request], token: str) -> None:
    """The two calls of Google and the two of Facebook, each with the token as one value and in no other place."""
    assert [request.path for request in asked] == ["/tokeninfo", "/userinfo", "/v25.0/debug_token", "/v25.0/me"]
    tokeninfo, userinfo, debug_token, me = asked
    assert (tokeninfo.target, userinfo.target) == ("/tokeninfo", "/userinfo"), "never in an address"
    assert parse_qsl(tokeninfo.body, keep_blank_values=True, strict_parsing=True) == [("access_token", token)]
    assert userinfo.headers["authorization"] == f"Bearer {token}"
    queries = [parse_qsl(urlsplit(one.target).query, keep_blank_values=True) for one in (debug_token, me)]
    assert queries[0] == [("input_token", token), ("access_token", "ours|the app's secret")]
    assert [name for name, _ in queries[1]] == ["fields", "access_token", "appsecret_proof"]
    assert dict(queries[1])["access_token"] == token
    for request in asked:
        assert request.headers.keys() <= {
            "host",
            "accept",
            "accept-encoding",
            "user-agent",
            "content-type",
            "content-length",
            "authorization",
        }


@contextmanager
def google_and_facebook() -> Iterator[tuple[RawServer, dict[str, object]]]:
    with serving(answer_as_every_provider) as server:
        yield (
            server,
            {
                "providers__google__client_id": "ours",
                "providers__google__tokeninfo_url": f"{server.url}/tokeninfo",
                "providers__google__userinfo_url": f"{server.url}/userinfo",
                "providers__facebook__client_id": "ours",
                "providers__facebook__client_secret": "the app's secret",
                "providers__facebook__graph_url": server.url,
            },
        )


def test_s28_an_odd_token_is_one_encoded_parameter_and_causes_no_other_call(make_app: MakeApp) -> None:
    with google_and_facebook() as (server, settings):
        client = make_app(**settings).test_client()
        for token in ODD_TOKENS:
            server.asked.clear()
            sign_in(client, "google", token)
            sign_in(client, "facebook", token)
            assert_carried_whole(server.asked, token)


def test_s28_every_token_is_one_encoded_parameter_and_causes_no_other_call(make_app: MakeApp) -> None:
    with google_and_facebook() as (server, changes):
        app = make_app(**changes)

        @hypothesis_settings(max_examples=50, deadline=None)
        @given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=200))
        def carried_whole(token: str) -> None:
            server.asked.clear()
            with app.app_context():
                for enabled in reversed(app.extensions["authserver.providers"].values()):
                    assert identify(enabled, SentAccessToken(token)).identity.subject == "1001"
            assert_carried_whole(server.asked, token)

        carried_whole()


def google_at(make_app: MakeApp, server: RawServer, **names: str) -> Flask:
    """An application with Google at the server, and once more under each name, with that path before its own."""
    changes: dict[str, object] = {}
    for name, path in {"google": "", **names}.items():
        changes[f"providers__{name}__client_id"] = GOOD["aud"]
        changes[f"providers__{name}__tokeninfo_url"] = f"{server.url}{path}/tokeninfo"
        changes[f"providers__{name}__userinfo_url"] = f"{server.url}{path}/userinfo"
    return make_app(factories=dict.fromkeys(names, google.provider), **changes)


def test_s29_an_upstream_that_makes_no_sense_is_a_503(make_app: MakeApp) -> None:
    """Each fault is a provider of its own, and another where the fault is at the second call."""
    names = {f"{path}_{fault}": f"/{path}/{fault}" for path in ("tokeninfo", "userinfo") for fault in QUICK}

    def answer(request: Request, connection: Connection) -> None:
        _, faulty_path, fault, path = request.path.split("/")
        QUICK[fault](connection) if path == faulty_path else connection.reply(GOOD)

    with serving(answer) as server:
        app = google_at(make_app, server, **names)
        refuse_each(app, {name: (name, "canary") for name in names}, 503, "provider_unavailable")
        expected = [f"POST {path}/tokeninfo" for path in names.values()]
        expected += [f"GET {path}/userinfo" for path in names.values() if path.startswith("/userinfo/")]
        assert sorted(server.paths) == sorted(expected), (
            "no redirect was followed, nothing asked again or after a fault"
        )


def test_s29_a_provider_that_refuses_the_token_is_available(make_app: MakeApp) -> None:
    statuses = ("400", "401", "403", "404", "422")
    names = {f"{path}_{status}": f"/{path}/{status}" for path in ("tokeninfo", "userinfo") for status in statuses}

    def answer(request: Request, connection: Connection) -> None:
        _, refusing_path, status, path = request.path.split("/")
        connection.reply(GOOD, int(status) if path == refusing_path else 200)

    with serving(answer) as server:
        refuse_each(google_at(make_app, server, **names), {name: (name, "canary") for name in names})


@pytest.mark.slow
def test_s29_a_slow_upstream_is_given_up_however_it_drips(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once, each as a provider of its own, slow at its first call and at its second."""
    monkeypatch.setattr(upstream, "TOTAL", 0.8)
    outcomes: SimpleQueue[tuple[str, bool]] = SimpleQueue()

    def answer(request: Request, connection: Connection) -> None:
        _, slow_path, fault, path = request.path.split("/")
        if path != slow_path:
            connection.reply(GOOD)
        else:
            outcomes.put((f"{slow_path}_{fault}", SLOW[fault](connection)))

    names = {f"{path}_{fault}": f"/{path}/{fault}" for path in ("tokeninfo", "userinfo") for fault in SLOW}
    with serving(answer) as server:
        app = google_at(make_app, server, **names)
        with ThreadPoolExecutor(len(names)) as threads:
            answers = list(threads.map(lambda name: post(app.test_client(), name, "canary"), names))
        given_up = dict(outcomes.get(timeout=2 * PATIENCE) for _ in names)
    for one in answers:
        assert_error(one, 503, "provider_unavailable")
        assert int(one.headers["Retry-After"]) > 0
    assert given_up == dict.fromkeys(names, True), "the server would have gone on for longer: the client hung up"


def test_s29_other_requests_are_served_while_a_provider_does_not_answer(make_app: MakeApp, standins: StandIns) -> None:
    asked, released = threading.Event(), threading.Event()

    def answer(request: Request, connection: Connection) -> None:
        asked.set()
        released.wait(upstream.TOTAL)
        connection.reply(GOOD)

    with serving(answer) as server, ThreadPoolExecutor(1) as threads:
        app = make_app(**{**settings_of(standins), "providers__google__tokeninfo_url": f"{server.url}/tokeninfo"})
        client = app.test_client()
        waiting = threads.submit(post, app.test_client(), "google", "canary")
        assert asked.wait(upstream.TOTAL)
        person = sign_up(client)
        assert log_in(client, person.user["email"]).status_code == 200
        assert client.get("/api/me/", headers=person.bearer).status_code == 200
        sign_in(client, "facebook", standins.facebook.token(replace(ADA, email=None)))
        assert not waiting.done(), "all of that was served while the provider had not answered"
        released.set()
        assert_error(waiting.result(), 401, "provider_token_not_valid")


@pytest.mark.parametrize("most", ["MOST_OF_ONE", "MOST_IN_ALL"])
def test_s29_what_would_wait_beyond_its_providers_share_of_the_threads_is_a_503_and_asks_nothing(
    app: Flask, client: FlaskClient, standins: StandIns, monkeypatch: pytest.MonkeyPatch, most: str
) -> None:
    monkeypatch.setattr(upstream, most, 1)
    connections: upstream.Upstream = app.extensions["authserver.upstream"]
    with connections.place("google"):
        full = TAKING if most == "MOST_IN_ALL" else ("google",)
        attempts: dict[str, tuple[str, object]] = {name: (name, token_of(standins, name, ADA)) for name in full}
        refuse_each(app, attempts, 503, "provider_unavailable")
        assert standins.asked == []
        for number, name in enumerate(set(TAKING) - set(full)):
            sign_in(client, name, token_of(standins, name, Person(subject=f"{number}")))
    for number, name in enumerate(TAKING):
        sign_in(client, name, token_of(standins, name, Person(subject=f"{number}")))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_s29_a_provider_that_refuses_connections_is_a_503_and_the_others_work(
    make_app: MakeApp, standins: StandIns, provider: str
) -> None:
    closed = f"http://127.0.0.1:{free_port()}"
    changes = {"google__tokeninfo_url": closed, "facebook__graph_url": closed, "microsoft__graph_url": closed}
    down = {name: value for name, value in changes.items() if name.startswith(provider)}
    app = make_app(**settings_of(standins, **down))
    refuse_each(app, {"down": (provider, token_of(standins, provider, ADA))}, 503, "provider_unavailable")
    assert standins.asked == []
    for number, other in enumerate(PROVIDERS):
        if other != provider:
            sign_in(app.test_client(), other, token_of(standins, other, Person(subject=f"{number}")))
