"""S58: what is unsafe does not start. The setting is named, its value is not shown."""

import os
from pathlib import Path

import pytest

import authserver
from authserver.settings import SettingsError, load
from tests.conftest import PUBLIC_URL, SECRET
from tests.each import each
from tests.test_start import CANARY, production, refused_by_gunicorn, run

pytestmark = pytest.mark.slow

Changes = dict[str, str | None]

UNSAFE: list[tuple[str, Changes]] = [
    ("SECRET_KEY", {"SECRET_KEY": None}),
    ("SECRET_KEY", {"SECRET_KEY": ""}),
    ("SECRET_KEY", {"SECRET_KEY": CANARY}),
    ("SECRET_KEY", {"SECRET_KEY": SECRET[:31]}),
    ("SECRET_KEY", {"SECRET_KEY": "x" * 64}),
    ("SECRET_KEY", {"SECRET_KEY": CANARY * 6}),
    ("SECRET_KEY", {"SECRET_KEY": "0123456789" * 5}),
    ("SECRET_KEY", {"SECRET_KEY": f"change-me-{CANARY}-to-a-long-random-string"}),
    ("SECRET_KEY", {"SECRET_KEY": f"CHANGEME{CANARY}CHANGEME{CANARY}CHANGEME!"}),
    ("SECRET_KEY", {"SECRET_KEY": f"your-secret-key-here-{CANARY}-at-least-32-bytes"}),
    ("SECRET_KEY", {"SECRET_KEY": f"super-secret-key-{CANARY}-for-jwt-signing-only"}),
    ("SECRET_KEY", {"SECRET_KEY": f"django-insecure-{CANARY}-k8v2n4q9w7e5r1t3y6u0"}),
    ("SECRET_KEY", {"SECRET_KEY": f"an example secret {CANARY} from the documentation"}),
    ("SECRET_KEY_PREVIOUS", {"SECRET_KEY_PREVIOUS": CANARY}),
    ("SECRET_KEY_PREVIOUS", {"SECRET_KEY_PREVIOUS": CANARY * 6}),
    ("PUBLIC_URL", {"PUBLIC_URL": None}),
    ("PUBLIC_URL", {"PUBLIC_URL": ""}),
    ("PUBLIC_URL", {"PUBLIC_URL": f"http://{CANARY}.example.com"}),
    ("PUBLIC_URL", {"PUBLIC_URL": f"http://127.0.0.1.{CANARY}.example.com"}),
    ("PUBLIC_URL", {"PUBLIC_URL": f"http://localhost.{CANARY}.example.com"}),
    ("PUBLIC_URL", {"PUBLIC_URL": f"http://localhost@{CANARY}.example.com"}),
    ("PUBLIC_URL", {"PUBLIC_URL": f"http://[::1].{CANARY}.example.com"}),
    ("PUBLIC_URL", {"PUBLIC_URL": f"http://192.168.0.1/{CANARY}"}),
    ("PUBLIC_URL", {"PUBLIC_URL": f"{CANARY}.example.com"}),
    ("CORS_ORIGINS", {"CORS_ORIGINS": "*"}),
    ("CORS_ORIGINS", {"CORS_ORIGINS": f"https://{CANARY}.example.com, *"}),
]


def ids(value: object) -> str:
    return ascii(value)[:40]


def changed(changes: Changes) -> dict[str, str]:
    """Production's settings with these changes; None leaves one out."""
    settings = {"SECRET_KEY": SECRET, "PUBLIC_URL": PUBLIC_URL, **changes}
    return {f"AUTHSERVER_{name}": value for name, value in settings.items() if value is not None}


@pytest.fixture(autouse=True)
def no_other_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("AUTHSERVER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refusal(changes: Changes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Of the factory that gunicorn and `wsgi.py` call, with status 3, on which gunicorn's master ends."""
    for variable, value in changed(changes).items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as stopped:
        authserver.create_app()
    assert stopped.value.code == 3
    output, errors = capsys.readouterr()
    (line,) = errors.splitlines()
    assert output == ""
    return line


@each(("name", "changes"), UNSAFE)
def test_s58_production_does_not_start_with_an_unsafe_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, changes: Changes
) -> None:
    line = refusal(changes, monkeypatch, capsys)
    assert line.startswith(f"authserver: AUTHSERVER_{name}: ")
    assert CANARY not in line
    for value in changes.values():
        assert not value or value == "*" or value not in line


def test_s58_production_does_not_start_in_flasks_debug_mode(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], migrated_sqlite: Path
) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert "FLASK_DEBUG" in refusal({"DATABASE_URL": f"sqlite:///{migrated_sqlite}"}, monkeypatch, capsys)


@each(
    "changes",
    [
        {},
        {"PUBLIC_URL": "http://localhost:8000"},
        {"PUBLIC_URL": "http://127.0.0.1:8000"},
        {"PUBLIC_URL": "http://[::1]:8000"},
        {"CORS_ORIGINS": "https://app.example.com,http://localhost:5173"},
    ],
)
def test_s58_production_starts_with_what_is_safe_and_on_loopback(changes: Changes) -> None:
    """Else the refusals above would show nothing."""
    settings, warnings = load(changed({"MAIL_URL": "smtp://127.0.0.1:2525", **changes}))
    assert settings.production
    assert warnings == []


@pytest.mark.parametrize("env", [None, ""])
def test_s58_whoever_names_no_environment_gets_productions_rules(env: str | None) -> None:
    for changes in ({"SECRET_KEY": None}, {"CORS_ORIGINS": "*"}):
        with pytest.raises(SettingsError):
            load({name: value for name, value in changed({"ENV": env, **changes}).items() if value})


# The same as processes


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("SECRET_KEY", {"SECRET_KEY": CANARY * 6}),
        ("CORS_ORIGINS", {"CORS_ORIGINS": "*"}),
    ],
    ids=ids,
)
def test_s58_a_command_says_one_line_and_fails(tmp_path: Path, name: str, changes: dict[str, str]) -> None:
    ran = run("authserver", "migrate", env=production(tmp_path, **changes))
    assert ran.sentence.startswith(f"authserver: AUTHSERVER_{name}: ")
    assert CANARY not in ran.errors
    assert ran.output == ""


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("PUBLIC_URL", {"PUBLIC_URL": f"http://{CANARY}.example.com"}),
        ("PROVIDERS__NOWHERE__", {"PROVIDERS__NOWHERE__CLIENT_ID": CANARY}),
    ],
    ids=ids,
)
def test_s58_gunicorn_says_one_line_a_worker_and_ends_by_itself(
    tmp_path: Path, name: str, changes: dict[str, str]
) -> None:
    sentence = refused_by_gunicorn(production(tmp_path, **changes))
    assert sentence.startswith(f"authserver: AUTHSERVER_{name}")
    assert CANARY not in sentence
