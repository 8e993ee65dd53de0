"""S77 as in production: three servers with one database, and more logins at once than they can hash."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authserver.passwords import hashing
from tests.conftest import SECRET
from tests.e2e.page import ROOT
from tests.e2e.servers import environment

pytestmark = pytest.mark.slow

PEOPLE = 300  # the benchmark's own are 1,000, which takes longer and shows the same
NODES = 3


def rush(folder: Path, database: str) -> Any:
    """What `benchmarks/login_rush.py` found, with one process a server: together they have places for 72."""
    command = [sys.executable, "benchmarks/login_rush.py", "--database", database, "--people", str(PEOPLE), "--json"]
    settings = environment(folder, {"AUTHSERVER_SECRET_KEY": SECRET, "WEB_CONCURRENCY": "1"})
    ran = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_s77_while_more_sign_in_than_can_be_hashed_others_are_served(
    tmp_path: Path, migrated_postgres: str, emptying: Callable[[], None]
) -> None:
    emptying()
    found = rush(tmp_path, migrated_postgres)
    logins = Counter(found["logins"])
    assert logins.keys() == {"200", "503"}
    assert logins.total() == PEOPLE
    assert logins["200"] >= NODES * hashing.ADMITTED
    assert found["refusals"] == {"temporarily_unavailable": logins["503"]}, "each says when to come again"
    all_hashed = PEOPLE * found["a login alone"]  # what the others would wait for, were they behind every login
    for path, others in found["others"].items():
        assert others["answers"].keys() == {"200"}, path
        assert others["in the rush"]["p99"] < all_hashed / 10, (path, found)
