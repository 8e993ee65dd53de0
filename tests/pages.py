"""A browser on the hosted pages: its cookies are the client's, its forms come from our own pages unless they say so."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserver.extensions import db
from authserver.models import Session
from authserver.pages.render import HEADERS
from authserver.tokens.one_time import digest
from tests.conftest import PUBLIC_URL
from tests.factories import PASSWORD, SignedIn, signup_body
from tests.providers.redirecting import Flow, parameters

COOKIE = "__Host-page"
HOST = urlsplit(PUBLIC_URL).netloc
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "en"}
OURS = {**HTML, "Origin": PUBLIC_URL}


class Browser:
    def __init__(self, app: Flask, **cookies: str) -> None:
        """One that sends just the header `cookie`, where that is given, and keeps none."""
        self.app = app
        self.client: FlaskClient = app.test_client(use_cookies=not cookies)
        self.fixed = cookies

    def open(self, method: str, path: str, headers: dict[str, str], **sent: Any) -> TestResponse:
        url = path.removeprefix(PUBLIC_URL)
        return self.client.open(url, method=method, base_url=PUBLIC_URL, headers={**headers, **self.fixed}, **sent)

    def get(self, path: str, method: str = "GET", **headers: str) -> TestResponse:
        return self.open(method, path, {**HTML, **{name.replace("_", "-"): value for name, value in headers.items()}})

    def post(
        self, path: str, fields: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> TestResponse:
        content_type = "application/x-www-form-urlencoded"  # which a form without fields has too
        if path.startswith("/account/") and not self.fixed and "user" not in (fields or {}):
            fields = {**(fields or {}), "user": self.user()}
        return self.open(
            "POST", path, OURS if headers is None else headers, data=fields or "", content_type=content_type
        )

    @property
    def cookie(self) -> str | None:
        found = self.client.get_cookie(COOKIE, HOST)
        return found.value if found else None

    def sign_in(self, email: str, password: str = PASSWORD, query: str = "") -> TestResponse:
        return self.post(f"/signin{query}", {"email": email, "password": password})

    def go_on(self, person: SignedIn, query: str = "") -> TestResponse:
        return self.post(f"/signin/continue{query}", {"user": person.user["id"]})

    def user(self) -> str:
        """Whom the form names that the page shows; of no session of ours "", which is none."""
        with self.app.app_context():
            found = db.session.scalar(select(Session.user_id).where(Session.page_hash == digest(self.cookie or "")))
        return str(found or "")

    def session(self) -> Session:
        """The one that its cookie opens."""
        assert self.cookie
        return session_of(self.app, Session.page_hash == digest(self.cookie))


def session_of(app: Flask, which: Any) -> Session:
    with app.app_context():
        return db.session.scalars(select(Session).where(which)).one()


def joining(**changes: str) -> dict[str, str]:
    """What the sign-up page's form sends: every field, also the empty ones."""
    body = {name: str(value) for name, value in signup_body().items()}
    return {**body, "first_name": "", "last_name": "", "invitation": "", **changes}


def signed_in_on_page(app: Flask, person: SignedIn) -> Browser:
    browser = Browser(app)
    answer = browser.sign_in(person.user["email"])
    assert_leads(answer, "/account")
    return browser


def assert_leads(answer: TestResponse, location: str) -> None:
    assert (answer.status_code, answer.headers.get("Location")) == (303, location), answer.text


def assert_page(answer: TestResponse, status: int = 200) -> None:
    """A page of ours, with the headers that keep it from frames, caches and scripts of others."""
    assert (answer.status_code, answer.mimetype) == (status, "text/html"), answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "; frame-ancestors 'none';" in policy
    for name in HEADERS.keys() - {"Content-Security-Policy"}:
        assert answer.headers.getlist(name) == [HEADERS[name]], name


def code_of(answer: TestResponse, flow: Flow) -> str:
    """With which a page leads on to the application."""
    assert answer.headers["Location"].startswith(f"{flow.next}?")
    came = parameters(answer)
    assert came.keys() == {"code", "state"}
    assert came["state"] == flow.state
    return came["code"]


def exchanged(app: Flask, answer: TestResponse, flow: Flow) -> SignedIn:
    """The application's session."""
    found = flow.exchange(app.test_client(), code_of(answer, flow))
    assert found.status_code == 200, found.text
    return SignedIn(**found.get_json())


def claims(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def alive(app: Flask, person: SignedIn) -> bool:
    return app.test_client().get("/api/me/", headers=person.bearer).status_code == 200


def holds(browser: Browser) -> bool:
    """Whether somebody is signed in on the pages."""
    return browser.get("/account").status_code == 200


def everything(app: Flask) -> dict[str, list[str]]:
    """A dump of all tables, but for when a session was last used, which looking at a page changes."""
    with app.app_context():
        return {
            table.name: sorted(
                repr(tuple(row))
                for row in db.session.execute(select(*[one for one in table.columns if one.name != "last_used_at"]))
            )
            for table in db.metadata.sorted_tables
        }


def query_of(answer: TestResponse) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query, keep_blank_values=True))
