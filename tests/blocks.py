"""The code blocks of the docs: who cuts one out by `block` runs it. tests/test_docs_blocks.py finds those calls."""

import re
from dataclasses import dataclass

from tests.files import ROOT as ROOT
from tests.files import files

PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in files("docs") if path.match("docs/*.md"))]
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.S | re.M)


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    code: str


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text("utf-8")
    return [Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2]) for found in FENCED.finditer(text)]


def find(page: str, language: str, holding: str = "") -> Block:
    """The page's one block of this language that holds the text."""
    (found,) = (one for one in blocks(page) if one.language == language and holding in one.code)
    return found


def block(page: str, language: str, holding: str = "") -> str:
    """Its code. All arguments are literals, so that the calls can be found."""
    return find(page, language, holding).code
