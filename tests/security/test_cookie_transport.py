"""S63, S64, S66: the refresh token in a cookie, for browsers that ask for it, and nobody else's cookie for it."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import PUBLIC_URL, MakeApp
from tests.each import each
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up, signup_body
from tests.providers.signing_in import rows

APP = "https://app.example.com"
NAME = "__Host-refresh"
TRANSPORT = {"X-Auth-Transport": "cookie", "Origin": APP}


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(cors_origins=APP)


def post(client: FlaskClient, path: str, json: object = None, **headers: str) -> TestResponse:
    """As a page of an allowed origin does with `credentials: 'include'`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path, json=json, headers={**TRANSPORT, **named}, base_url=PUBLIC_URL)


def set_cookies(answer: TestResponse) -> list[str]:
    return [one for one in answer.headers.getlist("Set-Cookie") if one.startswith(NAME)]


def signs_in(client: FlaskClient, path: str = "/api/signup/", json: object = None) -> tuple[dict[str, Any], str]:
    """The body of a sign-in by cookie, and the cookie's value."""
    answer = post(client, path, json or signup_body())
    assert answer.status_code in (200, 201), answer.text
    (cookie,) = set_cookies(answer)
    body: dict[str, Any] = answer.get_json()
    assert "refresh" not in body
    return body, cookie.partition(";")[0].partition("=")[2]


def refresh_by_cookie(client: FlaskClient, raw_cookie: str) -> TestResponse:
    """With this `Cookie` header to the letter."""
    headers = {**TRANSPORT, "Cookie": raw_cookie}
    return client.application.test_client(use_cookies=False).post(
        "/api/token/refresh/", headers=headers, base_url=PUBLIC_URL
    )


def test_every_sign_in_and_the_refresh_keep_the_token_in_the_cookie(client: FlaskClient) -> None:
    body, token = signs_in(client)
    assert body.keys() == {"access", "user"}
    email = body["user"]["email"]
    assert post(client, "/api/token/refresh/").get_json().keys() == {"access"}
    for path in ("/api/login/", "/api/token/"):
        again, newer = signs_in(client, path, {"email": email, "password": PASSWORD})
        assert newer != token
        assert again.keys() == {"access", "user"} if path == "/api/login/" else {"access"}


def test_the_cookie_is_for_this_host_and_no_script(client: FlaskClient) -> None:
    (cookie,) = set_cookies(post(client, "/api/signup/", signup_body()))
    attributes = {one.strip() for one in cookie.split(";")[1:]}
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=Lax", "Max-Age=86400"} <= attributes
    assert not any(one.startswith("Domain") for one in attributes)


def test_another_site_needs_partitioned_cookies(make_app: MakeApp) -> None:
    client = make_app(cors_origins=APP, cookie_samesite="None").test_client()
    (cookie,) = set_cookies(post(client, "/api/signup/", signup_body()))
    assert {"SameSite=None", "Partitioned", "Secure"} <= {one.strip() for one in cookie.split(";")}


def test_without_the_header_no_cookie_is_read_or_set(client: FlaskClient) -> None:
    signs_in(client)
    answer = client.post("/api/token/refresh/", json={}, base_url=PUBLIC_URL)
    assert_error(answer, 400, "invalid_request", "refresh")
    plain = client.post("/api/login/", json=signup_body(email="nobody@example.com"), base_url=PUBLIC_URL)
    assert not plain.headers.getlist("Set-Cookie")
    person = sign_up(client)
    assert not log_in(client, person.user["email"]).headers.getlist("Set-Cookie")


def test_a_refresh_token_in_the_body_wins_over_the_cookie(client: FlaskClient) -> None:
    other = sign_up(client)
    signs_in(client)
    answer = post(client, "/api/token/refresh/", {"refresh": other.refresh})
    me = client.get("/api/me/", headers={"Authorization": f"Bearer {answer.get_json()['access']}"})
    assert me.get_json() == other.user


