"""The authorize endpoint, https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1."""

import secrets
import time
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import parse_qsl, urlsplit

from flask import request
from flask.typing import ResponseReturnValue

from authserver.testing.standins.authorization import Authorized, Callback, NotAsked, Request
from authserver.testing.standins.base import Base, Now
from authserver.testing.standins.page import back, choose_page, error_page
from authserver.testing.standins.person import Person


class Authorizing(Base):
    authorize_path: ClassVar[str]
    response_type_required: ClassVar[bool] = True
    response_modes: ClassVar[frozenset[str]] = frozenset({"query"})
    denied: ClassVar[Mapping[str, str]] = {"error": "access_denied"}

    def __init__(self, url: str, *, now: Now = time.time, taken: str = "taken@example.com") -> None:
        super().__init__(url, now=now, taken=taken)
        self.codes: dict[str, Authorized] = {}
        self.spent: list[str] = []  # codes that were exchanged, or tried to be

    def authorize(self, url: str, person: Person | None) -> Callback:
        """How the browser comes back of someone who chooses this person at an authorize URL, or cancels for None.

        By HTTP it is a GET of the page and a POST to the same URL with `person`, the subject of one of `people`, or
        with `cancel`. Raises `NotAsked` for what is answered by an error page.
        """
        return self._decide(self._request(dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))), person)

    def authorize_view(self, **where: str) -> ResponseReturnValue:
        try:
            asked = self._request(request.args)
            refused = self._refused(asked)
            if refused is not None:
                return back(refused)
            if request.method == "GET":
                return choose_page(self.label, asked, self.people)
            return back(self._decide(asked, self._chosen()))
        except NotAsked as error:
            return error_page(self.label, str(error))

    def check(self, asked: Request) -> None:
        """What else the provider demands; `NotAsked` for what it does not take."""
        if asked.response_mode not in self.response_modes:
            raise NotAsked(f"The response mode “{asked.response_mode}” is not known.")

    def authorized(self, asked: Request, person: Person) -> Mapping[str, str]:
        """What comes back beside code and state."""
        return {}

    def _request(self, parameters: Mapping[str, str]) -> Request:
        asked = Request.of(parameters)
        asked.check(self.clients)
        self.check(asked)
        return asked

    def _chosen(self) -> Person | None:
        if "cancel" in request.form:
            return None
        for person in self.people:
            if person.subject == request.form.get("person"):
                return person
        raise NotAsked("There is nobody of that id.")

    def _decide(self, asked: Request, person: Person | None) -> Callback:
        refused = self._refused(asked)
        if refused is not None:
            return refused
        if person is None or person.declines:
            return asked.answer(self.denied)
        code = secrets.token_urlsafe(32)
        self.codes[code] = Authorized(request=asked, person=person, at=self.now())
        return asked.answer({"code": code, **self.authorized(asked, person)})

    def _refused(self, asked: Request) -> Callback | None:
        """What the browser is sent back with although nobody was asked."""
        if asked.response_type != "code" and (asked.response_type or self.response_type_required):
            return asked.answer({"error": "unsupported_response_type"})
        if asked.code_challenge is None and asked.code_challenge_method is None:
            challenged = True
        else:
            challenged = bool(asked.code_challenge) and asked.code_challenge_method == "S256"
        if not challenged:
            return asked.answer({"error": "invalid_request", "error_description": "PKCE has to be with S256"})
        if "none" in (asked.prompt or "").split():
            return asked.answer({"error": "login_required"})
        return None
