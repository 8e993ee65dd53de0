"""The stand-ins, and an application that uses them. Modules elsewhere take these by name: `app = conftest.app`."""

import logging
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from authserver.oauth import grant
from authserver.testing.standins import StandIns, serve
from tests.conftest import MakeApp
from tests.providers.redirecting import NEXT
from tests.providers.signing_in import settings_of


@pytest.fixture(scope="session")
def served_standins() -> Iterator[StandIns]:
    with serve() as standins:
        yield standins


@pytest.fixture
def standins(served_standins: StandIns) -> StandIns:
    """The stand-ins of the run, with nothing asked of them yet in this test."""
    served_standins.asked.clear()
    return served_standins


@pytest.fixture
def app(make_app: MakeApp, standins: StandIns) -> Flask:
    return make_app(**settings_of(standins), redirect_urls=NEXT)


@pytest.fixture(autouse=True)
def no_secret_is_logged(
    caplog: pytest.LogCaptureFixture, standins: StandIns, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """After each test, of whatever kind: no secret of either side is in a log line, debugging ones included.

    That is each random value that was made meanwhile (codes, states, what is in cookies, verifiers of the frontend's),
    the nonces and verifiers derived from them, every JWT and every app secret. A test that makes up one of its own puts
    "canary" into it.
    """
    made = {"canary", "eyJ"}

    def recorded(make: Callable[..., str]) -> Callable[..., str]:
        def record(*arguments: Any) -> str:
            made.add(value := make(*arguments))
            return value

        return record

    for module, name in ((secrets, "token_urlsafe"), (secrets, "token_hex"), (grant, "derived")):
        monkeypatch.setattr(module, name, recorded(getattr(module, name)))
    for logger in ("authserver", "httpcore2"):
        caplog.set_level(logging.DEBUG, logger=logger)
    yield
    made |= standins.secrets()
    logged = "\n".join(map(logging.Formatter().format, caplog.get_records("call")))
    assert not [secret for secret in made if secret in logged]
