"""Whether a sign-in comes from a browser that this person used before. No cookie says so, since none may be set."""

from datetime import timedelta
from ipaddress import ip_address, ip_network
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.models import Session
from authserver.visitor import Visitor

REMEMBERED = timedelta(days=90)


def is_known(transaction: Transaction, user_id: UUID, visitor: Visitor) -> bool:
    """By user agent and network, against the sessions of 90 days; someone's very first sign-in is no news to them."""
    seen = transaction.execute(
        select(Session.ip, Session.user_agent)
        .where(Session.user_id == user_id, Session.created_at > now() - REMEMBERED)
        .distinct()
    ).all()
    here = (network(visitor.ip), visitor.user_agent)
    return not seen or any((network(ip), user_agent) == here for ip, user_agent in seen)


def network(ip: str) -> str:
    """The /24 or /48 around an address: a provider moves its customers about inside one."""
    try:
        address = ip_address(ip)
    except ValueError:
        return ip
    return str(ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False))
