"""A mail server of the tests' own, and the mails as they arrived there."""

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from threading import Lock

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from flask import Flask

from authserver.emails.delivery import deliver_due
from tests.serving import free_port


@dataclass(frozen=True)
class Arrived:
    """A mail with its envelope, the e-mail addresses of which are as they stood in the commands."""

    message: EmailMessage
    sender: str
    recipients: list[str]
    content: bytes

    @property
    def to(self) -> str:
        return str(self.message["To"])

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    def part(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        assert part is not None
        return str(part.get_content())

    @property
    def text(self) -> str:
        return self.part("plain")

    @property
    def link(self) -> str:
        (line,) = (line for line in self.text.splitlines() if line.startswith("http"))
        return line

    @property
    def page(self) -> str:
        return self.link.partition("#")[0]

    @property
    def token(self) -> str:
        return self.link.partition("#token=")[2]


@dataclass
class Server:
    """What was sent to the server, as aiosmtpd's handler; `refuse` is an answer that it gives instead.

    `farewell` is what it says to QUIT, `starttls` what it says to STARTTLS instead of going through with it.
    """

    arrived: list[Arrived] = field(default_factory=list)
    refuse: str = ""
    farewell: str = "221 Bye"
    starttls: str = ""
    logins: list[tuple[str, str]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.refuse:
            return self.refuse
        content = envelope.content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        with self.lock:
            self.arrived.append(Arrived(message, str(envelope.mail_from), list(envelope.rcpt_tos), content))
            self.encrypted.append(session.ssl is not None)
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        return self.farewell

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"p@ss word", handled=False)


class Literal(SMTP):
    """aiosmtpd decodes encoded words in the envelope itself, so what was sent could not be seen."""

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        found = re.fullmatch(r"<(.*)>", arg)
        return (found[1], "") if found else (None, None)

    async def smtp_STARTTLS(self, arg: str) -> None:
        if not self.event_handler.starttls:
            await super().smtp_STARTTLS(arg)
            return
        await self.push(self.event_handler.starttls)
        if self.event_handler.starttls.startswith("220") and self.transport:
            self.transport.close()


class LiteralController(Controller):
    def factory(self) -> SMTP:
        return Literal(self.handler, **self.SMTP_kwargs)


def start(
    server: Server, tls: ssl.SSLContext | None = None, auth: bool = False, smtps: ssl.SSLContext | None = None
) -> Controller:
    """`tls`: what STARTTLS leads to, without which it is not offered; `auth`: whether people can log in."""
    controller = LiteralController(
        server,
        hostname="127.0.0.1",
        port=server.port,
        authenticator=server.authenticate if auth else None,
        auth_required=auth and tls is not None,
        auth_require_tls=tls is not None,
        tls_context=tls,
        ssl_context=smtps,
    )
    controller.start()
    return controller


@pytest.fixture(scope="session")
def running_smtp() -> Iterator[Server]:
    server = Server()
    controller = start(server)
    yield server
    controller.stop()


@pytest.fixture
def smtp(running_smtp: Server) -> Server:
    """The mail server of the run, which has nothing from the tests before and does as they were before them."""
    vars(running_smtp).update(vars(Server(port=running_smtp.port)))
    return running_smtp


class Mails:
    """What was mailed, delivered when it is asked for."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = server.url

    def take(self, app: Flask) -> list[Arrived]:
        """All that arrived since the last time, in the order of sending."""
        with app.app_context():
            while deliver_due():
                pass
        arrived, self.server.arrived = self.server.arrived, []
        return arrived

    def one(self, app: Flask, to: str) -> Arrived:
        """The only one, which is for that address."""
        (mail,) = self.take(app)
        assert (mail.to, mail.recipients) == (to, [to])
        return mail


@pytest.fixture
def mails(smtp: Server) -> Mails:
    return Mails(smtp)
