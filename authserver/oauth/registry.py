"""Finding the configured providers, by entry point; whatever is wrong with one stops the start with one sentence."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points

from authserver.oauth.provider import Provider, ProviderFactory, ProviderSettings
from authserver.settings import Settings, SettingsError

GROUP = "authserver.providers"
NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
MAX_NAME = 50  # characters that models/identity.py stores
RESERVED = {"exchange"}


@dataclass(frozen=True)
class Enabled:
    """A provider that is configured and ready."""

    name: str
    client_ids: tuple[str, ...]
    provider: Provider


def enabled_providers(settings: Settings, factories: Mapping[str, ProviderFactory] | None = None) -> list[Enabled]:
    """The configured providers, in the order of their names. One that is not configured is never imported.

    `factories` stand in for the installed entry points, for tests.
    """
    return [_enable(name, options, settings, factories) for name, options in sorted(settings.providers.items())]


def _enable(
    name: str, options: Mapping[str, str], settings: Settings, factories: Mapping[str, ProviderFactory] | None
) -> Enabled:
    if not NAME.fullmatch(name) or len(name) > MAX_NAME or name in RESERVED:
        raise SettingsError(f"AUTHSERVER_PROVIDERS__{name.upper()}__…: this cannot be a provider's name")
    rest = dict(options)
    client_ids = tuple(one for one in map(str.strip, rest.pop("CLIENT_ID", "").split(",")) if one)
    given = ProviderSettings(
        name=name,
        client_ids=client_ids,
        client_secret=rest.pop("CLIENT_SECRET", ""),
        production=settings.production,
        options=rest,
    )
    factory = _find(name, factories)
    if not client_ids:
        raise SettingsError(f"{given.variable('CLIENT_ID')} is not set, and the provider's other settings are")
    provider = _call(factory, given)
    if provider.needs_secret and not given.client_secret:
        raise SettingsError(f"{given.variable('CLIENT_SECRET')} is not set, and {name} needs it")
    for option in rest.keys() - given.asked:
        near = difflib.get_close_matches(option, given.asked, 1) or sorted(given.asked)
        hint = f", expected {' or '.join(near)}" if near else ""
        raise SettingsError(f"{given.variable(option)} is not an option of {name}{hint}")
    return Enabled(name, client_ids, provider)


def _find(name: str, factories: Mapping[str, ProviderFactory] | None) -> ProviderFactory:
    if factories is not None and name in factories:
        return factories[name]
    installed = {point.name: point for point in entry_points(group=GROUP)}
    if name not in installed:
        raise SettingsError(
            f"AUTHSERVER_PROVIDERS__{name.upper()}__…: there is no provider {name}, installed are "
            f"{', '.join(sorted(installed)) or 'none'}"
        )
    try:
        factory: ProviderFactory = installed[name].load()
    except (Exception, SystemExit) as error:
        # The text of any other exception may quote a setting.
        reason = f": {error}" if isinstance(error, ImportError) else ""
        raise SettingsError(f"the provider {name} cannot be loaded: {type(error).__name__}{reason}") from error
    return factory


def _call(factory: ProviderFactory, given: ProviderSettings) -> Provider:
    try:
        provider = factory(given)
    except SettingsError:
        raise
    except (Exception, SystemExit) as error:
        raise SettingsError(f"the provider {given.name} failed: {type(error).__name__}") from error
    if not isinstance(provider, Provider):
        raise SettingsError(f"the provider {given.name} returned {type(provider).__name__}, expected a Provider")
    return provider
