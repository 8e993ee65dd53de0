"""All stand-ins at one address."""

import time

from flask import Blueprint

from authserver.testing.standins.apple import Apple
from authserver.testing.standins.base import Now
from authserver.testing.standins.discord import Discord
from authserver.testing.standins.facebook import Facebook
from authserver.testing.standins.github import GitHub
from authserver.testing.standins.gitlab import GitLab
from authserver.testing.standins.google import Google
from authserver.testing.standins.linkedin import LinkedIn
from authserver.testing.standins.microsoft import Microsoft
from authserver.testing.standins.oidc import OpenIDConnect
from authserver.testing.standins.standin import StandIn


class StandIns:
    """Each provider under `url`. `asked` lists what was asked of them where `serve` serves them, as "METHOD path".

    `now` tells them the time; `taken` is an address that already has an account, for who comes with it unverified.
    """

    def __init__(self, url: str, *, now: Now = time.time, taken: str = "taken@example.com") -> None:
        self.url = url
        self.asked: list[str] = []
        self.google = Google(f"{url}/google", now=now, taken=taken)
        self.facebook = Facebook(f"{url}/facebook", now=now, taken=taken)
        self.microsoft = Microsoft(f"{url}/microsoft", now=now, taken=taken)
        self.github = GitHub(f"{url}/github", now=now, taken=taken)
        self.apple = Apple(f"{url}/apple", now=now, taken=taken)
        self.gitlab = GitLab(f"{url}/gitlab", now=now, taken=taken)
        self.discord = Discord(f"{url}/discord", now=now, taken=taken)
        self.linkedin = LinkedIn(f"{url}/linkedin", now=now, taken=taken)
        self.oidc = OpenIDConnect(f"{url}/oidc", now=now, taken=taken)

    @property
    def each(self) -> dict[str, StandIn]:
        """By the names that the providers have in settings and paths; `oidc` is `acme`."""
        return {one.name: one for one in vars(self).values() if isinstance(one, StandIn)}

    def blueprints(self) -> list[Blueprint]:
        return [one.blueprint() for one in self.each.values()]

    def secrets(self) -> set[str]:
        """What must be in no log: client secrets, access tokens and codes."""
        found: set[str] = set()
        for one in self.each.values():
            found.update(one.clients.values(), one.grants, one.codes, one.spent)
        return found - {""}

    def variables(self) -> dict[str, str]:
        """The AUTHSERVER_… variables of a server that uses these instead of the real ones."""
        return {
            f"AUTHSERVER_PROVIDERS__{name.upper()}__{option}": value
            for name, one in self.each.items()
            for option, value in one.options().items()
        }
