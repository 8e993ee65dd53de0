"""Our tokens are verified by others' code, in processes that know nothing of ours but docs/verifying.md."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.blocks import block
from tests.conftest import MakeApp
from tests.e2e.page import tool
from tests.factories import PASSWORD, sign_up
from tests.npm import installed
from tests.serving import free_port, served

pytestmark = pytest.mark.slow

NODE = Path(__file__).with_name("verifiers")
BLOCKS = {
    "joserfc": block("docs/verifying.md", "python", "joserfc"),
    "fastapi": block("docs/verifying.md", "python", "fastapi"),
    "SIMPLE_JWT": block("docs/verifying.md", "python", "SIMPLE_JWT"),
    "jose": block("docs/verifying.md", "js", "jose"),
}
AUTHENTICATION = block("docs/verifying.md", "python", "KeysUnavailable")
# Behind a block of the docs: `verdict` is the user's id, None where the token is refused as it should be, or
# "unavailable" where it is neither good nor bad.
DRIVERS = {
    "joserfc": """
from joserfc.errors import JoseError
def verdict(token):
    try:
        return user_id(token)
    except (JoseError, ValueError):
        return None
    except OSError:
        return "unavailable"
""",
    "fastapi": """
from fastapi.testclient import TestClient
client = TestClient(app)
def verdict(token):
    answer = client.get("/hello/", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code in (200, 401, 503), answer
    return "unavailable" if answer.status_code == 503 else answer.json().get("you_are")
""",
    "SIMPLE_JWT": """
import sys
import django
from django.conf import settings
sys.path.insert(0, ".")
settings.configure(
    SECRET_KEY="not used", ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None, ROOT_URLCONF=__name__, USE_TZ=True,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"],
    REST_FRAMEWORK=REST_FRAMEWORK, SIMPLE_JWT=SIMPLE_JWT,
)
django.setup()
from django.test import Client
from django.urls import path
from rest_framework.decorators import api_view
from rest_framework.response import Response
@api_view()
def hello(request):
    return Response({"you_are": request.user.id})
urlpatterns = [path("hello/", hello)]
def verdict(token):
    answer = Client().get("/hello/", HTTP_AUTHORIZATION=f"Bearer {token}")
    assert answer.status_code in (200, 401, 503), answer
    return "unavailable" if answer.status_code == 503 else answer.json().get("you_are")
""",
    "jose": """
import { createInterface } from 'node:readline';
for await (const line of createInterface({ input: process.stdin })) {
  const verdicts = {};
  for (const [name, token] of Object.entries(JSON.parse(line)))
    verdicts[name] = await userId(token).catch((error) => (isOutage(error) ? 'unavailable' : null));
  console.log(JSON.stringify(verdicts));
}
""",
}
REPORT = """
import json, sys
for line in sys.stdin:
    print(json.dumps({name: verdict(token) for name, token in json.loads(line).items()}), flush=True)
assert not {"authserver", "flask"} & sys.modules.keys()
"""


def run(command: list[str], folder: Path, given: object = None) -> object:
    """What the program printed, as JSON."""
    done = subprocess.run(command, cwd=folder, input=json.dumps(given), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def program(command: list[str], folder: Path) -> Iterator[Callable[[object], object]]:
    """A program that prints one line of JSON for each that it is given."""
    with (
        (folder / "errors").open("w+") as errors,
        subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as running,
    ):
        assert running.stdin
        assert running.stdout
        ask, answers = running.stdin, running.stdout

        def answer(given: object) -> object:
            print(json.dumps(given), file=ask, flush=True)
            line = answers.readline()
            assert line, (folder / "errors").read_text()
            return json.loads(line)

        watchdog = Timer(60, running.kill)
        watchdog.start()
        try:
            yield answer
            ask.close()
            assert running.wait() == 0, (folder / "errors").read_text()
        finally:
            watchdog.cancel()
            running.kill()


def command_for(name: str, url: str, folder: Path) -> list[str]:
    """Writes the docs' block and its driver as one program."""
    assert len([line for line in BLOCKS[name].splitlines() if line.strip()]) <= 32
    source = BLOCKS[name].replace("http://localhost:8000", url) + DRIVERS[name]
    if name == "jose":
        (folder / "node_modules").symlink_to(installed(NODE))
        (folder / "verify.mjs").write_text(source)
        return [tool("node"), "verify.mjs"]
    (folder / "authentication.py").write_text(AUTHENTICATION)  # simplejwt's settings name it
    (folder / "verify.py").write_text(source + REPORT)
    return [sys.executable, "-I", "verify.py"]


def tokens(make_app: MakeApp, advance: Callable[[float], None], port: int) -> tuple[Flask, str, dict[str, str]]:
    """A server at the port, a user's id, and tokens of which only the one named "access" is good."""
    development: dict[str, object] = {"env": "development", "public_url": f"http://localhost:{port}"}
    app = make_app(**development)
    person = sign_up(app.test_client())
    body = {"email": person.user["email"], "password": PASSWORD}

    def another(**changes: object) -> str:
        client = make_app(**{**development, **changes}).test_client()
        access: str = client.post("/api/login/", json=body).get_json()["access"]
        return access

    given = {
        "access": person.access,
        "refresh": person.refresh,
        "for another audience": another(audience="https://api.example.com"),
        "of another issuer": another(public_url="http://localhost:1", audience=f"http://localhost:{port}"),
        "altered": person.access[:-6] + "AAAAAA",
        "unsigned": "eyJhbGciOiJub25lIn0." + person.access.split(".")[1] + ".",
        "no token": "x",
    }
    advance(-7200)
    given["expired"] = another()
    advance(7200)
    return app, person.user["id"], given


@pytest.mark.parametrize("name", DRIVERS)
def test_others_take_our_access_token_and_no_other(
    make_app: MakeApp, advance: Callable[[float], None], tmp_path: Path, name: str
) -> None:
    port = free_port()
    app, user_id, given = tokens(make_app, advance, port)
    with program(command_for(name, f"http://localhost:{port}", tmp_path), tmp_path) as verdicts:
        assert verdicts({"access": given["access"]}) == {"access": "unavailable"}, "our server does not run yet"
        with served(app, port):
            assert verdicts(given) == {**dict.fromkeys(given), "access": user_id}
        assert verdicts({"access": given["access"]}) == {"access": user_id}, "it stopped, and the keys are known"


# What simplejwt's own views answer to its documented calls: status and the body's fields, in the order of `calls`.
SIMPLEJWT = """
import json, sys
from django.conf import settings
import django
settings.configure(
    SECRET_KEY="x" * 50, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework",
                    "rest_framework_simplejwt.token_blacklist"],
)
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import path
from rest_framework_simplejwt import views
urlpatterns = [
    path("api/token/", views.TokenObtainPairView.as_view()),
    path("api/token/refresh/", views.TokenRefreshView.as_view()),
    path("api/token/verify/", views.TokenVerifyView.as_view()),
    path("api/token/blacklist/", views.TokenBlacklistView.as_view()),
]
call_command("migrate", verbosity=0)
calls = json.load(sys.stdin)
User.objects.create_user(calls[0][1]["username"], password=calls[0][1]["password"])
known, answers = {}, []
for where, body in calls:
    body = {field: known.get(value, value) for field, value in body.items()}
    answer = Client().post(where, json.dumps(body), content_type="application/json")
    known |= answer.json()
    answers.append([answer.status_code, sorted(answer.json())])
print(json.dumps(answers))
"""


def calls(username: str) -> list[tuple[str, dict[str, str]]]:
    """A frontend's calls; the values `access` and `refresh` stand for the tokens that were answered last."""
    return [
        ("/api/token/", {"username": username, "password": PASSWORD}),
        ("/api/token/", {"username": username, "password": "another"}),
        ("/api/token/refresh/", {"refresh": "refresh"}),
        ("/api/token/refresh/", {"refresh": "access"}),
        ("/api/token/refresh/", {"refresh": "nonsense"}),
        ("/api/token/verify/", {"token": "access"}),
        ("/api/token/verify/", {"token": "refresh"}),
        ("/api/token/verify/", {"token": "nonsense"}),
        ("/api/token/blacklist/", {"refresh": "refresh"}),
        ("/api/token/refresh/", {"refresh": "refresh"}),
        ("/api/token/blacklist/", {"refresh": "nonsense"}),
    ]


def test_a_frontend_of_simplejwts_finds_the_same_answers_here(client: FlaskClient, tmp_path: Path) -> None:
    (tmp_path / "simplejwt.py").write_text(SIMPLEJWT)
    script = calls(sign_up(client).user["email"])
    theirs = run([sys.executable, "-I", "simplejwt.py"], tmp_path, script)
    assert isinstance(theirs, list)
    known: dict[str, str] = {}
    for (where, body), (status, fields) in zip(script, theirs, strict=True):
        answer = client.post(where, json={field: known.get(value, value) for field, value in body.items()})
        known |= answer.get_json()
        assert answer.status_code == status, (where, body)
        if status == 200:
            assert sorted(answer.get_json()) == fields, where
        else:  # simplejwt leaves the code out of a failed login
            assert set(fields) <= answer.get_json().keys() == {"detail", "code"}, where
