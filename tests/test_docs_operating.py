"""The commands of docs/operating.md, typed into a shell as they stand."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import make_url, select

from authserver.accounts import admin
from authserver.app import create_app
from authserver.cli.database import migrate_database
from authserver.clock import now
from authserver.extensions import db
from authserver.models import Event, User
from tests.blocks import ROOT, block
from tests.conftest import POSTGRES, PUBLIC_URL, settings_for, variables
from tests.factories import PASSWORD, log_in, sign_up

pytestmark = pytest.mark.slow

# A Django project with two people, of whom the second has no password; the guide's lines are put behind it.
PROJECT = """
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"], USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
call_command("migrate", verbosity=0)
User.objects.create_user("ada", "ada@example.com", "%s", first_name="Ada")
User.objects.create_user("charles", "charles@example.com", is_active=False)
User.objects.create_user("nobody")
"""


def typed(script: str, folder: Path, database: str) -> str:
    """What a shell prints, in which `authserver` is this checkout's."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT), **variables(database)}
    ran = subprocess.run(
        ["bash", "-eu", "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(params=["sqlite", "postgresql"])
def restorable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database of the test's own, where the guide has its own or a PostgreSQL names it."""
    tools = ["sqlite3"] if request.param == "sqlite" else ["pg_dump", "pg_restore", "psql"]
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"{missing[0]} is not installed")
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/instance/authserver.db"
        return
    request.getfixturevalue("postgres")
    name = f"authserver_test_restore_{os.getpid()}"
    yield make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(POSTGRES, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_an_older_backup_that_is_put_back_revives_nobody(restorable: str, tmp_path: Path) -> None:
    """The guide's steps, one after another."""
    sqlite = restorable.startswith("sqlite")
    backup = (
        block("docs/operating.md", "sh", ".backup")
        if sqlite
        else block("docs/operating.md", "sh", "pg_dump --format=custom --file=backup.dump")
    )
    put_back = (
        block("docs/operating.md", "sh", "cp backup.db") if sqlite else block("docs/operating.md", "sh", "pg_restore")
    )
    migrate_database(settings_for(restorable))

    def served() -> tuple[Flask, FlaskClient]:
        app = create_app(settings_for(restorable, refresh_rotation=True))
        return app, app.test_client()

    app, client = served()
    names = ("out", "disabled", "erased", "rotated")
    out, disabled, erased, rotated = (sign_up(client, email=f"{name}@example.com") for name in names)
    typed(backup, tmp_path, restorable)
    new = sign_up(client, email="new@example.com")
    assert client.post("/api/logout/", headers=out.bearer).status_code == 204
    assert client.delete("/api/me/", headers=erased.bearer).status_code == 204
    assert client.delete("/api/me/", headers=new.bearer).status_code == 204
    assert client.post("/api/token/refresh/", json={"refresh": rotated.refresh}).status_code == 200
    with app.app_context():
        admin.disable(UUID(disabled.user["id"]))
        db.engine.dispose()

    typed(block("docs/operating.md", "sh", "> erased.jsonl"), tmp_path, restorable)
    typed(put_back, tmp_path, restorable)
    app, client = served()
    for person in (out, disabled, erased):
        assert client.get("/api/me/", headers=person.bearer).status_code == 200, "else there is nothing to be seen"
    typed(block("docs/operating.md", "sh", "--everybody"), tmp_path, restorable)
    typed(block("docs/operating.md", "sh", "xargs"), tmp_path, restorable)

    for person in (out, disabled, erased, rotated):
        assert client.get("/api/me/", headers=person.bearer).status_code == 401
        assert client.post("/api/token/refresh/", json={"refresh": person.refresh}).status_code == 401
    statuses = {name: log_in(client, f"{name}@example.com").status_code for name in (*names, "new")}
    assert statuses == {"out": 200, "rotated": 200, "disabled": 401, "erased": 401, "new": 401}
    with app.app_context():
        assert db.session.get(User, UUID(erased.user["id"])) is None
        kinds = set(db.session.scalars(select(Event.type)))
        assert {"all_sessions_ended", "account_disabled", "account_erased"} <= kinds
        assert "refresh_reused" not in kinds
        db.session.remove()
        db.engine.dispose()


def test_the_guides_purge_deletes_what_is_over(app: Flask, tmp_path: Path, database: str) -> None:
    with app.app_context():
        db.session.add(Event(type="signed_in", created_at=now() - timedelta(days=400)))
        db.session.commit()
    printed = typed(block("docs/operating.md", "sh", "authserver purge"), tmp_path, database)
    assert printed == "1 events would be deleted.\n1 events deleted.\n"


def test_the_guides_invitation_is_made_and_made_again(tmp_path: Path, database: str) -> None:
    for _ in range(2):
        printed = typed(block("docs/operating.md", "sh", "invitations create"), tmp_path, database)
        assert printed.startswith(f"{PUBLIC_URL}/signup#token=")


def test_the_guides_events_are_listed(client: FlaskClient, tmp_path: Path, database: str) -> None:
    log_in(client, sign_up(client).user["email"], "another password")
    printed = typed(block("docs/operating.md", "sh", "sign_in_failed"), tmp_path, database)
    (event,) = map(json.loads, printed.splitlines())
    assert event["type"] == "sign_in_failed"


def test_people_of_a_django_project_move_here_and_sign_in(client: FlaskClient, tmp_path: Path, database: str) -> None:
    program = PROJECT % PASSWORD + block("docs/operating.md", "python", "get_user_model")
    subprocess.run([sys.executable, "-I", "-c", program], cwd=tmp_path, timeout=60, check=True)
    assert len((tmp_path / "people.jsonl").read_text().splitlines()) == 2
    printed = typed(block("docs/operating.md", "sh", "users import"), tmp_path, database)
    assert printed.splitlines()[-1] == "2 imported, 0 here already, 0 refused."
    printed = typed(block("docs/operating.md", "sh", "users import"), tmp_path, database)
    assert printed.splitlines()[-1] == "0 imported, 2 here already, 0 refused."
    assert log_in(client, "ada@example.com").get_json()["user"]["first_name"] == "Ada"
    assert log_in(client, "charles@example.com").status_code == 401
