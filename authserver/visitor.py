"""Who asks: made by views, handed to flows, which know no request."""

import re
import select
import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from flask import has_request_context, request

USER_AGENT_LENGTH = 255  # characters that are kept
WITH_PORT = re.compile(r"\[(?P<six>.+)\](:\d+)?|(?P<four>[\d.]+):\d+")
# How what stands between an IPv4 client and an IPv6 server spells the client's IP address, in the last 32 bits: mapped
# (RFC 4291 §2.5.5.2), of a NAT64 with the well-known prefix (RFC 6052), translated (RFC 2765), and IPv4-compatible
# (RFC 4291 §2.5.5.1). Nothing on the Internet is sent from these, so nobody there chooses the 32 bits.
SPELLINGS_OF_IPV4 = [IPv6Network(one) for one in ("::ffff:0:0/96", "64:ff9b::/96", "::ffff:0:0:0/96", "::/96")]
FIRST_IPV4 = 1 << 24  # 0.0.0.0/8 is no client's: ::1 is the loopback
# Each IP address in these is of one client, and its neighbours are anybody: of a NAT64 of the operator's own, where the
# IPv4 address stands in it as the operator chose (RFC 8215), and Teredo's.
SINGLE = [IPv6Network("64:ff9b:1::/48"), IPv6Network("2001::/32")]


@dataclass(frozen=True)
class Visitor:
    """The IP address (behind as many proxies as the settings say), and what the browser says of itself."""

    ip: str = ""
    user_agent: str = ""
    languages: str = ""  # the Accept-Language header
    devices: tuple[str, ...] = field(default=(), repr=False)  # on a page: of the device cookie, limits/devices.py


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
        plain = IPv6Address(int(parsed))  # without a zone, which may be any text
        return str(_ipv4_of(plain) or plain)
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


def _ipv4_of(address: IPv6Address) -> IPv4Address | None:
    last = int(address) & 0xFFFFFFFF
    spelled = last >= FIRST_IPV4 and any(address in network for network in SPELLINGS_OF_IPV4)
    return IPv4Address(last) if spelled or address.ipv4_mapped is not None else None


def neighbourhood(address: str) -> str:
    """Returns the /24 or /48 around an IP address: a provider moves its customers inside one. "" for no IP address."""
    known = ip(address)
    if "." in known:
        return str(IPv4Network((known, 24), strict=False))
    return str(IPv6Network((known, 48), strict=False)) if has_neighbours(known) else known


def has_neighbours(place: str) -> bool:
    """Returns whether the networks around an IPv6 address belong together, the last half of it its host's to choose."""
    return ":" in place and not any(IPv6Address(place) in network for network in SINGLE)
