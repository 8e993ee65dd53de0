"""Who may call from a browser: exact origins, on every answer, errors included (contract: BROWSER.md).

Pages are no part of it: who is signed in on one is no script's business.
"""

import logging
import re

from flask import Flask, Response, request
from flask_cors.core import CorsOptionsInput

from authserver.extensions import cors
from authserver.settings import Settings

log = logging.getLogger(__name__)

LOOPBACK_ORIGIN = re.compile(r"https?://(localhost|[a-z0-9.-]+\.localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?\Z")
CALLED = re.compile(r"/(?!(account|signin|signout|signup|password|email|mailbox|dev)(/|$)).*")  # all but pages
MOST_NAMED = 100  # refused origins that are named in the log, each once: whoever asks chooses what stands there


def allow_origins(app: Flask, settings: Settings) -> None:
    named: set[str] = set()

    @app.after_request
    def name_refused_origin(response: Response) -> Response:
        """Logs the reason, for the browser shows no more than "network error"."""
        if response.headers.get("Access-Control-Allow-Origin") == "*" or not CALLED.fullmatch(request.path):
            return response
        _vary_by_origin(response)
        origin = request.headers.get("Origin")
        refused = origin != settings.public_url and "Access-Control-Allow-Origin" not in response.headers
        if origin and refused and origin not in named and len(named) < MOST_NAMED:
            named.add(origin)
            log.warning("refused to be called from %.100r: it is not among AUTHSERVER_CORS_ORIGINS", origin)
        return response

    cors.init_app(app, **_options(settings))  # after it, for what is registered last runs first


def _vary_by_origin(response: Response) -> None:
    """Another origin is answered with other headers: a cache may not hand this response to it."""
    if "Vary" in response.headers:
        response.vary.add("Origin")
    else:
        response.headers["Vary"] = "Origin"


def is_allowed(origin: str, settings: Settings) -> bool:
    """Whether pages of this origin may use cookies here, which `*` does not give."""
    return origin in settings.cors_origins or bool(not settings.production and LOOPBACK_ORIGIN.fullmatch(origin))


def _options(settings: Settings) -> CorsOptionsInput:
    """As patterns, since flask-cors would read an origin with `[` as a pattern of its own."""
    origins: list[str | re.Pattern[str]]
    if "*" in settings.cors_origins:
        origins = ["*"]
    else:
        origins = [re.compile(re.escape(origin) + r"\Z") for origin in settings.cors_origins]
        if not settings.production:
            origins.append(LOOPBACK_ORIGIN)
    return {
        "resources": CALLED.pattern,
        "origins": origins,
        "supports_credentials": origins != ["*"],
        "send_wildcard": True,
        "always_send": False,
        "methods": ["GET", "POST", "PATCH", "DELETE"],
        "allow_headers": ["Content-Type", "Authorization", "X-Auth-Transport"],
        "expose_headers": ["Retry-After", "WWW-Authenticate"],
        "max_age": 600,
    }
