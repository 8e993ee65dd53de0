"""S82: a write beside the erasure of its account is refused, and nothing of the person is written after it."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from threading import get_ident
from time import sleep
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select, update
from sqlalchemy.engine import Connection, Engine
from werkzeug.test import TestResponse

from authserver import extensions
from authserver.accounts import admin, data
from authserver.accounts.admin import NOBODY
from authserver.clock import now
from authserver.errors import ApiError
from authserver.extensions import db
from authserver.models import Event, Session, User
from authserver.sessions import flows as sessions
from authserver.testing.standins import Person, StandIns
from tests.conftest import PUBLIC_URL, MakeApp
from tests.factories import PASSWORD, SignedIn, assert_error, log_in, sign_up
from tests.mails import Mails
from tests.page_trips import CLICK, depart_to_link, ticket_page
from tests.pages import Browser, signed_in_on_page
from tests.providers import conftest
from tests.providers.redirecting import NEXT, Flow, come_back, parameters
from tests.providers.signing_in import settings_of
from tests.test_passwords import NEW

pytestmark = pytest.mark.slow

served_standins = conftest.served_standins
standins = conftest.standins
no_secret_is_logged = conftest.no_secret_is_logged

GONE = {"401 token_not_valid"}
NO_LINK = {"400 one_time_token_not_valid"}
SIGN_IN = {"303 /signin"}  # what a page answers whose session is over
BOTH = {"password": NEW, "password_confirm": NEW}

Send = Callable[[], TestResponse]


@dataclass
class Bench:
    """A person who is signed in, and what they have in their hands."""

    app: Flask
    standins: StandIns
    mails: Mails
    client: FlaskClient = field(init=False)
    person: SignedIn = field(init=False)
    google: Person = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.app.test_client()
        self.person = sign_up(self.client)
        self.google = Person(subject=self.person.user["id"])

    @property
    def id(self) -> UUID:
        return UUID(self.person.user["id"])

    @property
    def email(self) -> str:
        email: str = self.person.user["email"]
        return email

    def send(self, method: str, path: str, **body: object) -> Send:
        headers = self.person.bearer
        return lambda: self.client.open(
            path, method=method, headers=headers, json=body if body or method == "PATCH" else None
        )

    def mailed(self, page: str, ask: str = "", **body: object) -> str:
        """The token of a mail that was sent at the sign-up, or is asked for now."""
        if ask:
            self.client.post(ask, headers=self.person.bearer, json=body)
        return next(mail.token for mail in self.mails.take(self.app) if mail.page.endswith(page))

    def link_google(self) -> str:
        answer = self.send("POST", "/api/identities/google/", access_token=self.token())()
        assert answer.status_code == 201, answer.text
        identity: str = answer.get_json()["id"]
        return identity

    def token(self) -> str:
        return self.standins.google.token(self.google)

    def browser(self) -> Browser:
        return signed_in_on_page(self.app, self.person)

    def form(self, path: str, **fields: str) -> Send:
        browser = self.browser()
        fields["user"] = self.person.user["id"]
        return lambda: browser.post(path, fields)

    def used_long_ago(self) -> None:
        with self.app.app_context():
            db.session.execute(update(Session).values(last_used_at=now() - timedelta(hours=1)))
            db.session.commit()


@dataclass(frozen=True)
class Case:
    prepare: Callable[[Bench], Send]
    answers: set[str]  # where the account goes while it is at work
    settings: dict[str, object] = field(default_factory=dict)


def ticket(bench: Bench, flow: Flow) -> str:
    body = {"next": NEXT, "code_challenge": flow.challenge}
    url: str = bench.send("POST", "/api/identities/google/login/", **body)().get_json()["url"]
    return url.removeprefix(PUBLIC_URL)


def open_ticket(bench: Bench) -> Send:
    url = ticket(bench, Flow())
    return lambda: bench.client.get(url, base_url=PUBLIC_URL)


def callback(bench: Bench, *, to_link: bool) -> Send:
    if to_link:
        began = open_ticket(bench)()
    else:
        bench.link_google()
        began = Flow().begin(bench.client, "google")
    came = bench.standins.google.authorize(began.headers["Location"], bench.google)
    return lambda: come_back(bench.client, came)


def exchange(bench: Bench) -> Send:
    bench.link_google()
    flow = Flow()
    code = code_of(bench, flow.begin(bench.client, "google"))
    return lambda: flow.exchange(bench.client, code)


def exchange_link(bench: Bench) -> Send:
    flow = Flow()
    code = code_of(bench, bench.client.get(ticket(bench, flow), base_url=PUBLIC_URL))
    return lambda: flow.exchange(bench.client, code, **bench.person.bearer)


def code_of(bench: Bench, began: TestResponse) -> str:
    came = bench.standins.google.authorize(began.headers["Location"], bench.google)
    return parameters(come_back(bench.client, came))["code"]


def reauthenticate_by_google(bench: Bench) -> Send:
    bench.link_google()
    token = bench.standins.google.id_token(bench.google, auth_time=int(now().timestamp()))
    return bench.send("POST", "/api/auth/google/reauthenticate/", id_token=token)


def refresh(bench: Bench) -> Send:
    bench.used_long_ago()
    return bench.send("POST", "/api/token/refresh/", refresh=bench.person.refresh)


def another_session(bench: Bench) -> str:
    log_in(bench.client, bench.email)
    rows = bench.client.get("/api/sessions/", headers=bench.person.bearer).get_json()
    other: str = next(one["id"] for one in rows if not one["current"])
    return other


def end_on_page(bench: Bench) -> Send:
    return bench.form("/account/sessions", session=another_session(bench))


def confirm_by_google(bench: Bench) -> Send:
    bench.link_google()
    browser = bench.browser()
    return lambda: browser.get("/account/confirm/google", **CLICK)


def come_back_to_link(bench: Bench) -> Send:
    trip = depart_to_link(bench.standins, bench.browser())
    address = trip.come_back(bench.google)
    return lambda: trip.browser.get(address, Sec_Fetch_Site="cross-site")


def open_ticket_of_page(bench: Bench) -> Send:
    browser = bench.browser()
    url, _ = ticket_page(browser)
    return lambda: browser.get(url, **CLICK)


def go_on(bench: Bench) -> Send:
    browser, query = bench.browser(), f"?{Flow().query()}"
    return lambda: browser.post(f"/signin/continue{query}", {"user": bench.person.user["id"]})


def signin(bench: Bench) -> Send:
    browser = Browser(bench.app)
    return lambda: browser.sign_in(bench.email)


def unlink(bench: Bench) -> Send:
    return bench.send("DELETE", f"/api/identities/{bench.link_google()}/")


# Every endpoint that changes something of a person's, by its method and path, each with what it answers.
CASES: dict[str, Case] = {
    "POST /api/login": Case(
        lambda b: b.send("POST", "/api/login/", email=b.email, password=PASSWORD), {"401 no_active_account"}
    ),
    "POST /api/login with a wrong password": Case(
        lambda b: b.send("POST", "/api/login/", email=b.email, password="wrong"), {"401 no_active_account"}
    ),
    "POST /api/token": Case(
        lambda b: b.send("POST", "/api/token/", username=b.email, password=PASSWORD), {"401 no_active_account"}
    ),
    "PATCH /api/me": Case(lambda b: b.send("PATCH", "/api/me/", first_name="Ada"), GONE),
    "PATCH /api/me of nothing": Case(lambda b: b.send("PATCH", "/api/me/"), GONE),
    "DELETE /api/me": Case(lambda b: b.send("DELETE", "/api/me/"), GONE),
    "POST /api/email/verify": Case(
        lambda b: b.send("POST", "/api/email/verify/", token=b.mailed("/email/verify")), NO_LINK
    ),
    "POST /api/email/verify/resend": Case(
        lambda b: b.send("POST", "/api/email/verify/resend/", email=b.email), {"202"}
    ),
    "POST /api/email/change": Case(lambda b: b.send("POST", "/api/email/change/", email=f"new.{b.email}"), GONE),
    "POST /api/auth/exchange": Case(exchange, NO_LINK),
    "POST /api/auth/exchange of a link": Case(exchange_link, GONE | NO_LINK),
    "POST /api/identities/<name>": Case(
        lambda b: b.send("POST", "/api/identities/google/", access_token=b.token()), GONE
    ),
    "POST /api/identities/<name>/login": Case(
        lambda b: b.send("POST", "/api/identities/google/login/", next=NEXT, code_challenge=Flow().challenge), GONE
    ),
    "DELETE /api/identities/<uuid:identity_id>": Case(unlink, GONE),
    "POST /email/verify": Case(
        lambda b: (lambda token: lambda: Browser(b.app).post("/email/verify", {"token": token}))(
            b.mailed("/email/verify")
        ),
        {"400"},
    ),
    "POST /password/reset": Case(
        lambda b: (lambda token: lambda: Browser(b.app).post("/password/reset", {"token": token, **BOTH}))(
            b.mailed("/password/reset", "/api/password/forgot/", email=b.email)
        ),
        {"400"},
    ),
    "POST /account/recover": Case(
        lambda b: (lambda token: lambda: Browser(b.app).post("/account/recover", {"token": token}))(
            b.mailed("/account/recover", "/api/email/change/", email=f"new.{b.email}")
        ),
        {"400"},
    ),
    "POST /api/reauthenticate": Case(lambda b: b.send("POST", "/api/reauthenticate/", password=PASSWORD), GONE),
    "POST /api/password/change": Case(
        lambda b: b.send("POST", "/api/password/change/", current_password=PASSWORD, **BOTH), GONE
    ),
    "POST /api/password/forgot": Case(lambda b: b.send("POST", "/api/password/forgot/", email=b.email), {"202"}),
    "POST /api/password/reset": Case(
        lambda b: b.send(
            "POST",
            "/api/password/reset/",
            token=b.mailed("/password/reset", "/api/password/forgot/", email=b.email),
            **BOTH,
        ),
        NO_LINK,
    ),
    "POST /api/account/recover": Case(
        lambda b: b.send(
            "POST",
            "/api/account/recover/",
            token=b.mailed("/account/recover", "/api/email/change/", email=f"new.{b.email}"),
        ),
        NO_LINK,
    ),
    "POST /api/token/refresh": Case(refresh, GONE),
    "POST /api/token/refresh with rotation": Case(refresh, GONE, {"refresh_rotation": "true"}),
    "POST /api/token/blacklist": Case(
        lambda b: b.send("POST", "/api/token/blacklist/", refresh=b.person.refresh), {"200"}
    ),
    "POST /api/logout": Case(lambda b: b.send("POST", "/api/logout/", refresh=b.person.refresh), {"204"}),
    "DELETE /api/sessions": Case(lambda b: b.send("DELETE", "/api/sessions/"), GONE),
    "DELETE /api/sessions/<uuid:session_id>": Case(
        lambda b: b.send("DELETE", f"/api/sessions/{another_session(b)}/"), GONE
    ),
    "POST /signin": Case(signin, {"401", *SIGN_IN}),
    "POST /signin/continue": Case(go_on, SIGN_IN),
    "POST /password/forgot": Case(
        lambda b: lambda: Browser(b.app).post("/password/forgot", {"email": b.email}), {"200"}
    ),
    "POST /email/resend": Case(lambda b: lambda: Browser(b.app).post("/email/resend", {"email": b.email}), {"200"}),
    "POST /signout": Case(lambda b: b.form("/signout"), {"200"}),
    "POST /account/profile": Case(lambda b: b.form("/account/profile", first_name="A", last_name="L"), SIGN_IN),
    "POST /account/password": Case(
        lambda b: b.form("/account/password", current_password=PASSWORD, **BOTH), SIGN_IN | {"303 /account/confirm"}
    ),
    "POST /account/email": Case(lambda b: b.form("/account/email", email=f"new.{b.email}"), SIGN_IN),
    "POST /account/delete": Case(lambda b: b.form("/account/delete"), SIGN_IN | {"200"}),
    "POST /account/sessions": Case(end_on_page, SIGN_IN),
    "POST /account/sessions of others": Case(lambda b: b.form("/account/sessions", session="others"), SIGN_IN),
    "POST /account/identities": Case(lambda b: b.form("/account/identities", provider="google"), SIGN_IN),
    "POST /account/identities/unlink": Case(
        lambda b: b.form("/account/identities/unlink", identity=b.link_google()), SIGN_IN
    ),
    "POST /account/confirm": Case(lambda b: b.form("/account/confirm", password=PASSWORD), SIGN_IN),
    "GET /account/confirm/<name>": Case(confirm_by_google, SIGN_IN | {"303 /account"}),
    "GET /account back from a provider": Case(come_back_to_link, SIGN_IN | {"400", "401"}),
    # An identity that nobody has any more makes an account of its own.
    "POST /api/auth/google": Case(
        lambda b: (b.link_google(), b.send("POST", "/api/auth/google/", access_token=b.token()))[1],
        {"401 no_active_account", "200"},
    ),
    "POST /api/auth/google/reauthenticate": Case(reauthenticate_by_google, GONE),
    "GET /api/auth/google/login": Case(open_ticket, {"400 invalid_request", "303 /signed-in"}),
    "GET /api/auth/google/login from a page": Case(open_ticket_of_page, {"400", "303 /account"}),
    "GET /api/auth/google/callback": Case(lambda b: callback(b, to_link=False), {"303 /signed-in"}),
    "GET /api/auth/google/callback of a link": Case(
        lambda b: callback(b, to_link=True), {"400 invalid_request", "303 /signed-in"}
    ),
}
# What has no account to be erased while it is at work.
WITHOUT_ACCOUNT = {
    "POST /api/signup": "makes one: nobody can erase it before it is committed",
    "POST /signup": "the same",
    "POST /api/token/verify": "changes nothing",
}


def settings(standins: StandIns, mails: Mails, **changes: object) -> dict[str, object]:
    return {**settings_of(standins), "redirect_urls": NEXT, "mail_url": mails.url, "pages": "true", **changes}


def test_s82_every_endpoint_that_writes_is_tried(make_app: MakeApp, standins: StandIns, mails: Mails) -> None:
    app = make_app(**settings(standins, mails))
    tried = {tuple(name.split()[:2]) for name in (*CASES, *WITHOUT_ACCOUNT)}
    others = {f"/api/auth/{name}" for name in standins.each if name != "google"}
    writing = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in ("GET", "HEAD", "OPTIONS") and not any(rule.rule.startswith(one) for one in others)
    }
    assert writing <= tried, "a new endpoint has to be added above"
    assert tried <= writing | {("GET", rule.rule) for rule in app.url_map.iter_rules()}


def outcome(answer: TestResponse) -> str:
    if answer.status_code == 303:
        return f"303 {urlsplit(answer.headers['Location']).path}"
    code = (answer.get_json() or {}).get("code", "") if answer.status_code >= 400 and answer.is_json else ""
    return f"{answer.status_code} {code}".strip()


def erase(app: Flask, user_id: UUID) -> None:
    """Another request does it, on a connection of its own."""

    def run() -> None:
        with app.app_context(), suppress(ApiError):  # it may be gone already
            data.erase(user_id, NOBODY)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(run).result()


@contextmanager
def before_moment(number: int, act: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Acts before the database is turned to for that time: by one statement, or by a transaction that will write."""
    turned, acted = 0, False
    real = {name: getattr(extensions, name) for name in ("_once", "_begin")}

    def wrapped(name: str) -> Callable[..., Any]:
        def turn(*arguments: Any) -> Any:
            nonlocal turned, acted
            turned += 1
            if turned == number:
                acted = True
                for one, function in real.items():  # for what acts
                    patch.setattr(extensions, one, function)
                act()
            return real[name](*arguments)

        return turn

    with pytest.MonkeyPatch.context() as patch:
        for name in real:
            patch.setattr(extensions, name, wrapped(name))
        yield lambda: acted


