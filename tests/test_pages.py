"""The pages behind the links in mails."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserver import body, errors
from authserver.emails.outbox import claim_due
from authserver.emails.render import DEFAULT_LANGUAGE, LANGUAGES, Message
from authserver.events.record import Happened
from authserver.extensions import db
from authserver.models import Identity, User
from authserver.oauth import application, blueprint, codes, identities, redirect
from authserver.pages import access, detour, forms, render
from authserver.pages import views as pages
from authserver.passwords import flows as passwords
from authserver.passwords import policy
from tests.conftest import PUBLIC_URL, MakeApp
from tests.deferred import finish
from tests.each import each
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up
from tests.files import files

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "en-GB,en;q=0.8"}
OURS = {**BROWSER, "Origin": PUBLIC_URL}
NEW = "a new and better password"
PAGES = ["/signup", "/email/verify", "/password/reset", "/account/recover"]
TEMPLATES = Path(render.__file__).parent / "templates"
ALLOWED = "https://app.example.com"


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(mail_url="smtp://127.0.0.1:9", app_name="Acme", cors_origins=ALLOWED)


@pytest.fixture
def person(client: FlaskClient) -> SignedIn:
    return sign_up(client)


@pytest.fixture
def mails(app: Flask) -> Callable[[str], list[Message]]:
    """The mails of a kind that are waiting, each given once."""

    def take(kind: str) -> list[Message]:
        finish(app)
        with app.app_context():
            return [due.message for due in claim_due() if due.kind == kind]

    return take


def token_of(message: Message) -> str:
    (token,) = re.findall(r"#token=(\S+)$", message.text, re.M)
    return str(token)


@pytest.fixture
def reset_token(client: FlaskClient, person: SignedIn, mails: Callable[[str], list[Message]]) -> str:
    client.post("/api/password/forgot/", json={"email": person.user["email"]})
    return token_of(mails("reset")[0])


def send(client: FlaskClient, path: str, fields: dict[str, str], headers: dict[str, str] = OURS) -> TestResponse:
    return client.post(path, data=fields, headers=headers)


def new_password(token: str, password: str = NEW) -> dict[str, str]:
    return {"token": token, "password": password, "password_confirm": password}


def assert_page(answer: TestResponse, status: int, sentence: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "text/html"
    assert sentence in answer.text.replace("&#39;", "'"), answer.text
    for name, value in render.HEADERS.items():
        assert answer.headers.getlist(name) == [value]
    assert "inline" not in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<script(?! src=)|<style|\son\w+=|\sstyle=", answer.text)


@pytest.mark.parametrize("path", PAGES)
def test_opening_a_page_consumes_nothing(client: FlaskClient, reset_token: str, path: str) -> None:
    for method in ("GET", "HEAD"):
        client.open(f"{path}?token={reset_token}", method=method, headers=BROWSER)
    answer = client.get(path + "/", headers=BROWSER)
    assert_page(answer, 200, "Acme")
    assert reset_token not in answer.text
    labelled = re.findall(r'<label for="(\w+)"', answer.text)
    assert labelled == re.findall(r'<input id="(\w+)" name="\w+"', answer.text) != []
    assert send(client, "/password/reset", new_password(reset_token)).status_code == 200


def test_the_button_confirms_an_address_once(
    client: FlaskClient, person: SignedIn, mails: Callable[[str], list[Message]]
) -> None:
    token = token_of(mails("verify")[0])
    assert_page(send(client, "/email/verify", {"token": token}), 200, "Your e‑mail address is confirmed")
    assert client.get("/api/me/", headers=person.bearer).get_json()["email_verified"] is True
    used = errors.CODES["one_time_token_not_valid"][1]
    assert_page(send(client, "/email/verify", {"token": token}), 400, used)


def test_a_new_password_is_set_once_and_ends_every_session(
    client: FlaskClient, person: SignedIn, reset_token: str
) -> None:
    assert_page(send(client, "/password/reset", new_password(reset_token)), 200, "Your new password is set")
    assert_error(client.get("/api/me/", headers=person.bearer), 401, "token_not_valid")
    assert log_in(client, person.user["email"], NEW).status_code == 200
    again = send(client, "/password/reset", new_password(reset_token, PASSWORD))
    assert_page(again, 400, errors.CODES["one_time_token_not_valid"][1])
    assert log_in(client, person.user["email"], NEW).status_code == 200


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"password": "short", "password_confirm": "short"}, "Use at least 8 characters."),
        ({"password": "password1", "password_confirm": "password1"}, "This password is too common."),
        ({"password_confirm": "another"}, "The two passwords are not the same."),
        ({"password": "with a \0 in it"}, "This has characters that are not allowed here."),
        ({"token": ""}, "This may not be empty."),
        ({"token": "unknown"}, "This link or code is not valid any more"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_consumes_nothing(
    client: FlaskClient, reset_token: str, changes: dict[str, str], sentence: str
) -> None:
    answer = send(client, "/password/reset", new_password(reset_token) | changes)
    assert_page(answer, 400, sentence)
    assert "<title>Error: " in answer.text
    (described,) = re.findall(r'aria-invalid="true" autofocus aria-describedby="([\w -]+)"', answer.text)
    assert all(f'id="{name}"' in answer.text for name in described.split())
    assert changes.get("password", NEW) not in answer.text
    assert send(client, "/password/reset", new_password(reset_token)).status_code == 200


def test_this_wasnt_me_secures_the_account(
    client: FlaskClient, person: SignedIn, reset_token: str, mails: Callable[[str], list[Message]]
) -> None:
    send(client, "/password/reset", new_password(reset_token))
    token = token_of(mails("password_changed")[0])
    assert_page(send(client, "/account/recover", {"token": token}), 200, "Your account is secured")
    assert_error(log_in(client, person.user["email"], NEW), 401, "no_active_account")
    assert len(mails("reset")) == 1
    assert send(client, "/account/recover", {"token": token}).status_code == 400


def test_an_address_that_was_taken_in_the_meantime_is_said_so(
    client: FlaskClient, person: SignedIn, mails: Callable[[str], list[Message]]
) -> None:
    wanted = "wanted@example.com"
    client.post("/api/email/change/", json={"email": wanted}, headers=person.bearer)
    token = token_of(mails("change_email")[0])
    sign_up(client, email=wanted)
    sent = {"token": token, "password": PASSWORD}
    assert_page(send(client, "/email/verify", sent), 409, errors.CODES["account_exists"][1])


def test_a_change_confirmed_in_another_browser_asks_for_the_password(
    client: FlaskClient, person: SignedIn, mails: Callable[[str], list[Message]]
) -> None:
    wanted = "wanted@example.com"
    client.post("/api/email/change/", json={"email": wanted}, headers=person.bearer)
    token = token_of(mails("change_email")[0])
    assert 'name="password"' not in client.get("/email/verify", headers=BROWSER).text
    asked = send(client, "/email/verify", {"token": token})
    assert_page(asked, 400, "Enter the password of the account, or sign in to it first.")
    assert 'name="password"' in asked.text
    assert f'value="{token}"' in asked.text
    assert_page(
        send(client, "/email/verify", {"token": token, "password": "wrong"}), 400, "This password is not right."
    )
    assert_page(send(client, "/email/verify", {"token": token, "password": PASSWORD}), 200, "It belongs to the account")
    assert client.get("/api/me/", headers=person.bearer).get_json()["email"] == wanted


def test_a_reset_lists_what_else_signs_in(app: Flask, client: FlaskClient, person: SignedIn, reset_token: str) -> None:
    user_id = UUID(person.user["id"])
    with app.app_context():
        db.session.get_one(User, user_id).email_verified = True
        db.session.add(Identity(user_id=user_id, provider="google", tenant="", subject="1", email="<b>@example.com"))
        db.session.commit()
    done = send(client, "/password/reset", new_password(reset_token))
    assert_page(done, 200, "These sign in to it too. Unlink in your account what is not yours:")
    assert "<strong>google</strong> &lt;b&gt;@example.com" in done.text
    assert '<a href="/account/identities">' in done.text


@pytest.mark.parametrize("pasted", ["  {}\t", f"{PUBLIC_URL}/password/reset#token={{}}"])
def test_a_token_may_be_pasted_with_what_is_around_it(client: FlaskClient, reset_token: str, pasted: str) -> None:
    fields = new_password(pasted.format(reset_token))
    assert send(client, "/password/reset", fields).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": ALLOWED},
        {"Origin": f"{PUBLIC_URL}.evil.example"},
        {"Origin": PUBLIC_URL.replace("https", "http")},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Referer": f"{PUBLIC_URL}/password/reset"},
    ],
)
def test_s65_a_form_of_another_page_changes_nothing(
    client: FlaskClient, person: SignedIn, reset_token: str, headers: dict[str, str]
) -> None:
    sentence = errors.CODES["origin_not_allowed"][1]
    assert_page(send(client, "/password/reset", new_password(reset_token), BROWSER | headers), 403, sentence)
    for path in PAGES:
        assert_error(send(client, path, {"token": reset_token}, headers), 403, "origin_not_allowed")
    assert client.get("/api/me/", headers=person.bearer).status_code == 200
    assert send(client, "/password/reset", new_password(reset_token)).status_code == 200


def test_a_form_without_an_origin_is_ours_where_the_browser_says_so(client: FlaskClient, reset_token: str) -> None:
    headers = BROWSER | {"Sec-Fetch-Site": "same-origin"}
    assert send(client, "/password/reset", new_password(reset_token), headers).status_code == 200


@each(
    ("raw", "kind"),
    [
        (b"token=a&token=b", "application/x-www-form-urlencoded"),
        (b"token=%ff", "application/x-www-form-urlencoded"),
        (b"token=\xff", "application/x-www-form-urlencoded"),
        (b"a&" * 30, "application/x-www-form-urlencoded"),
        (b'{"token": "a"}', "application/json"),
        (b"token=a", "text/plain"),
    ],
)
def test_what_no_form_of_ours_sends_is_a_400(client: FlaskClient, raw: bytes, kind: str) -> None:
    for headers in (OURS, {"Origin": PUBLIC_URL}):
        answer = client.post("/email/verify", data=raw, content_type=kind, headers=headers)
        assert answer.status_code == 400
    assert_error(answer, 400, "invalid_request", *answer.get_json().get("errors", {}))


def test_errors_are_pages_only_for_who_prefers_them(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = "x" * 70_000
    refused = client.put("/password/reset", headers=BROWSER)
    assert_page(refused, 405, errors.CODES["method_not_allowed"][1])
    assert "POST" in refused.headers["Allow"]
    assert_page(send(client, "/email/verify", {"token": huge}), 413, errors.CODES["request_too_large"][1])
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        assert_error(client.put("/password/reset", headers=accept), 405, "method_not_allowed")
        assert_error(
            send(client, "/email/verify", {"token": huge}, {"Origin": PUBLIC_URL, **accept}), 413, "request_too_large"
        )
    assert_error(send(client, "/email/verify", {"token": "x"}, {"Origin": PUBLIC_URL}), 400, "one_time_token_not_valid")
    assert_error(client.get("/pages/nothing.css", headers=BROWSER), 404, "not_found")
    monkeypatch.setattr("authserver.pages.views.confirm_email", lambda *_: 1 / 0)
    failed = send(client, "/email/verify", {"token": "x"})
    assert_page(failed, 500, errors.CODES["server_error"][1])
    assert re.search(r"<code>[0-9a-f]{32}</code>", failed.text)


NOWHERE = ["/nope", "/nope/", "//nope/x", "/password/nothing", "/pages/../views.py", "/apis", "/.well-known/nothing"]
API = ["/api", "/api/", "/api/nothing/", "//api/nothing/", "/api/auth/nobody/"]


def test_an_address_that_leads_nowhere_is_a_page_for_a_browser_and_json_for_programs(client: FlaskClient) -> None:
    for path in NOWHERE:
        missing = get(client, path, BROWSER)
        assert_page(missing, 404, "<h1>There is no such page</h1>")
        assert '<a class="button" href="/">Go to the start page</a>' in missing.text
        assert path.strip("/") not in missing.text
        for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json, text/html;q=0.9"}, {"Accept": "image/*"}):
            assert_error(get(client, path, accept), 404, "not_found")
    for path in API:
        assert_error(get(client, path, BROWSER), 404, "not_found")


def get(client: FlaskClient, path: str, headers: dict[str, str]) -> TestResponse:
    """Of the path as it is: the client would read a host behind two slashes."""
    return client.get(headers=headers, environ_overrides={"PATH_INFO": path})


@pytest.mark.parametrize(
    ("settings", "home"),
    [
        ({"pages": False}, None),
        ({"pages": False, "app_url": "https://app.example.com/"}, "https://app.example.com/"),
        ({"env": "development", "public_url": "http://localhost:8000"}, None),
    ],
)
def test_the_way_home_is_there_where_it_leads_somewhere(
    make_app: MakeApp, settings: dict[str, Any], home: str | None
) -> None:
    missing = make_app(**settings).test_client().get("/nope", base_url="http://localhost:8000", headers=BROWSER)
    assert_page(missing, 404, "There is no such page")
    assert re.findall(r'<a class="button" href="([^"]*)"', missing.text) == ([home] if home else [])


@pytest.mark.parametrize(
    ("asked", "language", "sentence"),
    [
        ("de-AT,en;q=0.5", "de", "Mindestens 12 Zeichen."),
        ("fr", "fr", "Utilisez au moins 12 caractères."),
        ("pl", "en", "Use at least 12 characters."),
    ],
)
def test_pages_speak_the_readers_language(make_app: MakeApp, asked: str, language: str, sentence: str) -> None:
    client = make_app(password_min_length=12).test_client()
    headers = OURS | {"Accept-Language": asked}
    answer = client.get("/password/reset", headers=headers)
    assert f'<html lang="{language}">' in answer.text
    assert_page(answer, 200, sentence)
    translated = render.translator(language)(errors.CODES["one_time_token_not_valid"][1])
    assert_page(send(client, "/password/reset", new_password("unknown"), headers), 400, translated)


def sentences() -> Iterator[str]:
    """What a page can say: its templates' words, what our pages say of what was done, and what the flows refuse."""
    for template in TEMPLATES.glob("*.html"):
        for words in re.findall(r'\b_\("(.+?)"(?: % \w+)?\)', template.read_text()):
            yield words.replace("%d", "{n}")
    yield from access.NOTICES.values()
    yield from access.EVENTS.values()
    yield from body.SENTENCES.values()
    yield from (usual for _, usual in errors.CODES.values())
    yield identities.TAKEN
    yield identities.NOT_OWN
    for raised in re.findall(r'ValueError\("(.+?\.)"\)', source(body)):
        yield raised
    for module in (policy, passwords, pages):
        for raised in re.findall(r'invalid\("\w+", f?"(.+?)"\)', source(module)):
            yield re.sub(r"{\w+}", "{n}", raised)
    for module in (application, redirect):
        yield from re.findall(r'invalid\((?:"next"|doubled\[0\]), "(.+?)"\)', source(module))
    for module in (blueprint, codes, redirect, forms, detour):
        yield from re.findall(r'ApiError\(\s*"\w+", "(.+?)"\s*\)', source(module))


