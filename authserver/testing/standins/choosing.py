"""What a browser does at a stand-in's page, by HTTP."""

from email.message import Message
from html.parser import HTMLParser
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from authserver.testing.standins.authorization import Callback, NotAsked
from authserver.testing.standins.person import Person


def choose(authorize_url: str, person: Person | None) -> Callback:
    """Opens the page and presses the person's button, or Cancel for None; raises `NotAsked` for an error page."""
    page = _open(authorize_url)
    if isinstance(page, Callback):
        return page  # nobody was asked
    button = {"cancel": "yes"} if person is None else {"person": person.subject}
    if not button.items() <= set(page.buttons):
        raise NotAsked(f"there is no button {button}")
    answer = _open(authorize_url, urlencode(button).encode())
    assert isinstance(answer, Callback)
    return answer


def _open(url: str, form: bytes | None = None) -> "Callback | _Form":
    try:
        with _OPENER.open(Request(url, form), timeout=10) as answer:
            page = _Form(answer.read().decode())
            return Callback(url=page.action, form=page.fields) if page.action else page
    except HTTPError as error:
        with error:
            if error.code == 302:
                return Callback(url=error.headers["Location"])
            raise NotAsked(error.read().decode()) from None


class _Form(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.buttons: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = given.get("action", "")
        elif tag == "input":
            self.fields[given["name"]] = given["value"]
        elif tag == "button" and "name" in given:
            self.buttons.append((given["name"], given["value"]))


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str) -> None:
        return None


_OPENER = build_opener(ProxyHandler({}), _NoRedirect)
