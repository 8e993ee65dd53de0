"""A real application on a database of its own: all that the kit imports of the server itself."""

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from flask import Flask

from authserver.app import create_app
from authserver.cli.database import migrate_database
from authserver.extensions import db
from authserver.oauth import upstream
from authserver.oauth.provider import ProviderFactory
from authserver.settings import Settings, load

PUBLIC_URL = "https://auth.example.com"
NEXT = "https://app.example.com/signed-in"
SECRET = secrets.token_urlsafe(48)


def migrate(path: Path) -> Path:
    migrate_database(_settings(path, {}))
    return path


def _settings(database: Path, options: Mapping[str, str]) -> Settings:
    """Production's: what a plugin may do there only is what counts."""
    variables = {
        "SECRET_KEY": SECRET,
        "DATABASE_URL": f"sqlite:///{database}",
        "PUBLIC_URL": PUBLIC_URL,
        "REDIRECT_URLS": NEXT,
        "RATE_LIMITS": "false",
        **options,
    }
    return load({f"AUTHSERVER_{name}": value for name, value in variables.items()})[0]


@contextmanager
def application(
    migrated: Path, folder: Path, name: str, options: Mapping[str, str], factory: ProviderFactory
) -> Iterator[Flask]:
    """With this one provider; raises `SettingsError` where the server would not start with it."""
    database = folder / "authserver.db"
    shutil.copy(migrated, database)
    settings = _settings(database, {f"PROVIDERS__{name.upper()}__{option}": value for option, value in options.items()})
    app = create_app(settings, {name: factory})
    try:
        yield app
    finally:
        with app.app_context():
            db.engine.dispose()


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """How long the server waits for a provider, instead of 8 seconds."""
    usual = upstream.TOTAL
    upstream.TOTAL = seconds
    try:
        yield
    finally:
        upstream.TOTAL = usual
