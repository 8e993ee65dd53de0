"""`authserver providers`"""

from dataclasses import asdict, dataclass

import click

from authserver.cli.application import as_json, print_json, print_table
from authserver.cli.beside import command_settings
from authserver.oauth.registry import Enabled, enable, installed
from authserver.settings import Settings, SettingsError

WRONG = 1  # the exit status where a provider would stop the start


@dataclass(frozen=True)
class Listed:
    name: str
    state: str  # enabled, wrong or not configured
    label: str
    takes: tuple[str, ...]
    note: str  # why it is wrong, or what is missing, or the redirect URI to register
    distribution: str  # where it is from


@click.command()
@as_json
@click.pass_context
def providers(context: click.Context, as_json: bool) -> None:
    """List the providers that are installed or configured: what each takes, or what is wrong with it.

    Ends with status 1 where one is wrong, which would stop the server's start.
    """
    settings = command_settings()
    listed = [_listed(name, settings) for name in sorted(installed().keys() | settings.providers.keys())]
    if as_json:
        for one in listed:
            print_json(asdict(one))
    else:
        rows = [(one.name, one.state, ", ".join(one.takes), one.distribution, one.note) for one in listed]
        print_table(("NAME", "STATE", "TAKES", "FROM", "NOTE"), rows)
    context.exit(WRONG if any(one.state == "wrong" for one in listed) else 0)


def _listed(name: str, settings: Settings) -> Listed:
    options = settings.providers.get(name)
    distribution = installed().get((options or {}).get("TYPE", name), "")
    variable = f"AUTHSERVER_PROVIDERS__{name.upper()}__CLIENT_ID"
    if options is None:
        return Listed(name, "not configured", "", (), f"set {variable}", distribution)
    try:
        enabled = enable(name, options, settings.production)
    except SettingsError as error:
        return Listed(name, "wrong", "", (), "; ".join(error.sentences), distribution)
    return Listed(name, "enabled", enabled.provider.label, _takes(enabled), _note(enabled, settings), distribution)


def _takes(enabled: Enabled) -> tuple[str, ...]:
    return enabled.client_tokens + (("code", "redirect") if enabled.takes_codes else ())


def _note(enabled: Enabled, settings: Settings) -> str:
    if enabled.takes_codes:
        if settings.production and not settings.redirect_urls:
            return "no redirect leads back before AUTHSERVER_REDIRECT_URLS is set"
        return f"redirect URI {settings.public_url}/api/auth/{enabled.name}/callback/"
    return "no redirect without CLIENT_SECRET" if enabled.provider.scopes else ""
