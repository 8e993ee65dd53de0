"""`make` on a clean clone, with a Python that only notes down what it is asked to do."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What pip says where no index answers: more than these lines, of which nobody needs any.
PYTHON = """#!/bin/sh
echo "$*" >> asked
case "$*" in
"-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
*"pip install"*) [ ! -f fails ] || { cat fails; exit 1; } ;;
esac
"""
NO_INDEX = "WARNING: Retrying\nERROR: Could not find a version of setuptools>=77 (from versions: none)\n"
INSTALLING = "Installing into .venv, once: this takes a minute or two ...\n"

pytestmark = pytest.mark.skipif(not shutil.which("make") and not os.environ.get("CI"), reason="make is not installed")


@dataclass
class Clone:
    folder: Path

    def make(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        python = f"PYTHON={self.folder.parent}/python"
        # Without the variables by which a make that runs the tests tells this one its own options.
        env = {"PATH": os.environ["PATH"]}
        return subprocess.run(["make", python, *arguments], cwd=self.folder, env=env, capture_output=True, text=True)

    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    folder = tmp_path / "a clone"
    folder.mkdir()
    for name in ("Makefile", "setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return Clone(folder)


def test_run_says_first_and_once_that_it_installs_and_then_no_more(clone: Clone) -> None:
    assert clone.make("run").stdout == INSTALLING
    assert [line.split()[-1] for line in clone.asked()[1:]] == [".venv", ".", "dev"]
    again = clone.make("run", "PORT=9000", "ARGS=--reload")
    assert (again.stdout, clone.asked()[4:]) == ("", ["-m authserver dev --port 9000 --reload"])


@pytest.mark.parametrize(
    ("target", "extras"), [("test", "test,test"), ("check", "test,dev"), ("browser", "test,browser")]
)
def test_each_target_installs_what_it_needs(clone: Clone, target: str, extras: str) -> None:
    assert clone.make(target).stdout.startswith(INSTALLING)
    assert f"-m pip install --retries 2 --editable .[{extras}]" in clone.asked()


def test_it_is_said_before_anything_is_made(clone: Clone) -> None:
    (clone.folder.parent / "python").write_text('#!/bin/sh\n[ "$2" != venv ]\n')
    ran = clone.make("run")
    assert (ran.returncode, ran.stdout.startswith(INSTALLING)) == (2, True)
    assert "No virtual environment could be made" in ran.stdout
    assert not (clone.folder / ".venv").exists()


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            NO_INDEX,
            "Nothing could be installed, since pip reaches no package index: try again when this machine is online",
        ),
        ("ERROR: No space left on device\n" * 50, "Not everything could be installed: .venv/pip.log says why"),
    ],
)
def test_what_pip_cannot_install_is_one_sentence_and_a_second_try_begins_with_it(
    clone: Clone, said: str, sentence: str
) -> None:
    fails = clone.folder / "fails"
    fails.write_text(said)
    ran = clone.make("run")
    assert (ran.returncode, ran.stdout) == (2, f"{INSTALLING}{sentence}\n")
    assert [line.partition(":")[0] for line in ran.stderr.splitlines()] == ["make"]
    assert not [line for line in clone.asked() if "authserver dev" in line]
    fails.unlink()
    assert clone.make("run").stdout == INSTALLING
    assert clone.asked()[-2:] == ["-m pip install --retries 2 --editable .", "-m authserver dev"]
