"""S11, S12, S16, S38, S49 as in production: two processes answer, and each knows only what the database says."""

import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import Engine, Select, create_engine, func, select, update

from authserver.clock import now
from authserver.models import Session, User
from authserver.oauth.provider import unverified_claims
from authserver.sessions.rotation import GRACE
from tests.conftest import settings_for, variables
from tests.e2e.servers import PATIENCE, Answer, Server, call, make_checkout, running, sign_up
from tests.factories import PASSWORD, SignedIn, signup_body
from tests.mails import Arrived, start
from tests.mails import Server as MailServer
from tests.serving import free_port

pytestmark = pytest.mark.slow

WORKERS = 2
ROUNDS = 5
Ask = Callable[[], Answer]


@dataclass(frozen=True)
class Deployed:
    server: Server
    engine: Engine
    smtp: MailServer

    def post(self, path: str, /, **body: object) -> Answer:
        return call("POST", self.server.url + path, body)

    def refresh(self, token: str) -> Answer:
        return self.post("/api/token/refresh/", refresh=token)

    def log_in(self, email: str, password: str) -> Answer:
        return self.post("/api/login/", email=email, password=password)

    def me(self, access: str) -> Answer:
        return call("GET", f"{self.server.url}/api/me/", bearer=access)

    def count(self, rows: Select[int]) -> int:
        with self.engine.connect() as connection:
            return connection.scalar(rows) or 0


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """As in tests/conftest.py, kept for all tests here: each has people of its own."""
    if request.param == "sqlite":
        copy = tmp_path_factory.mktemp("races") / "authserver.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), copy)
        yield f"sqlite:///{copy}"
        return
    yield request.getfixturevalue("migrated_postgres")


