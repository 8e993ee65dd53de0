"""S59: a provider that is configured and cannot work stops the start with one sentence; others are left alone."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import authserver
from authserver.oauth import registry
from authserver.oauth.provider import AccessToken, Identity, Provider, ProviderFactory, ProviderSettings
from authserver.oauth.registry import Enabled, enabled_providers
from authserver.settings import SettingsError, environment
from authserver.testing.standins import StandIns
from tests.blocks import block
from tests.conftest import PUBLIC_URL, SECRET, settings_for
from tests.each import each

ROOT = Path(__file__).parents[1]
DATABASE = "sqlite:////nowhere/authserver.db"
VALUE = "canary"  # part of every value that is set below: no sentence may quote one

GOOGLE = {"google__client_id": "canary-id"}
FACEBOOK = {"facebook__client_id": "canary-id", "facebook__client_secret": "canary-secret"}
MICROSOFT = {"microsoft__client_id": "canary-id"}
TOKENS = AccessToken(identity=lambda accepted: Identity(subject="1", email=None, email_verified=False))
ACME = {"acme__client_id": "canary-id", "acme__client_secret": "canary-secret"}


def enable(changes: dict[str, str], factories: dict[str, ProviderFactory] | None = None, **more: str) -> list[Enabled]:
    settings = settings_for(DATABASE, **{f"providers__{name}": value for name, value in changes.items()}, **more)
    return enabled_providers(settings, factories)


def refusal(changes: dict[str, str], factories: dict[str, Any] | None = None) -> str:
    """The one sentence."""
    with pytest.raises(SettingsError) as caught:
        enable(changes, factories)
    sentence = str(caught.value)
    assert VALUE not in sentence
    assert "\n" not in sentence
    assert ". " not in f"{sentence} "
    return sentence


def test_configured_providers_are_enabled_in_the_order_of_their_names() -> None:
    enabled = enable({**MICROSOFT, **GOOGLE, **FACEBOOK})
    assert [one.name for one in enabled] == ["facebook", "google", "microsoft"]
    assert [one.provider.label for one in enabled] == ["Facebook", "Google", "Microsoft"]
    assert enable({}) == []


def test_each_provider_that_ships_has_a_mark_but_the_one_for_any_other() -> None:
    variables = StandIns("http://localhost:1").variables()
    enabled = enable({name.removeprefix("AUTHSERVER_PROVIDERS__").lower(): value for name, value in variables.items()})
    assert {one.name for one in enabled if not one.provider.mark} == {"acme"}
    for one in enabled:
        assert "fill=" in one.provider.mark or one.name in ("apple", "github", "acme")


GOOD_MARK: str = ast.literal_eval(block("docs/plugins.md", "python", "MARK").removeprefix("MARK = "))


@pytest.mark.parametrize(
    "mark",
    [
        "a.svg",
        "<img src=x>",
        GOOD_MARK + "<b>",
        GOOD_MARK.replace("<path", "<script>alert(1)</script><path"),
        GOOD_MARK.replace("<path", "<style>path {}</style><path"),
        GOOD_MARK.replace("fill=", 'style="fill: #fff" fill='),
        GOOD_MARK.replace("fill=", 'onclick="alert(1)" fill='),
        GOOD_MARK.replace("<path", '<image href="https://evil.example/"/><path'),
    ],
)
def test_s59_a_mark_that_the_pages_policy_would_stop_is_refused(mark: str) -> None:
    def make(text: str) -> dict[str, ProviderFactory]:
        return {"acme": lambda settings: Provider(label="Acme", access_token=TOKENS, mark=text)}

    assert enable(ACME, make(GOOD_MARK))[0].provider.mark == GOOD_MARK
    assert refusal(ACME, make(mark)).startswith("the provider acme has a mark that pages cannot show, expected an <svg")


def test_several_client_ids_are_all_kept_and_none_is_empty() -> None:
    assert enable({"google__client_id": " web ,ios,, android,"})[0].client_ids == ("web", "ios", "android")


@each("client_id", [None, "", ",", " , ,"])
def test_s59_a_provider_without_its_id_is_refused(client_id: str | None) -> None:
    changes = {**FACEBOOK, "facebook__client_id": client_id or ""}
    if client_id is None:
        del changes["facebook__client_id"]
    assert refusal(changes).startswith("AUTHSERVER_PROVIDERS__FACEBOOK__CLIENT_ID is not set")


@pytest.mark.parametrize("secret", [None, ""])
def test_s59_a_provider_without_the_secret_that_it_needs_is_refused(secret: str | None) -> None:
    changes = {"facebook__client_id": "canary-id"} | ({} if secret is None else {"facebook__client_secret": secret})
    assert refusal(changes).startswith("AUTHSERVER_PROVIDERS__FACEBOOK__CLIENT_SECRET is not set")


def test_s59_a_provider_that_needs_no_secret_starts_with_and_without_one() -> None:
    for changes in (GOOGLE, {**GOOGLE, "google__client_secret": "canary-secret"}):
        assert enable(changes)[0].client_ids == ("canary-id",)


def test_s59_an_unknown_provider_is_refused_with_those_that_there_are() -> None:
    sentence = refusal({"googel__client_id": "canary-id"})
    assert "AUTHSERVER_PROVIDERS__GOOGEL__" in sentence
    assert "installed are apple, discord, facebook, github, gitlab, google, linkedin, microsoft, oidc" in sentence


@each(
    ("changes", "wrong", "meant"),
    [
        ({**GOOGLE, "google__hosted_domian": "canary.example"}, "HOSTED_DOMIAN", "HOSTED_DOMAIN"),
        ({**GOOGLE, "google__tokeninfo": "https://canary.example"}, "TOKENINFO", "TOKENINFO_URL"),
        ({**MICROSOFT, "microsoft__tenant_id": "canary"}, "TENANT_ID", "TENANT"),
        ({**FACEBOOK, "facebook__graph__url": "https://canary.example"}, "GRAPH__URL", "GRAPH_URL"),
        # What hides a secret's typing error would start a server without it.
        ({**GOOGLE, "google__client_secert": "canary-secret"}, "CLIENT_SECERT", ""),
        ({**GOOGLE, "google__": "canary"}, "", ""),
    ],
)
def test_s59_an_unknown_option_is_refused_with_the_one_that_was_meant(
    changes: dict[str, str], wrong: str, meant: str
) -> None:
    sentence = refusal(changes)
    provider = next(iter(changes)).partition("__")[0].upper()
    assert sentence.startswith(f"AUTHSERVER_PROVIDERS__{provider}__{wrong} is not an option")
    assert meant in sentence.partition(" is not ")[2]


def named(name: str, factories: dict[str, ProviderFactory]) -> list[Enabled]:
    """Past the variables, whose names would be taken apart at another place."""
    providers = {name: {"CLIENT_ID": "canary-id"}}
    return enabled_providers(settings_for(DATABASE).model_copy(update={"providers": providers}), factories)


def works(settings: ProviderSettings) -> Provider:
    return Provider(label="Acme", access_token=TOKENS)


@each(
    "name",
    ["exchange", "", "_", "_google", "google_", "goo__gle", "go-ogle", "goo gle", "../google", "a/b", "góógle", "<b>"],
)
def test_s59_a_name_that_cannot_stand_in_an_address_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=r"^AUTHSERVER_PROVIDERS__.*__….* cannot be a provider's name$"):
        named(name, {name: works})


def test_s59_a_name_longer_than_the_database_stores_is_refused() -> None:
    assert named("x" * 50, {"x" * 50: works})
    with pytest.raises(SettingsError, match=r"^AUTHSERVER_PROVIDERS__X+__"):
        named("x" * 51, {"x" * 51: works})


@each("name", ["exchanges", "x", "2", "acme_2", "a_b_c"])
def test_names_of_small_letters_digits_and_single_underscores_are_taken(name: str) -> None:
    assert [one.name for one in named(name, {name: works})] == [name]


Install = Callable[[str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs this code as the plugin acme, beside the server's own providers."""
    module = "acme_of_a_test"
    point = EntryPoint("acme", f"{module}:provider", registry.GROUP)
    points = {**registry._points(), "acme": point}
    monkeypatch.setattr(registry, "_points", lambda: points)
    monkeypatch.syspath_prepend(tmp_path)

    def write(code: str) -> None:
        (tmp_path / f"{module}.py").write_text(dedent(code))

    yield write
    sys.modules.pop(module, None)


