"""The wheel: all that the tree has and no more, and a server where only the wheel is installed."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_string
from pathlib import Path
from zipfile import ZipFile

import psycopg
import pytest
from sqlalchemy import make_url

from authserver.testing.kit.server import serving
from tests.blocks import block
from tests.e2e import servers
from tests.e2e.page import filled, tool
from tests.factories import signup_body
from tests.files import files
from tests.serving import free_port
from tests.test_start import PATIENCE, ROOT, gunicorn, production, started, variables

pytestmark = pytest.mark.slow

# The folders of the tree and the packages that they are in the wheel.
PACKAGES = {"authserver": "authserver", "providers": "authserver_providers"}
CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: in the tree itself, what an earlier build left lying in build/ would get into it."""
    source, target = source_of_the_wheel(tmp_path_factory.mktemp("source")), tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(target), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=180)
    check_built(built)
    (found,) = target.iterdir()
    return found


def source_of_the_wheel(folder: Path) -> Path:
    for path in (path for name in PACKAGES for path in files(name)):
        (folder / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.relative_to(ROOT))
    (folder / "tests").mkdir()
    (folder / "tests" / "__init__.py").touch()  # which must not get in
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "wsgi.py", "gunicorn.conf.py"):
        shutil.copy(ROOT / name, folder)
    return folder


def check_built(built: "subprocess.CompletedProcess[str]") -> None:
    """Skips by name where pip could not fetch what it builds with, except in CI."""
    if built.returncode and "requirement setuptools" in built.stderr and not os.environ.get("CI"):
        pytest.skip("setuptools, which builds the wheel, cannot be fetched")
    assert built.returncode == 0, built.stdout + built.stderr


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return environment(wheel, tmp_path_factory.mktemp("installed"))


def environment(wheel: Path, folder: Path) -> str:
    """The interpreter of an environment that has the wheel and, to be quick, borrows the libraries of this one."""
    venv.create(folder, symlinks=True)
    executable = str(folder / "bin" / "python")
    command = [sys.executable, "-m", "pip", "--quiet", "--python", executable, "install", "--no-deps", "--no-index"]
    subprocess.run([*command, str(wheel)], check=True, timeout=180)
    borrow(folder)
    return executable


def borrow(folder: Path) -> None:
    """By a line in a .pth file, so that they come after the wheel, and so that a checkout that is installed among them

    in editable mode, which is a .pth file too, is not found.
    """
    (packages,) = folder.glob("lib/python*/site-packages")
    borrowed = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (packages / "borrowed.pth").write_text("\n".join(borrowed))


def outside(env: dict[str, str]) -> dict[str, str]:
    """The same without the way to this checkout."""
    return {name: value for name, value in env.items() if name != "PYTHONPATH"}


def tree() -> set[str]:
    """What the wheel has to hold, under the names there."""
    return {
        f"{package}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, package in PACKAGES.items()
        for path in files(folder)
    }


def test_the_wheel_holds_the_tree_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == tree()
    for name in (
        "authserver/py.typed",
        "authserver/passwords/common.txt",
        "authserver/migrations/env.py",
        "authserver/migrations/versions/0001_first_tables.py",
        "authserver/testing/standins/__init__.py",
        "authserver_providers/google.py",
    ):
        assert name in held
    assert {name.partition("/")[0] for name in held} == set(PACKAGES.values()), "neither wsgi.py nor tests"


