"""The project's documents as pages, for the home page: they are there without a network, and of this very version.

They are read from the checkout. A package that was installed from a wheel has none, and the home page names none then.
"""

import re
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

from flask import Blueprint, Response
from markupsafe import Markup, escape

from authserver.dev import pages
from authserver.errors import ApiError

CHECKOUT = Path(__file__).parents[2]
AT_THE_TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
FIRST = "index.md"
INLINE = re.compile(
    r"`(?P<code>[^`]+)`|!\[(?P<picture>[^\]]+)\]\([^)]+\)|\[(?P<text>(?:`[^`]*`|[^\[\]])+)\]\((?P<target>[^)\s]+)\)"
    r"|<(?P<url>https?://[^>]+)>|\*\*(?P<strong>.+?)\*\*|\*(?P<emphasis>[^*\s](?:[^*]*[^*\s])?)\*"
)
DOCUMENT = re.compile(r"(?:\.\./|docs/)?([\w-]+\.md)((?:#.*)?)")
ITEM = re.compile(r"(?:-|\d+\.) ")

blueprint = Blueprint("documents", __name__)


def documents() -> dict[str, Path]:
    """Finds the documents, by the names of their files."""
    if not (CHECKOUT / "setup.cfg").exists():
        return {}
    paths = [*(CHECKOUT / "docs").glob("*.md"), *(CHECKOUT / name for name in AT_THE_TOP)]
    return {path.name: path for path in paths if path.exists()}


@blueprint.get("/dev/docs/<name>")
def document(name: str) -> Response:
    """Shows one of the documents."""
    path = documents().get(name)
    if path is None:
        raise ApiError("not_found")
    text = path.read_text("utf-8")
    title = next((line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")), name)
    return pages.render("document", name=title, first=FIRST, text=as_html(text))


def as_html(markdown: str) -> Markup:
    """Makes HTML of the Markdown that these documents use: headings, paragraphs, lists, tables, code and links."""
    return Markup("\n").join(_blocks(markdown.splitlines()))


def _blocks(lines: list[str]) -> Iterator[Markup]:
    while lines:
        line = lines.pop(0)
        if line.startswith("```"):
            code = "\n".join(_taken(lines, lambda one: one != "```"))
            yield Markup('<pre tabindex="0">{}</pre>').format(code)
            del lines[:1]
        elif line.startswith("#"):
            hashes, _, title = line.partition(" ")
            yield Markup('<h{0} id="{1}">{2}</h{0}>').format(len(hashes), _slug(title), _inline(title))
        elif line.startswith("|"):
            yield _table([line, *_taken(lines, lambda one: one.startswith("|"))])
        elif ITEM.match(line):
            items = [line, *_taken(lines, ITEM.match)]
            listed = Markup("").join(Markup("<li>{}</li>").format(_inline(ITEM.sub("", one, 1))) for one in items)
            yield Markup("<{0}>{1}</{0}>").format("ul" if line.startswith("-") else "ol", listed)
        elif line and not line.startswith("<!--"):
            yield Markup("<p>{}</p>").format(_inline(line))


def _taken(lines: list[str], belongs: Callable[[str], object]) -> list[str]:
    """Takes the lines off that belong to what begins."""
    taken = list(takewhile(belongs, lines))
    del lines[: len(taken)]
    return taken


def _table(rows: list[str]) -> Markup:
    head, _, *body = [[one.strip() for one in re.split(r"(?<!\\)\|", row.strip("|"))] for row in rows]
    cells = [("th", head), *(("td", row) for row in body)]
    made = (
        Markup("").join(Markup("<{0}>{1}</{0}>").format(tag, _inline(one.replace("\\|", "|"))) for one in row)
        for tag, row in cells
    )
    return Markup("<table>{}</table>").format(Markup("").join(Markup("<tr>{}</tr>").format(row) for row in made))


def _slug(title: str) -> str:
    """Makes the name by which a link finds a heading, as GitHub and Sphinx do."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _inline(text: str) -> Markup:
    made, end = Markup(""), 0
    for found in INLINE.finditer(text):
        made += escape(text[end : found.start()]) + _piece(found)
        end = found.end()
    return made + escape(text[end:])


def _piece(found: re.Match[str]) -> Markup:
    piece = found.groupdict()
    if piece["code"]:
        return Markup("<code>{}</code>").format(piece["code"])
    if piece["text"]:
        return _link(_inline(piece["text"]), piece["target"])
    if piece["url"]:
        return _link(escape(piece["url"]), piece["url"])
    if piece["picture"]:
        return Markup("")
    tag = "strong" if piece["strong"] else "em"
    return Markup("<{0}>{1}</{0}>").format(tag, _inline(piece["strong"] or piece["emphasis"]))


def _link(text: Markup, target: str) -> Markup:
    """Makes a link to another document or elsewhere. Any other file of the checkout is only named."""
    document = DOCUMENT.fullmatch(target)
    if document:
        return Markup('<a href="/dev/docs/{}{}">{}</a>').format(document[1], document[2], text)
    if target.startswith("#"):
        return Markup('<a href="{}">{}</a>').format(target, text)
    if target.startswith(("https://", "http://")):
        return Markup('<a href="{}" target="_blank" rel="noreferrer">{}</a>').format(target, text)
    return text
