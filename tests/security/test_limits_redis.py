"""S43-S45 and S60, counted in Redis, which may stop at any time. It has a clock of its own: windows are short here."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from urllib.parse import urlsplit

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from authserver.limits import counters, stores
from authserver.settings import SettingsError, load
from tests.conftest import PUBLIC_URL, SECRET, MakeApp
from tests.each import each
from tests.factories import assert_error, log_in, sign_up
from tests.forwarder import Forwarder
from tests.security.guessing import counted, guess, hashes, statuses

__all__ = ["hashes"]  # a fixture, used by name


@pytest.fixture
def forwarder(redis_url: str) -> Iterator[Forwarder]:
    """Between the application and Redis."""
    target = urlsplit(redis_url)
    forwarder = Forwarder(target.hostname or "", target.port or 6379)
    yield forwarder
    forwarder.stop()


@pytest.fixture
def make_limited(make_app: MakeApp, redis_url: str, forwarder: Forwarder) -> MakeApp:
    credentials, at, _ = urlsplit(redis_url).netloc.rpartition("@")
    through = urlsplit(redis_url)._replace(netloc=f"{credentials}{at}127.0.0.1:{forwarder.port}").geturl()
    return lambda **changes: make_app(**{"rate_limits": True, "trusted_proxies": 1, "redis_url": through, **changes})


@pytest.fixture
def app(make_limited: MakeApp) -> Flask:
    return make_limited()


def of_redis(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records if "Redis" in record.getMessage()]


def test_s43_redis_counts_and_the_database_does_not(
    app: Flask, client: FlaskClient, hashes: list[str], redis_url: str
) -> None:
    email = sign_up(client).user["email"]
    assert statuses(*(guess(client, email, f"192.0.2.{n}") for n in range(12))) == [401] * 10 + [429] * 2
    assert counted(app) == []
    with redis.Redis.from_url(redis_url, decode_responses=True) as server:
        keys = list(server.scan_iter(f"{stores.REDIS_PREFIX}:*"))
        assert len(keys) == 12, "the account, the sign-up's IP address, and ten more: who is refused is not counted"
        assert not any("@" in key or email.partition("@")[0] in key or "192.0" in key for key in keys)
        assert all(0 < int(server.ttl(key)) <= 3600 for key in keys)


@pytest.mark.slow
def test_s44_the_right_password_works_again_when_redis_says_so(make_limited: MakeApp) -> None:
    client = make_limited(rate_limit_login_account="3 per 2 seconds").test_client()
    email = sign_up(client).user["email"]
    assert statuses(*(log_in(client, email, "a guess") for _ in range(3))) == [401] * 3
    refused = log_in(client, email)
    assert_error(refused, 429, "throttled")
    assert refused.headers["Retry-After"] in ("1", "2")
    sleep(int(refused.headers["Retry-After"]))
    assert log_in(client, email).status_code == 200


def test_s45_of_fifty_parallel_guesses_no_more_than_the_limit_are_hashed(
    make_limited: MakeApp, hashes: list[str]
) -> None:
    workers = [make_limited(), make_limited()]
    with ThreadPoolExecutor(50) as threads:
        answers = list(
            threads.map(lambda n: guess(workers[n % 2].test_client(), "p@example.com", f"192.0.2.{n}"), range(50))
        )
    assert sorted(statuses(*answers)) == [401] * 10 + [429] * 40
    assert len(hashes) == 10
    assert counted(workers[0]) == []


def test_s60_when_redis_stops_the_database_goes_on_counting(
    app: Flask, client: FlaskClient, hashes: list[str], forwarder: Forwarder, caplog: pytest.LogCaptureFixture
) -> None:
    assert statuses(*(guess(client, "p@example.com") for _ in range(5))) == [401] * 5
    forwarder.stop()
    assert statuses(*(guess(client, "p@example.com") for _ in range(12))) == [401] * 10 + [429] * 2
    assert len(counted(app)) == 2
    assert len(hashes) == 15
    ((level, message),) = of_redis(caplog)
    assert (level, message.partition(" (")[0]) == (logging.ERROR, "Redis does not answer")


def test_s60_redis_counts_again_when_it_is_back(
    app: Flask,
    client: FlaskClient,
    hashes: list[str],
    forwarder: Forwarder,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counters, "REDIS_COOLDOWN", 0.0)
    forwarder.stop()
    assert statuses(*(guess(client, "p@example.com") for _ in range(11))) == [401] * 10 + [429]
    forwarder.start()
    assert statuses(*(guess(client, "p@example.com") for _ in range(11))) == [401] * 10 + [429]
    assert [level for level, _ in of_redis(caplog)] == [logging.ERROR, logging.WARNING]


@pytest.mark.slow
def test_s60_a_redis_that_is_silent_is_asked_once_and_then_left_alone(
    make_limited: MakeApp, hashes: list[str], forwarder: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "REDIS_COOLDOWN", 3600.0)
    monkeypatch.setattr(stores, "REDIS_TIMEOUT", 1.0)  # this one is an outage
    app = make_limited()
    client = app.test_client()
    forwarder.silent = True
    assert statuses(*(guess(client, "p@example.com") for _ in range(12))) == [401] * 10 + [429] * 2
    assert forwarder.connections == 1
    assert len(counted(app)) == 2


def test_s60_connections_that_broke_while_nobody_asked_are_not_noticed(
    app: Flask, client: FlaskClient, forwarder: Forwarder, caplog: pytest.LogCaptureFixture
) -> None:
    guess(client, "p@example.com")
    forwarder.stop()
    forwarder.start()
    guess(client, "p@example.com")
    assert counted(app) == []
    assert of_redis(caplog) == []


def test_s60_a_redis_that_refuses_to_write_does_not_count(
    app: Flask, client: FlaskClient, hashes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise redis.ResponseError("MISCONF Redis is configured to save RDB snapshots, but it cannot")

    monkeypatch.setattr(app.extensions["authserver.limits"]._redis.storage, "lua_incr_expire", refuse)
    assert statuses(*(guess(client, "p@example.com") for _ in range(11))) == [401] * 10 + [429]


@each("wrong", ["redis:6379", "http://h", "redis://", "redis://h:99999", "redis://h/x", "redis://h?x=1"])
def test_a_wrong_redis_refuses_the_start_by_its_name(wrong: str) -> None:
    with pytest.raises(SettingsError, match=r"^AUTHSERVER_REDIS_URL: expected redis://user:password@host:port/0 or "):
        load({"AUTHSERVER_SECRET_KEY": SECRET, "AUTHSERVER_PUBLIC_URL": PUBLIC_URL, "AUTHSERVER_REDIS_URL": wrong})
