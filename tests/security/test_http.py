"""S55-S57: malformed input, errors of every status, and foreign origins."""

import json
from io import BytesIO

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_jwt_extended.exceptions import NoAuthorizationError, WrongTokenError
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from authserver.models import User
from authserver.tokens import keys
from tests.conftest import PUBLIC_URL, MakeApp
from tests.each import each
from tests.factories import SignedIn, assert_error, log_in, sign_up
from tests.security.test_signup import count

POSTS = ["/api/signup/", "/api/login/", "/api/token/refresh/", "/api/auth/google/"]
WITH_BODY = [*(("POST", path) for path in [*POSTS, "/api/logout/"]), ("PATCH", "/api/me/")]
GOOD = b'{"email": "ada@example.com", "password": "a good password", "password_confirm": "a good password"'

MALFORMED = {
    "missing": b"",
    "blank": b" ",
    "cut": b'{"email": "a',
    "list": b"[]",
    "string": b'"x"',
    "null": b"null",
    "number": b"7",
    "two values": b"{}{}",
    "trailing comma": b'{"refresh": "x",}',
    "single quotes": b"{'refresh': 'x'}",
    "comment": b'{"refresh": "x"} // x',
    "duplicate key": b'{"email": "a@example.com", "email": "b@example.com", "refresh": "x", "refresh": "x"}',
    "duplicate key inside": GOOD + b', "x": {"y": 1, "y": 2}}',
    "NaN": GOOD + b', "x": NaN}',
    "infinity": GOOD + b', "x": -Infinity}',
    "deep list": b"[" * 30000,
    "deep object": b'{"x":' * 5000 + b"1" + b"}" * 5000,
    "deep but closed": GOOD + b', "x": ' + b"[" * 40 + b"]" * 40 + b"}",
    "huge number": GOOD + b', "x": ' + b"9" * 20000 + b"}",
    "not UTF-8": GOOD + b', "first_name": "\xff"}',
    "overlong": GOOD + b', "first_name": "\xc0\xaf"}',
    "UTF-16": json.dumps({"refresh": "x"}).encode("utf-16"),
    "BOM": b'\xef\xbb\xbf{"refresh": "x"}',
    "NUL after": b'{"refresh": "x"}\0',
    "control character": b'{"refresh": "a\nb"}',
    "form": b"email=ada%40example.com&password=x",
}


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(providers__google__client_id="id")


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_s55_a_malformed_body_is_a_400_everywhere(app: Flask, client: FlaskClient, body: bytes) -> None:
    person = sign_up(client)
    for method, path in WITH_BODY:
        answer = client.open(path, method=method, data=body, content_type="application/json", headers=person.bearer)
        if path == "/api/logout/" and not body:
            assert answer.status_code == 204, "logout without a body goes by the Bearer token"
            person = SignedIn(**log_in(client, person.user["email"]).get_json())
        else:
            assert_error(answer, 400, "invalid_request")
    assert count(app, User) == 1, "nobody but the one signed up above"


@each("value", [None, 1, 1.5, True, [], {}, ["x"], {"x": "y"}, "", "a\0b"])
def test_s55_a_field_of_the_wrong_type_is_named(client: FlaskClient, value: object) -> None:
    for path, field in (
        ("/api/signup/", "email"),
        ("/api/login/", "email"),
        ("/api/token/refresh/", "refresh"),
        ("/api/auth/google/", "access_token"),
    ):
        body = {"email": "a@example.com", "password": "x" * 9, "password_confirm": "x" * 9, field: value}
        assert_error(client.post(path, json=body), 400, "invalid_request", field)


