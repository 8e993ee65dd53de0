"""Where a provider is tried: it runs in a real application, and the kit's server stands in for the provider's."""

import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask

from authserver.testing.kit import openid
from authserver.testing.kit.application import application
from authserver.testing.kit.declared import Declared
from authserver.testing.kit.outcome import Outcome
from authserver.testing.kit.redirect import Redirect
from authserver.testing.kit.said import Person, Said, filled, swapped
from authserver.testing.kit.server import Fault, Server, serving

NONE: Mapping[str, Fault] = {}


@dataclass(frozen=True)
class Way:
    """One way to sign in by the provider, and all that its server says then."""

    name: str
    said: Said
    sign_in: Callable[..., Outcome]  # (said, faults={})

    @property
    def questions(self) -> list[str]:
        return [question for question in self.said if "/" in question]


class Bench:
    def __init__(self, declared: type[Declared], app: Flask, server: Server) -> None:
        self.declared = declared
        self.app = app
        self.server = server
        self.provider = declared.made(server.url)
        self.secrets = {declared.client_secret} - {""}  # whatever was sent that may be in no log
        self.elsewhere: list[str] = []  # hosts that were asked for and are not on loopback
        self._numbers = count(100_002)
        kind = self.provider.id_token
        if kind is not None:
            path = urlsplit(kind.issuer).path
            server.own[f"GET {path}/.well-known/openid-configuration"] = lambda asked: openid.discovery(
                kind.issuer, server.url
            )
            server.own[f"GET {openid.JWKS}"] = openid.jwks
        self.redirect = Redirect(self)

    @property
    def ways(self) -> list[Way]:
        """A code is one of its own only where the provider takes nothing else, for it ends in one of the others."""
        answers = filled(self.declared.answers, self.server.url)
        claims = filled(self.declared.claims, self.server.url)
        ways = []
        kind = self.provider.access_token
        if kind is not None and kind.issued_to is not None:
            ways.append(Way("access_token", answers, self.by_access_token))
        if self.provider.id_token is not None:
            ways.append(Way("id_token", {"claims": {"aud": self.declared.client_id, **claims}}, self.by_id_token))
        return ways or [Way("code", answers, self.redirect.sign_in)]

    @property
    def all_said(self) -> Said:
        """By whatever way: a redirect takes from it what it needs."""
        return {question: answer for way in self.ways for question, answer in way.said.items()}

    def person(self) -> Person:
        """Somebody else each time, whose id and address are of the declared kind."""
        number = next(self._numbers)
        subject, (local, _, domain) = self.declared.subject, self.declared.email.partition("@")
        return Person(f"{subject[:-6]}{number}" if len(subject) > 5 else str(number), f"{local}{number}@{domain}")

    def said_of(self, way: Way, person: Person) -> Said:
        instead = {self.declared.subject: person.subject, self.declared.email: person.email}
        said: Said = swapped(way.said, instead)
        return said

    def by_access_token(self, said: Said, faults: Mapping[str, Fault] = NONE, *, token: str = "") -> Outcome:
        token = token or self.access_token(said)
        return self.post({"access_token": token}, said, faults)

    def access_token(self, said: Said) -> str:
        token = openid.unsigned(said["token"]) if "token" in said else f"opaque-{secrets.token_urlsafe(24)}"
        self.secrets.add(token)
        return token

    def by_id_token(self, said: Said, faults: Mapping[str, Fault] = NONE, **signing: Any) -> Outcome:
        return self.post({"id_token": self.id_token(said["claims"], **signing)}, said, faults)

    def id_token(self, claims: Mapping[str, Any], **signing: Any) -> str:
        assert self.provider.id_token
        token = openid.signed(claims, self.provider.id_token.issuer, **signing)
        self.secrets.add(token)
        return token

    def post(self, body: Mapping[str, Any], said: Said, faults: Mapping[str, Fault] = NONE) -> Outcome:
        with self.answering(said, faults):
            answer = self.app.test_client().post(f"/api/auth/{self.declared.name}/", json=body)
        return Outcome(answer.status_code, answer.get_json(), tuple(self.server.asked))

    @contextmanager
    def answering(self, said: Said, faults: Mapping[str, Fault] = NONE) -> Iterator[None]:
        """While the server says this. What it was asked and does not know is the author's to declare."""
        __tracebackhide__ = True
        self.server.said, self.server.faults = said, faults
        self.server.asked.clear()
        self.elsewhere.clear()
        yield
        if self.elsewhere:
            raise AssertionError(
                f"{self.elsewhere[0]} was asked, which is not the server that stands in: name the setting that leads "
                'there in `options`, as "{upstream}".'
            )
        for asked in self.server.asked:
            if not self.server.knows(asked):
                raise AssertionError(f"{asked.question} was asked, and `answers` does not say what it answers.")


@contextmanager
def bench(declared: type[Declared], migrated: Path, folder: Path) -> Iterator[Bench]:
    with serving() as server:
        options = {
            **declared.options_at(server.url),
            "CLIENT_ID": declared.client_id,
            "CLIENT_SECRET": declared.client_secret,
        }
        with application(migrated, folder, declared.name, options, declared.provider) as app:
            made = Bench(declared, app, server)
            with _on_loopback_only(made.elsewhere):
                yield made


@contextmanager
def _on_loopback_only(asked: list[str]) -> Iterator[None]:
    """Nobody is asked who is not on this machine: such hosts are kept in the list and not found."""
    usual: Any = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **more: Any) -> Any:
        try:
            ours = host in (None, "localhost") or ip_address(host).is_loopback
        except ValueError:
            ours = False
        if not ours:
            asked.append(str(host))
            raise OSError(f"{host} is not on this machine")
        return usual(host, *args, **more)

    socket.getaddrinfo = getaddrinfo
    try:
        yield
    finally:
        socket.getaddrinfo = usual
