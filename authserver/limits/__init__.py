"""The rate limits: how often something may be done from one IP address or to one account.

A window begins with its first attempt and is over after its time: nobody is locked out for good. Where it is counted:
`counters.py`. What counts as one place: `networks.py`. Whom a stranger's attempts keep out of nothing: `devices.py`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from uuid import UUID

from flask import Flask, current_app
from limits import RateLimitItem
from sqlalchemy.orm import Session as Transaction

from authserver.errors import ApiError
from authserver.extensions import current_settings
from authserver.limits.counters import Budget, Counters
from authserver.limits.networks import network as network
from authserver.limits.networks import networks
from authserver.looking import require_more_than_a_look
from authserver.settings import Settings
from authserver.values import rate_limit
from authserver.visitor import visitor

DEVELOPMENT_FACTOR = 10  # so that an application's own tests can run


class Limit(StrEnum):
    """Each is one counter per IP address or account, and the setting `AUTHSERVER_RATE_LIMIT_<NAME>`."""

    LOGIN_ACCOUNT = "login_account"  # password checks, wherever
    LOGIN_ADDRESS = "login_address"
    SIGNUP_ADDRESS = "signup_address"
    PROVIDER_ADDRESS = "provider_address"
    REFRESH_ADDRESS = "refresh_address"  # refused ones only: an accepted one writes nothing
    MAIL_ACCOUNT = "mail_account"  # calls whose purpose is a mail
    MAIL_ADDRESS = "mail_address"
    MAIL_UNPROVED = "mail_unproved"  # mails, of whatever kind, to an e-mail address that nobody proved


def limit_address(limit: Limit) -> None:
    """Counts this request for the IP address that it comes from; raises `throttled` where there were too many."""
    count(by_address(limit, visitor().ip))


def limit_account(limit: Limit, account: UUID) -> None:
    """Counts an attempt of the signed-in account; raises `throttled` where there were too many."""
    count([Budget(limit, str(account))])


def is_within(transaction: Transaction, budget: Budget) -> bool:
    """Counts inside the transaction of what is limited, and raises nothing: whether that may be done.

    It is counted in the database also where there is a Redis, so that it is undone with what it counts.
    """
    counters = _counters()
    return counters is None or counters.is_within(transaction, budget)


@contextmanager
def limit_refusals(limit: Limit) -> Iterator[None]:
    """Counts for the IP address what is refused with a 401 inside; what is accepted costs nothing."""
    try:
        yield
    except ApiError as refusal:
        if refusal.status == 401:
            limit_address(limit)
        raise


def by_address(limit: Limit, ip: str, whose: str = "") -> list[Budget]:
    """Returns the budgets of an IP address; `whose` keeps those of some people there apart."""
    return [Budget(limit, whose + one, times) for one, times in networks(ip)]


def count(budgets: Sequence[Budget]) -> None:
    """Counts one attempt for all of them; raises `throttled`, and counts for none, where one has no room."""
    require_more_than_a_look()
    counters = _counters()
    seconds = counters.seconds_to_wait(budgets) if counters else 0
    if seconds:
        raise ApiError("throttled", headers={"Retry-After": str(seconds)})


def has_room(budget: Budget) -> bool:
    counters = _counters()
    return counters is None or not counters.is_full(budget)


def are_on() -> bool:
    return current_settings().rate_limits


def start(app: Flask, settings: Settings) -> None:
    app.extensions["authserver.limits"] = _made(settings) if settings.rate_limits else None


def _counters() -> Counters | None:
    counters: Counters | None = current_app.extensions["authserver.limits"]
    return counters


def _made(settings: Settings) -> Counters:
    items: dict[str, RateLimitItem] = {limit: _item(settings, limit) for limit in Limit}
    return Counters(items, settings.derived_keys("rate limits")[0], settings.redis_url)


def _item(settings: Settings, limit: Limit) -> RateLimitItem:
    """As it is set; in development what nobody set is ten times as much."""
    name = f"rate_limit_{limit}"
    item = rate_limit(getattr(settings, name))
    if settings.production or name in settings.model_fields_set:
        return item
    return type(item)(item.amount * DEVELOPMENT_FACTOR, item.multiples)
