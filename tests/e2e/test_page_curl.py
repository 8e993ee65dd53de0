"""The page's cURL example, typed into a shell, against a server of each kind."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.blocks import block
from tests.conftest import SECRET
from tests.e2e.page import ADDRESS, ROOT, between, filled, tool
from tests.e2e.servers import Server, call, environment, running, sign_up

pytestmark = pytest.mark.slow

LIFETIME = 3  # seconds: the page's 60 minutes
EXPIRED = {"detail": "Given token not valid for any token type", "code": "token_not_valid"}
STEP = re.compile(r"# (\d)\. ")
WAIT = "# 3. Wait 60+ minutes"


def typed(script: str, folder: Path) -> dict[str, str]:
    """What each step of the script printed. Between its lines only marks are typed, and the wait is waited."""
    lines = []
    for line in script.splitlines():
        step = STEP.match(line)
        lines += [f"printf '\\n@@ {step[1]}\\n'", line] if step else [line]
        lines += [f"sleep {LIFETIME}"] if line.startswith(WAIT) else []
    shell = subprocess.run(
        [tool("bash"), "--noprofile", "--norc", "-i"],
        input="\n".join(lines),
        cwd=folder,
        env=environment(folder, {}),
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,  # without a terminal: an interactive shell would take the one of the tests
    )
    sys.stdout.write(shell.stderr)
    _, *parts = re.split(r"^@@ (\d)\n", shell.stdout, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.fixture
def script() -> str:
    for program in ("bash", "curl", "jq"):
        tool(program)
    return between("With cURL", "Best Practices")


def assert_works(script: str, server: Server, folder: Path) -> None:
    assert server.url == ADDRESS
    assert WAIT in script
    person = sign_up(server, first_name="Ada", last_name="Lovelace")
    filled_in = filled(script, {"your_access_token": person.access, "your_refresh_token": person.refresh})
    steps = typed(filled_in, folder)
    assert list(steps) == ["1", "2", "3", "4", "5", "6"]
    assert json.loads(steps["2"]) == person.user
    assert json.loads(steps["4"]) == EXPIRED
    assert json.loads(steps["6"]) == person.user
    assert [steps[silent].strip() for silent in "135"] == ["", "", ""]
    refused = call("GET", f"{server.url}/api/me/", bearer=person.access)
    assert (refused.status, refused.body) == (401, EXPIRED)


def make(line: str) -> list[str]:
    """A documented `make`. What it installs is there, since the tests run; again would change it under them."""
    program, target = shlex.split(line, comments=True)
    return [tool(program), f"--old-file=.venv/{target}", target]


def test_the_curl_example_works_with_make_run(script: str, checkout: Path) -> None:
    command = make(block("docs/first-minute.md", "sh", "make run"))
    with running(command, checkout, 8000, {"AUTHSERVER_ACCESS_TOKEN_LIFETIME": str(LIFETIME)}) as server:
        assert_works(script, server, checkout)


def test_the_curl_example_works_with_gunicorn(script: str, checkout: Path, database: str) -> None:
    settings = {
        "AUTHSERVER_ENV": "production",
        "AUTHSERVER_SECRET_KEY": SECRET,
        "AUTHSERVER_PUBLIC_URL": ADDRESS,
        "AUTHSERVER_DATABASE_URL": database,
        "AUTHSERVER_ACCESS_TOKEN_LIFETIME": str(LIFETIME),
        "WEB_CONCURRENCY": "2",
    }
    migrate = [sys.executable, "-m", "authserver", "migrate"]
    subprocess.run(migrate, cwd=checkout, env=environment(checkout, settings), check=True, timeout=60)
    with running([sys.executable, "-m", "gunicorn", "wsgi:app"], checkout, 8000, settings) as server:
        assert_works(script, server, checkout)


def test_the_readmes_two_commands_serve_and_test(checkout: Path) -> None:
    serve, test = map(make, block("README.md", "sh", "make run").splitlines())
    with running(serve, checkout, 8000, {}) as server:
        assert call("GET", f"{server.url}/api/me/").status == 401
    for name in ("authserver", "providers", "tests"):
        (checkout / name).symlink_to(ROOT / name)
    env = environment(checkout, {"ARGS": "-n 0 tests/test_redirect.py"})
    ran = subprocess.run(test, cwd=checkout, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout
