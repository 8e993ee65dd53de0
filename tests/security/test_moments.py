"""S80: a moment is UTC whatever the database's zone; a date that cannot be read back is refused."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import UUID

import psycopg
import pytest
from flask import Flask
from sqlalchemy import make_url, text, update

from authserver import clock
from authserver.clock import now, rfc3339
from authserver.extensions import db
from authserver.models import Session, User
from tests.commands import printed
from tests.conftest import MakeApp, Run
from tests.each import each
from tests.factories import log_in, sign_up
from tests.pages import signed_in_on_page

ZONES = ["Asia/Tokyo", "America/St_Johns", "Pacific/Kiritimati"]
ENDS = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)]


@pytest.fixture(params=["the connection", "the database"])
def zoned(request: pytest.FixtureRequest, migrated_postgres: str) -> Iterator[Callable[[str], str]]:
    """Makes addresses of a PostgreSQL database whose moments come in another zone."""
    name = make_url(migrated_postgres).database
    url = request.getfixturevalue("database")

    def address(zone: str) -> str:
        if request.param == "the connection":
            return f"{url}?options={quote(f'-c timezone={zone}')}"
        with psycopg.connect(url) as connection:
            connection.execute(f"ALTER DATABASE {name} SET timezone TO '{zone}'")
        return str(url)

    yield address
    with psycopg.connect(url) as connection:
        connection.execute(f"ALTER DATABASE {name} RESET timezone")


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_s80_moments_are_utc_in_whatever_zone_the_database_is(
    make_app: MakeApp, run: Run, zoned: Callable[[str], str], zone: str
) -> None:
    url = zoned(zone)
    app = make_app(database_url=url)
    with app.app_context():
        assert db.session.scalar(text("SHOW timezone")) == zone
    client = app.test_client()
    before = now()
    person = sign_up(client)
    log_in(client, person.user["email"])
    joined = datetime.fromisoformat(client.get("/api/me/", headers=person.bearer).get_json()["date_joined"])
    assert before <= joined <= now()
    with app.app_context():
        session = db.session.query(Session).first()
        assert session is not None
        assert session.created_at.utcoffset() == session.expires_at.utcoffset() == timedelta(0)
    # What people read, to the minute.
    minutes = {f"{moment:%Y-%m-%d %H:%M}" for moment in (before, now())}
    for command in (("users", "list"), ("sessions", "list", person.user["email"]), ("events",)):
        lines = run(*command, database_url=url).stdout.splitlines()[1:]
        assert lines
        assert all(any(minute in line for minute in minutes) for line in lines), lines
    shown = signed_in_on_page(app, person).get("/account/sessions").text
    assert any(f"{minute} UTC" in shown for minute in minutes)


@pytest.mark.parametrize("joined", ENDS, ids=["first", "last"])
@pytest.mark.parametrize(
    ("database", "zone"), [("sqlite", ""), *(("postgresql", zone) for zone in ("UTC", *ZONES))], indirect=["database"]
)
def test_s80_a_moment_that_is_stored_is_read_back_and_shown(
    make_app: MakeApp, run: Run, database: str, zone: str, joined: datetime
) -> None:
    """As an import took them before there was a rule."""
    url = f"{database}?options={quote(f'-c timezone={zone}')}" if zone else database
    app = make_app(database_url=url)
    client = app.test_client()
    person = sign_up(client)
    with app.app_context():
        db.session.execute(update(User).where(User.id == UUID(person.user["id"])).values(date_joined=joined))
        db.session.commit()
    written = rfc3339(joined)
    assert client.get("/api/me/", headers=person.bearer).get_json()["date_joined"] == written
    assert log_in(client, person.user["email"]).get_json()["user"]["date_joined"] == written
    assert client.get("/api/me/export/", headers=person.bearer).get_json()["user"]["date_joined"] == written
    assert client.patch("/api/me/", headers=person.bearer, json={"first_name": "Ada"}).status_code == 200
    email = person.user["email"]
    assert printed(run("users", "list", "--json", database_url=url))[0]["date_joined"] == written
    assert f"{joined.year:04}-{joined:%m-%d %H:%M}" in run("users", "list", database_url=url).stdout
    assert written in run("users", "show", email, database_url=url).stdout
    assert run("users", "disable", email, database_url=url).stdout == "Disabled.\n"
    assert run("users", "erase", email, "--yes", database_url=url).stdout == "Erased.\n"


REFUSED = [
    "0001-01-01",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "1969-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00+00:01",
    "9999-12-31",
    "9999-12-31T23:59:59.999999-12:00",
    "+10000-01-01",
    "-0001-01-01",
    "infinity",
    "",
]


@each("value", REFUSED)
def test_s80_a_date_before_1970_or_after_now_is_refused(app: Flask, run: Run, value: str) -> None:
    person = json.dumps({"email": "ada@example.com", "date_joined": value})
    result = run("users", "import", "-", "--format", "jsonl", stdin=person)
    assert (result.exit_code, result.stdout) == (1, "0 imported, 0 here already, 1 refused.\n")
    assert "date_joined: This must be a time from 1970 until now" in result.stderr
    assert run("events", "--since", value).exit_code == 2
    with app.app_context():
        assert db.session.query(User).count() == 0


def test_s80_a_date_from_1970_until_now_is_taken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = ["1970-01-01T00:00:00Z", "1970-01-01T05:00:00+05:00", rfc3339(now()), "2015-12-10"]
    for number, value in enumerate(taken):
        person = json.dumps({"email": f"person{number}@example.com", "date_joined": value})
        assert run("users", "import", "-", "--format", "jsonl", stdin=person).exit_code == 0
        assert run("events", "--since", value).exit_code == 0
    later = rfc3339(now() + timedelta(days=1))
    with pytest.raises(ValueError, match=later):
        clock.past(later)
    monkeypatch.setattr(clock, "offset", timedelta(days=2))
    assert rfc3339(clock.past(later)) == later, "by the one source of time"
