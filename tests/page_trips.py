"""Browsers that our own pages sent to a provider, to sign in or to link."""

import re
from dataclasses import dataclass, replace
from html import unescape
from urllib.parse import parse_qsl, urlsplit

from flask import Flask
from werkzeug.test import TestResponse

from authserver.testing.standins import Callback, Person, StandIns
from tests.conftest import PUBLIC_URL
from tests.pages import HOST, HTML, Browser, assert_page

CLICK = {"Sec_Fetch_Site": "same-origin"}


@dataclass
class PageTrip:
    standins: StandIns
    browser: Browser
    url: str  # of the provider's page
    states: set[str]  # under which the browser had cookies when it left
    name: str = "google"

    @property
    def state(self) -> str:
        """The one between the provider and us."""
        return dict(parse_qsl(urlsplit(self.url).query))["state"]

    @property
    def own(self) -> str:
        """The page's own, that it finds the way back by."""
        (found,) = self.states - {self.state}
        return found

    @property
    def secret(self) -> str:
        found = self.browser.client.get_cookie(f"__Host-flow-{self.own}", HOST)
        assert found
        return found.value

    def callback(self, person: Person | str | None = "verified") -> Callback:
        standin = self.standins.each[self.name]
        return standin.authorize(self.url, standin.person(person) if isinstance(person, str) else person)

    def come_back(self, person: Person | str | None = "verified", **says: object) -> str:
        """The page's address that the callback leads to."""
        if isinstance(person, str) and says:
            person = replace(self.standins.each[self.name].person(person), **says)  # type: ignore[arg-type]
        callback = self.callback(person)
        if callback.form:
            foreign = {**HTML, "Origin": "https://appleid.apple.com", "Sec-Fetch-Site": "cross-site"}
            answer = self.browser.post(callback.url, dict(callback.form), foreign)
        else:
            answer = self.browser.get(callback.url, Sec_Fetch_Site="cross-site")
        assert answer.status_code == 303, answer.text
        assert not [one for one in answer.headers.getlist("Set-Cookie") if "page" in one.partition("=")[0]]
        location = answer.headers["Location"]
        assert location.startswith(f"{PUBLIC_URL}/")
        return location

    def finish(self, person: Person | str | None = "verified", **says: object) -> TestResponse:
        return self.browser.get(self.come_back(person, **says), Sec_Fetch_Site="cross-site")


def states(*answers: TestResponse) -> set[str]:
    """Those whose cookies these answers set."""
    cookies = [one for answer in answers for one in answer.headers.getlist("Set-Cookie")]
    return {found[1] for one in cookies if (found := re.match(r"__Host-flow-([\w-]+)=[\w-]+;", one))}


def depart(
    app: Flask, standins: StandIns, name: str = "google", query: str = "", browser: Browser | None = None
) -> PageTrip:
    browser = browser or Browser(app)
    began = browser.get(f"/signin/{name}{query}", **CLICK)
    assert began.status_code == 302, began.text
    return PageTrip(standins, browser, began.headers["Location"], states(began), name)


def ticket_page(browser: Browser, name: str = "google") -> tuple[str, TestResponse]:
    """The link of the page that answers who asks to link, and that page."""
    page = browser.post("/account/identities", {"provider": name})
    assert_page(page)
    (url,) = re.findall(rf'href="({PUBLIC_URL}/api/auth/[^"]+)"', page.text)
    return unescape(url), page


def depart_to_link(standins: StandIns, browser: Browser, name: str = "google") -> PageTrip:
    url, page = ticket_page(browser, name)
    began = browser.get(url, **CLICK)
    assert began.status_code == 302, began.text
    return PageTrip(standins, browser, began.headers["Location"], states(page, began), name)
