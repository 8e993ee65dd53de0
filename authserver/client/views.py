"""The client, for an `import` from any page (contract: BROWSER.md). How it is used: docs/frontend.md."""

from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request

HERE = Path(__file__).parent

blueprint = Blueprint("client", __name__)


@blueprint.get("/authserver.js")
def script() -> Response:
    """The client, an ES module."""
    return _file("authserver.js", "text/javascript; charset=utf-8")


@blueprint.get("/authserver.d.ts")
def types() -> Response:
    """Its types, for TypeScript."""
    return _file("authserver.d.ts", "application/typescript; charset=utf-8")


def _file(name: str, content_type: str) -> Response:
    """Asked for again at each visit, for it has to fit this server, and sent only where it has changed."""
    response = Response(_content(name), content_type=content_type)
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.add_etag()  # of the content, which all machines have alike
    response.make_conditional(request)
    return response


@cache
def _content(name: str) -> bytes:
    return (HERE / name).read_bytes()