def left(app: Flask, user_id: UUID) -> list[str]:
    """What is stored of the person: nothing but events that say neither where from nor by what."""
    found = []
    with app.app_context():
        if db.session.get(User, user_id):
            found.append("users")
        for table in db.metadata.sorted_tables:
            if "user_id" in table.columns and table.name != Event.__tablename__:
                found += [table.name for _ in db.session.execute(select(table).where(table.c.user_id == user_id))]
        told = (Event.ip.is_not(None) | Event.user_agent.is_not(None)) & (Event.user_id == user_id)
        return found + [one.type for one in db.session.scalars(select(Event).where(told))]


@pytest.mark.parametrize("name", CASES)
def test_s82_a_write_is_refused_whenever_its_account_is_erased(
    make_app: MakeApp, standins: StandIns, mails: Mails, name: str
) -> None:
    case = CASES[name]
    app = make_app(**settings(standins, mails, **case.settings))
    for number in range(1, 20):
        bench = Bench(app, standins, mails)
        send = case.prepare(bench)
        with before_moment(number, lambda bench=bench: erase(app, bench.id)) as acted:  # type: ignore[misc]
            answer = send()
        if not acted():
            assert number > 1
            assert answer.status_code < 400 or name.endswith("a wrong password"), answer.text
            return
        assert outcome(answer) in case.answers, (number, answer.text)
        assert left(app, bench.id) == []
    raise AssertionError("it turned to the database without end")


