"""What may be set, and how a wrong setting is refused: by its name and what is expected, never by its value."""

import errno
import logging
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import authserver
from authserver.app import create_app
from authserver.cli import cli
from authserver.cli.database import migrate_database
from authserver.settings import Settings, SettingsError, load
from tests.conftest import PUBLIC_URL, SECRET
from tests.each import each

MAIL = "smtp://127.0.0.1:2525"
# What production demands, and a mail server, since without one it warns.
REQUIRED = {"AUTHSERVER_SECRET_KEY": SECRET, "AUTHSERVER_PUBLIC_URL": PUBLIC_URL, "AUTHSERVER_MAIL_URL": MAIL}
OTHER_SECRET = "9hQvYk3nS0xJmEwTz8LdRfUbPcGaVi5o7ZtKXy2NqHs"
CANARY = "cAnArY-7f3e"
TAKES_ANYTHING = {"AUDIENCE", "INSTANCE_PATH", "PROVIDERS"}
NAMES = sorted({name.upper() for name in Settings.model_fields} - TAKES_ANYTHING)


def settings(**changes: str) -> Settings:
    return load({**REQUIRED, **{f"AUTHSERVER_{name}": value for name, value in changes.items()}})[0]


def refusal(**changes: str) -> str:
    with pytest.raises(SettingsError) as raised:
        settings(**changes)
    return str(raised.value)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and nothing of ours in the environment."""
    for name in os.environ:
        if name.startswith("AUTHSERVER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults_are_the_contracts(folder: Path) -> None:
    assert settings().model_dump() == {
        "env": "production",
        "secret_key": SECRET,
        "secret_key_previous": None,
        "signing_algorithm": "ES256",
        "instance_path": Path("instance"),
        "database_url": f"sqlite:///{folder}/instance/authserver.db",
        "public_url": PUBLIC_URL,
        "audience": PUBLIC_URL,
        "cors_origins": (),
        "redirect_urls": (),
        "cookie_samesite": "Lax",
        "access_token_lifetime": 3600,
        "refresh_token_lifetime": 86400,
        "fresh_lifetime": 600,
        "event_lifetime": 365 * 86400,
        "refresh_rotation": False,
        "session_lifetime": None,
        "trusted_proxies": 0,
        "password_min_length": 8,
        "signup": "open",
        "signup_domains": (),
        "email_verification": "optional",
        "email_verify_url": None,
        "password_reset_url": None,
        "new_device_mail": True,
        "mail_url": MAIL,
        "mail_insecure": False,
        "mail_from": None,
        "app_name": "",
        "app_url": None,
        "pages": True,
        "template_path": None,
        "redis_url": None,
        "rate_limits": True,
        "rate_limit_login_account": "10 per 5 minutes",
        "rate_limit_login_address": "100 per 5 minutes",
        "rate_limit_signup_address": "30 per hour",
        "rate_limit_provider_address": "300 per 5 minutes",
        "rate_limit_refresh_address": "300 per 5 minutes",
        "rate_limit_mail_account": "5 per day",
        "rate_limit_mail_address": "30 per hour",
        "rate_limit_mail_unproved": "10 per day",
        "providers": {},
    }


def test_development_needs_no_settings(folder: Path) -> None:
    chosen = load({"AUTHSERVER_ENV": "development"})[0]
    assert not chosen.production
    assert (chosen.public_url, chosen.audience) == ("http://localhost:8000", "http://localhost:8000")
    assert chosen.database_url == f"sqlite:///{folder}/instance/development.db", "which production never opens"
    assert len(chosen.secret_key) >= 32


LIMITS = sorted(name for name in NAMES if name.startswith("RATE_LIMIT_"))
GOOD: list[tuple[str, str, object]] = [
    ("ENV", "production", "production"),
    ("ENV", "development", "development"),
    ("SECRET_KEY", OTHER_SECRET, OTHER_SECRET),
    ("SECRET_KEY", OTHER_SECRET[:32], OTHER_SECRET[:32]),
    ("SECRET_KEY_PREVIOUS", OTHER_SECRET, OTHER_SECRET),
    ("SIGNING_ALGORITHM", "EdDSA", "EdDSA"),
    ("SIGNING_ALGORITHM", "HS256", "HS256"),
    ("INSTANCE_PATH", "/var/lib/authserver", Path("/var/lib/authserver")),
    ("DATABASE_URL", "postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
    ("DATABASE_URL", "postgresql://u:p@h:5433/d?sslmode=require", "postgresql+psycopg://u:p@h:5433/d?sslmode=require"),
    ("DATABASE_URL", "postgresql+psycopg://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
    ("DATABASE_URL", "postgresql://u:p%40ss@[::1]:5432/d", "postgresql+psycopg://u:p%40ss@[::1]:5432/d"),
    ("DATABASE_URL", "postgresql:///d?host=/var/run/postgresql", "postgresql+psycopg:///d?host=/var/run/postgresql"),
    ("DATABASE_URL", "sqlite:////srv/authserver.db", "sqlite:////srv/authserver.db"),
    ("PUBLIC_URL", "https://auth.example.com/", "https://auth.example.com"),
    ("PUBLIC_URL", "HTTPS://Auth.Example.com:8443", "https://auth.example.com:8443"),
    ("PUBLIC_URL", "https://auth.example.com:443", "https://auth.example.com"),
    ("PUBLIC_URL", "https://auth.example.com:0443/", "https://auth.example.com"),
    ("PUBLIC_URL", "https://auth.example.com:80", "https://auth.example.com:80"),
    ("PUBLIC_URL", "http://127.0.0.1:80", "http://127.0.0.1"),
    ("PUBLIC_URL", "http://[::1]:80", "http://[::1]"),
    ("PUBLIC_URL", "http://localhost:443", "http://localhost:443"),
    ("PUBLIC_URL", "http://localhost:8000", "http://localhost:8000"),
    ("PUBLIC_URL", "http://auth.localhost", "http://auth.localhost"),
    ("PUBLIC_URL", "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ("PUBLIC_URL", "http://[::1]:8000", "http://[::1]:8000"),
    ("AUDIENCE", "my-api", "my-api"),
    ("CORS_ORIGINS", "https://app.example.com", ("https://app.example.com",)),
    ("CORS_ORIGINS", "https://app.example.com:443,http://b:80", ("https://app.example.com", "http://b")),
    ("COOKIE_SAMESITE", "Strict", "Strict"),
    ("COOKIE_SAMESITE", "None", "None"),
    (
        "REDIRECT_URLS",
        "https://app.example.com/in?a=%2f, http://127.0.0.1:5173/,com.example.app:/in",
        ("https://app.example.com/in?a=%2f", "http://127.0.0.1:5173/", "com.example.app:/in"),
    ),
    ("CORS_ORIGINS", " https://a.example , http://[::1]:5173/, ", ("https://a.example", "http://[::1]:5173")),
    ("ACCESS_TOKEN_LIFETIME", "1", 1),
    ("REFRESH_TOKEN_LIFETIME", "315360000", 315360000),
    ("FRESH_LIFETIME", "60", 60),
    ("EVENT_LIFETIME", "2592000", 2592000),
    ("PASSWORD_MIN_LENGTH", "1", 1),
    ("PASSWORD_MIN_LENGTH", "256", 256),
    ("REFRESH_ROTATION", "true", True),
    ("SESSION_LIFETIME", "604800", 604800),
    ("TRUSTED_PROXIES", "2", 2),
    ("SIGNUP", "invited", "invited"),
    ("SIGNUP_DOMAINS", "Example.com, example.org", ("example.com", "example.org")),
    ("EMAIL_VERIFICATION", "required", "required"),
    ("EMAIL_VERIFY_URL", "https://app.example.com/verify", "https://app.example.com/verify"),
    ("PASSWORD_RESET_URL", "http://localhost:5173/reset", "http://localhost:5173/reset"),
    ("NEW_DEVICE_MAIL", "false", False),
    ("PAGES", "false", False),
    ("MAIL_URL", "smtps://user:p%40ss@mail.example.com:465", "smtps://user:p%40ss@mail.example.com:465"),
    ("MAIL_URL", "smtp://user:a:b!$^&*()+,;=%23@[::1]:25/", "smtp://user:a:b!$^&*()+,;=%23@[::1]:25/"),
    ("MAIL_INSECURE", "true", True),
    ("MAIL_FROM", "hello@example.com", "hello@example.com"),
    ("APP_NAME", "Acme & Co", "Acme & Co"),
    ("APP_URL", "https://app.example.com/", "https://app.example.com/"),
    ("TEMPLATE_PATH", "/tmp", Path("/tmp")),
    ("REDIS_URL", "redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
    ("RATE_LIMITS", "false", False),
    *((name, "7 per 2 minutes", "7 per 2 minutes") for name in LIMITS),
]


@each(("name", "value", "expected"), GOOD)
def test_a_good_value_is_taken(name: str, value: str, expected: object) -> None:
    assert getattr(settings(**{name: value}), name.lower()) == expected


def test_the_audience_is_the_issuer_however_that_is_written() -> None:
    assert settings(PUBLIC_URL="HTTPS://Auth.example.com:443/").audience == PUBLIC_URL


def test_every_setting_is_tried_with_a_good_and_a_wrong_value() -> None:
    assert {name for name, *_ in GOOD} == {*NAMES, *TAKES_ANYTHING} - {"PROVIDERS"}
    assert {name for name, _ in WRONG} == set(NAMES)


ADDRESSES = [
    CANARY,
    f"{CANARY}.example.com",
    f"ftp://{CANARY}.example.com",
    f"https://{CANARY}.example.com/path",
    f"https://{CANARY}.example.com?",
    f"https://{CANARY}.example.com?x=1",
    f"https://{CANARY}.example.com#",
    f"https://{CANARY}.example.com#x",
    f"https://{CANARY}@auth.example.com",
    f"https://user:{CANARY}@auth.example.com",
    f"https://{CANARY}.example.com:",
    f"https://{CANARY}.example.com:0",
    f"https://{CANARY}.example.com:99999",
    f"https://{CANARY}.example.com:port",
    f"https://{CANARY} .example.com",
    f"https://{CANARY}.ex\u00e4mple.com",
    f"https://{CANARY}\n.example.com",
    f"https://[{CANARY}",
    f"https://*.{CANARY}.example.com",
    f"https://{CANARY}\\.example.com",
    f"https:///{CANARY}",
    f"//{CANARY}.example.com",
]
SECONDS = [CANARY, f"1 {CANARY}", "0", "-1", "1.5", "1e3", "0x10", "true", "315360001", "99999999999999999999"]
SECRETS = [
    CANARY,  # too short
    CANARY * 4,  # a short piece repeated
    OTHER_SECRET[:31],
    "a" * 64,
    "ab" * 32,
    "0123456789" * 5,
    f"change-me-{CANARY}-{OTHER_SECRET}",
    f"your-secret-key-{CANARY}-{OTHER_SECRET}",
    f"django-insecure-{CANARY}-{OTHER_SECRET}",
    f"{CANARY} this is only a placeholder for a secret",
    f"{CANARY}-\udcff\udcfe-{OTHER_SECRET}",  # bytes that are no text, as os.environ gives them
]
DATABASES = [
    CANARY,
    f"mysql://user:{CANARY}@host/database",
    f"postgresql+psycopg2://user:{CANARY}@host/database",
    f"postgresql:user:{CANARY}@host/database",
    "postgresql://",
    f"postgresql://user:{CANARY}@host:port/database",
    f"postgresql://user:{CANARY}@",
    f"postgresql://user:{CANARY}@host",  # libpq would take the user's name for the database's
    f"postgresql://user:{CANARY}@host/",
    f"postgresql://user:a@{CANARY}@host/database",  # all after the first @ would be a host, to be named in errors
    "sqlite://",
    "sqlite:///:memory:",
    f"sqlite:///{CANARY}.db",  # relative: to the working directory for `migrate`, to another folder for the server
    f"sqlite:///folder/{CANARY}.db",
    f"sqlite://{CANARY}/authserver.db",
]
WRONG: list[tuple[str, str]] = [
    *(("ENV", value) for value in (CANARY, "Production", "dev", "staging")),
    *(("SECRET_KEY", value) for value in SECRETS),
    *(("SECRET_KEY_PREVIOUS", value) for value in SECRETS),
    *(("SIGNING_ALGORITHM", value) for value in (CANARY, "es256", "RS256", "none")),
    *(("DATABASE_URL", value) for value in DATABASES),
    *(("PUBLIC_URL", value) for value in ADDRESSES),
    ("PUBLIC_URL", f"http://{CANARY}.example.com"),
    ("PUBLIC_URL", f"http://127.0.0.1.{CANARY}.example.com"),
    ("PUBLIC_URL", f"http://localhost.{CANARY}.example.com"),
    *(("CORS_ORIGINS", value) for value in ADDRESSES),
    *(("CORS_ORIGINS", f"https://a.example,{value}") for value in ("*", "null", CANARY)),
    ("CORS_ORIGINS", "*"),
    ("REDIRECT_URLS", f"https://app.example.com/#{CANARY}"),
    ("REDIRECT_URLS", f"javascript:/{CANARY}"),
    *(("COOKIE_SAMESITE", value) for value in (CANARY, "lax", "none")),
    ("REDIRECT_URLS", f"https://user:{CANARY}@app.example.com/"),
    *(("ACCESS_TOKEN_LIFETIME", value) for value in SECONDS),
    *(("REFRESH_TOKEN_LIFETIME", value) for value in SECONDS),
    *(("FRESH_LIFETIME", value) for value in SECONDS),
    *(("EVENT_LIFETIME", value) for value in SECONDS),
    *(("PASSWORD_MIN_LENGTH", value) for value in (CANARY, "0", "-8", "257", "8.5")),
    *((name, CANARY) for name in ("REFRESH_ROTATION", "NEW_DEVICE_MAIL", "PAGES", "RATE_LIMITS", "MAIL_INSECURE")),
    *(("SESSION_LIFETIME", value) for value in SECONDS),
    *(("TRUSTED_PROXIES", value) for value in (CANARY, "-1", "11")),
    *((name, CANARY) for name in ("SIGNUP", "EMAIL_VERIFICATION", "EMAIL_VERIFY_URL", "PASSWORD_RESET_URL", "APP_URL")),
    *(("SIGNUP_DOMAINS", value) for value in (CANARY, f"@{CANARY}.com", f"https://{CANARY}.com", f"*.{CANARY}.com")),
    ("EMAIL_VERIFY_URL", f"http://{CANARY}.example.com/verify"),
    *(("MAIL_URL", value) for value in (CANARY, f"http://{CANARY}", f"smtp://{CANARY}:x", "smtp://")),
    # Each would be read as another host, port or password, or could not be sent.
    *(("MAIL_URL", f"smtp://user:12{special}{CANARY}@mail.example.com:587") for special in "/?#@[] %\t\u00e4"),
    *(("MAIL_URL", f"smtps://us{special}er:{CANARY}@mail.example.com") for special in "/?#@[] %"),
    *(("MAIL_URL", f"smtp://mail.example.com{after}{CANARY}") for after in "/?#"),
    *(
        ("MAIL_URL", f"smtp://{login}@mail.example.com")
        for login in (f":{CANARY}", f"u:{CANARY}%C3%A4", f"u:{CANARY}%00")
    ),
    *(("MAIL_FROM", value) for value in (CANARY, f"{CANARY} <a@example.com>", f"a@{CANARY},b@example.com")),
    ("APP_NAME", CANARY * 20),
    ("TEMPLATE_PATH", f"/nowhere/{CANARY}"),
    *(("REDIS_URL", value) for value in (CANARY, f"http://{CANARY}")),
    *(("REDIS_URL", f"redis://user:12{special}{CANARY}@redis.example.com/0") for special in "/?#@"),
    *((name, value) for name in LIMITS for value in (CANARY, "0 per minute", "10 per 0 minutes", "ten per minute")),
]


@each(("name", "value"), WRONG)
def test_a_wrong_value_is_named_with_what_is_expected_and_not_shown(name: str, value: str) -> None:
    sentence = refusal(**{name: value})
    assert sentence.startswith(f"AUTHSERVER_{name}: ")
    assert "expected" in sentence
    assert CANARY not in sentence
    assert "\n" not in sentence
    if name.startswith("SECRET_KEY"):
        assert value not in sentence


# Pieces that get a value past the first look at it.
SCHEMES = ["", "https://", "http://", "postgresql://", "sqlite:////", "sqlite:///", SECRET]
PIECES = ["user:", "@", ":", "/", "?", "#", "[", "]", ",", "*", "%", "%00", ".example.com", ":5432/d", "\\", " ", "\n"]
values = st.builds(
    lambda scheme, before, noise, after: f"{scheme}{''.join(before)}{CANARY}{noise}{''.join(after)}",
    st.sampled_from(SCHEMES),
    st.lists(st.sampled_from(PIECES), max_size=3),
    st.text(max_size=5),
    st.lists(st.sampled_from(PIECES), max_size=5),
)


def refusal_if_any(name: str, value: str) -> str | None:
    try:
        settings(**{name: value})
    except SettingsError as error:
        return str(error)
    return None


@given(name=st.sampled_from(NAMES), value=values)
@hypothesis_settings(max_examples=400, deadline=None, derandomize=True)
def test_no_refusal_shows_any_of_the_value(name: str, value: str) -> None:
    sentence = refusal_if_any(name, value)
    if sentence is not None:
        assert re.match(rf"AUTHSERVER_{name}: .+\Z", sentence)
        assert CANARY not in sentence


def test_settings_that_were_taken_show_no_secret_when_they_are_printed() -> None:
    chosen = settings(
        SECRET_KEY=f"{CANARY}-1-{OTHER_SECRET}",
        SECRET_KEY_PREVIOUS=f"{CANARY}-2-{OTHER_SECRET}",
        DATABASE_URL=f"postgresql://user:{CANARY}@host/database",
        PROVIDERS__FACEBOOK__CLIENT_SECRET=CANARY,
    )
    assert CANARY not in f"{chosen!r} {chosen}"


def refusals(variables: dict[str, str] | None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as raised:
        load(variables)
    assert CANARY not in str(raised.value)
    return raised.value.sentences


def named(sentences: tuple[str, ...]) -> list[str]:
    """The settings that they are about."""
    return [sentence.partition(": ")[0].removeprefix("AUTHSERVER_") for sentence in sentences]


def test_what_production_needs_and_lacks_is_named() -> None:
    for given_names in ((), ("PUBLIC_URL",), ("SECRET_KEY",)):
        sentences = refusals({f"AUTHSERVER_{name}": REQUIRED[f"AUTHSERVER_{name}"] for name in given_names})
        assert named(sentences) == [name for name in ("SECRET_KEY", "PUBLIC_URL") if name not in given_names]
        for sentence in sentences:
            assert ": not set, expected " in sentence


def test_all_that_is_wrong_is_named_at_once_each_in_a_sentence() -> None:
    """Also what hangs on another setting."""
    wrong = {
        "CORS_ORIGINS": "*",
        "REDIRECT_URLS": f"http://{CANARY}.example.com/in",
        "ACCESS_TOKEN_LIFETIME": CANARY,
        "EMAIL_VERIFICATION": "required",
        "PASSWORD_RESET_URL": f"http://{CANARY}.example.com/reset",
        "APP_URL": CANARY,
        "PAGES": CANARY,
        "PROVIDERS_GOOGLE_CLIENT_ID": CANARY,
    }
    sentences = refusals({"AUTHSERVER_SECRETKEY": CANARY, **{f"AUTHSERVER_{name}": one for name, one in wrong.items()}})
    assert sorted(named(sentences[:-1])) == sorted(
        {*wrong, "SECRET_KEY", "PUBLIC_URL", "MAIL_URL"} - {"EMAIL_VERIFICATION"}
    )
    assert sentences[-1].endswith("is ignored; did you mean AUTHSERVER_SECRET_KEY?"), "which is what made one missing"


def test_in_development_what_is_missing_is_not_said_beside_what_is_wrong(folder: Path) -> None:
    assert named(refusals({"AUTHSERVER_ENV": "dev"})) == ["ENV"]
    (folder / "instance").write_text("")
    assert named(refusals({"AUTHSERVER_ENV": "development", "AUTHSERVER_PAGES": CANARY})) == ["INSTANCE_PATH", "PAGES"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["ENV"], "expected production or development"),
        (["SIGNUP"], "expected open, invited or closed"),
        (["FRESH_LIFETIME", "SESSION_LIFETIME"], r"expected seconds, such as 300 \(at most ten years\)"),
        (["PAGES", "RATE_LIMITS"], "expected true or false"),
        (["PUBLIC_URL"], "expected a URL, such as https://auth.example.com"),
        (["APP_URL"], "expected a page's URL, such as https://app.example.com/page"),
        (["CORS_ORIGINS"], "expected origins .+, comma-separated, such as https://app.example.com"),
        (["REDIRECT_URLS"], "expected URLs, comma-separated, such as https://app.example.com/signed-in"),
        (["SIGNUP_DOMAINS"], "expected domains, comma-separated, such as example.com,example.org"),
        (["TRUSTED_PROXIES"], "expected a number of proxies from 0 to 10, such as 1"),
        (["PASSWORD_MIN_LENGTH"], "expected a number of characters from 1 to 256, such as 8"),
        (["TEMPLATE_PATH"], "expected the path of a folder that is there, such as /etc/authserver/templates"),
        (["MAIL_FROM"], "expected one e-mail address, such as no-reply@example.com"),
        (LIMITS, "expected one limit, such as 10 per 5 minutes"),
    ],
)
def test_what_is_expected_is_said_with_its_unit_and_an_example(names: list[str], expected: str) -> None:
    for name in names:
        assert re.fullmatch(f"AUTHSERVER_{name}: {expected}", refusal(**{name: f"/{CANARY}"}))


def test_a_wrong_setting_of_production_is_right_in_development() -> None:
    for changes in (
        {"PUBLIC_URL": "http://auth.example.com"},
        {"CORS_ORIGINS": "*"},
        {"REDIRECT_URLS": "http://app.example.com/in"},
    ):
        refusal(**changes)
        settings(ENV="development", **changes)


def test_a_relative_instance_folder_makes_an_absolute_database(folder: Path) -> None:
    assert settings(INSTANCE_PATH="some/where").database_url == f"sqlite:///{folder}/some/where/authserver.db"
    assert settings(INSTANCE_PATH="/some/where").database_url == "sqlite:////some/where/authserver.db"


def test_derived_keys_are_of_their_purpose_the_present_secret_first() -> None:
    both = settings(SECRET_KEY_PREVIOUS=OTHER_SECRET)
    one, two = both.derived_keys("one"), both.derived_keys("two")
    assert {len(key) for key in one + two} == {32}
    assert len({*one, *two}) == 4
    assert settings().derived_keys("one") == one[:1]
    assert settings(SECRET_KEY=OTHER_SECRET).derived_keys("one") == one[1:]


# Where settings come from


def dotenv(folder: Path, text: str) -> None:
    (folder / ".env").write_text(text)


def test_the_env_file_of_the_working_directory_is_read(folder: Path) -> None:
    dotenv(
        folder,
        f"# production\nAUTHSERVER_SECRET_KEY='{SECRET}'\nexport AUTHSERVER_PUBLIC_URL={PUBLIC_URL}\n"
        f'AUTHSERVER_FRESH_LIFETIME="5"  # short\nAUTHSERVER_MAIL_URL={MAIL}\nSOMETHING_ELSE=1\n',
    )
    chosen, warnings = load()
    assert (chosen.secret_key, chosen.public_url, chosen.fresh_lifetime) == (SECRET, PUBLIC_URL, 5)
    assert warnings == []
    assert "AUTHSERVER_SECRET_KEY" not in os.environ, "and nothing is put into the environment"


def test_an_env_file_above_the_working_directory_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv(folder, "AUTHSERVER_ENV=development\n")
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    with pytest.raises(SettingsError, match="AUTHSERVER_SECRET_KEY: not set"):
        load()


def test_the_environment_wins_over_the_env_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv(folder, f"AUTHSERVER_SECRET_KEY={SECRET}\nAUTHSERVER_PUBLIC_URL=https://file.example.com\n")
    monkeypatch.setenv("AUTHSERVER_PUBLIC_URL", PUBLIC_URL)
    assert load()[0].public_url == PUBLIC_URL


def test_an_empty_value_counts_as_not_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv(folder, "AUTHSERVER_DATABASE_URL=\nAUTHSERVER_CORS_ORIGINS= # none\n")
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    for name in ("ENV", "FRESH_LIFETIME", "AUDIENCE", "SECRET_KEY_PREVIOUS", "PROVIDERS__GOOGLE__CLIENT_ID", "UNKNOWN"):
        monkeypatch.setenv(f"AUTHSERVER_{name}", "")
    assert load() == (settings(), [])
    monkeypatch.setenv("AUTHSERVER_SECRET_KEY", "")
    with pytest.raises(SettingsError, match="AUTHSERVER_SECRET_KEY: not set"):
        load()


def test_an_env_file_that_is_no_text_is_named(folder: Path) -> None:
    (folder / ".env").write_bytes(f"AUTHSERVER_AUDIENCE={CANARY}\xff".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"\.env") as raised:
        load()
    assert CANARY not in str(raised.value)


UNREADABLE = [
    f"AUTHSERVER_AUDIENCE {CANARY}",
    f"AUTHSERVER_SECRET_KEY: {CANARY}",
    f"AUTHSERVER_SECRET_KEY:{CANARY}",
    f"AUTHSERVER_SECRET_KEY:{CANARY}==",
    f"={CANARY}",
    f"SOMETHING {CANARY}",
    f"AUTHSERVER_AUDIENCE='{CANARY}'s'",
    f'AUTHSERVER_AUDIENCE="{CANARY}',
    f'AUTHSERVER_AUDIENCE="{CANARY}\nAUTHSERVER_APP_NAME="Acme"',
    f"AUTHSERVER_AUDIENCE='{CANARY}\nAUTHSERVER_APP_NAME='",
    "AUTHSERVER_REFRESH_ROTATION",
    "export AUTHSERVER_REFRESH_ROTATION",
]


@each("line", UNREADABLE)
def test_a_line_of_the_env_file_that_cannot_be_read_stops_the_start(folder: Path, line: str) -> None:
    dotenv(folder, f"# production\n\nAUTHSERVER_PAGES=true\n\n{line}\n")
    (sentence,) = refusals(None)
    assert sentence.startswith(f"{folder}/.env, line 5: cannot be read, expected NAME=value")


def test_all_lines_that_cannot_be_read_are_named_and_those_of_other_programs_may_be_odd(folder: Path) -> None:
    (folder / ".env").write_bytes(b"a b\r\nAUTHSERVER_PAGES=true\r\n\r\nc d\r\n")
    assert [re.findall(r"line (\d+)", one) for one in refusals(None)] == [["1"], ["4"]]
    dotenv(folder, "\ufeffOTHER\nother-name=1\nKEY='several\nlines'\n")
    load(REQUIRED)
    (folder / ".env").unlink()
    (folder / ".env").mkdir()  # what some call their virtual environment
    assert named(refusals(None)) == ["SECRET_KEY", "PUBLIC_URL"]


@each(
    ("name", "meant"),
    [
        ("AUTHSERVER_SECRETKEY", "AUTHSERVER_SECRET_KEY"),
        ("AUTHSERVER_SIGNUPS", "AUTHSERVER_SIGNUP"),
        ("AUTHSERVER_DATABASE_URI", "AUTHSERVER_DATABASE_URL"),
        ("AUTHSERVER_CORS_ORIGIN", "AUTHSERVER_CORS_ORIGINS"),
        ("AUTHSERVER_ACCES_TOKEN_LIFETIME", "AUTHSERVER_ACCESS_TOKEN_LIFETIME"),
        ("AUTHSERVER_GOOGLE_CLIENT_ID", "AUTHSERVER_PROVIDERS__GOOGLE__CLIENT_ID"),
        ("authserver_signup", "AUTHSERVER_SIGNUP"),
        (f"AUTHSERVER_SIGNUP:{CANARY}", "AUTHSERVER_SIGNUP"),
        ("AUTHSERVER_PORT", None),  # Kubernetes makes these for a service called authserver
        ("AUTHSERVER_SERVICE_HOST", None),
        ("AUTHSERVER_PROVIDERS", None),
    ],
)
def test_an_unknown_name_is_warned_of_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, name: str, meant: str | None
) -> None:
    for variable, value in {**REQUIRED, name: CANARY}.items():
        monkeypatch.setenv(variable, value)
    chosen, warnings = load()
    assert chosen == settings()
    (warning,) = warnings
    assert CANARY not in warning
    shown = name.partition(":")[0]
    assert warning == f"{shown} is not a setting of authserver and is ignored" + (
        f"; did you mean {meant}?" if meant else ""
    )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PROVIDERS_GOOGLE_CLIENT_ID", "GOOGLE__CLIENT_ID"),
        ("PROVIDERS__GOOGLE_CLIENT_ID", "GOOGLE__CLIENT_ID"),
        ("PROVIDERS_GOOGLE__CLIENT_ID", "GOOGLE__CLIENT_ID"),
        ("PROVIDER__GOOGLE__CLIENT_ID", "GOOGLE__CLIENT_ID"),
        ("PROVIDERS_GOOGLE_HOSTED_DOMAIN", "GOOGLE__HOSTED_DOMAIN"),
        ("PROVIDERS_MY_IDP_CLIENT_SECRET", "MY_IDP__CLIENT_SECRET"),
        ("PROVIDERS_MY_IDP__BASE_URL", "MY_IDP__BASE_URL"),
        ("providers_google_client_id", "GOOGLE__CLIENT_ID"),
        ("PROVIDERS_GOOGLE", "GOOGLE__CLIENT_ID"),
        (f"PROVIDERS_GOOGLE_CLIENT_SECRET:{CANARY}", "GOOGLE__CLIENT_SECRET"),
    ],
)
def test_a_providers_setting_without_two_underscores_stops_the_start(name: str, meant: str) -> None:
    """It is not taken for the setting: whether MY_IDP_REGION is of `my` or of `my_idp` cannot be known."""
    (sentence,) = refusals({**REQUIRED, f"AUTHSERVER_{name}": CANARY})
    assert sentence == (
        f"AUTHSERVER_{name.partition(':')[0]}: expected two underscores before and after the provider's name, "
        f"such as AUTHSERVER_PROVIDERS__{meant}"
    )


@pytest.mark.parametrize("verification", ["off", "optional", "required"])
def test_domains_ask_for_verified_addresses_and_start_without_mail(verification: str) -> None:
    """A company that signs in with a provider alone needs none."""
    chosen = settings(EMAIL_VERIFICATION=verification)
    assert chosen.must_verify == (verification == "required")
    assert settings(EMAIL_VERIFICATION=verification, SIGNUP_DOMAINS="example.com").must_verify
    without = {name: value for name, value in REQUIRED.items() if name != "AUTHSERVER_MAIL_URL"}
    if verification != "required":
        _, warnings = load({**without, "AUTHSERVER_SIGNUP_DOMAINS": "example.com"})
        assert [("SIGNUP_DOMAINS" in one, "MAIL_URL" in one) for one in warnings] == [(False, True), (True, True)]
        assert len(load(without)[1]) == 1


def test_an_application_logs_the_warnings(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, migrated_sqlite: Path
) -> None:
    for name, value in {**REQUIRED, "AUTHSERVER_DATABASE_URL": f"sqlite:///{migrated_sqlite}"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AUTHSERVER_SECRETKEY", CANARY)
    with caplog.at_level(logging.WARNING):
        create_app()
    (message,) = caplog.messages
    assert re.match(r"AUTHSERVER_SECRETKEY .* AUTHSERVER_SECRET_KEY\?$", message)


def test_providers_settings_are_gathered_by_name() -> None:
    chosen = settings(
        PROVIDERS__GOOGLE__CLIENT_ID="one", PROVIDERS__MY_IDP__CLIENT_ID="two", PROVIDERS__MY_IDP__BASE__URL="three"
    )
    assert chosen.providers == {"google": {"CLIENT_ID": "one"}, "my_idp": {"CLIENT_ID": "two", "BASE__URL": "three"}}


# The development secret


def development(**changes: str) -> Settings:
    return load({"AUTHSERVER_ENV": "development", **{f"AUTHSERVER_{name}": text for name, text in changes.items()}})[0]


def test_the_development_secret_is_made_once_and_for_its_owner_alone(folder: Path) -> None:
    secret = development().secret_key
    assert development().secret_key == secret
    kept = folder / "instance" / "secret_key"
    assert kept.read_text() == secret
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert os.listdir(folder / "instance") == ["secret_key"], "no draft is left behind"
    assert development(INSTANCE_PATH="other").secret_key != secret


def test_a_secret_that_is_set_is_used_in_development_too(folder: Path) -> None:
    assert development(SECRET_KEY=SECRET).secret_key == SECRET
    assert os.listdir(folder) == []


def test_production_makes_no_secret(folder: Path) -> None:
    with pytest.raises(SettingsError, match="AUTHSERVER_SECRET_KEY: not set"):
        load({"AUTHSERVER_PUBLIC_URL": PUBLIC_URL})
    assert os.listdir(folder) == []


# Imported once and forked: eight processes that begin at the same moment.
EIGHT = """
import os, sys
from authserver.settings import load
gate, opened = os.pipe()
for _ in range(8):
    if os.fork() == 0:
        os.close(opened)
        os.read(gate, 1)
        os.write(1, load({"AUTHSERVER_ENV": "development"})[0].secret_key.encode() + b"\\n")
        os._exit(0)