@pytest.fixture(scope="module")
def deployed(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder, port, smtp = make_checkout(tmp_path_factory.mktemp("served") / "checkout"), free_port(), MailServer()
    url = f"http://localhost:{port}"
    settings = variables(database, public_url=url, mail_url=smtp.url, refresh_rotation="true")
    settings |= {"WEB_CONCURRENCY": str(WORKERS), "BIND": f"127.0.0.1:{port}"}
    command = [sys.executable, "-m", "gunicorn", "--access-logfile", "-", "--access-logformat", "by %(p)s", "wsgi:app"]
    engine = create_engine(settings_for(database).database_url)
    controller = start(smtp)
    try:
        with running(command, folder, port, settings) as server:
            wait_for_all_workers(server)
            yield Deployed(server, engine, smtp)
    finally:
        controller.stop()
        engine.dispose()


def wait_for_all_workers(server: Server) -> None:
    """A worker that is late would leave all requests to the other, and nothing would race."""
    until = time.monotonic() + PATIENCE
    while len(set(re.findall(r"^by (\S+)", server.log.read_text(), re.MULTILINE))) < WORKERS:
        assert time.monotonic() < until, "some worker never answered"
        at_once(*[partial(call, "GET", f"{server.url}/api/me/")] * 8)


def at_once(*asks: Ask) -> list[Answer]:
    """The answers to requests that are all sent when the last of their threads is ready."""
    ready = Barrier(len(asks), timeout=PATIENCE)

    def send(ask: Ask) -> Answer:
        ready.wait()
        return ask()

    with ThreadPoolExecutor(len(asks)) as threads:
        return list(threads.map(send, asks))


def outcomes(answers: list[Answer]) -> list[tuple[int, str]]:
    """Status and error code of each, the successes first."""
    return sorted((answer.status, answer.body["code"] if answer.status >= 400 else "") for answer in answers)


def assert_over(deployed: Deployed, access: str, refresh: str) -> None:
    for answer in (deployed.me(access), deployed.refresh(refresh)):
        assert (answer.status, answer.body["code"]) == (401, "token_not_valid")


def test_s12_twenty_refreshes_by_two_processes_have_one_successor(deployed: Deployed) -> None:
    token = sign_up(deployed.server).refresh
    for _ in range(2):
        answers = at_once(*[partial(deployed.refresh, token)] * 20)
        assert outcomes(answers) == [(200, "")] * 20
        successors = {unverified_claims(answer.body["refresh"])["jti"] for answer in answers}
        assert len(successors - {unverified_claims(token)["jti"]}) == len(successors) == 1
        assert {deployed.me(answer.body["access"]).status for answer in answers} == {200}, "the session lives on"
        token = answers[-1].body["refresh"]
    assert deployed.refresh(token).status == 200


def test_s16_logout_against_refreshes_of_two_processes_leaves_nothing_alive(deployed: Deployed) -> None:
    for number in range(ROUNDS):
        person = sign_up(deployed.server)
        asks: list[Ask] = [partial(deployed.refresh, person.refresh)] * 7
        asks.insert(number, partial(deployed.post, "/api/logout/", refresh=person.refresh))
        answers = at_once(*asks)
        assert answers.pop(number).status == 204
        assert set(outcomes(answers)) <= {(200, ""), (401, "token_not_valid")}
        assert_over(deployed, person.access, person.refresh)
        for answer in answers:
            if answer.status == 200:
                assert_over(deployed, answer.body["access"], answer.body["refresh"])


def reset_token(deployed: Deployed, email: str) -> str:
    """Asks for a reset and waits for its mail."""

    def arrived() -> list[Arrived]:
        with deployed.smtp.lock:
            return [mail for mail in deployed.smtp.arrived if mail.to == email and mail.page.endswith("/reset")]

    before, until = len(arrived()), time.monotonic() + PATIENCE
    assert deployed.post("/api/password/forgot/", email=email).status == 202
    while len(arrived()) == before:
        assert time.monotonic() < until, "the mail never arrived"
        time.sleep(0.02)
    return arrived()[-1].token


def test_s49_of_eight_uses_of_one_reset_token_one_counts(deployed: Deployed) -> None:
    person = sign_up(deployed.server)
    email = person.user["email"]
    token = reset_token(deployed, email)
    passwords = [f"password of thread {number}" for number in range(8)]
    answers = at_once(
        *(
            partial(deployed.post, "/api/password/reset/", token=token, password=one, password_confirm=one)
            for one in passwords
        )
    )
    assert outcomes(answers) == [(204, "")] + [(400, "one_time_token_not_valid")] * 7
    won = [answer.status for answer in answers].index(204)
    works = [one for one in [PASSWORD, *passwords] if deployed.log_in(email, one).status == 200]
    assert works == [passwords[won]]
    assert_over(deployed, person.access, person.refresh)


def test_s38_of_twenty_sign_ups_of_one_address_at_two_processes_one_succeeds(deployed: Deployed) -> None:
    body = signup_body()
    answers = at_once(*[partial(deployed.post, "/api/signup/", **body)] * 20)
    assert outcomes(answers) == [(201, "")] + [(409, "account_exists")] * 19
    owner = select(User.id).where(User.email == body["email"])
    assert deployed.count(select(func.count()).select_from(owner.subquery())) == 1
    sessions = select(func.count()).select_from(Session).where(Session.user_id.in_(owner))
    assert deployed.count(sessions) == 1
    (joined,) = (SignedIn(**answer.body) for answer in answers if answer.status == 201)
    assert deployed.me(joined.access).body == joined.user


def test_s11_a_replay_after_the_grace_ends_the_session_at_every_process(deployed: Deployed) -> None:
    person = sign_up(deployed.server)
    first = deployed.refresh(person.refresh)
    assert deployed.refresh(person.refresh).status == 200, "within the grace it is no replay"
    # The grace is ten seconds, which nobody waits for here.
    session_id = UUID(unverified_claims(person.refresh)["sid"])
    with deployed.engine.begin() as connection:
        connection.execute(update(Session).where(Session.id == session_id).values(rotated_at=now() - GRACE))
    answers = at_once(*[partial(deployed.refresh, person.refresh)] * 8)
    assert outcomes(answers) == [(401, "token_not_valid")] * 8
    asks = [partial(deployed.me, first.body["access"]), partial(deployed.refresh, first.body["refresh"])] * 8
    assert outcomes(at_once(*asks)) == [(401, "token_not_valid")] * 16
    assert_over(deployed, person.access, person.refresh)
