"""`authserver dev --reload`: one test with the real server, which takes seconds to start; the others do without."""

import os
import signal
import socket
import sys
import time
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from authserver.cli import reloading
from authserver.oauth.registry import GROUP
from tests.serving import free_port
from tests.test_start import PATIENCE, Running, started, variables

pytestmark = pytest.mark.slow

DISCOVERY = "/standins/google/.well-known/openid-configuration"
PLUGIN = """
from authserver.oauth.provider import AccessToken, Provider
def provider(settings):
    return Provider(label="One", access_token=AccessToken(identity=print))
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A provider under development, installed where Python looks for it."""
    installed = tmp_path / "installed"
    metadata = installed / "authserver_reloaded-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: authserver-reloaded\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\nreloaded = authserver_reloaded:provider\n")
    file = installed / "authserver_reloaded.py"
    file.write_text(PLUGIN)
    return file


def label(server: Running) -> str:
    """What the button of the plugin says."""
    (one,) = (one for one in server.call("/api/auth/")[2] if one["name"] == "reloaded")
    return str(one["label"])


def wait_until_refused(port: int) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        assert time.monotonic() < until, "something still listens"
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.02)


def test_a_changed_plugin_is_served_at_the_same_url_and_nothing_outlives_the_watching_process(
    tmp_path: Path, plugin: Path
) -> None:
    port = free_port()
    env = variables(tmp_path, PROVIDERS__RELOADED__CLIENT_ID="id")
    env["PYTHONPATH"] += f"{os.pathsep}{plugin.parent}"
    with started("authserver", "dev", "--port", str(port), "--reload", env=env, port=port) as server:
        server.wait_for("Ctrl-C stops it")
        login = {"email": "ada@example.org", "password": "analytical engine"}
        bearer = {"Authorization": f"Bearer {server.call('/api/login/', login)[2]['access']}"}
        before = server.call(DISCOVERY)[2]
        assert label(server) == "One"
        plugin.write_text(PLUGIN.replace("One", "Two"))
        server.wait_for(f"{plugin} has changed, starting again")
        assert label(server) == "Two", "a request that comes meanwhile waits"
        assert server.call(DISCOVERY)[2] == before
        assert server.call("/api/me/", headers=bearer)[2]["email"] == "ada@example.org"
        assert server.said().count("Ctrl-C stops it") == 1, "the welcome is printed once"
        os.kill(server.process.pid, signal.SIGKILL)
        server.wait()
        wait_until_refused(port)


# A serving process that starts at once: it says how it was started and waits for its end.
SERVING = """
import os
started, pipe, *sockets = os.environ["_AUTHSERVER_DESCRIPTORS"].split()
with open("runs", "a") as runs:
    print(started, os.getpid(), file=runs)
if {fails}:
    raise SystemExit(3)
os.fstat(int(sockets[0]))
os.read(int(pipe), 1)
"""


@pytest.mark.parametrize("fails", [False, True])
def test_it_is_started_again_at_a_change_also_where_it_had_failed_until_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fails: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    runs, watched = tmp_path / "runs", tmp_path / "watched.py"
    monkeypatch.setattr(sys, "orig_argv", ["python", "-S", "-c", SERVING.format(fails=fails)])
    monkeypatch.setattr(reloading, "_places", lambda: [watched])
    said = ""

    def sleep(seconds: float) -> None:
        """Instead of waiting, changes the file once the first process runs or has failed; then presses Ctrl-C."""
        nonlocal said
        said += capsys.readouterr().err
        count = len(runs.read_text().splitlines()) if runs.exists() else 0
        if not watched.exists() and count == 1 and ("waiting for a file to change" in said) is fails:
            watched.write_text("changed")
        elif count == 2:
            raise KeyboardInterrupt
        time.sleep(0.001)

    monkeypatch.setattr(reloading, "sleep", sleep)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        reloading.watch([listening])
    (first, one), (again, two) = (line.split() for line in runs.read_text().splitlines())
    assert (first, again) == ("first", "again")
    assert f"{watched} has changed, starting again\n" in said
    for process in (one, two):
        with pytest.raises(ProcessLookupError):
            os.kill(int(process), 0)


def test_the_files_of_the_server_of_each_provider_and_the_env_file_are_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "src_of_a_test" / "deeper"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("raise AssertionError('it is not imported')")
    (package / "rules.py").write_text("")
    (tmp_path / "file_of_a_test.py").write_text("")
    points = [
        EntryPoint("google", "authserver_providers.google:provider", GROUP),
        EntryPoint("one", "src_of_a_test.deeper:provider", GROUP),
        EntryPoint("two", "file_of_a_test:provider", GROUP),
        EntryPoint("gone", "module_that_nobody_has:provider", GROUP),
    ]
    monkeypatch.setattr(reloading, "entry_points", lambda group: points)
    places = list(reloading._places())
    seen = reloading._snapshot(places)
    root = Path(reloading.__file__).parents[2]
    for path in (
        root / "authserver" / "app.py",
        root / "authserver" / "pages" / "words" / "de.json",
        root / "providers" / "google.py",
        package / "rules.py",
        tmp_path / "file_of_a_test.py",
    ):
        assert path in seen
    assert not [path for path in seen if path.suffix == ".pyc"]
    (tmp_path / ".env").write_text("AUTHSERVER_APP_NAME=Acme\n")
    (package / ".rules.py.swp").write_text("an editor's")
    assert reloading._snapshot(places).keys() - seen.keys() == {tmp_path / ".env"}
