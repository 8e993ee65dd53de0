"""Who asks: made by views, handed to flows, which know no request."""

from dataclasses import dataclass

from flask import request

USER_AGENT_LENGTH = 255  # characters that are kept


@dataclass(frozen=True)
class Visitor:
    """The address (behind as many proxies as the settings say), and what the browser says of itself."""

    ip: str = ""
    user_agent: str = ""
    languages: str = ""  # the Accept-Language header


def visitor() -> Visitor:
    agent = "".join(character for character in request.user_agent.string if character.isprintable())
    return Visitor(
        ip=request.remote_addr or "",
        user_agent=agent[:USER_AGENT_LENGTH],
        languages=request.headers.get("Accept-Language", "")[:USER_AGENT_LENGTH],
    )
