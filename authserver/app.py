"""Wiring, read top to bottom."""

import logging
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from flask import Flask, Response
from werkzeug.middleware.proxy_fix import ProxyFix

from authserver import core, errors, limits
from authserver.accounts import flows as accounts
from authserver.checks import check_database
from authserver.cors import allow_origins
from authserver.dev.hosts import refuse_foreign_host
from authserver.emails import deferred, delivery
from authserver.emails import flows as emails
from authserver.extensions import db, engine_options, jwt, prepare_engine
from authserver.models.mail import Deferred
from authserver.oauth import linking
from authserver.oauth.blueprint import provider_blueprint
from authserver.oauth.documents import Documents
from authserver.oauth.provider import ProviderFactory
from authserver.oauth.registry import enabled_providers, load_all
from authserver.oauth.upstream import Upstream
from authserver.pages import account, signin
from authserver.passwords import flows as passwords
from authserver.serving.framing import MOST_BODY
from authserver.settings import PREFIX, Settings, SettingsError
from authserver.tokens.keys import KeyRing
from authserver.values import is_loopback

log = logging.getLogger(__name__)

# The function that does each deferred piece of work, which the delivery calls.
DEFERRED = {
    Deferred.RESET: passwords.finish_forgot,
    Deferred.VERIFY: emails.finish_resend,
    Deferred.CHANGE_EMAIL: emails.finish_change,
    Deferred.SIGN_UP: accounts.finish_sign_up,
    Deferred.PROVIDER_SIGN_IN: linking.finish_sign_in,
}
NOT_FOR_SERVERS = (
    f"{PREFIX}ENV=development is for `authserver dev` alone: leave it out of .env and of the environment, and set "
    f"{PREFIX}SECRET_KEY and {PREFIX}PUBLIC_URL as production needs them"
)


def create_app(
    settings: Settings | None = None,
    providers: Mapping[str, ProviderFactory] | None = None,
    *,
    command: bool = False,
    unsafe_development: bool = False,
) -> Flask:
    """The application; raises `SettingsError` where it cannot start. `providers` stand in for installed ones.

    `command`: it serves nobody, and is refused where the database cannot be reached.
    `unsafe_development`: it may be served in development, by `authserver dev` or in a test. Whoever reaches it may
    guess ten times as much, and every page on their machine may call it.
    """
    if settings is None:
        settings, warnings = load_all()
        for warning in warnings:
            log.warning(warning)
    if not (settings.production or command or unsafe_development):
        raise SettingsError(NOT_FOR_SERVERS)
    app = Flask("authserver", static_folder=None)
    if app.debug and settings.production:
        raise SettingsError("FLASK_DEBUG: debug mode is refused in production, expected it not to be set")
    app.config.update(flask_config(settings))
    app.extensions["authserver.settings"] = settings
    if settings.providers:  # without one nothing is asked, and reading the certificates takes a while at each start
        app.extensions["authserver.upstream"] = Upstream()
        app.extensions["authserver.documents"] = Documents()
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies, x_proto=0)  # type: ignore[method-assign]
    app.url_map.merge_slashes = False  # a doubled slash is a 404, not a redirect
    app.wsgi_app = core.with_and_without_slash(app.wsgi_app)  # type: ignore[assignment, method-assign]
    app.json.sort_keys = False  # type: ignore[attr-defined]
    connect_database(app, settings)
    jwt.init_app(app)
    limits.start(app, settings)
    deferred.start(app, DEFERRED)
    allow_origins(app, settings)
    errors.register(app)
    app.after_request(usual_headers(settings))
    app.register_blueprint(core.blueprint)
    if not settings.production:
        app.before_request(refuse_foreign_host)
    if settings.pages:
        app.register_blueprint(signin.blueprint)
        app.register_blueprint(account.blueprint)
    if settings.pages and settings.production:  # `authserver dev` has its home page there
        app.add_url_rule("/", view_func=signin.entrance)
    enabled = enabled_providers(settings, providers)
    app.extensions["authserver.providers"] = {one.name: one for one in enabled}
    for one in enabled:
        app.register_blueprint(provider_blueprint(one))
    check_database(app, settings, command=command)
    return app


def serving(app: Flask) -> Flask:
    """The same application with what runs beside requests: for processes that serve, not for tests and commands."""
    delivery.start(app)
    return app


def flask_config(settings: Settings) -> dict[str, object]:
    return {
        "MAX_CONTENT_LENGTH": MOST_BODY,
        "SQLALCHEMY_DATABASE_URI": settings.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": engine_options(settings.database_url),
        "JWT_ALGORITHM": settings.signing_algorithm,
        "JWT_DECODE_ALGORITHMS": ["ES256", "EdDSA", "HS256"],  # whichever the key is of: tokens/verify.py
        "JWT_ENCODE_ISSUER": settings.public_url,
        "JWT_DECODE_ISSUER": settings.public_url,
        "JWT_ENCODE_AUDIENCE": settings.audience,
        "JWT_DECODE_AUDIENCE": settings.audience,
        "JWT_DECODE_LEEWAY": 10**9,  # times are compared with our own clock: tokens/verify.py
        "JWT_COOKIE_CSRF_PROTECT": False,  # else every token carries a `csrf` claim
    }


def usual_headers(settings: Settings) -> Callable[[Response], Response]:
    """Sets the headers of every response. A view may set its own Cache-Control.

    Over https, Strict-Transport-Security holds for a year. It is not sent for localhost, whose other ports serve
    other programs.
    """
    usual = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    public = urlsplit(settings.public_url)
    if public.scheme == "https" and not is_loopback(public.hostname):
        usual["Strict-Transport-Security"] = f"max-age={365 * 86400}"

    def add(response: Response) -> Response:
        for name, value in usual.items():
            response.headers.setdefault(name, value)
        return response

    return add


def connect_database(app: Flask, settings: Settings) -> None:
    db.init_app(app)
    with app.app_context():
        app.extensions["authserver.reader"] = prepare_engine(db.engine)
    app.extensions["authserver.keys"] = KeyRing(settings)
