"""Who asks: made by views, handed to flows, which know no request."""

import re
import select
import socket
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from flask import has_request_context, request

USER_AGENT_LENGTH = 255  # characters that are kept
WITH_PORT = re.compile(r"\[(?P<six>.+)\](:\d+)?|(?P<four>[\d.]+):\d+")


@dataclass(frozen=True)
class Visitor:
    """The address (behind as many proxies as the settings say), and what the browser says of itself."""

    ip: str = ""
    user_agent: str = ""
    languages: str = ""  # the Accept-Language header


def visitor() -> Visitor:
    agent = "".join(character for character in request.user_agent.string if character.isprintable())
    return Visitor(
        ip=ip(request.remote_addr or ""),
        user_agent=agent[:USER_AGENT_LENGTH],
        languages=request.headers.get("Accept-Language", "")[:USER_AGENT_LENGTH],
    )


def ip(address: str) -> str:
    """The IP address in its one spelling, without the port that some proxies write behind it; "" for anything else.

    Behind fewer proxies than are trusted the address is whatever a client wrote into `X-Forwarded-For`.
    """
    if with_port := WITH_PORT.fullmatch(address):
        address = with_port["six"] or with_port["four"]
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or IPv6Address(int(parsed)))  # without a zone, which may be any text
    return str(parsed)


def has_gone() -> bool:
    """Whether the client closed its connection, so that nobody reads what this request is answered with.

    Only gunicorn hands the connection out; of what another server does not say, and of a command, the answer is no.
    """
    connection = request.environ.get("gunicorn.socket") if has_request_context() else None
    return isinstance(connection, socket.socket) and _is_closed(connection)


def _is_closed(connection: socket.socket) -> bool:
    """Looks at the connection without waiting, and without taking anything from it: another request may follow."""
    poll = select.poll()
    try:
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0)) and connection.recv(1, socket.MSG_PEEK) == b""
    except ConnectionError:
        return True
    except (OSError, ValueError):  # TLS in gunicorn itself has no peeking
        return False
