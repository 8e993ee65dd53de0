"""Every code block of the docs is run by a test: each is cut out by a call of `block` in one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.blocks import PAGES, ROOT, blocks, find

TESTS = ROOT / "tests"
FILES = {path: path.read_text("utf-8") for path in sorted(TESTS.rglob("*.py")) if "node_modules" not in path.parts}
NOT_CODE = "text"  # a sketch of a folder, an output


def calls(source: str) -> Iterator[list[str]]:
    """The arguments of each call of `block`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "block":
            yield [ast.literal_eval(argument) for argument in node.args]


def is_run(path: Path) -> bool:
    """Whether pytest collects the file, or one that it collects imports from it."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    collected = [text for file, text in FILES.items() if file.name.startswith("test_")]
    return path.name.startswith("test_") or any(f"from {module} import" in text for text in collected)


def test_every_block_is_run_by_a_test() -> None:
    run = {find(*arguments) for path, text in FILES.items() if is_run(path) for arguments in calls(text)}
    left_out = {one for page in PAGES for one in blocks(page) if one.language != NOT_CODE} - run
    assert not left_out, [f"{one.page}:{one.line} is in no test" for one in left_out]


@pytest.mark.parametrize("page", PAGES)
def test_every_fence_is_one_of_a_block(page: str) -> None:
    """An indented or unnamed one would not be seen above."""
    lines = (ROOT / page).read_text("utf-8").splitlines()
    assert len([line for line in lines if line.lstrip(" >-").startswith(("```", "~~~"))]) == 2 * len(blocks(page))
    inside = [line for one in blocks(page) for line in one.code.splitlines()]
    indented = [line for line in lines if line.startswith(("    ", "\t")) and line.strip()]
    assert [line for line in indented if line not in inside] == [], "an indented line is code too"