def source(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text()


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {DEFAULT_LANGUAGE}))
def test_every_sentence_of_a_page_is_translated_and_nothing_else(language: str) -> None:
    words = render._words(language)
    assert set(sentences()) - words.keys() == set()
    assert words.keys() - set(sentences()) == set()
    for english, other in words.items():
        assert sorted(re.findall(r"{\w+}", english)) == sorted(re.findall(r"{\w+}", other)), english


def test_what_the_api_says_to_programs_is_said_in_other_words_to_people() -> None:
    assert render._words("en").keys() <= set(sentences())


def test_no_word_of_a_template_escapes_its_translation() -> None:
    """What the test above looks for are calls with the sentence itself; each other one shows what Python gave it."""
    given = r"_\((?!\")(.+?)\)"
    found = {name for template in TEMPLATES.glob("*.html") for name in re.findall(given, template.read_text())}
    assert found == {"alert", "notice", "sentence", "words.get(event.type, event.type"}
    bare = r">\s*[A-Za-z][a-z]+[^<{]*<"
    assert [words for template in TEMPLATES.glob("*.html") for words in re.findall(bare, template.read_text())] == []


def test_everything_that_happens_has_its_words() -> None:
    assert access.EVENTS.keys() == set(Happened)


def test_the_docs_name_every_template_and_file() -> None:
    documented = (Path(__file__).parents[1] / "docs" / "operating.md").read_text()
    for file in (*files("authserver/pages/templates"), *files("authserver/pages/static")):
        assert re.search(rf"`(pages/(static/)?)?{re.escape(file.name)}`", documented), file.name


