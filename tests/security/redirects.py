"""Sign-ins by redirect that are interrupted on their way, and what the database holds meanwhile."""

from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserver.extensions import Model, db
from authserver.models import Authorization, Identity, OneTimeToken, Session, User
from authserver.testing.standins import Person, StandIns
from tests.conftest import PUBLIC_URL
from tests.factories import SignedIn, assert_error
from tests.providers.redirecting import Flow, parameters

HOST = urlsplit(PUBLIC_URL).netloc


def changed(url: str, **changes: str | None) -> str:
    """The address with other parameters; None leaves one out."""
    parts = urlsplit(url)
    given = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **changes}
    return parts._replace(query=urlencode({name: value for name, value in given.items() if value is not None})).geturl()


@dataclass
class Trip:
    """A browser that a frontend sent to a provider."""

    standins: StandIns
    browser: FlaskClient
    url: str  # of the provider's page
    name: str = "google"
    flow: Flow = field(default_factory=Flow)

    @property
    def asked(self) -> dict[str, str]:
        """What the provider is asked for."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    @property
    def state(self) -> str:
        return self.asked["state"]

    @property
    def cookie(self) -> str:
        return f"__Host-flow-{self.state}"

    @property
    def secret(self) -> str:
        found = self.browser.get_cookie(self.cookie, HOST)
        assert found is not None
        return found.value

    def callback(self, person: Person | str | None = "verified", **says: object) -> str:
        """Where the provider leads who chooses this person; their id_token `says` other than it should."""
        standin = self.standins.each[self.name]
        who = standin.person(person) if isinstance(person, str) else person
        if who is not None and says:
            who = replace(who, claims={**who.claims, **says})
        callback = standin.authorize(self.url, who)
        return f"{callback.url}{'?' if callback.form else ''}{urlencode(callback.form or {})}"

    def come_back(self, person: Person | str | None = "verified", **says: object) -> dict[str, str]:
        """What the frontend finds in its address."""
        return parameters(open_url(self.browser, self.callback(person, **says)))


def depart(app: Flask, standins: StandIns, name: str = "google", flow: Flow | None = None) -> Trip:
    browser, flow = app.test_client(), flow or Flow()
    began = flow.begin(browser, name)
    assert began.status_code == 302, began.text
    return Trip(standins, browser, began.headers["Location"], name, flow)


def open_url(browser: FlaskClient, url: str, **headers: str) -> TestResponse:
    return browser.get(url.removeprefix(PUBLIC_URL), base_url=PUBLIC_URL, headers=headers)


def with_cookies(app: Flask, url: str, cookies: str) -> TestResponse:
    """From a browser that sends just these, as they stand."""
    return open_url(app.test_client(use_cookies=False), url, Cookie=cookies)


def arrive(app: Flask, standins: StandIns, person: Person | str = "verified", name: str = "google") -> tuple[Flow, str]:
    """A frontend to which a code has come."""
    trip = depart(app, standins, name)
    return trip.flow, trip.come_back(person)["code"]


def signed_in(app: Flask, standins: StandIns, person: Person | str = "verified", name: str = "google") -> SignedIn:
    flow, code = arrive(app, standins, person, name)
    answer = flow.exchange(app.test_client(), code)
    assert answer.status_code == 200, answer.text
    return SignedIn(**answer.get_json())


def stored(app: Flask) -> dict[str, list[tuple[Any, ...]]]:
    """Whatever a sign-in by redirect could have changed."""
    tables: tuple[type[Model], ...] = (User, Identity, Session, Authorization, OneTimeToken)
    with app.app_context():
        return {
            table.__tablename__: sorted(map(tuple, db.session.execute(select(*table.__table__.columns))), key=repr)
            for table in tables
        }


def counts(app: Flask) -> dict[str, int]:
    """Of each table that is not empty."""
    return {name: len(found) for name, found in stored(app).items() if found}


def assert_refused(answer: TestResponse, *fields: str) -> None:
    """As what no frontend is told of: nothing is redirected and no cookie set."""
    assert_error(answer, 400, "invalid_request", *fields)
    assert not {"Location", "Set-Cookie"} & set(answer.headers.keys())


def codes_asked(standins: StandIns) -> list[str]:
    """The requests to token endpoints."""
    return [asked for asked in standins.asked if asked.startswith("POST ") and "token" in asked]
