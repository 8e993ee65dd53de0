"""The rate limits: how often something may be done from one address or to one account.

A window begins with its first attempt and is over after its time: nobody is locked out for good. Where it is counted:
`counters.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from ipaddress import IPv6Network
from uuid import UUID

from flask import Flask, current_app
from limits import RateLimitItem
from sqlalchemy.orm import Session as Transaction

from authserver.errors import ApiError
from authserver.limits.counters import Counters
from authserver.looking import require_more_than_a_look
from authserver.settings import Settings
from authserver.values import rate_limit
from authserver.visitor import ip, visitor

DEVELOPMENT_FACTOR = 10  # so that an application's own tests can run


class Limit(StrEnum):
    """Each is one counter per address or account, and the setting `AUTHSERVER_RATE_LIMIT_<NAME>`."""

    LOGIN_ACCOUNT = "login_account"  # password checks, wherever
    LOGIN_ADDRESS = "login_address"
    SIGNUP_ADDRESS = "signup_address"
    PROVIDER_ADDRESS = "provider_address"
    REFRESH_ADDRESS = "refresh_address"  # refused ones only: an accepted one writes nothing
    MAIL_ACCOUNT = "mail_account"  # calls whose purpose is a mail
    MAIL_ADDRESS = "mail_address"
    MAIL_UNPROVED = "mail_unproved"  # mails, of whatever kind, to an e-mail address that nobody proved


def limit_address(limit: Limit) -> None:
    """Counts this request for the address that it comes from; raises `throttled` where there were too many."""
    _count(limit, network(visitor().ip))


def limit_account(limit: Limit, account: str | UUID) -> None:
    """The same for an account: the caller's id, or an e-mail address, whether there is an account of it or not."""
    _count(limit, str(account))


def is_within(transaction: Transaction, limit: Limit, account: str) -> bool:
    """Counts inside the transaction of what is limited, and raises nothing: whether that may be done.

    It is counted in the database also where there is a Redis, so that it is undone with what it counts.
    """
    counters: Counters | None = current_app.extensions["authserver.limits"]
    return counters is None or counters.is_within(transaction, limit, account)


@contextmanager
def limit_refusals(limit: Limit) -> Iterator[None]:
    """Counts for the address what is refused with a 401 inside; what is accepted costs nothing."""
    try:
        yield
    except ApiError as refusal:
        if refusal.status == 401:
            limit_address(limit)
        raise


def network(address: str) -> str:
    """What counts as one address: that of IPv4, or the /64 within which an IPv6 host chooses its own.

    Whatever is no address counts as one and the same, or inventing others would be a way around the limits.
    """
    known = ip(address)
    return str(IPv6Network(f"{known}/64", strict=False)) if ":" in known else known or "unknown"


def start(app: Flask, settings: Settings) -> None:
    app.extensions["authserver.limits"] = _counters(settings) if settings.rate_limits else None


def _counters(settings: Settings) -> Counters:
    items: dict[str, RateLimitItem] = {limit: _item(settings, limit) for limit in Limit}
    return Counters(items, settings.derived_keys("rate limits")[0], settings.redis_url)


def _item(settings: Settings, limit: Limit) -> RateLimitItem:
    """As it is set; in development what nobody set is ten times as much."""
    name = f"rate_limit_{limit}"
    item = rate_limit(getattr(settings, name))
    if settings.production or name in settings.model_fields_set:
        return item
    return type(item)(item.amount * DEVELOPMENT_FACTOR, item.multiples)


def _count(limit: Limit, who: str) -> None:
    require_more_than_a_look()
    counters: Counters | None = current_app.extensions["authserver.limits"]
    seconds = counters.seconds_to_wait(limit, who) if counters else 0
    if seconds:
        raise ApiError("throttled", headers={"Retry-After": str(seconds)})
