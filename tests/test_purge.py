"""What a stranger, or a person, can cause to be stored has an end, and costs nobody much before that."""

import json
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, insert, select, text

from authserver import purge
from authserver.accounts import data
from authserver.clock import now
from authserver.emails import delivery
from authserver.extensions import Model, db, new_id, writing
from authserver.models import Authorization, Event, Invitation, Mail, OneTimeToken, RateLimit, Session, User
from authserver.models.session import browser
from authserver.oauth import redirect
from authserver.sessions.devices import is_news
from authserver.visitor import Visitor
from tests.commands import printed
from tests.conftest import MakeApp, Run
from tests.factories import PASSWORD, SignedIn, log_in, sign_up
from tests.mails import Mails
from tests.plans import cost, scans, statements

Advance = Callable[[float], None]
DAY = 86400
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
TABLES = ("sessions", "one_time_tokens", "invitations", "authorizations", "rate_limits", "mails", "events")


def stored(app: Flask) -> dict[str, int]:
    with app.app_context():
        counts = {
            name: db.session.scalar(select(func.count()).select_from(Model.metadata.tables[name])) for name in TABLES
        }
    return {name: count for name, count in counts.items() if count}


def add(app: Flask, *rows: Any) -> None:
    with app.app_context():
        db.session.add_all(rows)
        db.session.commit()


def a_session(person: SignedIn, **changes: object) -> Session:
    usual = {"user_id": UUID(person.user["id"]), "expires_at": now(), "method": "password", "ip": "", "user_agent": ""}
    return Session(**{**usual, **changes})


def many_sessions(app: Flask, person: SignedIn, count: int, **changes: object) -> None:
    """Inserted at once, each used a little earlier than the one before; a value may be made of its number."""
    usual = {
        "user_id": UUID(person.user["id"]),
        "created_at": lambda number: now() - number * SECOND,
        "last_used_at": lambda number: now() - number * SECOND,
        "expires_at": lambda number: now() + timedelta(days=1) - number * SECOND,
        "revoked_at": None,
        "method": "password",
        "ip": "198.51.100.7",
        "user_agent": "robot",
        "browser": browser("198.51.100.7", "robot"),
        "generation": 0,
    }
    columns = {**usual, **changes}
    with app.app_context(), writing() as transaction:
        values = [
            {"id": new_id(), **{name: one(number) if callable(one) else one for name, one in columns.items()}}
            for number in range(count)
        ]
        transaction.execute(insert(Session), values)
    with app.app_context(), db.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("ANALYZE" if connection.dialect.name == "sqlite" else "VACUUM ANALYZE sessions"))


def an_authorization(number: int, **changes: object) -> Authorization:
    usual = {"secret_hash": "", "provider": "google", "next": "", "code_challenge": "", "expires_at": now()}
    return Authorization(**{"id": f"state-{number}", **usual, **changes})


def ends(person: SignedIn, kept: timedelta) -> list[Any]:
    """A row of each kind and each way for it to end, which ended that long ago."""
    user_id, moment, later = UUID(person.user["id"]), now() - kept, now() + timedelta(days=300)
    token: dict[str, Any] = {"user_id": user_id, "purpose": "recover", "email": "a@example.com"}
    invitation: dict[str, Any] = {"email": "b@example.com", "expires_at": later}
    return [
        a_session(person, expires_at=moment),
        a_session(person, expires_at=later, revoked_at=moment),
        a_session(person, expires_at=moment, revoked_at=now()),  # which was ended after its end
        OneTimeToken(**token, token_hash=f"hash {kept}", expires_at=moment),
        Invitation(**{**invitation, "token_hash": f"1 {kept}", "expires_at": moment}),
        Invitation(**invitation, token_hash=f"2 {kept}", accepted_at=moment),
        Invitation(**invitation, token_hash=f"3 {kept}", revoked_at=moment),
    ]


def test_what_is_over_goes_and_nothing_else(app: Flask, client: FlaskClient, run: Run) -> None:
    person = sign_up(client)
    before = stored(app)
    days = timedelta(days=1)
    add(app, *ends(person, 90 * days + MINUTE))
    add(app, an_authorization(1), RateLimit(key="1", count=1, expires_at=now()))
    for delivered_at, next_attempt_at in ((now(), None), (None, None), (None, now())):
        mail = Mail(kind="", sealed="", delivered_at=delivered_at, next_attempt_at=next_attempt_at)
        mail.created_at = now() - 31 * days
        add(app, mail)
    add(app, Event(type="signed_in", created_at=now() - 365 * days - MINUTE))
    over = dict.fromkeys(TABLES, 1) | {"sessions": 3, "invitations": 3, "mails": 3}
    assert stored(app) == {name: count + before.get(name, 0) for name, count in over.items()}

    add(app, *ends(person, 90 * days - MINUTE))
    add(app, an_authorization(2, expires_at=now() + MINUTE), RateLimit(key="2", count=1, expires_at=now() + MINUTE))
    add(app, Mail(kind="", sealed="", created_at=now() - 30 * days + MINUTE, next_attempt_at=None))
    add(app, Event(type="signed_in", created_at=now() - 365 * days + MINUTE))

    assert printed(run("purge", "--dry-run", "--json")) == [{**over, "dry_run": True}]
    assert run("purge", "--dry-run").stdout.endswith("1 events would be deleted.\n")
    assert printed(run("purge", "--json")) == [{**over, "dry_run": False}]
    assert stored(app) == {name: count + before.get(name, 0) for name, count in {**over, "mails": 1}.items()}
    assert run("purge").stdout == "Nothing deleted.\n"
    assert client.get("/api/me/", headers=person.bearer).status_code == 200


