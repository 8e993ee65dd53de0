"""A visitor of pages of ours in Chromium: what went wrong meanwhile, how the page looks, and what axe says of it."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.npm import installed

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page

PATIENCE = 20_000  # milliseconds
AXE = Path(__file__).with_name("axe")
VIOLATIONS = """
addEventListener('securitypolicyviolation', event => console.error(event.violatedDirective, event.blockedURI));
"""
REFUSED = "Failed to load resource: the server responded with a status of "
WIDTHS = (1280, 360)
SCHEMES = ("light", "dark")


@dataclass
class Visitor:
    """Everything of one browser context; `refused` are the answers of 400 and up, which Chromium reports too."""

    context: "BrowserContext"
    complaints: list[str] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    hosts: set[str | None] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.context.set_default_timeout(PATIENCE)
        self.context.add_init_script(VIOLATIONS)
        self.context.on("console", self._note)
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.context.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname))

    def open(self, url: str) -> "Page":
        page = self.context.new_page()
        page.goto(url)
        return page

    def _note(self, message: "ConsoleMessage") -> None:
        if message.text.startswith(REFUSED):
            self.refused.append(int(message.text.removeprefix(REFUSED)[:3]))
        elif message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def assert_clean(self, *refused: int) -> None:
        """No console error, no violation of the policy, no other host, and no refusal but these."""
        assert self.complaints == []
        assert self.refused == list(refused)
        assert self.hosts <= {"localhost"}


def photograph(page: "Page", name: str) -> None:
    """Wide and narrow, light and dark, into the folder SCREENSHOTS where it is set; nothing may stick out."""
    folder = Path(os.environ["SCREENSHOTS"]) if os.environ.get("SCREENSHOTS") else None
    for width in WIDTHS:
        for scheme in SCHEMES:
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            if folder:
                page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than {width}"
            assert barriers(page) == [], (name, width, scheme)


def barriers(page: "Page") -> list[str]:
    """What axe finds serious or critical; by the debugger, which no policy of the page's stops."""
    if not page.evaluate("'axe' in window"):
        page.evaluate((installed(AXE) / "axe-core" / "axe.min.js").read_text("utf-8"))
    found: dict[str, Any] = page.evaluate("axe.run(document, {iframes: false})")
    return [
        f"{one['id']}: {node['html']}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
