"""Offline providers: stand-ins, in this very process, for every provider that has no settings of its own.

They are those of `authserver.testing`, at our own time. What they know is in memory: they are for one process alone.
"""

from collections.abc import Mapping

from authserver import clock
from authserver.dev.people import TAKEN
from authserver.oauth.registry import installed
from authserver.settings import PROVIDERS, providers_of
from authserver.testing.standins import Person, StandIns
from authserver.testing.standins.signing import Signing
from authserver.testing.standins.standin import StandIn

PATH = "/standins"
Offline = Mapping[str, StandIn]


def offline_providers(url: str, variables: Mapping[str, str]) -> Offline:
    """Those that are used under `url`, which has to be loopback: not where `variables` say anything of the provider."""
    standins = StandIns(url + PATH, now=lambda: clock.now().timestamp(), taken=TAKEN)
    own = providers_of(variables)
    there = installed()
    return {
        name: one for name, one in standins.each.items() if name not in own and one.options().get("TYPE", name) in there
    }


def settings_of(offline: Offline) -> dict[str, str]:
    """The variables that make the server use them."""
    return {
        f"{PROVIDERS}{name.upper()}__{option}": value
        for name, one in offline.items()
        for option, value in one.options().items()
    }


def client_token(stand_in: StandIn, person: Person, kind: str) -> str:
    """What the provider's own SDK would have given to a frontend; raises `LookupError` for what it has not."""
    if kind == "access_token":
        return stand_in.token(person)
    if kind == "id_token" and isinstance(stand_in, Signing):
        return stand_in.id_token(person)
    raise LookupError(kind)
