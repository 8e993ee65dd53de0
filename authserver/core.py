"""The core blueprint, under which the features' blueprints nest; each provider gets one of its own beside it."""

from flask import Blueprint

from authserver.accounts.views import blueprint as accounts
from authserver.sessions.views import blueprint as sessions
from authserver.tokens.views import blueprint as tokens

blueprint = Blueprint("core", __name__)
for feature in (accounts, sessions, tokens):
    blueprint.register_blueprint(feature)
