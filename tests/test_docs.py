"""What the docs say is what the code does, and every code block that can be run is run."""

import configparser
import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from authserver.cli import cli
from authserver.dev.people import PEOPLE, TAKEN
from authserver.errors import CODES
from authserver.events.record import Happened
from authserver.limits import Limit
from authserver.oauth.registry import enabled_providers
from authserver.settings import Settings, load
from authserver.testing.kit import EMAIL
from authserver.testing.standins import StandIns
from docs import made
from docs.made.endpoints import documented_path
from tests.blocks import PAGES, ROOT, block
from tests.conftest import PUBLIC_URL, SECRET, MakeApp, Run
from tests.factories import sign_up
from tests.providers.shipped import NAMES, factory, settings_of
from tests.serving import free_port, served

EXAMPLE = "docs/examples/react/src"


def text(name: str | Path) -> str:
    return (ROOT / name).read_text()


def rows(name: str) -> list[list[str]]:
    """The cells of a page's tables, heads and rules left out."""
    lines = [line for line in text(name).splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if not row[0].startswith("---")]


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {row[0].strip("`"): row[2] for row in rows("docs/settings.md") if row[0].startswith("`AUTHSERVER_")}
    fields = Settings.model_fields
    names = {f"AUTHSERVER_{name.upper()}" for name in fields} - {"AUTHSERVER_PROVIDERS"}
    assert documented.keys() == names | {"AUTHSERVER_PROVIDERS__<NAME>__<OPTION>"}
    said_otherwise = {"database_url", "public_url", "audience", "secret_key", "session_lifetime", "providers"}
    for name in fields.keys() - said_otherwise:
        default = fields[name].default
        expected = (
            "none" if default in (None, (), "") else f"`{default}`".replace("False", "false").replace("True", "true")
        )
        assert documented[f"AUTHSERVER_{name.upper()}"] == expected


def test_every_rate_limit_is_a_setting_and_is_explained() -> None:
    names = {limit.name for limit in Limit}
    assert {f"rate_limit_{name.lower()}" for name in names} == {
        name for name in Settings.model_fields if name.startswith("rate_limit_")
    }
    assert {row[0].strip("`") for row in rows("docs/operating.md") if row[0].strip("`").isupper()} == names