os.close(opened)
sys.exit(max(os.waitpid(-1, 0)[1] for _ in range(8)))
"""


@pytest.mark.slow
def test_eight_processes_that_start_at_once_have_one_development_secret(folder: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", EIGHT], capture_output=True, text=True, timeout=60, check=True)
    secrets = ran.stdout.split()
    assert (len(secrets), len(set(secrets))) == (8, 1)
    assert os.listdir(folder / "instance") == ["secret_key"]


def file_in_the_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "instance").write_text("")


def folder_in_the_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "instance" / "secret_key").mkdir(parents=True)


def not_text(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "instance").mkdir()
    (folder / "instance" / "secret_key").write_bytes(b"\xff" * 48)


def forbidden(*arguments: object, **options: object) -> Any:
    raise PermissionError(errno.EACCES, "Permission denied")


# By replacing the call, since nothing is forbidden to root.
def not_writable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.open", forbidden)


def not_readable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", forbidden)


def without_hard_links(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.link", forbidden)


@pytest.mark.parametrize(
    "prepare", [file_in_the_way, folder_in_the_way, not_text, not_writable, not_readable, without_hard_links]
)
def test_an_instance_folder_that_cannot_keep_the_secret_is_said_in_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, prepare: Callable[[Path, pytest.MonkeyPatch], None]
) -> None:
    prepare(folder, monkeypatch)
    with pytest.raises(SettingsError, match=r"\AAUTHSERVER_INSTANCE_PATH: .+\Z"):
        development()
    assert not list(folder.glob("instance/.secret_key.*")), "no draft is left behind"


def test_an_instance_folder_that_cannot_keep_the_database_is_said_with_its_path(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(SettingsError, match=rf"\Athe database {folder}/file/authserver.db .+ AUTHSERVER_.+\Z"):
        migrate_database(settings(INSTANCE_PATH="file"))


# The same from everywhere

COMMANDS = [
    ["dev"],
    ["migrate"],
    ["users", "list"],
    ["sessions", "list", "ada@example.org"],
    ["invitations", "list"],
    ["providers"],
    ["events"],
    ["purge"],
    ["keys", "reset", "--yes"],
]
HALF = {
    "AUTHSERVER_PROVIDERS__FACEBOOK__CLIENT_ID": CANARY,
    "AUTHSERVER_PROVIDERS__GITHUB__CLIENT_SECRET": CANARY,
    "AUTHSERVER_PROVIDERS__GOOGLE__CLIENT_ID": CANARY,
    "AUTHSERVER_PROVIDERS__GOOGLE__TENANT": CANARY,
    "AUTHSERVER_PROVIDERS__GOOGLE__HOSTED_DOMIAN": CANARY,
}
OF_PROVIDERS = [
    "AUTHSERVER_PROVIDERS__FACEBOOK__CLIENT_SECRET is not set",
    "AUTHSERVER_PROVIDERS__GITHUB__CLIENT_ID is not set",
    "AUTHSERVER_PROVIDERS__GOOGLE__HOSTED_DOMIAN is not an option of google",
    "AUTHSERVER_PROVIDERS__GOOGLE__TENANT is not an option of google",
]


def said_by(command: list[str]) -> tuple[str, ...]:
    error = CliRunner().invoke(cli, command, prog_name="authserver").exception
    assert isinstance(error, SettingsError), command
    return error.sentences


def test_every_command_and_the_server_name_all_that_is_wrong_providers_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"AUTHSERVER_ENV": "development", "AUTHSERVER_PAGES": CANARY, **HALF}.items():
        monkeypatch.setenv(name, value)
    expected = ["AUTHSERVER_PAGES: expected true or false", *OF_PROVIDERS]
    for command in COMMANDS:
        said = said_by(command)
        assert [one.partition(",")[0] for one in said] == expected, command
    with pytest.raises(SystemExit):
        authserver.create_app()
    assert capsys.readouterr() == ("", "".join(f"authserver: {one}\n" for one in said))
    monkeypatch.setenv("AUTHSERVER_PAGES", "true")
    for command in COMMANDS:
        if command != ["providers"]:  # which lists them
            assert [one.partition(",")[0] for one in said_by(command)] == OF_PROVIDERS, command
    assert not list(folder.glob("instance/*.db")), "and nothing was begun"
