"""What a mail server gets without TLS: no password, and nothing at all once TLS was begun and is not finished."""

import datetime as dt
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flask import Flask

from authserver.emails import outbox
from authserver.emails.delivery import deliver_due
from authserver.extensions import writing
from tests.conftest import MakeApp
from tests.mails import Server, start

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
Advance = Callable[[float], None]
Serve = Callable[..., Server]
LOGIN = ("us@er", "p@ss word")


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Mail servers, whose certificate is trusted."""
    with ExitStack() as running:

        def make(name: str = "127.0.0.1", *, tls: bool = False, smtps: bool = False, auth: bool = True) -> Server:
            context = certificate(tmp_path, name)
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
            server = Server()
            controller: Controller = start(
                server, tls=context if tls else None, smtps=context if smtps else None, auth=auth
            )
            running.callback(controller.stop)
            return server

        yield make


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A server's context with a certificate for that IP address, which is in trusted.pem."""
    key, nobody = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    today = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(nobody, nobody, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    trusted, private = folder / "trusted.pem", folder / "key.pem"
    trusted.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(trusted, private)
    return context


def url(server: Server, login: str = "us%40er:p%40ss%20word@", scheme: str = "smtp") -> str:
    return server.url.replace("smtp://", f"{scheme}://{login}")


def mail(app: Flask) -> None:
    """One that is tried once."""
    with app.app_context():
        with writing() as transaction:
            link = "https://auth.example.com/#token=t"
            outbox.queue(transaction, "reset", "ada@example.com", "", None, link=link, token="t")
        assert deliver_due() == 1


def outcome(server: Server) -> tuple[list[list[str]], list[bool], list[tuple[str, str]]]:
    """Who got a mail, whether each came encrypted, and the logins."""
    return [mail.recipients for mail in server.arrived], server.encrypted, server.logins


NOTHING: tuple[list[list[str]], list[bool], list[tuple[str, str]]] = ([], [], [])
ADA = [["ada@example.com"]]


def test_starttls_is_used_where_offered_and_the_password_is_decoded(make_app: MakeApp, serve: Serve) -> None:
    server = serve(tls=True)
    mail(make_app(mail_url=url(server)))
    assert outcome(server) == (ADA, [True], [LOGIN])


def test_a_wrong_password_sends_nothing(make_app: MakeApp, serve: Serve) -> None:
    server = serve(tls=True)
    mail(make_app(mail_url=url(server, "us%40er:wrong@")))
    assert server.arrived == []


def test_a_password_waits_where_starttls_is_not_offered(
    make_app: MakeApp, serve: Serve, advance: Advance, caplog: pytest.LogCaptureFixture
) -> None:
    """Or whoever is in between could take the offer away."""
    server = serve()
    mail(make_app(mail_url=url(server)))
    assert outcome(server) == NOTHING
    assert "could not be sent and is tried again later: TLSNotOffered" in caplog.text
    advance(61)
    with make_app(mail_url=url(server), mail_insecure=True).app_context():
        assert deliver_due() == 1
    assert outcome(server) == (ADA, [False], [LOGIN])


def test_a_user_without_a_password_is_a_login_too(make_app: MakeApp, serve: Serve) -> None:
    server = serve()
    mail(make_app(mail_url=url(server, "us%40er@")))
    assert outcome(server) == NOTHING


def test_without_a_login_tls_is_used_where_it_is_offered(make_app: MakeApp, serve: Serve) -> None:
    plain, offering = serve(auth=False), serve(tls=True, auth=False)
    for server, encrypted in ((plain, False), (offering, True)):
        mail(make_app(mail_url=server.url))
        assert outcome(server) == (ADA, [encrypted], [])


@pytest.mark.parametrize("insecure", [False, True])
@pytest.mark.parametrize("auth", [False, True])
@pytest.mark.parametrize("answer", ["454 not now", "500 what?", "250 fine", "220 go ahead, and nothing comes"])
def test_nothing_is_sent_in_clear_text_after_starttls_went_wrong(
    make_app: MakeApp, serve: Serve, answer: str, auth: bool, insecure: bool
) -> None:
    server = serve(tls=True, auth=auth)
    server.starttls = answer
    mail(make_app(mail_url=url(server) if auth else server.url, mail_insecure=insecure))
    assert outcome(server) == NOTHING


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_certificate_of_nobody_we_trust_or_of_another_name_is_refused(
    make_app: MakeApp, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, advance: Advance, scheme: str
) -> None:
    options = {"tls": True} if scheme == "smtp" else {"smtps": True}
    other = serve("127.0.0.2", **options)
    mail(make_app(mail_url=url(other, scheme=scheme)))
    assert outcome(other) == NOTHING
    server = serve(**options)
    app = make_app(mail_url=url(server, scheme=scheme))
    monkeypatch.delenv("SSL_CERT_FILE")
    mail(app)
    assert outcome(server) == NOTHING
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    advance(61)
    with app.app_context():
        assert deliver_due() == 2, "and with the right one both arrive"
    assert (outcome(server)[0], server.logins) == (ADA * 2, [LOGIN] * 2)