WORKING = """
    from authserver.oauth.provider import AccessToken, Provider
    def provider(settings):
        return Provider(label=settings.option("LABEL", "Acme"), access_token=AccessToken(identity=print))
"""


def test_an_installed_plugin_is_a_provider_like_any_other(install: Install) -> None:
    install(WORKING)
    assert [one.provider.label for one in enable({**ACME, "acme__label": "Ours", **GOOGLE})] == ["Ours", "Google"]


def test_an_installed_plugin_that_is_not_configured_may_be_broken(install: Install) -> None:
    install("raise RuntimeError")
    assert [one.name for one in enable(GOOGLE)] == ["google"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import a_module_that_nobody_has", "No module named 'a_module_that_nobody_has'"),
        ("from json import no_such_name", "ImportError"),
        ("def provider(settings:", "SyntaxError"),
        ("x = 1", "AttributeError"),
        ("raise RuntimeError", "RuntimeError"),
        # Its text may be long, and quote what it read from the environment.
        ("raise ValueError('1 validation error\\n  input_value=canary-secret')", "ValueError"),
        ("raise SystemExit('canary-secret')", "SystemExit"),
    ],
)
def test_s59_a_plugin_that_cannot_be_loaded_is_refused(install: Install, code: str, reason: str) -> None:
    install(code)
    sentence = refusal(ACME)
    assert "acme" in sentence
    assert reason in sentence


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise RuntimeError(settings.client_secret)", "RuntimeError"),
        ("return settings.options['CANARY']", "KeyError"),
        ("raise SystemExit(settings.client_secret)", "SystemExit"),
        ("raise settings.wrong('REGION', 'eu or us')", "AUTHSERVER_PROVIDERS__ACME__REGION: expected eu or us"),
        ("pass", "NoneType"),
        ("return {'label': settings.client_secret}", "dict"),
        ("return 'canary'", "str"),
        ("return Provider", "type"),
        ("yield Provider(label='Acme')", "generator"),
        ("return Provider(label='Acme')", "expected an id_token or an access_token"),
        ("return Provider(label='Acme', access_token=print)", "access_token that is no AccessToken"),
        ("return Provider(label='Acme', id_token=print)", "id_token that is no IdToken"),
        ("return Provider(label='Acme', scopes=('openid',), access_token=TOKENS)", "expected an id_token"),
        (
            "return Provider(label='Acme', scopes=('me',), access_token=TOKENS)",
            "expected an authorize_url and a token_url",
        ),
    ],
)
def test_s59_a_plugin_that_raises_or_returns_something_else_is_refused(
    install: Install, body: str, reason: str
) -> None:
    install(
        "from authserver.oauth.provider import AccessToken, Provider\nTOKENS = AccessToken(identity=print)\n"
        f"def provider(settings):\n    {body}"
    )
    sentence = refusal(ACME)
    assert "acme" in sentence.lower()
    assert reason in sentence