def test_under_rotation_each_refresh_renews_the_cookie(make_app: MakeApp) -> None:
    client = make_app(cors_origins=APP, refresh_rotation=True).test_client()
    _, first = signs_in(client)
    answer = post(client, "/api/token/refresh/")
    assert answer.get_json().keys() == {"access"}
    (cookie,) = set_cookies(answer)
    assert first not in cookie


def test_a_sign_in_ends_the_session_whose_cookie_it_replaces(client: FlaskClient) -> None:
    first, _ = signs_in(client)
    second, _ = signs_in(client)
    bearer = {"Authorization": f"Bearer {first['access']}"}
    assert_error(client.get("/api/me/", headers=bearer), 401, "token_not_valid")
    assert client.get("/api/me/", headers={"Authorization": f"Bearer {second['access']}"}).status_code == 200


@pytest.mark.parametrize("path", ["/api/logout/", "/api/token/blacklist/"])
def test_a_logout_ends_the_session_of_the_cookie_and_clears_it_whatever_it_answers(
    client: FlaskClient, path: str
) -> None:
    body, _ = signs_in(client)
    answer = post(client, path)
    assert answer.status_code in (200, 204)
    assert_cleared(answer)
    bearer = {"Authorization": f"Bearer {body['access']}"}
    assert_error(client.get("/api/me/", headers=bearer), 401, "token_not_valid")
    assert_cleared(post(client, path, {"refresh": "forged"}))
    assert_cleared(post(client, path))


def assert_cleared(answer: TestResponse) -> None:
    cleared = set_cookies(answer)
    assert len(cleared) == 2, "with and without Partitioned"
    assert all("Max-Age=0" in one for one in cleared)
    assert sum("Partitioned" in one for one in cleared) == 1


def test_a_logout_with_cookie_and_bearer_ends_both_sessions(client: FlaskClient) -> None:
    other = sign_up(client)
    body, _ = signs_in(client)
    assert post(client, "/api/logout/", Authorization=f"Bearer {other.access}").status_code == 204
    for access in (other.access, body["access"]):
        bearer = {"Authorization": f"Bearer {access}"}
        assert_error(client.get("/api/me/", headers=bearer), 401, "token_not_valid")


def test_who_has_no_cookie_is_not_authenticated(client: FlaskClient) -> None:
    answer = post(client, "/api/token/refresh/")
    assert_error(answer, 401, "not_authenticated")
    assert not set_cookies(answer)


# S63


@each("name", ["\xa0__Host-refresh", "\x85__Host-refresh", "refresh", "__host-refresh", "__Host-"])
def test_s63_a_sibling_domains_cookie_is_never_taken_for_ours(client: FlaskClient, name: str) -> None:
    _, token = signs_in(client)
    assert_error(refresh_by_cookie(client, f"{name}={token}"), 401, "not_authenticated")
    assert refresh_by_cookie(client, f"{name}=planted; {NAME}={token}").status_code == 200
    assert refresh_by_cookie(client, f"{NAME}={token}; {name}=planted").status_code == 200


def test_s63_a_quoted_cookie_hides_none_behind_it(client: FlaskClient) -> None:
    _, token = signs_in(client)
    assert refresh_by_cookie(client, f'x="; {NAME}={token}; y="').status_code == 200


def test_s63_two_cookies_of_our_name_are_refused_and_end_no_session(client: FlaskClient) -> None:
    body, token = signs_in(client)
    for cookies in (f"{NAME}={token}; {NAME}=planted", f"{NAME}={token};\t{NAME}={token}"):
        answer = refresh_by_cookie(client, cookies)
        assert_error(answer, 401, "token_not_valid")
        assert_cleared(answer)
    assert refresh_by_cookie(client, f"{NAME}={token}").status_code == 200
    assert client.get("/api/me/", headers={"Authorization": f"Bearer {body['access']}"}).status_code == 200


