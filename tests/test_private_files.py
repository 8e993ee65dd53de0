"""The embedded database and its folder are this user's alone, whatever the umask."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from authserver.app import create_app
from authserver.cli import cli
from authserver.environment import development_secret
from authserver.extensions import db
from tests.conftest import settings_for, variables
from tests.factories import sign_up


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def migrate(path: Path) -> Result:
    return CliRunner().invoke(cli, ["migrate"], env=variables(f"sqlite:///{path}"), prog_name="authserver")


@pytest.mark.usefixtures("umask")
def test_a_database_that_we_make_is_readable_by_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "made" / "here" / "authserver.db"
    assert migrate(path).exit_code == 0
    app = create_app(settings_for(f"sqlite:///{path}"))
    sign_up(app.test_client())
    beside = sorted(path.parent.iterdir())
    assert [one.name for one in beside] == ["authserver.db", "authserver.db-shm", "authserver.db-wal"]
    assert [mode(one) for one in beside] == [0o600] * 3
    assert [mode(folder) for folder in (path.parent, path.parent.parent)] == [0o700] * 2
    with app.app_context():
        db.engine.dispose()


@pytest.mark.usefixtures("umask")
def test_so_are_the_development_secret_and_its_folder(tmp_path: Path) -> None:
    instance = tmp_path / "some" / "instance"
    assert development_secret(instance)
    assert mode(instance / "secret_key") == 0o600
    assert [mode(folder) for folder in (instance, instance.parent)] == [0o700] * 2


@pytest.mark.parametrize("open_to_others", ["authserver.db", "authserver.db-wal", "authserver.db-shm"])
def test_what_is_open_to_others_is_warned_of_and_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_to_others: str
) -> None:
    """A server under another user may depend on it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "authserver.db"
    assert "chmod" not in migrate(path).output
    loose = tmp_path / open_to_others
    loose.touch()
    for bits, warned in ((0o644, True), (0o602, True), (0o640, False), (0o660, False)):
        loose.chmod(bits)
        output = migrate(path).output
        assert ("expected mode 0600 (chmod 600)" in output) is warned, oct(bits)
        assert str(tmp_path) not in output.partition(f"{path}: ")[0]
        if loose.exists():  # SQLite deletes the other two when it closes the database
            assert mode(loose) == bits
        loose.touch()


def test_a_server_that_starts_warns_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a backup was copied back."""
    path = tmp_path / "authserver.db"
    assert migrate(path).exit_code == 0
    path.chmod(0o644)
    for name, value in variables(f"sqlite:///{path}").items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    create_app()
    assert "chmod 600" in caplog.text


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o755)
    assert migrate(folder / "authserver.db").exit_code == 0
    assert mode(folder) == 0o755
    assert mode(folder / "authserver.db") == 0o600
