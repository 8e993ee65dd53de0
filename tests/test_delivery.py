"""The outbox: a mail that was committed with its change goes out once, whatever fails in between."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Thread, current_thread

import pytest
from flask import Flask
from sqlalchemy import select, update

from authserver.emails import delivery, outbox
from authserver.emails.render import Message
from authserver.extensions import db, writing
from authserver.models import Mail
from tests.conftest import MakeApp
from tests.factories import PASSWORD, log_in, sign_up
from tests.mails import Mails
from tests.serving import free_port

Advance = Callable[[float], None]
ROTATED = "Nq3mZ8wYt1KxJ5vLr7Ug0bHcEo2PdSf4Ai6TjWkXyQs"


@pytest.fixture
def app(make_app: MakeApp, mails: Mails) -> Flask:
    return make_app(mail_url=mails.url)


def queue(app: Flask, *addresses: str) -> None:
    with app.app_context(), writing() as transaction:
        for to in addresses:
            outbox.queue(transaction, "reset", to, "", None, link="https://auth.example.com/#token=t", token="t")


def deliver(app: Flask) -> int:
    with app.app_context():
        return delivery.deliver_due()


def rows(app: Flask) -> list[Mail]:
    with app.app_context():
        return list(db.session.scalars(select(Mail)))


def test_a_delivered_mail_is_forgotten_in_production_and_kept_in_development(make_app: MakeApp, mails: Mails) -> None:
    for env, kept in (("production", 0), ("development", 1)):
        app = make_app(env=env, mail_url=mails.url)
        queue(app, "ada@example.com")
        assert mails.one(app, "ada@example.com").subject.startswith("Set a new password")
        assert (
            len([row for row in rows(app) if row.delivered_at and row.next_attempt_at is None])
            == kept
            == len(rows(app))
        )


def test_a_refused_mail_is_tried_with_growing_pauses_and_given_up_loudly(
    app: Flask, mails: Mails, advance: Advance, caplog: pytest.LogCaptureFixture
) -> None:
    mails.server.refuse = "451 come back later"
    queue(app, "ada@example.com")
    pauses = [pause.total_seconds() for pause in outbox.PAUSES]
    assert pauses == sorted(pauses)
    assert sum(pauses) > 12 * 3600
    for pause in pauses:
        assert deliver(app) == 1
        advance(pause - 1)
        assert deliver(app) == 0
        advance(1.1)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * len(pauses)
    assert deliver(app) == 1
    assert caplog.records[-1].levelno == logging.ERROR
    assert "given up after 7 attempts: SMTPDataError" in caplog.text
    advance(10**7)
    assert deliver(app) == 0
    assert mails.server.arrived == []
    assert "ada@example.com" not in caplog.text
    assert "token" not in caplog.text


def test_what_was_refused_once_arrives_at_the_next_attempt(app: Flask, mails: Mails, advance: Advance) -> None:
    mails.server.refuse = "451 come back later"
    queue(app, "ada@example.com", "grace@example.com")
    assert deliver(app) == 2
    mails.server.refuse = ""
    assert mails.take(app) == []
    advance(61)
    assert sorted(mail.to for mail in mails.take(app)) == ["ada@example.com", "grace@example.com"]


@pytest.mark.parametrize("farewell", ["451 not now", "what?"])
def test_a_mail_that_was_taken_is_sent_whatever_the_server_says_to_the_farewell(
    app: Flask, mails: Mails, advance: Advance, caplog: pytest.LogCaptureFixture, farewell: str
) -> None:
    mails.server.farewell = farewell
    queue(app, "ada@example.com", "grace@example.com")
    assert deliver(app) == 2
    advance(10**7)
    assert deliver(app) == 0
    assert sorted(mail.to for mail in mails.server.arrived) == ["ada@example.com", "grace@example.com"]
    assert rows(app) == []
    assert caplog.records == []


def test_an_unreachable_server_loses_nothing(make_app: MakeApp, mails: Mails, advance: Advance) -> None:
    app = make_app(mail_url=f"smtp://127.0.0.1:{free_port()}")
    assert sign_up(app.test_client()).user
    assert deliver(app) == 1
    advance(61)
    assert len(mails.take(make_app(mail_url=mails.url))) == 1


def test_of_several_deliverers_at_once_each_mail_is_sent_by_one(app: Flask, mails: Mails) -> None:
    addresses = [f"person{number}@example.com" for number in range(25)]
    queue(app, *addresses)

    def run(_: int) -> None:
        while deliver(app):
            pass

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(run, range(4)))
    assert sorted(mail.to for mail in mails.server.arrived) == sorted(addresses)
    assert rows(app) == []


def test_a_slow_mail_server_gets_nothing_twice(app: Flask, monkeypatch: pytest.MonkeyPatch, advance: Advance) -> None:
    """Each sending takes 25 s, and beside each another process looks for what is due."""
    sent: list[str] = []
    test = current_thread()

    def slow(message: Message) -> None:
        sent.append(message.to)
        if current_thread() is test:
            advance(25)
            beside = Thread(target=deliver, args=(app,))
            beside.start()
            beside.join()

    monkeypatch.setattr(delivery, "send", slow)
    addresses = [f"person{number}@example.com" for number in range(5)]
    queue(app, *addresses)
    while deliver(app):
        pass
    assert sorted(sent) == addresses


def test_a_mail_whose_deliverer_was_killed_goes_out_at_the_next_attempt(
    app: Flask, mails: Mails, advance: Advance
) -> None:
    queue(app, "ada@example.com")
    with app.app_context():
        claimed = next(outbox.claim_due())
    assert (claimed.kind, claimed.message.to) == ("reset", "ada@example.com")
    assert mails.take(app) == []
    advance(61)
    mails.one(app, "ada@example.com")


def test_a_mail_is_rolled_back_with_its_change(app: Flask, mails: Mails) -> None:
    with suppress(ZeroDivisionError), app.app_context(), writing() as transaction:
        outbox.queue(transaction, "reset", "ada@example.com", "", None, link="https://x.example/", token="t")
        raise ZeroDivisionError
    assert rows(app) == []
    assert mails.take(app) == []


def test_rows_are_sealed_and_open_under_the_previous_secret(app: Flask, make_app: MakeApp, mails: Mails) -> None:
    person = sign_up(app.test_client())
    (row,) = rows(app)
    stored = repr([getattr(row, column.key) for column in Mail.__table__.columns])
    assert person.user["email"] not in stored
    assert "verify" in stored
    rotated = make_app(
        mail_url=mails.url, secret_key=ROTATED, secret_key_previous=app.extensions["authserver.settings"].secret_key
    )
    mail = mails.one(rotated, person.user["email"])
    assert mail.token not in stored
    assert mail.link not in stored


def test_a_mail_that_no_secret_opens_is_given_up_and_holds_up_no_other(
    app: Flask, mails: Mails, caplog: pytest.LogCaptureFixture
) -> None:
    queue(app, "lost@example.com")
    with app.app_context():
        db.session.execute(update(Mail).values(sealed="gAAAAABm"))
        db.session.commit()
    queue(app, "ada@example.com")
    mails.one(app, "ada@example.com")
    assert "was sealed under another secret" in caplog.text
    assert deliver(app) == 0


def test_nothing_secret_is_logged_in_production(
    app: Flask, make_app: MakeApp, mails: Mails, advance: Advance, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = app.test_client()
    person = sign_up(client)
    for refuse in ("550 no", ""):
        mails.server.refuse = refuse
        client.post("/api/password/forgot/", json={"email": person.user["email"]})
        log_in(client, person.user["email"], "a wrong password")
        arrived = mails.take(app)
        advance(61)
    client.post("/api/password/forgot/", json={"email": person.user["email"]})
    deliver(make_app())  # the mail server was taken out of the settings
    assert len(rows(app)) == 1
    log = "\n".join(
        f"{record.getMessage()} {record.exc_text}" for record in caplog.records if record.name.startswith("authserver")
    )
    assert "could not be sent" in log
    secrets = [person.user["email"], person.access, PASSWORD, "a wrong password", *(mail.token for mail in arrived)]
    assert not [secret for secret in secrets if secret in log]
