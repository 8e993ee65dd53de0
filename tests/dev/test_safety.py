"""Nothing of development exists in production, and no setting turns any of it on."""

import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from authserver.app import create_app
from authserver.settings import Settings, SettingsError, load
from tests.conftest import MakeApp, variables
from tests.each import each
from tests.factories import assert_error

TEMPTING = ("development", "dev", "true", "1", "on", "*", "http://localhost:8000", "https://auth.example.com", "/tmp")
OTHERS = ("DEV", "DEVELOPMENT", "DEBUG", "HOME", "MAILBOX", "STANDINS", "OFFLINE", "OFFLINE_PROVIDERS", "TIME_OFFSET")
GONE = [
    ("GET", "/"),
    ("GET", "/mailbox"),
    ("GET", "/mailbox/new"),
    ("GET", "/mailbox/5a1c7a52-6d0b-4f0e-9a53-2f6f0c1b7e4d"),
    ("GET", "/dev/home.js"),
    ("POST", "/dev/time"),
    ("DELETE", "/dev/time"),
    ("POST", "/dev/token"),
    ("GET", "/standins/google/.well-known/openid-configuration"),
    ("GET", "/standins/google/o/oauth2/v2/auth"),
    ("POST", "/standins/github/login/oauth/access_token"),
]
OURS = {"home", "mailbox", "dev"}


def assert_nothing_of_development(app: Flask) -> None:
    names = {part for name in app.blueprints for part in name.split(".")}
    assert not names & OURS
    assert not [name for name in names if name.startswith("standin_")]
    rules = [rule.rule for rule in app.url_map.iter_rules()]
    assert not [rule for rule in rules if rule.startswith(("/dev", "/mailbox", "/standins"))]


def values(field: str) -> Iterator[str]:
    """What one might set it to: whatever sounds like development, and each value that its type names."""
    yield from TEMPTING
    yield from (str(one) for one in typing.get_args(Settings.model_fields[field].annotation) if isinstance(one, str))


def production_apps(migrated: Path, field: str) -> Iterator[Flask]:
    """One for each value that a start in production accepts."""
    for value in values(field):
        try:
            settings, _ = load(variables(f"sqlite:///{migrated}", **{field: value}))
            if settings.production:
                yield create_app(settings)
        except SettingsError:
            continue


@each("field", sorted(Settings.model_fields))
def test_no_setting_turns_development_on_in_production(migrated_sqlite: Path, field: str) -> None:
    for app in production_apps(migrated_sqlite, field):
        assert_nothing_of_development(app)


@each("name", OTHERS)
def test_no_variable_that_sounds_like_it_does_either(
    migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"FLASK_{name}", "0")
    settings, _ = load({**variables(f"sqlite:///{migrated_sqlite}"), f"AUTHSERVER_{name}": "1"})
    assert_nothing_of_development(create_app(settings))


@pytest.mark.parametrize(("method", "path"), GONE)
def test_in_production_the_routes_of_development_are_not_found(make_app: MakeApp, method: str, path: str) -> None:
    for pages in (True, False):
        app = make_app(pages=pages)
        assert_nothing_of_development(app)
        answer = app.test_client().open(path, method=method)
        if path == "/" and pages:
            assert (answer.status_code, answer.headers["Location"]) == (302, "/account")
        else:
            assert_error(answer, 404, "not_found")


def test_s89_development_is_served_only_where_the_caller_says_so_by_name(migrated_sqlite: Path) -> None:
    """And then without what `authserver dev` adds: behind a proxy that sends `Host: 127.0.0.1` strangers look local."""
    settings, _ = load(variables(f"sqlite:///{migrated_sqlite}", env="development", public_url="http://localhost:8000"))
    with pytest.raises(SettingsError, match="`authserver dev`"):
        create_app(settings)
    app = create_app(settings, unsafe_development=True)
    assert_nothing_of_development(app)
    for method, path in GONE:
        assert_error(app.test_client().open(path, method=method, base_url="http://127.0.0.1:8000"), 404, "not_found")