@each("value", ["None", "'canary'", "7", "Provider(label='Acme')"])
def test_s59_a_plugin_whose_entry_point_is_no_function_is_refused(install: Install, value: str) -> None:
    install(f"from authserver.oauth.provider import Provider\nprovider = {value}")
    assert "acme" in refusal(ACME)


ADDRESSES = [
    (GOOGLE, "google__issuer"),
    (GOOGLE, "google__tokeninfo_url"),
    (GOOGLE, "google__userinfo_url"),
    (FACEBOOK, "facebook__graph_url"),
    (FACEBOOK, "facebook__dialog_url"),
    (MICROSOFT, "microsoft__authority"),
    (MICROSOFT, "microsoft__graph_url"),
]
NO_ADDRESSES = [
    "http://canary.example",
    "http://127.0.0.1.canary.example",
    "http://localhost.canary.example",
    "http://canary-localhost",
    "canary.example",
    "//canary.example",
    "ftp://canary.example",
    "javascript:canary",
    "https://",
    "https://user:canary@example.com",
    "https://canary.example/?x=1",
    "https://canary.example/#x",
    "https://canary.example:99999",
    "https://canary.example/a b",
    "https://canäry.example",
]


@each(("changes", "option"), ADDRESSES)
def test_s59_an_upstream_that_is_no_address_or_not_https_in_production_is_refused(
    changes: dict[str, str], option: str
) -> None:
    for value in NO_ADDRESSES:
        assert refusal({**changes, option: value}).startswith(f"AUTHSERVER_PROVIDERS__{option.upper()}: "), value


