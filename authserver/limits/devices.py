"""Who used an account before has budgets of their own there, so that a stranger's attempts keep them out of nothing.

On a page a cookie says that they did. Elsewhere the sessions of 90 days do, by the user agent and the neighbourhood of
the IP address. A stranger may have both, and then shares their budget, of which each neighbourhood has one.
"""

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from authserver.clock import now
from authserver.extensions import current_settings, fetch_one
from authserver.limits import Limit, are_on, by_address, count, has_room
from authserver.limits.counters import Budget
from authserver.models import Session, User
from authserver.models.session import REMEMBERED, browser
from authserver.visitor import Visitor, neighbourhood

ALL_DEVICES = 10  # times a device's budget, for all of an account's: who once had the password may have collected some
ALL_NETWORKS = 4  # times a network's budget of mails to one e-mail address, for all strangers together
NOBODY = UUID(int=0)  # asked for instead of an account that is not there: the same queries, and nothing is found

# The cookie: one part for each account that was signed in to in this browser, the latest first. A part names the device
# and the moment until which it counts; of which account it is, its code alone says.
MOST_ACCOUNTS = 8
LIFETIME = timedelta(days=400)  # as long as browsers keep a cookie
PART = re.compile(r"(?P<device>[\w-]{16})\.(?P<until>\d{1,12})\.(?P<code>[\w-]{43})", re.ASCII)


def limit_login(email: str, user_id: UUID | None, visitor: Visitor) -> None:
    """Counts a login; raises `throttled`. `user_id` of the account of that e-mail address, where there is one."""
    if not are_on():
        return
    device = known_device(user_id, visitor)
    if device is None:
        count([*by_address(Limit.LOGIN_ADDRESS, visitor.ip), Budget(Limit.LOGIN_ACCOUNT, email)])
        return
    own = Budget(Limit.LOGIN_ACCOUNT, f"{user_id} {device}")
    together = Budget(Limit.LOGIN_ACCOUNT, f"{user_id} known", ALL_DEVICES)
    count([*by_address(Limit.LOGIN_ADDRESS, visitor.ip, "known "), own, together])


def limit_mails(email: str, visitor: Visitor, purpose: str = "", *also: Budget) -> None:
    """Counts a mail that is asked for to an e-mail address, by the network that asks; raises `throttled`.

    All networks together have a wider budget, which is not for who used the account before: strangers spend it.
    """
    if not are_on():
        return
    whom = f"{purpose} {email}".strip()
    budgets = [*also, Budget(Limit.MAIL_ACCOUNT, f"{whom} from {neighbourhood(visitor.ip)}")]
    everywhere = Budget(Limit.MAIL_ACCOUNT, whom, ALL_NETWORKS)
    if has_room(everywhere) or known_device(_account(email), visitor) is None:
        budgets.append(everywhere)
    count(budgets)


def used_before(email: str, visitor: Visitor) -> bool:
    """Tells whether this device used the account of the e-mail address before, by the same queries for each address."""
    return are_on() and known_device(_account(email), visitor) is not None


def known_device(user_id: UUID | None, visitor: Visitor) -> str | None:
    """Names the device by which this person used the account before; None for a stranger."""
    return _by_cookie(user_id or NOBODY, visitor.devices) or _by_sessions(user_id or NOBODY, visitor)


def parts(cookie: str) -> tuple[str, ...]:
    """Takes a cookie apart, whatever it is."""
    return tuple(cookie[:2000].split("~")[:MOST_ACCOUNTS])


def remembering(user_id: UUID, devices: tuple[str, ...]) -> str:
    """Makes the cookie of a browser that signed in to the account just now; the name that it has there stays."""
    device = _by_cookie(user_id, devices) or secrets.token_urlsafe(12)
    until = int((now() + LIFETIME).timestamp())
    others = [one for one in devices if PART.fullmatch(one) and not one.startswith(f"{device}.")]  # whose, nobody knows
    return "~".join([f"{device}.{until}.{_code(_keys()[0], user_id, device, str(until))}", *others][:MOST_ACCOUNTS])


def _by_cookie(user_id: UUID, devices: tuple[str, ...]) -> str | None:
    keys, moment = _keys() if devices else [], now().timestamp()
    for part in filter(None, map(PART.fullmatch, devices)):
        device, until, code = part.groups()
        genuine = [hmac.compare_digest(code, _code(key, user_id, device, until)) for key in keys]
        if any(genuine) and moment < int(until):
            return device
    return None


def _code(key: bytes, user_id: UUID, device: str, until: str) -> str:
    code = hmac.digest(key, f"{user_id} {device} {until}".encode(), "sha256")
    return urlsafe_b64encode(code).rstrip(b"=").decode()


def _keys() -> list[bytes]:
    return current_settings().derived_keys("known devices")


def _by_sessions(user_id: UUID, visitor: Visitor) -> str | None:
    """Has the database compare, which answers one row or none: how many sessions there are is not seen by the time."""
    if not visitor.ip:
        return None
    seen = select(Session.id).where(
        Session.user_id == user_id,
        Session.browser == browser(visitor.ip, visitor.user_agent),
        Session.last_used_at > now() - REMEMBERED,
    )
    return neighbourhood(visitor.ip) if fetch_one(seen.limit(1)) else None


def _account(email: str) -> UUID | None:
    found = fetch_one(select(User.id).where(User.email == email))
    return found.id if found else None
