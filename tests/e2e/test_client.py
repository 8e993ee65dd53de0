"""The client `/authserver.js` in Chromium, on a page of another origin, as an application uses it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.client_page import (
    LISTENING,
    WITHOUT_LOCKS,
    NewVisitor,
    Recorder,
    Visitor,
    expires,
    hosting,
    recording,
    subject,
    write_page,
)
from tests.e2e.servers import Server, call, developing, make_checkout, wait_until_expired
from tests.factories import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = pytest.mark.browser

ROUNDS = 20


@pytest.fixture(scope="module")
def api() -> Iterator[Recorder]:
    """The application's own API, which the client was told of."""
    with recording() as recorder:
        yield recorder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its access tokens expire soon, and its refresh tokens count once."""
    checkout = make_checkout(tmp_path_factory.mktemp("client") / "checkout")
    variables = {
        "AUTHSERVER_ACCESS_TOKEN_LIFETIME": "2",
        "AUTHSERVER_REFRESH_ROTATION": "true",
        "AUTHSERVER_RATE_LIMITS": "false",
    }
    with developing(checkout, variables) as server:
        yield server


@pytest.fixture(scope="module")
def folder(server: Server, api: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    write_page(folder / "index.html", server.url, apis=[api.url])
    write_page(folder / "shared.html", server.url, shared=True)
    return folder


@pytest.fixture(scope="module")
def origin(folder: Path) -> Iterator[str]:
    with hosting(folder) as origin:
        yield origin


@pytest.fixture(scope="module")
def other_origin(folder: Path) -> Iterator[str]:
    """Another application, allowed as well."""
    with hosting(folder) as origin:
        yield origin


@pytest.fixture
def visitor(new_visitor: NewVisitor) -> Visitor:
    return new_visitor()


# Signing in and staying so


def test_a_person_signs_up_leaves_and_logs_in_again(visitor: Visitor) -> None:
    tab = visitor.tab()
    assert tab.user() is None
    user = tab.sign_up(first_name="Ada")
    assert tab.user() == user
    assert tab.get() == [200, user]
    tab.js("() => auth.logout()")
    assert tab.user() is None
    assert visitor.cookie() == ""
    assert tab.get()[0] == 401
    assert tab.js("(body) => auth.login(body)", {"email": user["email"], "password": PASSWORD}) == user
    assert tab.js("() => changes") == [user["email"], None, user["email"]]


def test_a_refusal_is_an_error_with_its_code_and_what_is_wrong_with_which_field(visitor: Visitor) -> None:
    tab = visitor.tab()
    refused = tab.js(
        "() => auth.signup({ email: 'ada', password: 'short' }).catch((error) => ({ ...error, said: error.message }))"
    )
    assert (refused["name"], refused["code"], refused["status"]) == ("AuthError", "invalid_request", 400)
    assert refused["errors"].keys() == {"email"}
    assert refused["said"] == "The request is not valid."
    assert tab.user() is None


def test_a_first_visit_asks_the_server_nothing(visitor: Visitor) -> None:
    tab = visitor.tab()
    assert tab.user() is None
    assert tab.calls() == []
    assert tab.js("() => Object.keys(localStorage).concat(Object.keys(sessionStorage))") == []


def test_a_shared_sign_in_is_asked_for_once_all_the_same(visitor: Visitor, other_origin: str) -> None:
    assert visitor.tab("/shared.html").calls() == ["POST /api/token/refresh/ 401"]
    user = visitor.tab().sign_up()
    other = visitor.tab("/shared.html", other_origin)
    assert other.user() == user
    assert other.calls() == ["POST /api/token/refresh/ 200", "GET /api/me/ 200"]
    assert visitor.tab("/", other_origin).calls() == ["POST /api/token/refresh/ 200", "GET /api/me/ 200"]


def test_a_reload_keeps_the_person_signed_in(visitor: Visitor) -> None:
    tab = visitor.tab()
    user = tab.sign_up()
    for _ in range(3):
        tab.responses.clear()
        tab.reload()
        assert tab.user() == user
        assert tab.calls() == ["POST /api/token/refresh/ 200", "GET /api/me/ 200"]
    assert tab.get()[0] == 200


def test_a_session_that_was_ended_elsewhere_ends_on_the_page(visitor: Visitor) -> None:
    tab = visitor.tab()
    user = tab.sign_up()
    tokens = call("POST", f"{tab.server.url}/api/login/", {"email": user["email"], "password": PASSWORD}).body
    call("DELETE", f"{tab.server.url}/api/sessions/", bearer=tokens["access"])
    assert tab.get()[0] == 401
    assert tab.js("() => changes") == [user["email"], None]
    tab.responses.clear()
    tab.reload()
    assert tab.calls() == [], "nor does it ask again"


@pytest.mark.parametrize("problem", ["network", 429, 500, 503])
def test_only_a_401_is_a_sign_out(visitor: Visitor, problem: object) -> None:
    tab = visitor.tab()
    user = tab.sign_up()
    wait_until_expired(tab.access())

    def fail(route: "Route") -> None:
        if problem == "network":
            route.abort()
            return
        headers = {"Access-Control-Allow-Origin": visitor.origin, "Access-Control-Allow-Credentials": "true"}
        body = {"detail": "Not now.", "code": "throttled" if problem == 429 else "server_error"}
        route.fulfill(status=int(str(problem)), headers=headers, json=body)

    visitor.context.route("**/api/token/refresh/", fail)
    expected = {"network": "TypeError", 429: "throttled"}.get(problem, "server_error")
    assert tab.failure("auth.fetch('/api/me/')") == expected
    assert tab.user() == user
    tab.reload()
    assert tab.user() == "unknown"
    assert tab.js("() => auth.error.code ?? auth.error.name") == expected
    visitor.context.unroute("**/api/token/refresh/")
    assert tab.js("() => auth.reload()") == user
    assert tab.js("() => auth.error") is None


def test_a_logout_that_does_not_reach_the_server_signs_nobody_out(visitor: Visitor) -> None:
    tab = visitor.tab()
    user = tab.sign_up()
    visitor.context.route("**/api/logout/", lambda route: route.abort())
    assert tab.failure("auth.logout()") == "TypeError"
    assert tab.user() == user
    visitor.context.unroute("**/api/logout/")
    tab.js("() => auth.logout()")
    assert visitor.cookie() == ""


# Requests


def test_fifty_401s_at_once_are_one_refresh_and_every_retry_has_the_new_token(visitor: Visitor) -> None:
    tab = visitor.tab()
    tab.sign_up()
    old = tab.access()
    wait_until_expired(old)
    tab.responses.clear()
    fifty = "() => Promise.all(Array.from({ length: 50 }, () => auth.fetch('/api/me/').then((r) => r.status)))"
    assert tab.js(fifty) == [200] * 50
    assert tab.refreshes() == 1
    asked = [one.request.headers["authorization"] for one in tab.responses if one.url.endswith("/api/me/")]
    assert asked.count(f"Bearer {old}") == asked.count(f"Bearer {tab.access()}") == 50


def test_a_retry_sends_the_same_request_with_its_body(visitor: Visitor) -> None:
    tab = visitor.tab()
    tab.sign_up()
    headers = "headers: { 'Content-Type': 'application/json' }"
    for number, request in enumerate(
        (
            f"'/api/me/', {{ method: 'PATCH', {headers}, body: JSON.stringify({{ first_name: 'Name 0' }}) }}",
            f"'/api/me/', {{ method: 'PATCH', {headers}, body: new Blob(['{{\"first_name\": \"Name 1\"}}']) }}",
            f"new Request('{tab.server.url}/api/me/', "
            f"{{ method: 'PATCH', {headers}, body: JSON.stringify({{ first_name: 'Name 2' }}) }})",
        )
    ):
        wait_until_expired(tab.access())
        tab.responses.clear()
        answered = tab.js(f"async () => (await auth.fetch({request})).json()")
        assert answered["first_name"] == f"Name {number}"
        assert tab.calls() == ["PATCH /api/me/ 401", "POST /api/token/refresh/ 200", "PATCH /api/me/ 200"]
    assert tab.user()["first_name"] == ""
    assert tab.js("() => auth.reload()")["first_name"] == "Name 2"


def test_tokens_are_sent_to_the_server_and_the_apis_it_was_given_and_to_no_other(
    visitor: Visitor, api: Recorder
) -> None:
    with recording() as foreign:
        tab = visitor.tab()
        tab.sign_up()
        api.tokens.clear()
        api.redirects = {"/away": f"{foreign.url}/from-api"}
        foreign.redirects = {"/back": f"{api.url}/from-foreign"}
        port = foreign.url.rpartition(":")[2]
        targets = [
            f"'{foreign.url}/absolute'",
            f"'//localhost:{port}/no-scheme'",
            f"'\\\\\\\\localhost:{port}/backslashes'",
            f"new URL('{foreign.url}/url')",
            f"new Request('{foreign.url}/request')",
            f"'{api.url}/away'",
            f"new Request('{api.url}/away')",
            f"'{foreign.url}/back'",
            f"'{api.url.replace('http://', 'http://user@').replace('user@localhost', f'localhost:{port}@localhost')}'",
        ]
        for target in targets:
            tab.js(f"() => auth.fetch({target}).then(() => 0, () => 0)")
        paths = {path for path, _ in foreign.tokens}
        assert paths == {"/absolute", "/no-scheme", "/backslashes", "/url", "/request", "/from-api", "/back"}
        assert {token for _, token in foreign.tokens} == {None}
        assert ("/from-foreign", None) in api.tokens
        assert len([1 for path, token in api.tokens if path == "/away" and token]) == 2
        assert tab.js("async () => (await auth.fetch('/api/me/')).url") == f"{tab.server.url}/api/me/"


def test_an_origin_that_is_missing_in_apis_is_named_once_where_one_develops(visitor: Visitor, api: Recorder) -> None:
    with recording() as unnamed:
        tab = visitor.tab()
        tab.sign_up()
        said: list[str] = []
        tab.page.on("console", lambda message: said.append(message.text))
        for url in (f"{unnamed.url}/things", f"{unnamed.url}/others", f"{api.url}/things", "/api/me/"):
            tab.js("(url) => auth.fetch(url)", url)
        assert len(said) == 1
        assert f"No access token was sent to {unnamed.url}." in said[0]
        assert f"apis: ['{unnamed.url}']" in said[0]


def test_an_api_gets_the_new_token_after_its_401(visitor: Visitor, api: Recorder) -> None:
    tab = visitor.tab()
    tab.sign_up()
    old = tab.access()
    refused: list[str] = []
    api.tokens.clear()
    api.refuses = lambda path: not refused and not refused.append(path)  # type: ignore[func-returns-value]
    assert tab.js("async (url) => (await auth.fetch(url)).status", f"{api.url}/things") == 200
    api.refuses = lambda path: False
    assert api.tokens == [("/things", f"Bearer {old}"), ("/things", f"Bearer {tab.access()}")]
    assert tab.access() != old


def test_a_stream_is_not_sent_twice_and_the_error_says_so(visitor: Visitor, api: Recorder) -> None:
    """Chromium streams over HTTP/2 alone, so what it would send is answered by the page."""
    tab = visitor.tab()
    tab.sign_up()
    tab.js(
        """(url) => {
          const send = window.fetch;
          window.sent = 0;
          window.fetch = (to, init) => String(to).startsWith(url)
            ? (sent += 1, Promise.resolve(new Response('{}', { status: 401 })))
            : send(to, init);
        }""",
        api.url,
    )
    stream = "{ method: 'POST', duplex: 'half', body: new Blob(['x']).stream() }"
    assert tab.failure(f"auth.fetch('{api.url}/upload', {stream})") == "stream"
    assert tab.js("() => sent") == 1
    assert tab.refreshes() == 1


# What scripts can see


def test_no_script_on_the_page_can_read_the_refresh_token(new_visitor: NewVisitor) -> None:
    visitor = new_visitor(LISTENING)
    tab = visitor.tab()
    user = tab.sign_up()
    seen: list[str] = []
    secrets = []

    def look() -> None:
        secrets.append(visitor.cookie())
        seen.append(
            tab.js("() => [document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage), ...bodies]")
        )

    look()
    wait_until_expired(tab.access())
    assert tab.get() == [200, user]
    look()
    tab.reload()
    look()
    assert len(set(secrets)) == 3, "each refresh gave another one"
    text = json.dumps(seen)
    assert user["email"] in text, "the page was heard at all"
    assert not [secret for secret in secrets if secret in text or secret.split(".")[1] in text]
    assert '"refresh"' not in text.replace("\\", "")
    assert tab.js("() => Object.entries(localStorage)") == [[f"authserver {tab.server.url}", "signed in"]]
    assert tab.js("() => document.cookie + Object.keys(sessionStorage) + window.length") == "0"
    (kept,) = visitor.context.cookies(tab.server.url)
    assert kept.get("httpOnly") is True


# Tabs


@pytest.mark.parametrize("script", ["", WITHOUT_LOCKS], ids=["with_web_locks", "without_web_locks"])
def test_two_tabs_that_wake_after_expiry_stay_signed_in_twenty_times(new_visitor: NewVisitor, script: str) -> None:
    visitor = new_visitor(script)
    first = visitor.tab()
    user = first.sign_up()
    second = visitor.tab()
    assert first.js("() => 'locks' in navigator") is (script == "")
    newest = second.access()
    for number in range(ROUNDS):
        before = first.refreshes() + second.refreshes()
        wait_until_expired(newest)
        # Both begin at one moment of the clock that they share, to a millisecond.
        start = first.js("() => Date.now() + 150")
        for tab in (first, second):
            tab.js(
                """(start) => {
                  window.woken = (async () => {
                    while (Date.now() < start - 20) await new Promise((resolve) => setTimeout(resolve, 1));
                    while (Date.now() < start);
                    return (await auth.fetch('/api/me/')).status;
                  })();
                }""",
                start,
            )
        assert [tab.js("() => window.woken") for tab in (first, second)] == [200, 200], f"round {number}"
        assert first.user() == second.user() == user
        refreshes = first.refreshes() + second.refreshes() - before
        assert refreshes == 1 or (script and refreshes == 2), f"round {number}"
        newest = max((tab.access() for tab in (first, second)), key=expires)
    assert first.js("() => changes") == [user["email"]]
    first.reload()
    assert first.user() == user


def test_what_happens_in_one_tab_is_seen_in_the_other(visitor: Visitor) -> None:
    first, second = visitor.tab(), visitor.tab()
    user = first.sign_up()
    second.wait_until("auth.user")
    assert second.user() == user
    assert second.get() == [200, user]
    assert second.refreshes() == 0, "the token was told to it"
    second.js("() => auth.logout()")
    first.wait_until("auth.user === null")
    other = second.sign_up()
    first.wait_until("auth.user")
    assert first.user() == other
    assert first.js("() => changes") == [user["email"], None, other["email"]]


def test_another_persons_sign_in_is_reported_and_gets_nothing_that_the_first_wrote(
    visitor: Visitor, other_origin: str
) -> None:
    """All origins share one cookie, and no message passes between them."""
    tab = visitor.tab()
    tab.sign_up(first_name="Ada")
    other = visitor.tab("/", other_origin).sign_up(first_name="Grace")
    patch = (
        "{ method: 'PATCH', headers: { 'Content-Type': 'application/json' },"
        " body: JSON.stringify({ first_name: 'Ada Augusta' }) }"
    )
    assert tab.js(f"async () => (await auth.fetch('/api/me/', {patch})).status") == 401
    assert tab.user() == other
    assert tab.get() == [200, other]
    assert subject(tab.access()) == other["id"]


# Where crypto.subtle and Web Locks are missing


def test_by_address_on_plain_http_all_works_but_the_redirect_which_says_why(new_visitor: NewVisitor) -> None:
    visitor = new_visitor(WITHOUT_LOCKS + "delete Crypto.prototype.subtle;")
    tab = visitor.tab()
    user = tab.sign_up()
    tab.reload()
    assert tab.user() == user
    wait_until_expired(tab.access())
    assert tab.get() == [200, user]
    for way in ("signIn()", "signIn({ next: 'http://localhost/' })"):
        assert tab.failure(f"auth.{way}") == "insecure_context"
    said = tab.js("() => auth.signIn().catch((error) => error.message)")
    assert said == "A sign-in by redirect needs a page on https or localhost."
    tab.js("() => auth.logout()")
    assert visitor.cookie() == ""


def test_a_page_that_may_store_nothing_signs_in_all_the_same(new_visitor: NewVisitor) -> None:
    forbidden = "get() { throw new DOMException('', 'SecurityError'); }"
    visitor = new_visitor(f"Object.defineProperty(window, 'localStorage', {{ {forbidden} }});")
    tab = visitor.tab()
    user = tab.sign_up()
    wait_until_expired(tab.access())
    assert tab.get() == [200, user]
