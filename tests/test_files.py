"""What the tests take for the files of the repository, in a checkout and in a folder without git."""

import subprocess
from pathlib import Path

import pytest

from tests import files
from tests.e2e.page import tool


def test_a_packed_client_that_lies_about_is_no_file_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ROOT", tmp_path)
    client = tmp_path / "client"
    client.mkdir()
    for name in ("authserver.js", "authserver-client-0.1.0.tgz", "gone.js"):
        (client / name).touch()
    assert len(files.files.__wrapped__("client")) == 3, "in an sdist"
    subprocess.run([tool("git"), "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "client/authserver.js", "client/gone.js"], cwd=tmp_path, check=True)
    (client / "gone.js").unlink()
    assert files.files.__wrapped__("client") == (client / "authserver.js",)
