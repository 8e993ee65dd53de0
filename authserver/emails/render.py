"""A mail's words: one text per kind and language, its first line the subject; the HTML is made from the text.

An operator's own folder (AUTHSERVER_TEMPLATE_PATH) comes first: `emails/<language>/<kind>.txt`, `emails/layout.html`.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from jinja2.loaders import BaseLoader
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from authserver.extensions import current_settings

TEMPLATES = Path(__file__).parent / "templates"
LANGUAGES = sorted(folder.name for folder in TEMPLATES.iterdir() if folder.is_dir())
DEFAULT_LANGUAGE = "en"
NO_WAYS = {"lost": "", "lost_password": False, "kept": ""}  # what most mails say of ways to sign in


@dataclass(frozen=True)
class Message:
    to: str
    subject: str
    text: str
    html: str


def render(kind: str, to: str, languages: str, **facts: object) -> Message:
    """The mail of that kind in the language that the reader likes best of those there are."""
    settings = current_settings()
    facts = {"app_name": settings.app_name or urlsplit(settings.public_url).hostname, **NO_WAYS, **facts}
    language = best_language(languages)
    environment = _environment(str(settings.template_path or ""))
    subject, _, text = environment.get_template(f"{language}/{kind}.txt").render(facts).partition("\n")
    paragraphs = [" ".join(part.split("\n")) for part in text.strip().split("\n\n")]
    html = environment.get_template("layout.html").render(
        facts, language=language, subject=subject, paragraphs=paragraphs
    )
    # Facts may be anything that somebody typed in: a header is one line.
    return Message(to, " ".join(subject.split()), text.strip() + "\n", html)


def best_language(languages: str) -> str:
    """In the reader's order; `*`, which is what programs send, is the default and not the first of ours."""
    for accepted, quality in parse_accept_header(languages, LanguageAccept):
        language = accepted.partition("-")[0].lower()
        if quality > 0 and language in LANGUAGES:
            return language
    return DEFAULT_LANGUAGE


@lru_cache
def _environment(own: str) -> Environment:
    loaders: list[BaseLoader] = [FileSystemLoader(TEMPLATES)]
    if own:
        loaders.insert(0, FileSystemLoader(Path(own) / "emails"))
    return Environment(
        loader=ChoiceLoader(loaders),
        autoescape=lambda name: bool(name and name.endswith(".html")),
        undefined=StrictUndefined,
        lstrip_blocks=True,
    )
