"""What commands print, and commands in processes of their own; those in the test's are called by `run`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import Result

from tests.conftest import variables


def printed(result: Result) -> list[Any]:
    """The JSON documents of a command's output, one a line."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def start(database: str, *arguments: str, code: str = "") -> subprocess.Popen[bytes]:
    """In a process of its own, in a folder without `.env`; `code` takes the place of calling the command."""
    program = ["-c", code] if code else ["-m", "authserver"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[1]), **variables(database)}
    pipe = subprocess.PIPE
    command = [sys.executable, *program, *arguments]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd="/", env=environment)
