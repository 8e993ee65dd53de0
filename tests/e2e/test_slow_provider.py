"""S29 as in production: a provider that does not answer holds up its own sign-ins, and nobody else's requests."""

import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from authserver.oauth import upstream
from authserver.testing.standins import Person, StandIns, serve
from tests.conftest import variables
from tests.e2e.servers import PATIENCE, Answer, Server, call, make_checkout, running, sign_up
from tests.factories import PASSWORD
from tests.providers.faults import GOOD
from tests.providers.raw_server import Connection, RawServer, Request, serving
from tests.serving import free_port

pytestmark = pytest.mark.slow

WORKERS, THREADS = 2, 32  # as gunicorn.conf.py has it
SIGN_INS = WORKERS * THREADS + THREADS  # more than there are threads
OTHERS = 40


@dataclass
class Hanging:
    """A provider's server that takes requests and answers none before it is told to."""

    server: RawServer
    released: threading.Event


@contextmanager
def hanging() -> Iterator[Hanging]:
    released = threading.Event()

    def answer(request: Request, connection: Connection) -> None:
        released.wait(upstream.TOTAL + PATIENCE)
        connection.reply(GOOD)

    with serving(answer) as server:
        try:
            yield Hanging(server, released)
        finally:
            released.set()


@contextmanager
def deployed(folder: Path, database: str, standins: StandIns, slow: RawServer) -> Iterator[Server]:
    port = free_port()
    settings = {
        **variables(f"sqlite:///{database}", public_url=f"http://localhost:{port}"),
        **standins.variables(),
        "AUTHSERVER_PROVIDERS__GOOGLE__CLIENT_ID": str(GOOD["aud"]),
        "AUTHSERVER_PROVIDERS__GOOGLE__TOKENINFO_URL": f"{slow.url}/tokeninfo",
        "AUTHSERVER_PROVIDERS__GOOGLE__USERINFO_URL": f"{slow.url}/userinfo",
        "WEB_CONCURRENCY": str(WORKERS),
        "BIND": f"127.0.0.1:{port}",
    }
    command = [sys.executable, "-m", "gunicorn", "wsgi:app"]
    with running(command, make_checkout(folder / "checkout"), port, settings) as server:
        yield server


def test_s29_a_provider_that_does_not_answer_delays_no_other_request(tmp_path: Path, migrated_sqlite: Path) -> None:
    database = shutil.copy(migrated_sqlite, tmp_path / "authserver.db")
    with (
        serve() as standins,
        hanging() as slow,
        deployed(tmp_path, str(database), standins, slow.server) as server,
        ThreadPoolExecutor(SIGN_INS) as crowd,
        ThreadPoolExecutor(8) as passers_by,
    ):
        person = sign_up(server)
        url = server.url
        others: list[Callable[[], Answer]] = [
            partial(call, "GET", f"{url}/api/me/", bearer=person.access),
            partial(call, "POST", f"{url}/api/login/", {"email": person.user["email"], "password": PASSWORD}),
            partial(
                call,
                "POST",
                f"{url}/api/auth/facebook/",
                {"access_token": standins.facebook.token(Person(subject="1"))},
            ),
            partial(call, "GET", f"{url}/api/auth/"),
            partial(call, "POST", f"{url}/api/token/refresh/", {"refresh": person.refresh}),
        ]
        sign_in = partial(call, "POST", f"{url}/api/auth/google/", {"access_token": "canary"})
        waiting = [crowd.submit(sign_in) for _ in range(SIGN_INS)]
        held = settled(waiting, slow.server)
        assert upstream.MOST_OF_ONE <= len(held) <= WORKERS * upstream.MOST_OF_ONE
        for surplus in set(waiting) - held:
            refused = surplus.result()
            assert (refused.status, refused.body["code"]) == (503, "provider_unavailable")
            assert int(refused.headers["Retry-After"]) > 0

        answered = list(passers_by.map(lambda number: others[number % len(others)]().status, range(OTHERS)))
        assert Counter(answered) == {200: OTHERS}
        assert not any(one.done() for one in held), "all of that was answered while they waited"

        slow.released.set()
        assert {one.result().status for one in held} == {200}
        assert sign_in().status == 200, "and then there is room again"


def settled(waiting: list[Future[Answer]], slow: RawServer) -> set[Future[Answer]]:
    """Those that wait for the provider, when each of the others has been answered."""
    until = time.monotonic() + upstream.TOTAL
    while len(slow.asked) + sum(one.done() for one in waiting) < len(waiting):
        assert time.monotonic() < until, "some wait for neither the provider nor for an answer"
        time.sleep(0.01)
    held = {one for one in waiting if not one.done()}
    assert len(held) == len(slow.asked)
    return held
