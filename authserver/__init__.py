"""Sign-in for Python and JavaScript applications: one server, one pair of tokens."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

# Gunicorn ends its master on this status alone; a worker that exits otherwise is started again for ever.
CANNOT_START = 3
UNPROTECTED = (
    "slow clients can hold up all threads of this worker of gunicorn's: start it with its configuration, "
    "`gunicorn -c python:authserver.serving.config 'authserver:create_app()'`"
)


def create_app(*, unsafe_development: bool = False) -> "Flask":
    """The application, configured from the environment and `.env`.

    A start that cannot succeed (wrong settings, a broken provider, a database that is not migrated) prints one line for
    each thing that is wrong and raises `SystemExit(3)`. `app.py` is imported here, when called, so that a provider
    which imports `authserver.oauth.provider` loads no Flask.

    `unsafe_development`: serve with AUTHSERVER_ENV=development too, which is refused otherwise. Only for a server that
    nobody but this machine can reach. The mailbox, the home page and the stand-ins are in `authserver dev` alone.
    """
    from authserver.app import create_app as build
    from authserver.app import serving
    from authserver.settings import SettingsError

    if "gunicorn.arbiter" in sys.modules and "authserver.serving.worker" not in sys.modules:
        print(f"authserver: {UNPROTECTED}", file=sys.stderr, flush=True)
    try:
        return serving(build(unsafe_development=unsafe_development))
    except SettingsError as error:
        print(error.report, file=sys.stderr, flush=True)
        raise SystemExit(CANNOT_START) from None