def test_how_long_events_are_kept_can_be_set(app: Flask, run: Run) -> None:
    add(app, Event(type="signed_in", created_at=now() - timedelta(hours=2)), Event(type="signed_in"))
    assert printed(run("purge", "--json", event_lifetime=3600))[0]["events"] == 1
    assert stored(app) == {"events": 1}


def test_everything_that_is_stored_has_an_end_or_a_reason(app: Flask) -> None:
    without = {
        "users": "a person's account, who erases it",
        "identities": "goes with its person",
        "signing_keys": "made by the operator",
    }
    with app.app_context():
        assert {kind.table for kind in purge.kinds()} == Model.metadata.tables.keys() - without.keys()


def test_all_goes_in_batches_however_much_it_is(app: Flask, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "BATCH", 2)
    add(app, *(an_authorization(number) for number in range(5)))
    transactions = statements(app, lambda: run_within(app, lambda: purge.purge(lambda some: None)))
    deletions = [statement for statement, _ in transactions if statement.startswith("DELETE")]
    assert len(deletions) == 3
    assert stored(app) == {}


def run_within(app: Flask, action: Callable[[], object]) -> object:
    with app.app_context():
        return action()


def test_a_serving_process_deletes_in_passing_and_catches_up(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "BATCH", 2)
    add(app, *(an_authorization(number) for number in range(3)))
    in_passing = purge.InPassing()
    for left in ({"authorizations": 1}, {}):
        run_within(app, in_passing.purge)
        assert stored(app) == left
    add(app, an_authorization(9))
    run_within(app, in_passing.purge)
    assert stored(app) == {"authorizations": 1}, "it rests for some minutes where nothing was left"
    in_passing._next = 0
    run_within(app, in_passing.purge)
    assert stored(app) == {}


