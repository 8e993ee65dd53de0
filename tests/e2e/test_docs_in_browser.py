"""The site that `make docs` builds, in Chromium: it asks no other host, is searched, and is read on a narrow screen."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs_building import ENTRANCE, checkout_of_the_docs, make_docs
from tests.e2e.client_page import hosting
from tests.e2e.visiting import Visitor, photograph

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    checkout = checkout_of_the_docs(tmp_path_factory.mktemp("site"))
    ran = make_docs(checkout)
    assert ran.returncode == 0, ran.stderr
    with hosting(checkout / "build" / "docs") as origin:
        yield origin


@pytest.fixture
def visitor(browser: "Browser") -> Iterator[Visitor]:
    with browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 800}) as context:
        # Browsers ask for it by themselves, and there is none.
        context.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        yield Visitor(context)


@pytest.mark.parametrize("name", ["index", "first-minute", "settings", "reference", "security"])
def test_the_pages_look_as_they_should(site: str, visitor: Visitor, tmp_path: Path, name: str) -> None:
    """To be looked at: SCREENSHOTS names a folder to keep them in."""
    photograph(visitor.open(f"{site}/docs/{name}.html"), f"docs-{name}")
    visitor.assert_clean()


def test_a_word_is_found_and_the_navigation_leads_on(site: str, visitor: Visitor) -> None:
    page = visitor.open(f"{site}/")
    page.wait_for_url(f"{site}/{ENTRANCE}")
    page.get_by_role("link", name="Settings", exact=True).first.click()
    page.wait_for_url("**/settings.html")
    page.get_by_role("textbox", name="Search").fill("REFRESH_ROTATION")
    page.keyboard.press("Enter")
    page.locator("#search-results li a", has_text="Settings").first.click()
    page.wait_for_url("**/settings.html*")
    visitor.assert_clean()
