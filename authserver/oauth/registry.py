"""Finding the configured providers, by entry point; whatever is wrong with one stops the start with one sentence."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from authserver.oauth.provider import AccessToken, IdToken, Provider, ProviderFactory, ProviderSettings
from authserver.settings import PREFIX, Settings, SettingsError, environment, load, providers_of

GROUP = "authserver.providers"
NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
MAX_NAME = 50  # characters that models/identity.py stores
RESERVED = {"exchange"}
# A mark stands in a page, whose policy stops the rest.
MARK = re.compile(r"<svg\s((?!<script|<style|\sstyle=|\son\w+=|href=).)*</svg>\s*", re.S | re.I)


@dataclass(frozen=True)
class Enabled:
    """A provider that is configured and ready."""

    name: str
    client_ids: tuple[str, ...]  # the first serves the redirect
    provider: Provider
    client_secret: str = field(default="", repr=False)

    @property
    def client_tokens(self) -> tuple[str, ...]:
        """The kinds of token that a client can send, by the names of their fields."""
        by_access_token = self.provider.access_token is not None and self.provider.access_token.issued_to is not None
        kinds = {"access_token": by_access_token, "id_token": self.provider.id_token is not None}
        return tuple(kind for kind, taken in kinds.items() if taken)

    @property
    def takes_codes(self) -> bool:
        """Whether people can sign in by redirect, for which most providers want a secret."""
        provider = self.provider
        return bool(provider.scopes) and bool(self.client_secret or provider.client_secret or provider.public_client)


def enabled_providers(settings: Settings, factories: Mapping[str, ProviderFactory] | None = None) -> list[Enabled]:
    """The configured providers, in the order of their names. One that is not configured is never imported.

    Raises `SettingsError` with a sentence for each that is wrong. `factories` stand in for the installed entry points,
    for tests.
    """
    enabled, wrong = _try_each(settings.providers, settings.production, factories)
    if wrong:
        raise SettingsError(*wrong)
    return enabled


def load_all(variables: Mapping[str, str] | None = None) -> tuple[Settings, list[str]]:
    """Loads the settings as `load` does. A refusal names the wrong providers along with the other wrong settings.

    Where these are right, `enabled_providers` says what is wrong with the providers.
    """
    variables = environment() if variables is None else variables
    try:
        return load(variables)
    except SettingsError as error:
        production = variables.get(f"{PREFIX}ENV") != "development"
        _, wrong = _try_each(providers_of(variables), production)
        raise SettingsError(*error.sentences, *wrong) from None


def _try_each(
    providers: Mapping[str, Mapping[str, str]],
    production: bool,
    factories: Mapping[str, ProviderFactory] | None = None,
) -> tuple[list[Enabled], list[str]]:
    """Those that are right, and why the others are not."""
    enabled: list[Enabled] = []
    wrong: list[str] = []
    for name, options in sorted(providers.items()):
        try:
            enabled.append(enable(name, options, production, factories))
        except SettingsError as error:
            wrong += error.sentences
    return enabled, wrong


@cache
def _points() -> dict[str, EntryPoint]:
    """Looked for once: all that is installed is gone through, and each provider asks."""
    return {point.name: point for point in entry_points(group=GROUP)}


def installed() -> dict[str, str]:
    """Of each provider that is installed, the distribution that it is from; none of them is imported."""
    return {name: f"{point.dist.name} {point.dist.version}" if point.dist else "" for name, point in _points().items()}


def enable(
    name: str,
    options: Mapping[str, str],
    production: bool,
    factories: Mapping[str, ProviderFactory] | None = None,
) -> Enabled:
    """One of them; raises `SettingsError` with all that can be said of it at once."""
    if not NAME.fullmatch(name) or len(name) > MAX_NAME or name in RESERVED:
        raise SettingsError(f"AUTHSERVER_PROVIDERS__{name.upper()}__…: this cannot be a provider's name")
    rest = dict(options)
    client_ids = tuple(one for one in map(str.strip, rest.pop("CLIENT_ID", "").split(",")) if one)
    given = ProviderSettings(
        name=name,
        client_ids=client_ids,
        client_secret=rest.pop("CLIENT_SECRET", ""),
        production=production,
        options=rest,
    )
    factory = _find(rest.pop("TYPE", name), given, factories)
    if not client_ids:
        raise SettingsError(f"{given.variable('CLIENT_ID')} is not set, and the provider's other settings are")
    provider = _call(factory, given)
    wrong = [_not_an_option(given, option) for option in sorted(rest.keys() - given.asked)]
    if provider.needs_secret and not given.client_secret:
        wrong.insert(0, f"{given.variable('CLIENT_SECRET')} is not set, and {name} needs it")
    if wrong:
        raise SettingsError(*wrong)
    return Enabled(name, client_ids, provider, given.client_secret)


def _not_an_option(given: ProviderSettings, option: str) -> str:
    near = difflib.get_close_matches(option, given.asked, 1) or sorted(given.asked)
    hint = f", expected {' or '.join(near)}" if near else ""
    return f"{given.variable(option)} is not an option of {given.name}{hint}"


def _find(kind: str, given: ProviderSettings, factories: Mapping[str, ProviderFactory] | None) -> ProviderFactory:
    """The provider of that name, or of the one that TYPE gives instead."""
    if factories is not None and kind in factories:
        return factories[kind]
    points = _points()
    if kind not in points:
        missing = "" if kind == given.name else " of this TYPE"
        raise SettingsError(
            f"{given.variable('…')}: there is no provider {given.name}{missing}, installed are "
            f"{', '.join(sorted(points)) or 'none'}"
        )
    try:
        factory: ProviderFactory = points[kind].load()
    except (Exception, SystemExit) as error:
        # The text of any other exception may quote a setting.
        reason = f": {error}" if isinstance(error, ImportError) else ""
        raise SettingsError(f"the provider {kind} cannot be loaded: {type(error).__name__}{reason}") from error
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
    for field_name, kind in (("id_token", IdToken), ("access_token", AccessToken)):
        value = getattr(provider, field_name)
        if value is not None and not isinstance(value, kind):
            raise SettingsError(f"the provider {given.name} has a {field_name} that is no {kind.__name__}")
    if provider.mark and not MARK.fullmatch(str(provider.mark)):
        raise SettingsError(
            f"the provider {given.name} has a mark that pages cannot show, expected an <svg …> with attributes such as "
            "fill, without scripts, styles and links"
        )
    if provider.id_token is None and ("openid" in provider.scopes or provider.access_token is None):
        raise SettingsError(f"the provider {given.name} can sign nobody in, expected an id_token or an access_token")
    if provider.scopes and provider.id_token is None and not (provider.authorize_url and provider.token_url):
        raise SettingsError(f"the provider {given.name} has scopes, expected an authorize_url and a token_url too")
    return provider
