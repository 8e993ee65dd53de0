"""The core blueprint, under which the features' blueprints nest; each provider gets one of its own beside it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Blueprint, request

from authserver.accounts.views import blueprint as accounts
from authserver.client.views import blueprint as client
from authserver.emails.views import blueprint as emails
from authserver.errors import ApiError
from authserver.events.views import blueprint as events
from authserver.oauth.views import blueprint as oauth
from authserver.pages.signup import blueprint as signup
from authserver.pages.views import blueprint as pages
from authserver.passwords.views import blueprint as passwords
from authserver.sessions.transport import blueprint as transport
from authserver.sessions.views import blueprint as sessions
from authserver.tokens.views import blueprint as tokens

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

blueprint = Blueprint("core", __name__)
for feature in (accounts, client, emails, events, oauth, pages, passwords, sessions, signup, tokens, transport):
    blueprint.register_blueprint(feature)


@blueprint.before_app_request
def refuse_doubled_slash() -> None:
    """Of those at the beginning Werkzeug drops all but one, so that a proxy's rule for a path could be gone around."""
    if request.environ["PATH_INFO"].startswith("//"):
        raise ApiError("not_found")


def with_and_without_slash(wsgi_app: "WSGIApplication") -> "WSGIApplication":
    """Each path answers with its trailing slash too; the routes are written without.

    Werkzeug's own `strict_slashes` answers 404 for a 405, and takes two slashes for one.
    """

    def stripped(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.endswith("/") and not path.endswith("//"):
            environ["PATH_INFO"] = path[:-1] or "/"
        return wsgi_app(environ, start_response)

    return stripped
