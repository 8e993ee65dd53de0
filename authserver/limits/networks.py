"""The IP address that a request comes from, and the networks around it. The limits count each of them."""

from ipaddress import IPv6Address, IPv6Network, ip_address

from authserver.visitor import has_neighbours, ip

# An IPv6 host chooses its own addresses within a /64; its owner is often given a /56, and whoever asks for it a /48.
# The wider network, in which others may live too, has so many times the budget of the /64.
BUDGETS = ((64, 1), (56, 4), (48, 16))


def network(address: str) -> str:
    """Returns what counts as one IP address: that of IPv4, or the /64 within which an IPv6 host chooses its own.

    Whatever is no IP address counts as one and the same, or inventing others would be a way around the limits.
    """
    return networks(address)[0][0]


def networks(address: str) -> list[tuple[str, int]]:
    """Returns the networks that a request from there counts for, the narrowest first, with their budgets' multiples."""
    place = _place(address)
    if not has_neighbours(place):
        return [(place or "unknown", 1)]
    return [(str(IPv6Network((place, length), strict=False)), times) for length, times in BUDGETS]


def _place(address: str) -> str:
    """Returns the IP address, or the IPv4 address that a tunnel's leads to: 6to4's (RFC 3056) and Teredo's (RFC 4380).

    Answers go there, so nobody can invent it, while the rest of such an address is its owner's to choose.
    """
    known = ip(address)
    parsed = ip_address(known) if known else None
    if isinstance(parsed, IPv6Address):
        return str(parsed.sixtofour or (parsed.teredo[1] if parsed.teredo else parsed))
    return known
