"""Finds out for which server a command is: `authserver dev`, or the one in production that the settings name."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import click

from authserver.checks import described, obstacle
from authserver.oauth.registry import load_all
from authserver.settings import (
    DEVELOPMENT_DATABASE,
    MISSING,
    PREFIX,
    PRODUCTION_DATABASE,
    Settings,
    SettingsError,
    environment,
)

ENV, SECRET_KEY, PUBLIC_URL, DATABASE_URL, INSTANCE_PATH = (
    PREFIX + name for name in ("ENV", "SECRET_KEY", "PUBLIC_URL", "DATABASE_URL", "INSTANCE_PATH")
)
UNCLEAR = (
    f"it is not clear which server this is for: set {SECRET_KEY} and {PUBLIC_URL} as for the server in production, or "
    f"run it where `authserver dev` was started, with {ENV}=development"
)
PRODUCTIONS = (
    f"{SECRET_KEY} and {PUBLIC_URL} are set, as for production: `authserver dev` would work on what is production's; "
    f"set {ENV}=development if they are meant for it"
)


def warn(warnings: list[str]) -> None:
    for warning in warnings:
        click.echo(f"authserver: {warning}", err=True)


def command_settings() -> Settings:
    """Loads the settings of that server, and says which it is, on standard error.

    In production it is said to people alone: nothing was guessed, and a job that prints something is mailed.
    """
    variables = environment()
    if ENV not in variables:
        try:
            variables[ENV] = _found(variables)
        except SettingsError as unclear:
            raise SettingsError(*unclear.sentences, *_wrong(variables)) from None
    if variables[ENV] == "development" and (url := _served_at(_instance(variables))):
        variables.setdefault(PUBLIC_URL, url)
    settings, warnings = load_all(variables)
    warn(warnings)
    if not settings.production or sys.stderr.isatty():
        server = "production" if settings.production else "`authserver dev`"
        warn([f"for {server} at {settings.public_url}, with the database {described(settings)}"])
    return settings


def _wrong(variables: Mapping[str, str]) -> list[str]:
    """Returns a sentence for each wrong setting; a setting that is missing is none."""
    try:
        load_all(variables)
    except SettingsError as error:
        missing = {f"{PREFIX}{name.upper()}: {sentence}" for name, sentence in MISSING.items()}
        return [sentence for sentence in error.sentences if sentence not in missing]
    return []


def require_development(variables: Mapping[str, str]) -> None:
    """Keeps `authserver dev` from what is production's, unless it is named; raises `SettingsError`."""
    env = variables.get(ENV)
    if env not in (None, "development"):
        raise SettingsError(f"{ENV}: `authserver dev` is for development; production is served by gunicorn")
    if env is None and _for_production(variables):
        raise SettingsError(PRODUCTIONS)


def remember(settings: Settings) -> None:
    """Notes for the commands where `authserver dev` serves, beside the rest of what it keeps."""
    with suppress(OSError):  # the links that they print are then those of the usual port
        _note(settings.instance_path).write_text(settings.public_url)


def _found(variables: Mapping[str, str]) -> str:
    """Development only where nothing at all speaks for production: no setting of its, and no database."""
    if _for_production(variables):
        return "production"
    folder = _instance(variables).absolute()
    database = str(folder / DEVELOPMENT_DATABASE)
    alone = os.path.exists(database) and not os.path.exists(folder / PRODUCTION_DATABASE)
    if alone and not variables.keys() & {SECRET_KEY, PUBLIC_URL, DATABASE_URL}:
        return "development"
    reason = obstacle(database)
    raise SettingsError(UNCLEAR + (f" ({reason})" if reason else ""))


def _for_production(variables: Mapping[str, str]) -> bool:
    return variables.keys() >= {SECRET_KEY, PUBLIC_URL}


def _instance(variables: Mapping[str, str]) -> Path:
    return Path(variables.get(INSTANCE_PATH, "instance"))


def _served_at(instance: Path) -> str:
    with suppress(OSError, UnicodeError):
        return _note(instance).read_text().strip()
    return ""


def _note(instance: Path) -> Path:
    return instance / "public_url"
