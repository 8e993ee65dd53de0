"""The site: `make docs` builds it from these pages and those at the top, with the repository's own paths.

So every link that works in the repository works in the site, and Sphinx refuses one that leads nowhere.
"""

import re
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "authserver"
html_title = "authserver"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md"]
exclude_patterns = [".*", "build", "instance", "tests", "**/node_modules"]
root_doc = "docs/index"
myst_heading_anchors = 4  # as GitHub makes them
html_theme = "furo"
html_extra_path = ["site/index.html"]  # leads from the top to docs/
html_static_path = ["site/site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_use_index = False
html_show_copyright = False
nitpicky = True

NAME = re.compile(r'(?<=<span class="pre">)[A-Z]+_[A-Z_]+')


def with_navigation(_: Sphinx, page: str, source: list[str]) -> None:
    """The pages that the entrance lists, in its order, are the navigation: the list is kept once, as people read it."""
    if page == root_doc:
        listed = re.findall(r"^- \[(.*?)\]\((\S+\.md)\)", source[0], re.M)
        entries = [f"{title} <{path}>" for title, path in listed]
        source[0] += "\n".join(["\n```{toctree}", ":hidden:", "", *entries, "```\n"])


def on_narrow_screens(_: Sphinx, page: str, template: str, context: dict[str, Any], tree: object) -> None:
    """What is wider than its place is scrolled by keyboard too, and a long name breaks at its underscores."""
    for start, rest in (("<pre", ">"), ("<div", ' class="table-wrapper')):
        context["body"] = context.get("body", "").replace(start + rest, f'{start} tabindex="0"{rest}')
    context["body"] = NAME.sub(lambda name: name[0].replace("_", "_<wbr>"), context["body"])


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", with_navigation)
    app.connect("html-page-context", on_narrow_screens)
    app.add_lexer("csv", TextLexer)  # Pygments has none
    return {"parallel_read_safe": True}