def test_every_endpoint_is_documented(make_app: MakeApp) -> None:
    apple = {f"providers__apple__{name.lower()}": value for name, value in settings_of("apple").options.items()}
    app = make_app(**apple, providers__apple__client_id="id")  # whose callback takes a form too
    documented = {row[0].replace("`", "") for row in rows("docs/endpoints.md") if row[0].startswith(("GET ", "P", "D"))}
    served_here = {
        f"{method} {documented_path(rule.rule.replace('/auth/apple', '/auth/name'))}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert documented == served_here


def test_every_error_is_documented_with_its_status() -> None:
    documented = {row[1].strip("`"): int(row[0]) for row in rows("docs/endpoints.md") if row[0].isdigit()}
    assert documented == {code: status for code, (status, _) in CODES.items()}


def commands(group: click.Group, prefix: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def test_every_command_and_its_options_are_documented() -> None:
    documented = {row[0].strip("`"): row[1] for row in rows("docs/settings.md") if row[0].startswith("`authserver ")}
    found = dict(commands(cli, "authserver"))
    assert documented.keys() == found.keys()
    for name, command in found.items():
        given = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        options = {option for parameter in given for option in parameter.opts}
        assert options == set(re.findall(r"`(--[\w-]+)`", documented[name])), name
        assert command.help


def test_every_event_is_documented() -> None:
    cells = [row[0] for row in rows("docs/operating.md")]
    assert {name for cell in cells for name in re.findall(r"`([a-z_]+)`", cell)} == set(Happened)


@pytest.mark.parametrize(
    ("kind", "people"), [("jsonl", block("docs/operating.md", "json")), ("csv", block("docs/operating.md", "csv"))]
)
def test_the_guides_files_of_people_can_be_imported(run: Run, kind: str, people: str) -> None:
    result = run("users", "import", "-", "--format", kind, stdin=people)
    assert result.stdout == "2 imported, 0 here already, 0 refused.\n"


def test_every_provider_option_is_documented() -> None:
    documented: dict[str, set[str]] = {}
    provider = ""
    for row in rows("docs/providers.md"):
        if len(row) == 4 and row[1].startswith("`") and row[0] != "provider":
            provider = row[0] or provider
            documented.setdefault(provider, set()).update(re.findall(r"`([A-Z_]+)`", row[1]))
    for name in NAMES:
        settings = settings_of(name)
        own = {"CLIENT_ID"} if factory(name)(settings).client_secret else {"CLIENT_ID", "CLIENT_SECRET"}
        assert documented.pop(name) == own | settings.asked
    assert documented == {}


def test_every_provider_has_its_row_of_what_to_send() -> None:
    assert [row[0] for row in rows("docs/providers.md") if len(row) == 5 and row[0] != "provider"] == list(NAMES)


def test_the_guides_provider_of_the_kind_oidc_is_set_as_it_stands() -> None:
    variables = block("docs/providers.md", "sh")
    options = dict(line.removeprefix("AUTHSERVER_PROVIDERS__ACME__").split("=", 1) for line in variables.splitlines())
    assert options.pop("TYPE") == "oidc"
    assert options.pop("CLIENT_ID")
    assert factory("oidc")(settings_of("acme", **options)).label == "Acme"


def test_every_dependency_is_explained() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    wanted = config["options"]["install_requires"] + "".join(config["options.extras_require"].values())
    names = {re.split(r"[>\[]", line)[0].lower() for line in wanted.split() if ">" in line}
    explained = {
        name.lower() for row in rows("docs/dependencies.md") for name in re.split(r", ", re.sub(r" \(.*\)", "", row[0]))
    } - {"package"}
    assert explained == names


def test_the_programs_are_named_as_they_run_in_a_clone() -> None:
    """By the Python that has the server and not by one that may not even be there."""
    programs = sorted((ROOT / "benchmarks").glob("*.py"))
    pages: list[str | Path] = [*PAGES, *programs]
    named = [one for page in pages for one in re.findall(r"`([^`]*benchmarks/\w+\.py)", text(page))]
    assert {name.rpartition("/")[2] for name in named} == {path.name for path in programs}
    for name in named:
        assert name.startswith(".venv/bin/python benchmarks/"), name


def test_the_readmes_provider_settings_start(make_app: MakeApp) -> None:
    variables = block("README.md", "sh", "AUTHSERVER_PROVIDERS__")
    settings, warnings = load(
        {
            "AUTHSERVER_SECRET_KEY": SECRET,
            "AUTHSERVER_PUBLIC_URL": PUBLIC_URL,
            **dict(line.split("=", 1) for line in variables.splitlines() if not line.startswith("#")),
        }
    )
    assert not [warning for warning in warnings if "PROVIDERS" in warning]
    assert [enabled.name for enabled in enabled_providers(settings)] == ["acme", "facebook", "google", "microsoft"]


@pytest.mark.skipif(not shutil.which("jq") and not os.environ.get("CI"), reason="jq is not installed")
def test_the_readmes_walk_through_runs_as_it_stands(make_app: MakeApp) -> None:
    script = block("README.md", "sh", "/api/signup/")
    port = free_port()
    with served(make_app(env="development", public_url=f"http://localhost:{port}"), port) as url:
        script = script.replace("http://localhost:8000", url)
        for _ in range(2):  # the second time Grace has an account
            ran = subprocess.run(["bash", "-eu", "-c", script], capture_output=True, text=True, timeout=60, check=True)
            me, refreshed, refused = map(json.loads, ran.stdout.replace("}\n{", "}\n\n{").split("\n\n"))
            assert (me["email"], me["first_name"]) == ("grace@example.com", "Grace")
            assert refreshed.keys() == {"access"}
            assert refused["code"] == "token_not_valid"


PERSON = re.compile(r"(?<![\w:.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")  # after a colon it is a password and a host


def test_no_two_pages_and_no_two_stand_ins_share_a_person() -> None:
    """But for those that a development server begins with: any page may log in as one of them."""
    seeds = {one.email for one in PEOPLE}
    pages = [*PAGES, *(f"{EXAMPLE}/{path.name}" for path in (ROOT / EXAMPLE).iterdir())]
    people = {page: set(PERSON.findall(text(page))) - seeds for page in pages}
    people["docs/plugins.md"].add(EMAIL)  # which its code imports
    for name, one in StandIns("http://localhost:8000", taken=TAKEN).each.items():
        people[name] = {person.email for person in one.people if person.email} - seeds
    assert people["README.md"]
    assert people["google"]
    for (page, ones), (other, others) in itertools.combinations(people.items(), 2):
        assert not ones & others, (page, other)


def test_the_readmes_flask_api_takes_our_access_tokens_and_no_others(make_app: MakeApp) -> None:
    source = block("README.md", "python", "PyJWKClient")
    assert len([line for line in source.splitlines() if line.strip()]) <= 25
    port = free_port()
    app = make_app(env="development", public_url=f"http://localhost:{port}")
    person = sign_up(app.test_client())
    namespace: dict[str, Any] = {"__name__": "api"}
    exec(compile(source.replace("localhost:8000", f"localhost:{port}"), "README.md", "exec"), namespace)
    client = namespace["app"].test_client()
    hello: Callable[[str], Any] = lambda token: client.get("/hello/", headers={"Authorization": f"Bearer {token}"})  # noqa: E731
    assert hello(person.access).status_code == 503, "our server does not run yet"
    with served(app, port):
        assert hello(person.access).get_json() == {"you_are": person.user["id"]}
        for token in (person.refresh, person.access[:-4] + "AAAA", "", "x"):
            assert hello(token).status_code == 401


def test_the_cases_of_the_security_page_are_listed_by_its_command() -> None:
    command = block("docs/security.md", "sh", "grep")
    ran = subprocess.run(
        ["bash", "-eu", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    numbers = {int(one) for line in ran.stdout.splitlines() for one in re.findall(r"(?<=[_ ]s)\d+(?=_)", line)}
    assert numbers >= set(range(1, 60))


def test_the_files_of_the_security_page_are_there() -> None:
    named = {name for row in rows("docs/security.md") for name in re.findall(r"`([\w/]+(?:\.py|/))`", row[-1])}
    assert len(named) > 15
    for name in named:
        assert (ROOT / name if name.startswith("providers/") else ROOT / "authserver" / name).exists(), name


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_files_of_where_things_are_are_there(page: str) -> None:
    _, _, table = text(page).partition("## Where things are")
    assert table
    named = [name for name in re.findall(r"`([^`]+)`", table) if re.fullmatch(r"[\w./-]*[./][\w./-]*", name)]
    assert len(named) > 15
    for name in named:
        assert (ROOT / name).exists() or (ROOT / "authserver" / name).exists(), name


def test_what_is_made_of_the_code_is_what_the_code_says_now() -> None:
    for page, expected in made.pages().items():
        assert page.read_text() == expected, f"{page.name} is behind the code: `make docs` renews it"


def test_the_guides_files_are_those_of_the_plugin_that_is_tested() -> None:
    """tests/plugin/: its own test runs with the others, and test_package.py installs it."""
    layout = block("docs/plugins.md", "text")
    files = {
        "pyproject.toml": block("docs/plugins.md", "toml"),
        "authserver_example.py": block("docs/plugins.md", "python", '"""Example.'),
        "test_authserver_example.py": block("docs/plugins.md", "python", "POST /introspect"),
    }
    assert layout.split()[1:] == list(files)
    for name, source in files.items():
        assert source == text(f"tests/plugin/{name}")