@each(("changes", "option"), ADDRESSES)
def test_an_upstream_may_be_https_or_loopback_and_anything_in_development(changes: dict[str, str], option: str) -> None:
    for value in ("https://example.com/", "http://127.0.0.1:1234", "http://localhost:1234/x", "http://[::1]:1234"):
        assert enable({**changes, option: value})
    assert enable({**changes, option: "http://example.com"}, env="development")


@each("tenant", ["canary", "", "common/", "contoso.onmicrosoft.com", f"{'0' * 8}-canary", " common"])
def test_s59_a_tenant_that_is_none_is_refused(tenant: str) -> None:
    sentence = refusal({**MICROSOFT, "microsoft__tenant": tenant})
    assert sentence.startswith("AUTHSERVER_PROVIDERS__MICROSOFT__TENANT: expected common, organizations, consumers or")


def test_s59_the_server_says_so_on_one_line_and_ends_with_the_status_that_stops_gunicorn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in environment():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)  # away from the developer's `.env`
    variables = {"SECRET_KEY": SECRET, "PUBLIC_URL": PUBLIC_URL, "PROVIDERS__GOOGEL__CLIENT_ID": "canary-id"}
    for name, value in variables.items():
        monkeypatch.setenv(f"AUTHSERVER_{name}", value)
    with pytest.raises(SystemExit) as caught:
        authserver.create_app()
    assert caught.value.code == authserver.CANNOT_START
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("authserver: AUTHSERVER_PROVIDERS__GOOGEL__")


def test_no_secret_is_shown_by_the_settings_of_a_provider() -> None:
    settings = ProviderSettings(
        name="acme", client_ids=("id",), client_secret="canary-secret", options={"API_KEY": "canary-key"}
    )
    assert VALUE not in repr(settings)
    assert VALUE not in repr(settings_for(DATABASE, **{f"providers__{name}": value for name, value in ACME.items()}))


def run(code: str, *arguments: str) -> Any:
    """What the code prints as JSON, in a process of its own, where nothing has been imported before."""
    done = subprocess.run([sys.executable, "-c", dedent(code), *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_s59_an_installed_provider_that_is_not_configured_is_never_imported() -> None:
    code = """
        import json, sys
        from authserver.oauth.registry import enabled_providers
        from authserver.settings import load

        def imported_with(providers):
            enabled_providers(load({**json.loads(sys.argv[1]), **providers})[0])
            return sorted(name for name in sys.modules if name.startswith(("authserver_providers.", "providers.")))

        google = {"AUTHSERVER_PROVIDERS__GOOGLE__CLIENT_ID": "id"}
        print(json.dumps([imported_with({}), imported_with(google)]))
    """
    variables = {"SECRET_KEY": SECRET, "PUBLIC_URL": PUBLIC_URL, "DATABASE_URL": DATABASE}
    given = json.dumps({f"AUTHSERVER_{name}": value for name, value in variables.items()})
    assert run(code, given) == [[], ["authserver_providers.google"]]


def test_the_interface_that_authors_import_loads_neither_the_server_nor_a_database() -> None:
    loaded = set(run("import json, sys, authserver.oauth.provider; print(json.dumps(sorted(sys.modules)))"))
    heavy = {"flask", "werkzeug", "sqlalchemy", "flask_sqlalchemy", "flask_jwt_extended", "jwt", "httpcore2", "alembic"}
    assert "authserver.oauth.provider" in loaded
    assert not heavy & loaded
    ours = {name for name in loaded if name.startswith("authserver.")}
    modules = {f"authserver.{name}" for name in ("clock", "environment", "settings", "values", "variables")}
    assert ours == {"authserver.oauth", "authserver.oauth.provider"} | modules


FILES = sorted((ROOT / "providers").glob("*.py"))


@each("path", FILES)
def test_a_providers_file_imports_the_interface_and_nothing_else_of_ours_or_of_others(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
        else:
            continue
        for name in names:
            assert name == "authserver.oauth.provider" or name.partition(".")[0] in sys.stdlib_module_names


def test_every_providers_file_is_an_entry_point_of_its_name() -> None:
    points = {point.name: point.value for point in entry_points(group=registry.GROUP)}
    expected = {path.stem: f"authserver_providers.{path.stem}:provider" for path in FILES if path.stem != "__init__"}
    assert expected.items() <= points.items()
