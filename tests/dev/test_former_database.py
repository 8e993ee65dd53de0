"""What becomes of the database of an older `authserver dev`, which had the file name that production has."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from authserver.cli.adopting import adopt_former_database
from authserver.cli.database import migrate_database
from authserver.settings import Settings, SettingsError, load
from tests.conftest import SECRET


@pytest.fixture(autouse=True)
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "instance"


def development(**changes: str) -> Settings:
    given = {"ENV": "development", **changes}
    return load({f"AUTHSERVER_{name}": value for name, value in given.items()})[0]


@pytest.fixture
def former(instance: Path) -> Path:
    path = instance / "authserver.db"
    migrate_database(development(DATABASE_URL=f"sqlite:///{path}"))
    return path


def write(path: Path) -> sqlite3.Connection:
    """Something that lies in the log beside the file as long as the connection is open."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE written (here)")
    return connection


def test_it_goes_on_under_developments_own_name(
    instance: Path, former: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(former).close()
    for _ in range(2):
        adopt_former_database(development())
    assert sorted(path.name for path in instance.iterdir()) == ["development.db", "secret_key"]
    said = f"authserver: the database {former} of an older `authserver dev` is {instance}/development.db now\n"
    assert capsys.readouterr().err == said
    with closing(sqlite3.connect(instance / "development.db")) as connection:
        assert connection.execute("SELECT * FROM written").fetchall() == []
    assert migrate_database(development()).before == "0007"


def test_while_a_server_uses_it_nothing_is_changed(instance: Path, former: Path) -> None:
    with closing(write(former)), pytest.raises(SettingsError, match=f"the database {former} .* end the server"):
        adopt_former_database(development())
    assert former.exists()
    assert not (instance / "development.db").exists()


@pytest.mark.parametrize("of", ["another secret", "no database", "another place", "development's own there"])
def test_what_is_not_surely_developments_stays_where_it_is(instance: Path, of: str) -> None:
    path = instance / "authserver.db"
    changes = {"DATABASE_URL": f"sqlite:///{instance}/other.db"} if of == "another place" else {}
    made = development(DATABASE_URL=f"sqlite:///{path}", **({"SECRET_KEY": SECRET} if of == "another secret" else {}))
    migrate_database(made)
    if of == "no database":
        path.write_text("notes")
    if of == "development's own there":
        migrate_database(development())
    adopt_former_database(development(**changes))
    assert path.exists()
    assert (instance / "development.db").exists() is (of == "development's own there")
