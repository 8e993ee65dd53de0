"""Whether a sign-in comes from a browser that this person used before. No cookie says so, since none may be set."""

from datetime import timedelta
from ipaddress import ip_address, ip_network
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session as Transaction

from authserver.clock import now
from authserver.models import Session
from authserver.visitor import Visitor

REMEMBERED = timedelta(days=90)


def is_known(transaction: Transaction, user_id: UUID, visitor: Visitor) -> bool:
    """By user agent and network, against the sessions of 90 days; someone's very first sign-in is no news to them.

    After a longer absence everything is: nobody would notice a thief's sign-in less.
    """
    seen = transaction.execute(
        select(Session.ip, Session.user_agent, func.max(Session.last_used_at, type_=Session.last_used_at.type))
        .where(Session.user_id == user_id)
        .group_by(Session.ip, Session.user_agent)
    ).all()
    here, since = (network(visitor.ip), visitor.user_agent), now() - REMEMBERED
    return not seen or any((network(ip), agent) == here and last > since for ip, agent, last in seen)


def network(ip: str) -> str:
    """The /24 or /48 around an address: a provider moves its customers about inside one."""
    try:
        address = ip_address(ip)
    except ValueError:
        return ip
    return str(ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False))
