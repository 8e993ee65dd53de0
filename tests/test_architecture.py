"""Who may import whom: the design's order, read from every file, imports inside functions included."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.each import each

ROOT = Path(__file__).parents[1]

# Only leftwards: each imports from those above it, and those of one line from one another. A part is a module or a
# folder right under authserver/; a new one has to be given its place here.
ORDER: list[set[str]] = [
    {"serving"},  # beside gunicorn: its configuration is read where there is no application yet
    {"environment", "values", "variables"},
    {
        "settings",
        "errors",
        "extensions",
        "disconnects",
        "body",
        "clock",
        "visitor",
        "devices",
        "looking",
        "metrics",
        "cors",
        "cookies",
    },
    {"models"},
    {"migrations"},  # the schema's history: what it did must not depend on what the features do now
    {"limits"},
    {"tokens"},
    {"events"},
    {"purge"},
    {"emails"},
    {"sessions"},
    {"verification"},
    {"passwords"},
    {"accounts"},
    {"oauth"},
    {"testing"},
    {"ops"},
    {"client"},
    {"pages"},
    {"core"},
    {"dev"},
    {"checks"},
    {"app"},
    {"cli"},
    {"__main__"},
]
PLACE = {part: place for place, parts in enumerate(ORDER) for part in parts}

# What the order does not say, each with its reason.
KITS_APPLICATION = "authserver.testing.kit.application"
EXCEPTIONS = {
    ("authserver", "authserver.app"): "create_app imports it when called: importing the package loads no Flask",
    ("authserver", "authserver.settings"): "create_app turns a SettingsError into its sentence, likewise when called",
    # The kit for authors of providers tries them in a real application. One of its files knows how to make that.
    (KITS_APPLICATION, "authserver.app"): "with given settings and with a provider that is not installed",
    (KITS_APPLICATION, "authserver.settings"): "of given variables instead of the environment's",
    (KITS_APPLICATION, "authserver.cli.database"): "on a migrated database",
    (KITS_APPLICATION, "authserver.extensions"): "whose connections are closed in the end",
    (KITS_APPLICATION, "authserver.oauth.upstream"): "with less patience, or each answer that never comes costs 8 s",
}
# Of authserver, for parts that are bound more tightly than by the order.
ONLY = {
    "migrations": {"authserver.extensions"},
    # What the author of a plugin, or of an application's tests, could import too.
    "testing": {"authserver", "authserver.oauth.provider"},
}
TESTINGS_LIBRARIES = {"flask", "joserfc", "werkzeug"}
PYTEST_PLUGIN = "authserver.testing.plugin"
MAY_IMPORT_TESTING = {"dev", "cli", "testing"}


def modules(folder: str) -> dict[str, Path]:
    """The files of a folder by the names under which they are imported."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules("authserver")
PROVIDERS = modules("providers")


def imports(name: str, path: Path, source: str | None = None) -> Iterator[str]:
    """Every module that a file imports, wherever in it: `from authserver import app` is authserver.app."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text() if source is None else source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, node.module] if node.module else parents)
            for alias in node.names:
                yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base


def part(module: str) -> str:
    """`models` of `authserver.models.user`; "" of the package itself."""
    return module.removeprefix("authserver").lstrip(".").partition(".")[0]


def ours(names: Iterator[str]) -> list[str]:
    return [one for one in names if one.partition(".")[0] == "authserver"]


def problem(importer: str, imported: str) -> str | None:
    """What is wrong with the import, if anything is."""
    if (importer, imported) in EXCEPTIONS or part(importer) == part(imported):
        return None
    if part(importer) in ONLY:
        return None if imported in ONLY[part(importer)] else f"{part(importer)} imports {imported}"
    if part(imported) == "testing":
        return None if part(importer) in MAY_IMPORT_TESTING else f"{importer} imports {imported}"
    if imported == "authserver":
        return None if PLACE[part(importer)] > PLACE["app"] else f"{importer} imports the package, which loads app"
    if part(importer) not in PLACE or part(imported) not in PLACE:
        return f"{importer} or {imported} has no place in the order"
    above = PLACE[part(imported)] <= PLACE[part(importer)]
    return None if above else f"{importer} imports {imported}, which is further down"


def test_every_part_has_its_place() -> None:
    assert {part(name) for name in MODULES} - {""} <= PLACE.keys()


@each("name", MODULES)
def test_imports_go_one_way(name: str) -> None:
    problems = [problem(name, imported) for imported in ours(imports(name, MODULES[name]))]
    assert not any(problems), [one for one in problems if one]


def test_no_exception_is_out_of_use() -> None:
    used = {(name, one) for name, path in MODULES.items() for one in ours(imports(name, path))}
    assert used >= EXCEPTIONS.keys()


@each(
    ("importer", "source"),
    [
        ("authserver.errors", "from authserver.tokens.verify import verify"),
        ("authserver.models.user", "def later():\n    from authserver import sessions"),
        ("authserver.tokens.guard", "import authserver.sessions.flows as flows"),
        ("authserver.tokens.guard", "from ..accounts import flows"),
        ("authserver.sessions.flows", "from authserver.accounts.flows import log_in"),
        ("authserver.oauth.verify", "if True:\n    import authserver.app"),
        ("authserver.oauth.linking", "from authserver.testing.standins import serve"),
        ("authserver.app", "from authserver import testing"),
        ("authserver.app", "from authserver.cli.database import migrate_database"),
        ("authserver.settings", "from authserver import create_app"),
        ("authserver.testing.standins", "from authserver.extensions import db"),
        ("authserver.testing.standins", "from authserver.oauth import linking"),
        ("authserver.migrations", "from authserver.tokens.keys import ensure_key"),
        ("authserver", "from authserver.models import User"),
        ("authserver.app", "import authserver.unheard_of"),
    ],
)
def test_a_wrong_import_is_noticed(importer: str, source: str) -> None:
    """Else the test above might be blind."""
    found = [problem(importer, one) for one in ours(imports(importer, MODULES[importer], source))]
    assert any(found)


def foreign(names: Iterator[str]) -> set[str]:
    """The libraries among them, by their top names: neither ours nor Python's."""
    return {one.partition(".")[0] for one in names} - sys.stdlib_module_names - {"authserver"}


