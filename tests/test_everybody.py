"""`authserver sessions end --everybody`"""

from concurrent.futures import ThreadPoolExecutor
from time import sleep
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from authserver.extensions import db
from authserver.models import Session, User
from authserver.sessions import everybody
from authserver.visitor import Visitor
from tests.commands import printed
from tests.conftest import MakeApp, Run
from tests.factories import SignedIn, assert_error, log_in, sign_up
from tests.mails import Mails


def test_everybody_is_signed_out_and_nobody_is_mailed(
    make_app: MakeApp, run: Run, mails: Mails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everybody, "BATCH", 2)
    app = make_app(mail_url=mails.url, new_device_mail=False, email_verification="off")
    client = app.test_client()
    people = [sign_up(client) for _ in range(5)]
    again = [SignedIn(**log_in(client, person.user["email"]).get_json()) for person in people[:2]]
    out = sign_up(client)
    client.post("/api/logout/", headers=out.bearer)
    assert run("sessions", "end", "--everybody", stdin="n\n").exit_code == 1
    assert client.get("/api/me/", headers=people[0].bearer).status_code == 200
    result = run("sessions", "end", "--everybody", "--yes")
    assert (result.exit_code, result.stdout) == (0, "7 ended.\n")
    for person in (*people, *again):
        assert_error(client.get("/api/me/", headers=person.bearer), 401, "token_not_valid")
    told = printed(run("events", "--type", "all_sessions_ended", "--json"))
    assert sorted(one["user_id"] for one in told) == sorted(person.user["id"] for person in people)
    assert {(one["ip"], one["user_agent"]) for one in told} == {(None, None)}
    assert mails.take(app) == []
    assert run("sessions", "end", "--everybody", "--yes").stdout == "0 ended.\n"
    assert log_in(client, people[0].user["email"]).status_code == 200


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_signing_everybody_out_waits_for_nobody_until_the_end(app: Flask, client: FlaskClient) -> None:
    """Two that hold an account each and want the other's would end one another."""
    people = [UUID(sign_up(client).user["id"]) for _ in range(3)]
    ended: list[int] = []
    with app.app_context(), db.engine.connect() as other, ThreadPoolExecutor(1) as thread:
        other.execute(select(User.id).where(User.id == people[1]).with_for_update())

        def end() -> int:
            with app.app_context():
                return everybody.sign_everybody_out(Visitor(), ended.append)

        result = thread.submit(end)
        while signed_in(other, people[0], people[2]) and not result.done():
            sleep(0.01)
        assert signed_in(other, people[1]) == 1
        other.rollback()
        assert result.result(timeout=30) == 3


def signed_in(connection: Connection, *people: UUID) -> int:
    counting = select(func.count()).select_from(Session).where(Session.user_id.in_(people))
    return connection.scalar(counting.where(Session.revoked_at.is_(None))) or 0