@each("content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "text/json"])
def test_s55_another_content_type_is_refused(client: FlaskClient, content_type: str | None) -> None:
    for path in POSTS:
        answer = client.post(path, data=GOOD + b"}", content_type=content_type)
        assert_error(answer, 400, "invalid_request")


def test_s55_json_with_a_charset_is_json(client: FlaskClient) -> None:
    answer = client.post("/api/signup/", data=GOOD + b"}", content_type="Application/JSON; charset=utf-8")
    assert answer.status_code == 201


def test_s55_a_body_over_64_kb_is_a_413(client: FlaskClient) -> None:
    person = sign_up(client)
    body = GOOD + b', "x": "' + b"x" * 65536 + b'"}'
    for method, path in WITH_BODY:
        answer = client.open(path, method=method, data=body, content_type="application/json", headers=person.bearer)
        assert_error(answer, 413, "request_too_large")


@pytest.mark.parametrize(("size", "status"), [(65535, 400), (65537, 413), (200_000, 413)])
def test_s55_a_body_without_a_length_has_the_same_limit(client: FlaskClient, size: int, status: int) -> None:
    """Sent in chunks, as `curl -T -` does; what is within the limit is read, and is no JSON here."""
    for path in POSTS:
        answer = client.post(
            path,
            input_stream=BytesIO(b"x" * size),
            content_type="application/json",
            environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
        )
        assert_error(answer, status, {400: "invalid_request", 413: "request_too_large"}[status])


def test_s56_every_error_is_json(client: FlaskClient) -> None:
    assert_error(client.get("/nothing/"), 404, "not_found")
    assert_error(client.get("/api/nothing/"), 404, "not_found")
    assert_error(client.get("/api/auth/unknown/"), 404, "not_found")
    assert_error(client.get("/%00%ff/<script>"), 404, "not_found")
    answer = client.get("/api/login/")
    assert_error(answer, 405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}
    assert_error(client.open("/api/me/", method="BREW"), 405, "method_not_allowed")


def test_s56_an_unexpected_failure_is_json_with_an_id_that_the_log_has_too(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: keys.KeyRing) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(keys.KeyRing, "jwks", fail)
    answer = client.get("/.well-known/jwks.json")
    body = assert_error(answer, 500, "server_error")
    assert "canary" not in answer.text
    assert body["error_id"] in caplog.text


@each("error", [jwt.ExpiredSignatureError(), jwt.InvalidKeyError(), NoAuthorizationError(), WrongTokenError()])
def test_s56_a_token_error_that_escapes_is_the_contracts_401(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(self: keys.KeyRing) -> None:
        raise error

    monkeypatch.setattr(keys.KeyRing, "jwks", fail)
    assert_error(client.get("/.well-known/jwks.json"), 401, "token_not_valid")


@pytest.mark.parametrize("path", ["/api/login/", "/api/signup/"])
def test_s56_a_database_that_does_not_answer_is_a_503(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OperationalError("SELECT secret", {}, Exception("connection refused"))

    monkeypatch.setattr(Engine, "connect", fail)
    answer = client.post(path, data=GOOD + b"}", content_type="application/json")
    assert_error(answer, 503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_head_request_answers_as_get_does_without_a_body(client: FlaskClient) -> None:
    answer = client.head("/api/me/")
    assert (answer.status_code, answer.data) == (401, b"")


ALLOWED = "https://app.example.com"
FOREIGN = [
    "https://evil.example.com",
    "https://app.example.com.evil.com",
    "https://app.example.com:444",
    "http://app.example.com",
    "https://xapp.example.com",
    "https://appXexample.com",
    "https://app.example.com/",
    "null",
    "http://localhost:5173",
    "*",
]


@pytest.fixture
def cors_client(make_app: MakeApp) -> FlaskClient:
    return make_app(cors_origins=f"{ALLOWED}, http://[::1]:5173").test_client()


def preflight(client: FlaskClient, origin: str, method: str = "POST") -> dict[str, str]:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return dict(client.options("/api/login/", headers=headers).headers)


@each("origin", FOREIGN)
def test_s57_a_foreign_origin_gets_no_permission(cors_client: FlaskClient, origin: str) -> None:
    answer = cors_client.get("/api/me/", headers={"Origin": origin})
    for headers in (preflight(cors_client, origin), dict(answer.headers)):
        assert not [name for name in headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("origin", [ALLOWED, "http://[::1]:5173"])
def test_s57_an_allowed_origin_gets_permission_on_errors_too(cors_client: FlaskClient, origin: str) -> None:
    headers = preflight(cors_client, origin)
    assert headers["Access-Control-Allow-Origin"] == origin
    assert headers["Access-Control-Allow-Methods"] == "DELETE, GET, PATCH, POST"
    assert headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    for answer in (
        cors_client.get("/api/me/", headers={"Origin": origin}),
        cors_client.get("/nothing", headers={"Origin": origin}),
        cors_client.post("/api/login/", headers={"Origin": origin}, data="{"),
    ):
        assert answer.status_code in (400, 401, 404)
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Origin" in answer.headers["Vary"]
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After, WWW-Authenticate"


PAGES = "authserver.pages."


def test_s57_no_script_of_another_origin_reads_a_page(cors_client: FlaskClient) -> None:
    views = cors_client.application.view_functions
    rules = [rule for rule in cors_client.application.url_map.iter_rules() if "GET" in (rule.methods or ())]
    pages = [rule.rule.replace("<name>", "x") for rule in rules if views[rule.endpoint].__module__.startswith(PAGES)]
    assert {"/account", "/account/export", "/signin", "/password/reset"} <= set(pages)
    for path in pages:
        if not path.startswith(("/pages/", "/.well-known/")) and path != "/":  # where nothing is anybody's
            answer = cors_client.get(path, headers={"Origin": ALLOWED})
            assert not [name for name in dict(answer.headers) if name.startswith("Access-Control")], path


def test_s57_a_star_gives_no_credentials(make_app: MakeApp) -> None:
    client = make_app(env="development", cors_origins="*").test_client()
    answer = client.get("/api/me/", headers={"Origin": "https://anyone.example.com"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@each(
    "origin",
    [
        "http://localhost:5173",
        "https://localhost",
        "http://app.localhost:3000",
        "http://127.0.0.1:8080",
        "http://[::1]:1",
    ],
)
def test_in_development_every_loopback_origin_is_allowed(make_app: MakeApp, origin: str) -> None:
    client = make_app(env="development").test_client()
    assert preflight(client, origin)["Access-Control-Allow-Origin"] == origin
    for foreign in ("http://localhost.evil.com", "http://127.0.0.1.evil.com", "http://evil.com/.localhost"):
        assert "Access-Control-Allow-Origin" not in preflight(client, foreign)


def test_a_refused_origin_is_named_once_in_the_log(cors_client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        for origin in ("https://staging.example.com", ALLOWED, PUBLIC_URL):
            for path in ("/.well-known/jwks.json", "/api/me/"):  # a success and an error
                cors_client.get(path, headers={"Origin": origin})
    (record,) = [record for record in caplog.records if record.name == "authserver.cors"]
    assert "https://staging.example.com" in record.getMessage()
    assert "AUTHSERVER_CORS_ORIGINS" in record.getMessage()
