"""The stand-ins, and an application that uses them. Modules elsewhere take these by name: `app = conftest.app`."""

import logging
from collections.abc import Iterator

import pytest
from flask import Flask

from authserver.testing.standins import StandIns, serve
from tests.conftest import MakeApp
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
    return make_app(**settings_of(standins))


@pytest.fixture(autouse=True)
def no_secret_is_logged(caplog: pytest.LogCaptureFixture, standins: StandIns) -> Iterator[None]:
    """After each test, of whatever kind: neither a token nor an app secret is in a log line, debugging ones included.

    A test that makes up a token of its own puts "canary" into it.
    """
    for logger in ("authserver", "httpcore2"):
        caplog.set_level(logging.DEBUG, logger=logger)
    yield
    secrets = {"canary", standins.facebook.client_secret}
    secrets |= standins.google.grants.keys() | standins.facebook.grants.keys() | standins.microsoft.grants.keys()
    logged = "\n".join(map(logging.Formatter().format, caplog.get_records("call")))
    assert not [secret for secret in secrets if secret in logged]