def test_everything_on_a_page_is_escaped(make_app: MakeApp) -> None:
    hostile = "\"'><script>alert(1)</script>"
    client = make_app(
        app_name=hostile + "{name}{{ 7 * 7 }}", app_url="https://app.example.com/'\"><script>"
    ).test_client()
    for path in PAGES:
        for answer in (client.get(path, headers=BROWSER), send(client, path, new_password(hostile))):
            assert "<script>" not in answer.text
            assert "&#34;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
            assert "49" not in answer.text


def test_a_page_leads_on_to_the_application(make_app: MakeApp) -> None:
    app = make_app(mail_url="smtp://127.0.0.1:9", app_url="https://app.example.com/a&b", app_name="A {name}")
    client = app.test_client()
    sign_up(client)
    with app.app_context():
        (due,) = claim_due()
    answer = send(client, "/email/verify", {"token": token_of(due.message)})
    assert '<a class="button" href="https://app.example.com/a&amp;b">Continue to A {name}</a>' in answer.text
    assert "<form" not in answer.text


def test_templates_and_files_of_an_operators_own_come_first(make_app: MakeApp, tmp_path: Path) -> None:
    (tmp_path / "pages" / "static").mkdir(parents=True)
    (tmp_path / "pages" / "error.html").write_text("<p>{{ app_name }} says {{ alert }}</p>")
    (tmp_path / "pages" / "static" / "logo.svg").write_text("<svg/>")
    client = make_app(template_path=tmp_path, app_name="Acme").test_client()
    assert client.put("/email/verify", headers=BROWSER).text == "<p>Acme says This method is not allowed here.</p>"
    assert client.get("/pages/logo.svg", buffered=True).text == "<svg/>"
    style = client.get("/pages/page.css", buffered=True)
    assert (style.mimetype, style.headers["X-Content-Type-Options"]) == ("text/css", "nosniff")
    assert (
        client.get("/pages/page.css", headers={"If-None-Match": style.headers["ETag"]}, buffered=True).status_code
        == 304
    )


def test_in_development_a_page_under_another_loopback_name_leads_to_the_public_url(make_app: MakeApp) -> None:
    client = make_app(env="development", public_url="http://localhost:8000").test_client()
    moved = client.get("/password/reset/", base_url="http://127.0.0.1:8000", headers=BROWSER)
    assert (moved.status_code, moved.headers["Location"]) == (302, "http://localhost:8000/password/reset")
    for host, status in (("http://localhost:8000", 200), ("http://elsewhere.example", 404)):
        assert client.get("/password/reset/", base_url=host, headers=BROWSER).status_code == status
