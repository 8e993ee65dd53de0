"""A database that cannot be used is one sentence with its path, whoever finds it: servers, `migrate`, commands."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import event
from sqlalchemy.engine import Engine

from authserver.app import create_app
from authserver.cli import cli, server
from authserver.settings import Settings, SettingsError
from tests import modes
from tests.conftest import SECRET, settings_for, variables

Prepare = Callable[[Path], None]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated_sqlite: Path) -> Iterator[Path]:
    """Of a migrated database, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(server, "listen", lambda *_: [])
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(migrated_sqlite, folder / "authserver.db")
    yield folder / "authserver.db"
    folder.chmod(0o700)


def served(path: Path) -> Settings:
    settings = settings_for(f"sqlite:///{path}")
    create_app(settings)
    return settings


def called(path: Path, *arguments: str, **changes: str) -> str:
    """What a command prints; raises its `SettingsError`."""
    env = variables(f"sqlite:///{path}", mail_url="smtp://127.0.0.1:9", **changes)
    result = CliRunner().invoke(cli, arguments, env=env, input="correct horse battery staple\n", prog_name="authserver")
    if isinstance(result.exception, SettingsError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def developed(path: Path) -> None:
    called(path, "dev", env="development", public_url="http://localhost:8000")


WAYS: dict[str, Callable[[Path], object]] = {
    "a server": served,
    "dev": developed,
    "migrate": lambda path: called(path, "migrate"),
    "a command that reads": lambda path: called(path, "users", "list"),
    "a command that writes": lambda path: called(path, "users", "create", "ada@example.com", "--password-stdin"),
    "keys reset": lambda path: called(path, "keys", "reset", "--yes"),
}


def closed_folder(path: Path) -> None:
    path.parent.chmod(0o000)


def folder_that_is_only_read(path: Path) -> None:
    path.parent.chmod(0o500)


def empty_folder_that_is_only_read(path: Path) -> None:
    path.unlink()
    path.parent.chmod(0o500)


def file_that_is_only_read(path: Path) -> None:
    path.chmod(0o400)


def file_of_somebody_else(path: Path) -> None:
    path.chmod(0o000)


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (closed_folder, "folder"),
        (folder_that_is_only_read, "may not write in the folder"),
        (empty_folder_that_is_only_read, "folder"),
        (file_of_somebody_else, "may not write to it"),
        (file_that_is_only_read, "may not write to it"),
        (folder_in_its_place, "unable to open database file"),
    ],
)
def test_what_may_not_be_used_is_said_with_its_path(path: Path, way: str, prepare: Prepare, reason: str) -> None:
    prepare(path)
    with modes.obeyed():
        if prepare is file_that_is_only_read and way in ("a command that reads", "migrate"):
            assert WAYS[way](path), "what has nothing to write does its work"
            return
        with pytest.raises(SettingsError) as raised:
            WAYS[way](path)
    sentence = str(raised.value)
    assert f"the database {path} cannot be " in sentence
    assert reason in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("way", ["a server", "a command that reads"])
def test_a_folder_that_does_not_exist_is_said_and_made_by_migrate(path: Path, way: str) -> None:
    missing = path.parent / "some" / "where" / "authserver.db"
    with pytest.raises(SettingsError, match=f"the database {missing} cannot be used: it does not exist: .*migrate`"):
        WAYS[way](missing)
    assert not missing.parent.exists()
    assert called(missing, "migrate") == f"{missing}: made at 0007\n"
    WAYS[way](missing)


@pytest.fixture
def full() -> Iterator[None]:
    """A disk without room: SQLite says the same where it may not make its file larger."""

    def limit(connection: Any, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # no smaller than the file is

    event.listen(Engine, "connect", limit)
    yield
    event.remove(Engine, "connect", limit)


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("way", ["dev", "migrate"])
def test_a_full_disk_is_said_with_the_path(path: Path, way: str) -> None:
    path.unlink()
    with pytest.raises(SettingsError, match=f"the database {path} cannot be used: database or disk is full"):
        WAYS[way](path)


def test_a_server_starts_while_another_writes(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        served(path)
    assert caplog.messages == []


@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_an_instance_folder_that_root_made_is_said_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(server, "listen", lambda *_: [])
    instance = tmp_path / "instance"
    instance.mkdir(mode=mode)
    env = {name: None for name in os.environ if name.startswith("AUTHSERVER_")}
    for arguments, given, sentence in (
        (["dev"], {}, f"{instance}/secret_key cannot be read or made (Permission denied)"),
        (["dev"], {"AUTHSERVER_SECRET_KEY": SECRET}, f"database {instance}/development.db cannot be made"),
        (["users", "list"], {}, f"may not write in the folder {instance}"),
    ):
        with modes.obeyed():
            result = CliRunner().invoke(cli, arguments, env={**env, **given}, prog_name="authserver")
        assert isinstance(result.exception, SettingsError)
        assert sentence in str(result.exception)
    instance.chmod(0o700)
