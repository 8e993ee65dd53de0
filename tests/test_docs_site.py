"""The site that `make docs` builds: whole, without a foreign host, and every link in it leads somewhere."""

import re
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.blocks import PAGES
from tests.docs_building import ENTRANCE, checkout_of_the_docs, make_docs

pytestmark = pytest.mark.slow

# What a browser loads by itself, by element; a link of these kinds names a page and loads nothing.
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}
NAMED = {"search", "next", "prev", "index", "author", "canonical"}
# What a stylesheet loads, and how a script would. A foreign address that is only written there, as in a licence or as
# the namespace of SVG, is no load.
IN_CSS = re.compile(r"url\(\s*[\"']?([^\"')]+)|@import\s+[\"']([^\"']+)")
IN_JS = re.compile(r"(?:fetch|import|importScripts|src\s*=|href\s*=)\s*\(?\s*[\"'`]((?:https?:)?//[^\"'`]+)")


@dataclass
class Page(HTMLParser):
    """What an HTML file loads, where it links to, and the anchors that it has."""

    text: str
    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors.add(given.get("id", ""))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in LOADED and LOADED[tag] in given and given.get("rel") not in NAMED:
            self.loads.append(given[LOADED[tag]])
        self.loads += [one.split()[0] for one in given.get("srcset", "").split(",") if one.strip()]
        self.loads += [one for pair in IN_CSS.findall(given.get("style", "")) for one in pair if one]


@cache
def parsed(file: Path) -> Page:
    return Page(file.read_text("utf-8"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkout = checkout_of_the_docs(tmp_path_factory.mktemp("site"))
    ran = make_docs(checkout)
    assert (ran.returncode, ran.stderr) == (0, ""), "a warning is an error"
    assert ran.stdout == f"The docs: file://{checkout}/build/docs/{ENTRANCE}\n"
    return checkout / "build" / "docs"


@pytest.mark.parametrize("link", ["[gone](gone.md)", "[gone](settings.md#gone)", "[gone](../authserver/gone.py)"])
def test_a_link_that_leads_nowhere_stops_the_build(tmp_path: Path, link: str) -> None:
    checkout = checkout_of_the_docs(tmp_path)
    with (checkout / "docs" / "first-minute.md").open("a") as page:
        page.write(f"\n{link}\n")
    ran = make_docs(checkout)
    assert ran.returncode != 0
    assert "first-minute.md" in ran.stderr
    assert "gone" in ran.stderr


def html(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def test_every_page_is_there_and_in_the_navigation(site: Path) -> None:
    navigation = re.search(r'<div class="sidebar-tree">(.*?)</div>', (site / ENTRANCE).read_text(), re.S)
    assert navigation
    for page in [*PAGES, "CHANGELOG.md"]:
        file = (site / page).with_suffix(".html")
        assert file.exists()
        assert page == "docs/index.md" or f'href="{relative(file, site / "docs")}"' in navigation[1], page


def relative(file: Path, folder: Path) -> str:
    return file.name if file.parent == folder else f"../{file.name}"


def test_the_top_of_the_site_leads_to_the_entrance(site: Path) -> None:
    assert f"url={ENTRANCE}" in (site / "index.html").read_text()


def test_nothing_is_loaded_from_a_foreign_host(site: Path) -> None:
    loads = [(file, one) for file in html(site) for one in parsed(file).loads]
    for file in site.rglob("*.css"):
        loads += [(file, one) for pair in IN_CSS.findall(file.read_text()) for one in pair if one]
    for file in [*site.rglob("*.js"), *html(site)]:
        assert IN_JS.findall(re.sub(r"<a [^>]*>", "", file.read_text())) == [], file
    assert len(loads) > 50
    for file, one in loads:
        parts = urlsplit(one)
        assert parts.scheme in ("", "data"), f"{file} loads {one}"
        assert not parts.netloc, f"{file} loads {one}"
        assert parts.scheme or (file.parent / unquote(parts.path)).exists(), f"{file} loads {one}, which is not there"


def test_every_link_and_anchor_leads_somewhere(site: Path) -> None:
    followed = 0
    for file in html(site):
        for link in parsed(file).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            assert target.is_relative_to(site.resolve()), f"{file.name}: {link}"
            assert target.exists(), f"{file.name}: {link}"
            fragment = unquote(parts.fragment)
            assert not fragment or fragment in parsed(target).anchors, f"{file.name}: {link}"
            followed += 1
    assert followed > 500


def test_a_foreign_load_is_noticed() -> None:
    """Else the test above might be blind."""
    page = Page('<link rel="stylesheet" href="https://a.example/x.css"><img srcset="//b.example/y.png 2x">')
    assert page.loads == ["https://a.example/x.css", "//b.example/y.png"]
    assert IN_CSS.findall("@import '//c.example/z.css'; a { background: url( https://d.example) }") != []
    assert IN_JS.findall("import('https://e.example/m.js')") == ["https://e.example/m.js"]