def test_another_refused_refresh_clears_nothing(client: FlaskClient) -> None:
    signs_in(client)
    answer = refresh_by_cookie(client, f"{NAME}=forged")
    assert_error(answer, 401, "token_not_valid")
    assert not set_cookies(answer)


# S64


FOREIGN = [
    {"Origin": "https://evil.example.com"},
    {"Origin": "null"},
    {"Origin": "https://app.example.com.evil.example"},
    {"Origin": "http://app.example.com"},
    {"Origin": "http://localhost:5173"},
    {"Origin": ""},
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
]


@each("headers", FOREIGN)
def test_s64_from_a_foreign_missing_or_null_origin_nothing_changes(
    app: Flask, client: FlaskClient, headers: dict[str, str]
) -> None:
    body, token = signs_in(client)
    before = rows(app)
    calls: dict[str, object] = {
        "/api/signup/": signup_body(),
        "/api/login/": {"email": body["user"]["email"], "password": PASSWORD},
        "/api/token/": {"email": body["user"]["email"], "password": PASSWORD},
        "/api/token/refresh/": None,
        "/api/token/blacklist/": None,
        "/api/logout/": None,
        "/api/auth/exchange/": {"code": "x", "code_verifier": "x" * 43},
    }
    for path, json in calls.items():
        sent = {"X-Auth-Transport": "cookie", **headers}
        answer = client.post(path, json=json, headers=sent, base_url=PUBLIC_URL)
        assert_error(answer, 403, "origin_not_allowed")
        assert not set_cookies(answer)
    assert rows(app) == before
    assert refresh_by_cookie(client, f"{NAME}={token}").status_code == 200


def test_our_own_pages_and_same_origin_requests_are_let_in(client: FlaskClient) -> None:
    for headers in ({"Origin": PUBLIC_URL}, {"Sec-Fetch-Site": "same-origin"}):
        sent = {"X-Auth-Transport": "cookie", **headers}
        answer = client.post("/api/signup/", json=signup_body(), headers=sent, base_url=PUBLIC_URL)
        assert answer.status_code == 201


def test_a_star_gives_no_cookie_transport(make_app: MakeApp) -> None:
    client = make_app(env="development", public_url="http://localhost:8000", cors_origins="*").test_client()
    for origin, status in (("https://evil.example", 403), ("http://localhost:5173", 201)):
        sent = {"X-Auth-Transport": "cookie", "Origin": origin}
        assert client.post("/api/signup/", json=signup_body(), headers=sent).status_code == status


def test_the_preflight_allows_the_header_to_allowed_origins_with_credentials(client: FlaskClient) -> None:
    def preflight(origin: str) -> TestResponse:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-auth-transport"}
        return client.options("/api/token/refresh/", headers={"Origin": origin, **asked})

    allowed = preflight(APP)
    assert allowed.headers["Access-Control-Allow-Headers"].lower() == "x-auth-transport"
    assert allowed.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Access-Control-Allow-Origin" not in preflight("https://evil.example.com").headers


def test_on_plain_http_the_cookie_names_its_port(make_app: MakeApp) -> None:
    """Localhost's ports share their cookies."""
    client = make_app(env="development", public_url="http://localhost:8000").test_client()
    sent = {"X-Auth-Transport": "cookie", "Origin": "http://localhost:5173"}
    (cookie,) = client.post("/api/signup/", json=signup_body(), headers=sent).headers.getlist("Set-Cookie")
    assert cookie.startswith("authserver_8000_refresh=")
    assert "Secure" not in cookie


# S66


def test_s66_the_refresh_cookie_opens_nothing_but_the_refresh(client: FlaskClient) -> None:
    _, token = signs_in(client)
    assert_error(client.get("/api/me/", headers=TRANSPORT, base_url=PUBLIC_URL), 401, "not_authenticated")
    assert_error(post(client, "/api/me/"), 405, "method_not_allowed")
    person = SignedIn(access=token, refresh="", user={})
    assert_error(client.get("/api/me/", headers=person.bearer), 401, "token_not_valid")
