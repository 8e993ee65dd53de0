"""The page about tokens that frontends were written against; its code is cut out of it and run as it stands there."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
PAGE = Path(__file__).with_name("token-management.txt")
ADDRESS = "http://localhost:8000"  # as the page writes it


def missing(what: str) -> NoReturn:
    """Skips the test by name; in CI nothing may be missing."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


def tool(name: str) -> str:
    """The path of a program that the test needs."""
    return shutil.which(name) or missing(name)


def between(first: str, last: str) -> str:
    """What the page shows between two of its lines."""
    lines = PAGE.read_text("utf-8").splitlines()
    assert (lines.count(first), lines.count(last)) == (1, 1), f"the page has not once {first!r} and {last!r}"
    code = lines[lines.index(first) + 1 : lines.index(last)]
    assert any(code), f"the page has nothing between {first!r} and {last!r}"
    return "\n".join(code) + "\n"


def filled(code: str, values: Mapping[str, str]) -> str:
    """The code with its placeholders filled in, and nothing else changed."""
    for placeholder, value in values.items():
        assert placeholder in code, f"the page's code has no {placeholder}"
        code = code.replace(placeholder, value)
    return code
