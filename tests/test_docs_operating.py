"""The commands of docs/operating.md, typed into a shell as they stand."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

from authserver.clock import now
from authserver.extensions import db
from authserver.models import Event
from tests.blocks import ROOT, block
from tests.conftest import PUBLIC_URL, variables
from tests.factories import PASSWORD, log_in, sign_up

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


def test_the_guides_purge_deletes_what_is_over(app: Flask, tmp_path: Path, database: str) -> None:
    with app.app_context():
        db.session.add(Event(type="signed_in", created_at=now() - timedelta(days=400)))
        db.session.commit()
    printed = typed(block("docs/operating.md", "sh", "authserver purge"), tmp_path, database)
    assert printed == "1 events would be deleted.\n1 events deleted.\n"


def test_the_guides_invitation_is_made(tmp_path: Path, database: str) -> None:
    printed = typed(block("docs/operating.md", "sh", "invitations create"), tmp_path, database)
    assert printed.startswith(f"{PUBLIC_URL}/signup#token=")


def test_the_guides_events_are_listed(client: FlaskClient, tmp_path: Path, database: str) -> None:
    log_in(client, sign_up(client).user["email"], "another password")
    printed = typed(block("docs/operating.md", "sh", "authserver events"), tmp_path, database)
    (event,) = map(json.loads, printed.splitlines())
    assert event["type"] == "sign_in_failed"


def test_people_of_a_django_project_move_here_and_sign_in(client: FlaskClient, tmp_path: Path, database: str) -> None:
    program = PROJECT % PASSWORD + block("docs/operating.md", "python", "get_user_model")
    subprocess.run([sys.executable, "-I", "-c", program], cwd=tmp_path, timeout=60, check=True)
    assert len((tmp_path / "people.jsonl").read_text().splitlines()) == 2
    printed = typed(block("docs/operating.md", "sh", "users import"), tmp_path, database)
    assert printed.splitlines()[-1] == "2 imported, 0 here already, 0 refused."
    assert log_in(client, "ada@example.com").get_json()["user"]["first_name"] == "Ada"
    assert log_in(client, "charles@example.com").status_code == 401
