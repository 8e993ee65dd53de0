"""What would cost each test the same again is cheap or made once, in the process of the tests alone.

Servers and commands that a test starts as processes of their own know nothing of it.
"""

import os
import ssl
from collections.abc import Callable, Iterator
from functools import cache

import httpcore2
import pytest
from argon2 import PasswordHasher
from werkzeug.routing import Rule

from authserver.passwords import hashing

REAL_HASHER, REAL_DUMMY = hashing._hasher, hashing.DUMMY
CHEAP_HASHER = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
CHEAP_DUMMY = CHEAP_HASHER.hash(os.urandom(32))


@pytest.fixture(scope="session", autouse=True)
def cheap_hashes() -> Iterator[None]:
    """A hash takes 17 ms as it is meant to be, and most tests are about something else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "_hasher", CHEAP_HASHER)
        patch.setattr(hashing, "DUMMY", CHEAP_DUMMY)
        yield


@pytest.fixture
def real_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are in production: for tests of the hash itself, and of races, where it is what one waits for."""
    monkeypatch.setattr(hashing, "_hasher", REAL_HASHER)
    monkeypatch.setattr(hashing, "DUMMY", REAL_DUMMY)


@pytest.fixture(scope="session", autouse=True)
def certificates_read_once() -> Iterator[None]:
    """Each application with a provider reads those that it trusts: 16 ms. Other variables are other certificates."""
    read = httpcore2.default_ssl_context

    @cache
    def once(*_: str | None) -> ssl.SSLContext:
        return read()

    with pytest.MonkeyPatch.context() as patch:
        variables = ("SSL_CERT_FILE", "SSL_CERT_DIR")
        patch.setattr(httpcore2, "default_ssl_context", lambda: once(*map(os.environ.get, variables)))
        yield


@pytest.fixture(scope="session", autouse=True)
def routes_compiled_once() -> Iterator[None]:
    """Werkzeug compiles two functions for each route of each application: 15 of the 20 ms that making one takes."""
    compile_builder = Rule._compile_builder
    compiled: dict[tuple[object, ...], Callable[..., tuple[str, str]]] = {}

    def once(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        key = (rule.rule, repr(rule.defaults), tuple(rule._trace), append_unknown)
        if key not in compiled:
            compiled[key] = compile_builder(rule, append_unknown)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", once)
        yield
