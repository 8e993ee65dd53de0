"""Delivery: by SMTP, or in development to the console; in a thread of the serving process, or when a test asks."""

import logging
import os
import smtplib
import ssl
import threading
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from authserver.emails import deferred, outbox
from authserver.emails.render import Message
from authserver.extensions import current_settings, db
from authserver.purge import InPassing
from authserver.settings import Settings

log = logging.getLogger(__name__)

POLL = 5.0  # seconds until a mail is seen that another process queued, or whose next attempt is due
SMTP_TIMEOUT = 20.0

_wake = threading.Event()
# Held while the thread is at work, and by who forks: a lock of SQLite's or of Python's that it held just then would be
# held in the child for ever.
_at_work = threading.Lock()
os.register_at_fork(before=_at_work.acquire, after_in_parent=_at_work.release, after_in_child=_at_work.release)


class TLSNotOffered(smtplib.SMTPException):
    """The mail server would get the password of AUTHSERVER_MAIL_URL in clear text, and so gets nothing."""


def start(app: Flask) -> None:
    """Delivers beside the requests of this process, also after a fork, which no thread outlives."""
    _start_thread(app)
    os.register_at_fork(after_in_child=lambda: _after_fork(app))


def wake() -> None:
    """Says that a mail was committed: it goes out now and not at the next poll."""
    _wake.set()


def deliver_due() -> int:
    """Does what requests left, and sends what is due; returns how many rows of the outbox it was about."""
    if not outbox.mail_is_possible():
        return 0  # production's mail server was taken out of the settings: what was queued before waits
    tried = deferred.finish_due()
    for one in outbox.claim_due():
        tried += 1
        try:
            send(one.message)
        except Exception as error:  # whatever it is, the others go out, and this one is given up in the end
            outbox.failed(one, type(error).__name__)
        else:
            outbox.delivered(one.id)
    return tried


def send(message: Message) -> None:
    """Raises `OSError` or `SMTPException` where the mail server does not take it."""
    settings = current_settings()
    if not settings.mail_url:
        log.info("mail to %s: %s\n\n%s", message.to, message.subject, message.text)
        return
    content = _content(message, settings.mail_sender)
    server = _connect(settings)
    try:
        _transmit(server, settings.mail_sender, message.to, content)
    finally:
        with suppress(OSError):  # whatever is said to the farewell: a mail that was taken must not be sent again
            server.quit()
        server.close()


def _content(message: Message, sender: str) -> bytes:
    """The mail as it is transmitted. `EmailMessage` would decode the e-mail addresses, so they are put before it."""
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = message.subject
    mail["Date"] = formatdate(usegmt=True)
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    return f"From: {sender}\r\nTo: {message.to}\r\n".encode("ascii") + mail.as_bytes()


def _transmit(server: smtplib.SMTP, sender: str, to: str, content: bytes) -> None:
    """Hands the mail over. The envelope has the e-mail addresses to the letter: smtplib's own methods parse them."""
    if not to.isprintable() or set(to) & {"<", ">"}:  # would end the command, or the e-mail address in it
        raise smtplib.SMTPRecipientsRefused({})
    code, text = server.docmd("MAIL", f"FROM:<{sender}>")
    if code != 250:
        raise smtplib.SMTPSenderRefused(code, text, sender)
    code, text = server.docmd("RCPT", f"TO:<{to}>")
    if code not in (250, 251):
        raise smtplib.SMTPRecipientsRefused({to: (code, text)})
    code, text = server.data(content)
    if code != 250:
        raise smtplib.SMTPDataError(code, text)


def _connect(settings: Settings) -> smtplib.SMTP:
    """A connection that is encrypted where there is a login: whoever is in between could take STARTTLS away."""
    url = urlsplit(settings.mail_url or "")
    host = url.hostname or ""
    encrypted = url.scheme == "smtps"
    server: smtplib.SMTP
    if encrypted:
        tls = ssl.create_default_context()
        server = smtplib.SMTP_SSL(host, url.port or 465, timeout=SMTP_TIMEOUT, context=tls)
    else:
        server = smtplib.SMTP(host, url.port or 587, timeout=SMTP_TIMEOUT)
    try:
        server.ehlo()
        if not encrypted and server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())  # raises where the server does not go through with it
            server.ehlo()
            encrypted = True
        if url.username:
            if not encrypted and not settings.mail_insecure:
                raise TLSNotOffered
            server.login(unquote(url.username), unquote(url.password or ""))
    except BaseException:
        server.close()
        raise
    return server


def _after_fork(app: Flask) -> None:
    with app.app_context():
        db.engine.dispose(close=False)  # the parent's connections are not this process's
    _start_thread(app)


def _start_thread(app: Flask) -> None:
    threading.Thread(target=_run, args=(app,), name="mail delivery", daemon=True).start()


def _run(app: Flask) -> None:
    """Delivers mails, and where none is due deletes some of what is over: this thread keeps nobody waiting."""
    in_passing = InPassing()
    while True:
        _wake.clear()
        try:
            with _at_work, app.app_context():
                while deliver_due():
                    pass
                in_passing.purge()
        except SQLAlchemyError as error:
            log.error("mails, and what is over, wait for the database: %s", type(error).__name__)
        except Exception:
            log.exception("mail delivery failed and goes on")
        _wake.wait(POLL)
