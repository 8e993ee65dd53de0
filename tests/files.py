"""The files of the repository, without what happens to lie beside them: a packed client, notes, an editor's copies."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_OURS = {"__pycache__", "node_modules"}


@cache
def files(folder: str) -> tuple[Path, ...]:
    """Returns those under the folder that git knows and that exist; where git knows none, as in an sdist, all."""
    found = [ROOT / name for name in _known(folder)] or [*(ROOT / folder).rglob("*")]
    return tuple(sorted(path for path in found if path.is_file() and not NOT_OURS & {*path.parts}))


def _known(folder: str) -> list[str]:
    if not (ROOT / ".git").exists():  # there may be somebody else's repository around this folder
        return []
    try:
        command = ["git", "ls-files", "-z", "--", folder]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [name for name in ran.stdout.split("\0") if name]
