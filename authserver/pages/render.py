"""A page's words and headers. The words are English in the templates; `words/<language>.json` has the other languages,

and in English what the API says to programs.

An operator's own folder (AUTHSERVER_TEMPLATE_PATH) comes first: `pages/<template>.html`, `pages/static/<file>`.
"""

import json
import re
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Response, current_app, request, send_from_directory
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from werkzeug.exceptions import NotFound

from authserver.devices import device
from authserver.emails.render import best_language
from authserver.errors import ApiError
from authserver.extensions import current_settings
from authserver.values import is_private
from authserver.visitor import visitor

HERE = Path(__file__).parent
NOTHING: dict[str, object] = {
    "done": False,
    "pending": False,
    "typed": {},
    "token": "",
    "errors": {},
    "alert": "",
    "code": "",
    "notice": "",
    "who": None,
}
NUMBER = re.compile(r"\d+")
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action {}; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY.format("'self'"),
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer a form's Origin would be null
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def render(template: str, status: int = 200, leads_to: str = "", **facts: Any) -> Response:
    """The page in the language that its reader likes best of those there are.

    `leads_to` is an application's address, to which its form leads by a redirect.
    """
    settings = current_settings()
    language = best_language(visitor().languages)
    html = (
        _environment(str(settings.template_path or ""))
        .get_template(f"{template}.html")
        .render(
            app_name=settings.app_name or urlsplit(settings.public_url).hostname,
            app_url=settings.app_url,
            password_min_length=settings.password_min_length,
            invited_only=settings.signup == "invited",
            takes_invitations=settings.signup != "open" or bool(settings.signup_domains),
            language=language,
            device=lambda agent: device(agent, language) or agent or "",
            _=translator(language),
            **{**NOTHING, "hosted": settings.pages, **facts},
        )
    )
    response = Response(html, status, HEADERS, mimetype="text/html")
    if leads_to and not is_private(leads_to):
        # The scheme and not the origin: Chromium holds to it each redirect after the form, the application's own too.
        response.headers["Content-Security-Policy"] = POLICY.format(f"'self' {urlsplit(leads_to).scheme}:")
    return response


def see_other(location: str) -> Response:
    return Response(status=303, headers={"Location": location})


def as_page(response: Response) -> Response:
    """The same error as a page for a person; its status and what else its headers say stay."""
    error = response.get_json()
    # Of what is wrong with a query only this is for a person; a field's name may be anybody's text.
    sentences = error.get("errors", {}).get("next", [error["detail"]])
    facts = {"alert": sentences[0], "error_id": error.get("error_id")}
    path = request.path
    facts["signing_in"] = path.startswith(("/api/", "/sign"))
    facts["inside"] = path.startswith("/account") and not path.startswith("/account/recover")
    return _with_headers(render("error", response.status_code, **facts), response)


def no_such_page(response: Response) -> Response:
    """Makes a page of a 404 where no route has the path, with a way home: `/` if it leads on, or the application."""
    home = "/" if current_app.url_map.bind("").test("/") else current_settings().app_url
    return _with_headers(render("missing", response.status_code, home=home), response)


def _with_headers(page: Response, response: Response) -> Response:
    for name, value in response.headers:
        if not name.startswith("Content-"):
            page.headers.setdefault(name, value)
    return page


def prefers_html() -> bool:
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def static_file(name: str) -> Response:
    own = current_settings().template_path
    for folder in ([own.absolute() / "pages" / "static"] if own else []) + [HERE / "static"]:
        try:
            response = send_from_directory(folder, name)
        except NotFound:
            continue
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response
    raise ApiError("not_found")


def translator(language: str) -> Callable[[str], str]:
    """Gives an English sentence in that language, or as it is where there is no translation.

    Its number, if it has one, stands as {n} in `words/`.
    """

    def translate(sentence: str) -> str:
        number = NUMBER.search(sentence)
        found = _words(language).get(NUMBER.sub("{n}", sentence), sentence)
        return found.replace("{n}", number[0]) if number else found

    return translate


@cache
def _words(language: str) -> dict[str, str]:
    words: dict[str, str] = json.loads((HERE / "words" / f"{language}.json").read_text("utf-8"))
    return words


@lru_cache
def _environment(own: str) -> Environment:
    folders = ([Path(own) / "pages"] if own else []) + [HERE / "templates"]
    return Environment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
