"""`make docs`, in a copy of what it reads."""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from tests.blocks import ROOT
from tests.e2e.page import missing, tool
from tests.e2e.servers import environment, make_checkout
from tests.files import files

ENTRANCE = "docs/index.html"


def checkout_of_the_docs(folder: Path) -> Path:
    """A copy, for the command writes what is made from the code into the pages."""
    checkout = make_checkout(folder / "checkout")
    for path in files("docs"):
        (checkout / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, checkout / path.relative_to(ROOT))
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, checkout)
    for name in ("authserver", "providers"):
        (checkout / name).symlink_to(ROOT / name)
    return checkout


def make_docs(checkout: Path) -> "subprocess.CompletedProcess[str]":
    if find_spec("sphinx") is None:
        missing("Sphinx (the extra docs)")
    command = [tool("make"), "--old-file=.venv/docs", "docs"]
    env = environment(checkout, {})
    return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, timeout=120, check=False)
