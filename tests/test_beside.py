"""Which server a command is for, found out or said: never production's data for development's, nor the reverse."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from authserver.cli import cli, server
from authserver.cli.beside import remember
from authserver.settings import SettingsError, load
from tests.conftest import PUBLIC_URL, SECRET

SECRET_SET = {"SECRET_KEY": SECRET}
URL_SET = {"PUBLIC_URL": PUBLIC_URL}
PRODUCTION = {**SECRET_SET, **URL_SET}
DEVELOPMENT = {"ENV": "development"}


@pytest.fixture(autouse=True)
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(server, "listen", lambda *_: [])
    (tmp_path / "instance").mkdir()
    return tmp_path / "instance"


def called(*arguments: str, **changes: str) -> Result:
    """Raises the `SettingsError` that ends it."""
    env = {name: None for name in os.environ if name.startswith("AUTHSERVER_")}
    given = {f"AUTHSERVER_{name}": value for name, value in changes.items()}
    result = CliRunner().invoke(cli, arguments, env={**env, **given}, prog_name="authserver")
    if isinstance(result.exception, SettingsError):
        raise result.exception
    return result


@pytest.mark.parametrize(
    ("files", "changes", "server"),
    [
        (["development.db"], {}, "development"),
        (["development.db"], {"MAIL_URL": "smtp://127.0.0.1:9"}, "development"),  # either server may have that
        (["development.db"], PRODUCTION, "production"),
        (["development.db", "authserver.db"], PRODUCTION, "production"),
        (["development.db", "authserver.db"], DEVELOPMENT, "development"),
        ([], DEVELOPMENT, "development"),
        (["development.db"], {**PRODUCTION, **DEVELOPMENT}, "development"),
        ([], {}, "unclear"),
        (["authserver.db"], {}, "unclear"),
        (["development.db", "authserver.db"], {}, "unclear"),  # production's settings may be set in its unit alone
        (["development.db"], SECRET_SET, "unclear"),
        (["development.db"], URL_SET, "unclear"),
        (["development.db"], {"DATABASE_URL": "postgresql://user@127.0.0.1/authserver"}, "unclear"),
    ],
)
def test_a_command_finds_its_server_only_where_that_is_clear(
    instance: Path, files: list[str], changes: dict[str, str], server: str
) -> None:
    for name in files:
        (instance / name).touch(mode=0o600)
    if server == "unclear":
        with pytest.raises(SettingsError, match=r"not clear which server .* AUTHSERVER_SECRET_KEY .* AUTHSERVER_ENV="):
            called("providers", **changes)
        assert sorted(path.name for path in instance.iterdir()) == sorted(files), "and nothing is made"
        return
    said = called("providers", "--json", **changes).stderr
    assert ("for `authserver dev` at " in said) is (server == "development")
    assert (f"with the database {instance}/development.db\n" in said) is (server == "development")


def test_beside_make_run_a_command_uses_its_database_and_its_port_and_says_so(
    instance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "serve", lambda *_: None)
    monkeypatch.setattr(server, "serving", lambda app: app)
    called("dev", "--port", "9000")
    listed = called("users", "list")
    assert "ada@example.org" in listed.stdout
    said = f"for `authserver dev` at http://localhost:9000, with the database {instance}/development.db"
    assert listed.stderr == f"authserver: {said}\n"
    invited = called("invitations", "create", "mary@example.com")
    assert invited.stdout.startswith("http://localhost:9000/signup#token=")
    assert called("migrate").stdout == f"{instance}/development.db: up to date at 0007\n"


def test_where_dev_served_can_neither_be_noted_nor_read_commands_go_on(instance: Path) -> None:
    settings, _ = load({"AUTHSERVER_ENV": "development"})
    (instance / "public_url").mkdir()
    remember(settings)
    assert "http://localhost:8000" in called("providers", **DEVELOPMENT).stderr


def test_dev_keeps_from_what_is_productions_unless_it_is_named(instance: Path) -> None:
    with pytest.raises(SettingsError, match=r"are set, as for production: .* set AUTHSERVER_ENV=development"):
        called("dev", **PRODUCTION)
    with pytest.raises(SettingsError, match="served by gunicorn"):
        called("dev", **PRODUCTION, ENV="production")
    assert list(instance.iterdir()) == []


def test_in_production_only_a_person_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**PRODUCTION, "MAIL_URL": "smtp://127.0.0.1:9", "DATABASE_URL": "postgresql://user:secret@db.example/a"}
    assert called("providers", **settings).stderr == ""
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
    said = (
        "authserver: for production at https://auth.example.com, with the database postgresql://user:***@db.example/a\n"
    )
    assert called("providers", **settings).stderr == said


def test_where_no_server_is_clear_all_that_is_wrong_is_named_besides() -> None:
    """A misspelt secret is a reason why none is clear."""
    with pytest.raises(SettingsError) as raised:
        called("users", "list", SECRETKEY=SECRET, PAGES="maybe", **URL_SET)
    unclear, wrong, misspelt = raised.value.sentences
    assert unclear.startswith("it is not clear which server this is for")
    assert wrong == "AUTHSERVER_PAGES: expected true or false"
    assert misspelt.endswith("did you mean AUTHSERVER_SECRET_KEY?")
