"""What every transaction can rely on."""

import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from authserver.extensions import db, writing
from tests.conftest import variables
from tests.factories import sign_up
from tests.test_start import production

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_lock_that_somebody_else_holds_is_waited_for_but_not_for_ever(app: Flask) -> None:
    with app.app_context():
        with writing() as transaction:
            assert transaction.scalar(text("SHOW lock_timeout")) == "5s"
        assert db.session.scalar(text("SHOW lock_timeout")) == "0", "and the connection is as it was"


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_nothing_is_prepared_on_a_connection(app: Flask, client: FlaskClient) -> None:
    """A pooler such as PgBouncer may give the next transaction to another connection."""
    person = sign_up(client)
    for _ in range(20):
        assert client.get("/api/me/", headers=person.bearer).status_code == 200
    with app.app_context():
        reader = app.extensions["authserver.reader"]
        with reader.connect() as connection:
            assert connection.scalar(text("SELECT count(*) FROM pg_prepared_statements")) == 0


FORK = """
import os
from authserver import create_app
from authserver.extensions import db

app = create_app()
with app.app_context():
    with db.engine.connect() as connection:
        parents = connection.connection.dbapi_connection
    child = os.fork()
    if child == 0:
        taken = [db.engine.connect() for _ in range(4)]  # all that the parent's pool could hold here
        os._exit(any(one.connection.dbapi_connection is parents for one in taken))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


WAITING = """
import os, threading
from authserver.emails.delivery import _at_work

held, over = threading.Event(), []

def work():
    with _at_work:
        held.set()
        threading.Event().wait(0.3)
        over.append(True)

threading.Thread(target=work).start()
held.wait()
child = os.fork()
if child == 0:
    os._exit(0 if over and _at_work.acquire(blocking=False) else 1)
print(bool(over), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_fork_waits_for_the_delivery_of_mails_and_its_child_holds_no_lock_of_it() -> None:
    ended = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "True 0\n"), ended.stderr


def test_a_forked_worker_uses_no_connection_of_its_parents(database: str, tmp_path: Path) -> None:
    """As under `gunicorn --preload`: two processes on one socket would read each other's rows."""
    environment = {**production(tmp_path), **variables(database)}
    ended = subprocess.run(
        [sys.executable, "-c", FORK], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (0, "0\n"), ended.stderr
