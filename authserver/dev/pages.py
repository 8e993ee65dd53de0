"""How development's pages are made: their templates, headers and files. In English only, unlike the hosted ones."""

from pathlib import Path

from flask import Blueprint, Response, send_from_directory
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from authserver.pages.render import HEADERS as HOSTED_HEADERS
from authserver.pages.render import HERE as HOSTED

HERE = Path(__file__).parent
# Own files and own endpoints; the frames are mails' HTML. What forms say is sent by script: none leads anywhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {**HOSTED_HEADERS, "Content-Security-Policy": POLICY}

blueprint = Blueprint("dev", __name__)
_templates = Environment(
    loader=FileSystemLoader([HERE / "templates", HOSTED / "templates"]),  # a provider's mark is the hosted pages'
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.policies["json.dumps_kwargs"] = {"sort_keys": False}


def render(template: str, **facts: object) -> Response:
    html = _templates.get_template(f"{template}.html").render(facts)
    return Response(html, 200, HEADERS, mimetype="text/html")


@blueprint.get("/dev/<name>")
def static(name: str) -> Response:
    """A page's stylesheet or script."""
    response = send_from_directory(HERE / "static", name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