def test_the_thread_that_delivers_mails_deletes_what_is_over(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    add(app, an_authorization(1))

    class Once:
        def clear(self) -> None:
            pass

        def wait(self, seconds: float) -> None:
            raise InterruptedError

    monkeypatch.setattr(delivery, "_wake", Once())
    with pytest.raises(InterruptedError):
        delivery._run(app)
    assert stored(app) == {}


def test_where_nothing_is_over_nothing_is_written(app: Flask, client: FlaskClient) -> None:
    """On SQLite it would take the lock that every login waits for."""
    sign_up(client)
    asked = statements(app, lambda: run_within(app, purge.purge_some))
    assert {statement.partition(" ")[0] for statement, _ in asked} == {"SELECT"}
    assert not [statement for statement, _ in asked if "FOR UPDATE" in statement]


def test_no_sign_in_deletes_what_others_left(app: Flask, client: FlaskClient) -> None:
    add(app, *(an_authorization(number) for number in range(3)))
    with app.app_context():
        redirect.begin("google", redirect.Request("https://app.example.com", "x" * 43))
    limited = statements(app, lambda: log_in(client, sign_up(client).user["email"]))
    assert not [statement for statement, _ in limited if statement.startswith("DELETE")]
    assert stored(app)["authorizations"] == 4


@pytest.mark.slow
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_processes_that_delete_at_once_wait_for_nobody(app: Flask) -> None:
    add(app, *(an_authorization(number) for number in range(3)))
    with app.app_context(), db.engine.connect() as other:
        other.execute(select(Authorization.id).where(Authorization.id == "state-1").with_for_update())
        assert purge.purge(lambda some: None)["authorizations"] == 2
        other.rollback()
        assert purge.purge(lambda some: None)["authorizations"] == 1


# What much of it costs until then


def test_no_statement_reads_a_whole_table(app: Flask, client: FlaskClient, database: str) -> None:
    person = sign_up(client)
    add(app, *ends(person, timedelta(days=91)), an_authorization(1), RateLimit(key="1", count=1, expires_at=now()))
    add(app, Mail(kind="", sealed="", created_at=now() - timedelta(days=31)))
    add(app, Event(type="signed_in", created_at=now() - timedelta(days=366)))
    actions: list[Callable[[], object]] = [
        lambda: log_in(client, person.user["email"]),
        lambda: client.get("/api/sessions/", headers=person.bearer),
        lambda: client.delete("/api/sessions/", headers=person.bearer),
        lambda: client.get("/api/events/", headers=person.bearer),
        lambda: run_within(app, purge.purge_some),
    ]
    for action in actions:
        assert scans(database, statements(app, action)) == []
    over = next(statement for statement in statements(app, lambda: run_within(app, purge.count)) if statement)
    assert scans(database, [("SELECT count(*) FROM users", ()), over])[0].endswith("users"), "else it sees nothing"


@pytest.mark.slow
@pytest.mark.parametrize("which", ["live", "past their end", "ended", "of another browser"])
def test_a_login_costs_as_much_with_many_sessions_as_with_few(
    app: Flask, client: FlaskClient, database: str, which: str
) -> None:
    sessions: dict[str, dict[str, object]] = {
        "live": {},
        "past their end": {"expires_at": now() - timedelta(days=1), "last_used_at": now() - timedelta(days=2)},
        "ended": {"revoked_at": now() - MINUTE},
        "of another browser": {"browser": lambda number: f"!{number}"},  # before ours in the index
    }
    few, many = sign_up(client), sign_up(client)
    agent = {"User-Agent": "robot", "X-Forwarded-For": "198.51.100.7"}
    for person, count in ((few, 10), (many, 3000)):
        many_sessions(app, person, count, **sessions[which])
    calls: dict[str, Callable[[SignedIn], object]] = {
        "login": lambda person: client.post(
            "/api/login/", json={"email": person.user["email"], "password": PASSWORD}, headers=agent
        ),
        "list": lambda person: client.get("/api/sessions/", headers=person.bearer),
        "one more call": lambda person: client.get("/api/me/", headers=person.bearer),
        "logout": lambda person: client.post("/api/logout/", headers=person.bearer),
    }
    for name, call in calls.items():
        asked = [statements(app, lambda person=person, call=call: call(person)) for person in (few, many)]  # type: ignore[misc]
        small, large = (cost(database, one) for one in asked)
        # Of those that count at most 100 are listed, which is ten times as many.
        most = 12 if (name, which) in (("list", "live"), ("list", "of another browser")) else 2
        assert large < most * small, name


def test_of_many_sessions_the_current_and_those_that_end_last_are_listed(
    app: Flask, client: FlaskClient, run: Run
) -> None:
    person = sign_up(client)
    many_sessions(app, person, 120, expires_at=lambda number: now() + timedelta(days=2) - number * SECOND)
    listed = client.get("/api/sessions/", headers=person.bearer).get_json()
    assert len(listed) == 101
    assert [one["current"] for one in listed].count(True) == 1
    assert listed == sorted(listed, key=lambda one: str(one["created_at"]), reverse=True)
    assert len(printed(run("sessions", "list", person.user["email"], "--json"))) == 100
    assert len(printed(run("sessions", "list", person.user["email"], "--json", "--limit", "500"))) == 121
    assert client.delete("/api/sessions/", headers=person.bearer).status_code == 204
    assert len(client.get("/api/sessions/", headers=person.bearer).get_json()) == 1


@pytest.mark.slow
def test_an_export_takes_no_more_memory_for_more_rows(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "IN_MEMORY", 1000)

    def peak(events: int) -> int:
        person = sign_up(client)
        row = {"user_id": UUID(person.user["id"]), "type": "signed_in", "user_agent": "x" * 200}
        with app.app_context(), writing() as transaction:
            transaction.execute(insert(Event), [row] * events)
        client.get("/api/me/export/", headers=person.bearer).close()
        tracemalloc.start()
        answer = client.get("/api/me/export/", headers=person.bearer)
        size = sum(map(len, answer.response))
        largest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        answer.close()
        assert size > events * 200
        return largest

    assert peak(6000) < 2 * peak(600)


def test_an_export_is_json_to_the_letter(client: FlaskClient) -> None:
    person = sign_up(client, first_name='Ädä "漢" \\')
    export = json.loads(client.get("/api/me/export/", headers=person.bearer).data)
    assert export["user"]["first_name"] == 'Ädä "漢" \\'
    assert export["identities"] == []


# Browsers that are known


def test_what_is_known_of_a_browser_outlives_no_session(
    make_app: MakeApp, run: Run, mails: Mails, advance: Advance
) -> None:
    """A person who comes back after their sessions are deleted is told of it, as they were before."""
    app = make_app(mail_url=mails.url, email_verification="off", session_lifetime=60)
    email = sign_up(app.test_client()).user["email"]
    assert mails.take(app) == []
    for days, told in ((89, 0), (91, 1), (200, 1)):
        advance(days * DAY)
        run("purge")
        log_in(app.test_client(), email)
        assert len(mails.take(app)) == told, days
        assert stored(app)["sessions"] == (2 if told == 0 else 1), "and older ones are gone"


def test_the_first_sign_in_of_an_imported_person_is_no_news(run: Run, mails: Mails, make_app: MakeApp) -> None:
    """Where they joined elsewhere years ago."""
    app = make_app(mail_url=mails.url, email_verification="off")
    person = {"email": "ada@example.com", "date_joined": "2015-12-10T11:00:00Z"}
    run("users", "import", "-", "--format", "jsonl", stdin=json.dumps(person))
    run("users", "show", "ada@example.com")
    with app.app_context():
        assert not is_news(db.session(), db.session.scalars(select(User)).one(), Visitor())
