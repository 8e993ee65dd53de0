"""The calls of README.md and docs/first-minute.md that need no client, typed into a shell against `authserver dev`."""

import json
import re
import subprocess
from typing import Any

import pytest

from authserver.cli.server import WELCOME
from authserver.dev.people import PASSWORD, TAKEN
from tests.blocks import block
from tests.deferred import finish
from tests.dev.conftest import Development
from tests.e2e.page import ADDRESS, filled, tool


@pytest.fixture(autouse=True)
def curl() -> None:
    tool("curl")


def typed(script: str, development: Development) -> Any:
    """What a shell prints, as JSON."""
    script = filled(script, {ADDRESS: development.url})
    ran = subprocess.run(["bash", "-eu", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(ran.stdout)


def test_a_token_of_the_providers_signs_in(development: Development) -> None:
    token = development.client_token("google", "access_token")
    call = filled(block("README.md", "sh", "GOOGLE_TOKEN"), {"GOOGLE_TOKEN": token})
    for _ in range(2):
        assert typed(call, development)["user"]["first_name"] == "Ada"


def test_somebody_who_is_there_from_the_beginning_logs_in(development: Development) -> None:
    for _ in range(2):
        answer = typed(block("docs/first-minute.md", "sh", "/api/login/"), development)
        assert (answer["user"]["email"], set(answer)) == (TAKEN, {"access", "refresh", "user"})


def test_the_first_call_that_a_start_prints_logs_in(development: Development) -> None:
    call = WELCOME.partition("from another terminal:\n")[2].partition("\n\n")[0]
    for _ in range(2):
        answer = typed(call.format(url=ADDRESS, person=TAKEN, password=PASSWORD), development)
        assert answer["user"]["email"] == TAKEN


def test_a_forgotten_password_is_in_the_mailbox(development: Development) -> None:
    for times in (1, 2):
        assert "detail" in typed(block("docs/first-minute.md", "sh", "/api/password/forgot/"), development)
        finish(development.app)
        mailbox = development.client.get("/mailbox", base_url=development.url).text
        assert mailbox.count("grace@example.org") >= times
        assert len(set(re.findall(r"/password/reset#token=([\w-]+)", mailbox))) == times