FIRST_STATEMENTS = 4  # of each request's transactions: by then the person is held, or never will be


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)  # with SQLite nobody writes beside a transaction
@pytest.mark.parametrize("name", CASES)
def test_s82_an_erasure_that_begins_within_a_transaction_comes_before_it_or_after(
    make_app: MakeApp, standins: StandIns, mails: Mails, database: str, name: str
) -> None:
    case = CASES[name]
    app = make_app(**settings(standins, mails, **case.settings))
    with app.app_context():
        engine = db.engine
    with psycopg.connect(database, autocommit=True) as watching, ThreadPoolExecutor(1) as threads:
        for number in range(1, FIRST_STATEMENTS + 1):
            bench = Bench(app, standins, mails)
            send = case.prepare(bench)
            erasing: list[Future[None]] = []

            def begin_to_erase(bench: Bench = bench, erasing: list[Future[None]] = erasing) -> None:
                """Goes on when the account is gone, or when its erasure waits for what goes on."""
                erasing.append(threads.submit(erase, app, bench.id))
                while not erasing[0].done() and not watching.execute(WAITING).fetchone():
                    sleep(0.002)

            with before_statement(engine, number, begin_to_erase):
                answer = send()
                for one in erasing:
                    one.result()  # before the listener goes, which its statements are calling
            assert answer.status_code < 500, (number, answer.text)
            if not erasing:
                break
            assert left(app, bench.id) == [], number


WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@contextmanager
def before_statement(engine: Engine, number: int, act: Callable[[], None]) -> Iterator[None]:
    """Acts before the statement of that number within a transaction of this thread that writes."""
    thread, done = get_ident(), 0

    def note(connection: Connection, *_: object) -> None:
        nonlocal done
        if get_ident() == thread and connection.get_execution_options().get("begin") == "IMMEDIATE":
            done += 1
            if done == number + 1:  # the first sets the lock's limit
                act()

    event.listen(engine, "before_cursor_execute", note)
    yield
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("command", [admin.disable, admin.enable, lambda user_id: sessions.end_all(user_id, NOBODY)])
def test_s82_a_command_for_an_account_that_was_erased_since_it_was_found_is_a_404(
    make_app: MakeApp, command: Callable[[UUID], object]
) -> None:
    app = make_app()
    person = UUID(sign_up(app.test_client()).user["id"])
    erase(app, person)
    with app.app_context():
        for act in (command, lambda user_id: data.erase(user_id, NOBODY)):
            with pytest.raises(ApiError) as raised:
                act(person)
            assert raised.value.code == "not_found"
    assert left(app, person) == []


@pytest.mark.parametrize(
    "name",
    [
        one
        for one in CASES
        if CASES[one].answers == GONE and one not in ("DELETE /api/me", "POST /api/token/refresh with rotation")
    ],
)
def test_s82_a_write_is_refused_whenever_its_account_is_disabled(
    make_app: MakeApp, standins: StandIns, mails: Mails, name: str
) -> None:
    """The same pattern: what the guard saw may be over when the transaction begins."""
    case = CASES[name]
    app = make_app(**settings(standins, mails, **case.settings))
    for number in range(1, 20):
        bench = Bench(app, standins, mails)
        send = case.prepare(bench)
        before = stored(app, bench)

        def disable(bench: Bench = bench) -> None:
            nonlocal before
            with ThreadPoolExecutor(1) as threads:
                threads.submit(lambda: _disable(app, bench.id)).result()
            before = stored(app, bench)

        with before_moment(number, disable) as acted:
            answer = send()
        if not acted():
            return
        assert_error(answer, 401, "token_not_valid")
        assert stored(app, bench) == before


def _disable(app: Flask, user_id: UUID) -> None:
    with app.app_context():
        admin.disable(user_id)


def stored(app: Flask, bench: Bench) -> dict[str, list[str]]:
    with app.app_context():
        return {
            table.name: sorted(
                repr(tuple(row)) for row in db.session.execute(select(table).where(table.c.user_id == bench.id))
            )
            for table in db.metadata.sorted_tables
            if "user_id" in table.columns
        } | {
            "users": [repr(tuple(row)) for row in db.session.execute(select(User.__table__).where(User.id == bench.id))]
        }