def test_the_wheel_says_what_it_is_and_needs(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_string(archive.read(name).decode())
    assert (metadata["Name"], metadata["Version"]) == ("authserver", CONFIG["metadata"]["version"])
    assert metadata["Requires-Python"] == ">=3.11"
    needed = metadata.get_all("Requires-Dist") or []
    always = [one for one in needed if "extra ==" not in one]
    assert not [one for one in always if one.startswith(("gunicorn", "psycopg", "pytest"))]
    assert {"production", "test"} <= set(metadata.get_all("Provides-Extra") or [])


def asked(python: str, home: Path, source: str) -> object:
    """What the installed interpreter prints of itself, as JSON."""
    ran = subprocess.run(
        [python, "-c", source],
        env=outside(variables(home)),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return json.loads(ran.stdout)


def test_the_wheels_entry_points_are_found_and_are_the_wheels(python: str, tmp_path: Path) -> None:
    source = (
        "import json, authserver\n"
        "from importlib.metadata import entry_points\n"
        "points = entry_points(group='authserver.providers')\n"
        "files = {point.name: point.load().__code__.co_filename for point in points}\n"
        "print(json.dumps({'authserver': authserver.__file__, **files}))"
    )
    found = asked(python, tmp_path, source)
    assert isinstance(found, dict)
    named = {
        line.partition(" ")[0] for line in CONFIG["options.entry_points"]["authserver.providers"].split("\n") if line
    }
    assert named >= {"facebook", "google", "microsoft"}
    assert found.keys() == {"authserver", *named}
    for file in found.values():
        assert Path(file).is_relative_to(Path(python).parents[1]), "installed, not this checkout"


def test_an_installed_server_migrates_and_serves_a_sign_up(python: str, tmp_path: Path) -> None:
    env = outside(production(tmp_path, PROVIDERS__GOOGLE__CLIENT_ID="id"))
    command = Path(python).parent / "authserver"
    ran = subprocess.run([command, "migrate"], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert (ran.returncode, ran.stderr) == (0, "")
    with gunicorn(env, "authserver:create_app()", python) as server:
        server.wait_for("Booting worker")
        status, _, answer = server.call("/api/signup/", signup_body())
        assert (status, answer.keys()) == (201, {"access", "refresh", "user"}), server.said()
        assert server.call("/api/auth/google/", {})[0] == 400, "and the provider is there"
        status, _, _ = server.call("/api/signup/", signup_body(password="password1", password_confirm="password1"))
        assert status == 400, "and the list of common passwords"


# In production, as the README says


@pytest.fixture
def no_database_yet(postgres: str) -> Iterator[str]:
    """The address of one that `authserver migrate` has to create."""
    url = make_url(postgres)
    yield url.set(database=f"{url.database}_production").render_as_string(hide_password=False)
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {url.database}_production WITH (FORCE)")


def test_the_readmes_production_starts_and_serves(
    no_database_yet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip fetches nothing but what it builds with: what the lock names is borrowed."""
    monkeypatch.setattr(servers, "PATIENCE", 180)  # seconds: the wheel is built first
    tool("openssl")
    here = {
        "postgresql://user:password@host/authserver": no_database_yet,
        "pip install --require-hashes -r deploy/requirements.txt": "",
    }
    script = filled(block("README.md", "sh", "gunicorn wsgi:app"), here)
    source = source_of_the_wheel(tmp_path / "source")
    programs = tmp_path / "environment" / "bin"
    venv.create(programs.parent, symlinks=True)
    borrow(programs.parent)
    for name in ("gunicorn", "pip"):
        (programs / name).write_text(f'#!/bin/sh\nexec "{programs}/python" -m {name} "$@"\n')
        (programs / name).chmod(0o755)
    port = free_port()
    settings = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PIP_NO_DEPS": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "BIND": f"127.0.0.1:{port}",
        "WEB_CONCURRENCY": "1",
    }
    with servers.running(["bash", "-eu", "-c", script], source, port, settings) as server:
        assert servers.call("POST", f"{server.url}/api/signup/", signup_body()).status == 201
        assert servers.call("GET", f"{server.url}/api/auth/").body == []
    assert "Successfully installed authserver" in server.log.read_text()


# A provider that is a package of its own: docs/plugins.md, step by step

INSTALL_AND_TEST = block("docs/plugins.md", "sh", "pytest")
SWITCH_ON = block("docs/plugins.md", "sh", "authserver providers")
BUILD = block("docs/plugins.md", "sh", "pip wheel")


@dataclass(frozen=True)
class Author:
    """Who follows the guide, in a folder with its three files and an environment that has authserver."""

    folder: Path
    python: str

    def follow(self, script: str) -> "subprocess.CompletedProcess[str]":
        """Runs a block of the guide as it stands; pip fetches nothing but what it builds with."""
        env = outside(variables(self.folder))
        env |= {"PATH": f"{Path(self.python).parent}:{env['PATH']}", "PIP_NO_DEPS": "1"}
        env |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        command = ["bash", "-eu", "-c", script]
        return subprocess.run(command, env=env, cwd=self.folder, capture_output=True, text=True, timeout=180)


@pytest.fixture(scope="module")
def author(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Author:
    folder = tmp_path_factory.mktemp("author") / "authserver-example"
    shutil.copytree(ROOT / "tests" / "plugin", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return Author(folder, environment(wheel, tmp_path_factory.mktemp("authors")))


@pytest.fixture(scope="module")
def tested(author: Author) -> str:
    """What the guide's first commands print: the plugin is installed then."""
    ran = author.follow(INSTALL_AND_TEST)
    check_built(ran)
    return ran.stdout


def test_the_guides_plugin_passes_the_tests_that_it_inherits_from_the_installed_kit(tested: str) -> None:
    assert re.search(r"=+ \d\d passed in ", tested), tested


@pytest.mark.usefixtures("tested")
def test_the_guides_plugin_is_listed_as_enabled(author: Author) -> None:
    ran = author.follow(SWITCH_ON)
    (said,) = ran.stderr.splitlines()
    assert (ran.returncode, said.startswith("authserver: for `authserver dev` at ")) == (0, True)
    (listed,) = (line for line in ran.stdout.splitlines() if line.startswith("example "))
    assert re.split(r"  +", listed) == ["example", "enabled", "access_token", "authserver-example 1.0.0"]


@pytest.mark.usefixtures("tested")
def test_the_guides_plugin_signs_someone_in_at_a_started_server(author: Author, tmp_path: Path) -> None:
    with serving() as upstream:
        upstream.said = {
            "POST /introspect": {"active": True, "client_id": "ours", "sub": "1"},
            "GET /me": {"id": "1", "email": "ada@example.com", "email_confirmed": True, "name": "Ada"},
        }
        options = {"PROVIDERS__EXAMPLE__CLIENT_ID": "ours", "PROVIDERS__EXAMPLE__API_URL": upstream.url}
        env, port = outside(variables(tmp_path, **options)), free_port()
        with started("authserver", "dev", "--port", str(port), env=env, port=port, python=author.python) as server:
            server.wait_for("Ctrl-C")
            status, _, answer = server.call("/api/auth/example/", {"access_token": "token"})
            assert (status, answer["user"]["email_verified"]) == (200, True), server.said()
            assert "example" in [one["name"] for one in server.call("/api/auth/")[2]]  # beside the stand-ins
            upstream.said = {"POST /introspect": {"active": True, "client_id": "theirs", "sub": "1"}}
            assert server.call("/api/auth/example/", {"access_token": "token"})[0] == 401


@pytest.mark.usefixtures("tested")
def test_the_guides_wheel_holds_one_module(author: Author) -> None:
    check_built(author.follow(BUILD))
    (built,) = (author.folder / "dist").iterdir()
    with ZipFile(built) as archive:
        assert [name for name in archive.namelist() if ".dist-info/" not in name] == ["authserver_example.py"]
