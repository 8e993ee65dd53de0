"""`authserver providers`: what is installed or configured, and what is wrong with it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from authserver.cli import cli
from tests.commands import printed
from tests.conftest import PUBLIC_URL, variables
from tests.providers.shipped import NAMES

GOOGLE = {"providers__google__client_id": "canary-id"}
FACEBOOK = {"providers__facebook__client_id": "canary-id", "providers__facebook__client_secret": "canary-secret"}
REDIRECTS = {"redirect_urls": "https://app.example.com/signed-in"}


def listed(*arguments: str, **settings: object) -> Result:
    """It needs no database, not even one that is there."""
    environment = variables("sqlite:////nowhere/authserver.db", mail_url="smtp://127.0.0.1:9", **settings)
    result = CliRunner().invoke(cli, ["providers", *arguments], env=environment, prog_name="authserver")
    assert "canary" not in result.output, "what was set is not shown"
    return result


def by_name(**settings: object) -> dict[str, dict[str, object]]:
    return {one["name"]: one for one in printed(listed("--json", **settings))}


@pytest.fixture(autouse=True)
def no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_installed_and_not_configured_is_listed_with_what_to_set() -> None:
    found = by_name()
    assert list(found) == list(NAMES)
    assert found["google"] == {
        "name": "google",
        "state": "not configured",
        "label": "",
        "takes": [],
        "note": "set AUTHSERVER_PROVIDERS__GOOGLE__CLIENT_ID",
        "distribution": "authserver 0.1.0",
    }
    assert listed().exit_code == 0


def test_an_enabled_provider_is_listed_with_what_it_takes_and_what_to_register() -> None:
    found = by_name(**FACEBOOK, **GOOGLE, **REDIRECTS)
    assert (found["facebook"]["state"], found["facebook"]["label"]) == ("enabled", "Facebook")
    assert found["facebook"]["takes"] == ["access_token", "id_token", "code", "redirect"]
    assert found["facebook"]["note"] == f"redirect URI {PUBLIC_URL}/api/auth/facebook/callback/"
    assert found["google"]["takes"] == ["access_token", "id_token"]
    assert found["google"]["note"] == "no redirect without CLIENT_SECRET"
    assert by_name(**FACEBOOK)["facebook"]["note"] == "no redirect leads back before AUTHSERVER_REDIRECT_URLS is set"


def test_a_provider_under_another_name_is_listed_with_where_its_type_is_from() -> None:
    acme = {"type": "oidc", "issuer": "https://login.acme.example", "client_id": "canary-id"}
    found = by_name(**{f"providers__acme__{name}": value for name, value in acme.items()})["acme"]
    assert (found["state"], found["label"], found["distribution"]) == ("enabled", "Acme", "authserver 0.1.0")


@pytest.mark.parametrize(
    ("settings", "name", "why"),
    [
        ({"facebook__client_id": "canary"}, "facebook", "AUTHSERVER_PROVIDERS__FACEBOOK__CLIENT_SECRET is not set"),
        ({"github__client_secret": "canary"}, "github", "AUTHSERVER_PROVIDERS__GITHUB__CLIENT_ID is not set"),
        ({"googel__client_id": "canary"}, "googel", "there is no provider googel, installed are apple, discord"),
        ({"google__client_id": "canary", "google__hd": "canary"}, "google", "HD is not an option of google"),
    ],
)
def test_one_that_is_wrong_is_listed_with_why_and_the_others_all_the_same(
    settings: dict[str, str], name: str, why: str
) -> None:
    given = {**FACEBOOK, **{f"providers__{option}": value for option, value in settings.items()}}
    if name == "facebook":
        del given["providers__facebook__client_secret"]
    result = listed("--json", **given)
    found = {one["name"]: one for one in printed(result)}
    assert (result.exit_code, found[name]["state"]) == (1, "wrong")
    assert why in str(found[name]["note"])
    assert found.keys() >= set(NAMES)
    table = listed(**given)
    assert table.exit_code == 1
    (row,) = (line for line in table.stdout.splitlines() if line.startswith(f"{name} "))
    assert "  wrong  " in row
    assert why in row


def test_the_table_says_the_same_as_the_json() -> None:
    head, *rows = listed(**FACEBOOK).stdout.splitlines()
    assert head.split() == ["NAME", "STATE", "TAKES", "FROM", "NOTE"]
    assert [row.split()[0] for row in rows] == list(NAMES)


@pytest.mark.slow
def test_what_is_not_configured_is_never_imported(tmp_path: Path) -> None:
    source = (
        "import json, sys\n"
        "from authserver.cli import cli\n"
        "cli(['providers', '--json'], standalone_mode=False)\n"
        "names = [name for name in sys.modules if name.startswith('authserver_providers.')]\n"
        "print(json.dumps(names), file=sys.stderr)"
    )
    environment = variables("sqlite:////nowhere/authserver.db", mail_url="smtp://127.0.0.1:9", **GOOGLE)
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-c", source], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert json.loads(ran.stderr.splitlines()[-1]) == ["authserver_providers.google"]
