"""Packages of npm's that tests need, each folder's named and pinned in its package.json."""

import subprocess
from pathlib import Path

from tests.e2e.page import missing, tool


def installed(folder: Path) -> Path:
    """The folder's `node_modules`, with what its package.json names: installed once for each of its versions."""
    wanted = (folder / "package.json").read_text()
    modules = folder / "node_modules"
    stamp = modules / ".installed"
    if not stamp.exists() or stamp.read_text() != wanted:
        npm = subprocess.run([tool("npm"), "install"], cwd=folder, capture_output=True, text=True, timeout=300)
        if npm.returncode != 0:
            missing(
                f"what {folder.name}/package.json names: npm says {npm.stderr.strip() or npm.stdout.strip()!r}, and so"
            )
        stamp.write_text(wanted)
    return modules