def test_providers_import_the_interface_and_nothing_else() -> None:
    """No Flask, no database, no HTTP client, not one another."""
    for name, path in PROVIDERS.items():
        assert set(ours(imports(name, path))) <= {"authserver.oauth.provider"}, name
        assert foreign(imports(name, path)) == set(), name
        assert not uses(path.read_text()) & {"urlopen", "socket", "http", "asyncio", "subprocess", "sqlite3"}, name


def test_authserver_never_imports_a_provider() -> None:
    for name, path in MODULES.items():
        assert not {"providers", "authserver_providers"} & foreign(imports(name, path)), name


def test_the_stand_ins_and_the_kit_need_no_more_libraries_than_the_server() -> None:
    """Only pytest imports the one file that imports pytest."""
    for name, path in MODULES.items():
        if part(name) == "testing":
            allowed = {"pytest"} if name == PYTEST_PLUGIN else TESTINGS_LIBRARIES
            assert foreign(imports(name, path)) <= allowed, name
        assert PYTEST_PLUGIN not in ours(imports(name, path)), name


def test_the_pytest_plugin_loads_nothing_before_it_is_asked() -> None:
    """It is imported in every run of pytest beside authserver, and before any measuring begins."""
    source = (
        f"import sys, pytest\nbefore = set(sys.modules)\nimport {PYTEST_PLUGIN}\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.stdout.split() == ["authserver", "authserver.testing", PYTEST_PLUGIN], ran.stderr


def test_nothing_is_imported_by_a_name_that_is_made_up_at_run_time() -> None:
    """It would not be seen here. Providers are entry points, which Python's metadata loads."""
    for path in MODULES.values():
        assert not uses(path.read_text()) & {"__import__", "import_module"}, path


def test_a_provider_loads_neither_flask_nor_a_database() -> None:
    source = (
        f"import sys, {', '.join(PROVIDERS)}\n"
        "print(*{'flask', 'sqlalchemy', 'werkzeug', 'httpcore2', 'authserver.app'} & sys.modules.keys())"
    )
    ran = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "\n", "")


# Views and flows


def uses(source: str) -> set[str]:
    """The names that a file imports or mentions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {part for alias in node.names for part in alias.name.split(".")}
            names |= set((getattr(node, "module", None) or "").split("."))
        elif isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
    return names


# A view parses, calls one flow and shapes the answer: no query.
DATABASE = {"sqlalchemy", "select", "db", "writing", "fetch_one", "execute", "scalar", "scalars"}
# A flow takes plain values and gives models: it could as well be called by a command.
WEB = {"request", "jsonify", "make_response", "Response", "Blueprint", "url_for", "redirect", "abort"}


@pytest.mark.parametrize(("file", "forbidden"), [("views.py", DATABASE), ("flows.py", WEB)])
def test_views_make_no_query_and_flows_know_no_request(file: str, forbidden: set[str]) -> None:
    files = sorted((ROOT / "authserver").rglob(file))
    assert files
    for path in files:
        assert not uses(path.read_text()) & forbidden, path
