"""The kinds of values that settings take; a wrong one is a `ValueError` that says what is expected and no more."""

import re
import socket
from collections.abc import Callable, Mapping
from enum import StrEnum
from importlib.util import find_spec
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlencode, urlsplit

from limits import RateLimitItem, parse_many
from pydantic import AfterValidator, BeforeValidator, Field, WrapValidator

LOOPBACK_NAMES = {"localhost.localdomain", "ip6-localhost", "ip6-loopback"}  # as /etc/hosts has them
LOOPBACK = re.compile(r"localhost|.+\.localhost|127(\.\d{1,3}){3}|::1")
# Pieces of the values that documentation and templates show; no random secret contains one.
SAMPLES = re.compile(r"change.?me|your.?secret|secret.?key|example|placeholder|insecure|password|development", re.I)
# user:password@host:port/database?options. What SQLAlchemy would read otherwise than it was meant is refused: an @ in a
# password has to be written as %40.
POSTGRES = re.compile(r"([^/:@]*(:[^@]*)?@)?(\[[0-9A-Fa-f:.]+\]|[^/:@?\[\]]*)(:\d{1,5})?/[^/?@]+(\?.*)?", re.S)
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
DEFAULT_PORTS = {"http": 80, "https": 443}
# The whole of it: urlsplit takes the host of http://[::1].evil.example for ::1.
AUTHORITY = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.I | re.A)
URL_BYTES = re.compile(r"[\x21-\x7e]+")
# What stands for itself in a user or a password, and percent-encoding for the rest: a password with / ? # or @ in it
# would be read as another host.
MAIL_URL = re.compile(
    r"smtps?://(?P<login>(?!:)(?:[^\s/?#@%\[\]]|%[0-9a-f]{2})+@)?([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?/?",
    re.I | re.A,
)
# A sender whose local part needs no quotes and is no encoded word, which mail programs decode (RFC 2047).
SENDER = re.compile(r"(?!.*=\?)[\w.!#$%&'*+/=?^`{|}~-]+@([\w.-]+|\[[\w.:]+\])", re.A)
# An application's own scheme is its domain name turned round (RFC 8252 §7.1), so no browser's scheme is one.
PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:/[^#\\]*", re.I)


def expecting(text: str) -> WrapValidator:
    """Says in these words what the setting expects, instead of in the library's or in those for a part of it."""

    def validate(value: Any, rest: Callable[[Any], Any]) -> Any:
        try:
            return rest(value)
        except ValueError:
            raise ValueError(f"expected {text}") from None

    return WrapValidator(validate)


def _split(value: object) -> object:
    return tuple(part for part in map(str.strip, value.split(",")) if part) if isinstance(value, str) else value


def is_loopback(host: str | None) -> bool:
    return bool(host and LOOPBACK.fullmatch(host))


class Near(StrEnum):
    """Where a host is that is no further than this machine's own link."""

    LOOPBACK = "loopback"
    LINK = "the local link"


def near(host: str | None) -> Near | None:
    """Says how near a host is, by its IP address in any spelling that a connection would take, or its name.

    No name is looked up: `localhost` and those under it are loopback, any other name is far.
    """
    name = (host or "").lower().rstrip(".")
    found = _ip_address(name)
    if found is None:
        return Near.LOOPBACK if is_loopback(name) or name in LOOPBACK_NAMES else None
    if found.is_loopback or found.is_unspecified:  # a connection to 0.0.0.0 is one to this machine
        return Near.LOOPBACK
    return Near.LINK if found.is_link_local else None


def _ip_address(host: str) -> IPv4Address | IPv6Address | None:
    """The IP address that a host is written as: of IPv4 also as 127.1, 0x7f000001 or 2130706433, or within IPv6."""
    try:
        found = IPv6Address(host)
    except AddressValueError:
        try:
            return IPv4Address(socket.inet_aton(host)) if host.isascii() and not re.search(r"\s", host) else None
        except OSError:
            return None
    return found.ipv4_mapped or (IPv4Address(int(found) & 0xFFFFFFFF) if found in NAT64 else found)


def base_url(value: str) -> str:
    """`scheme://host[:port][/path]` without a trailing slash; raises `ValueError` for anything else."""
    try:
        parts = urlsplit(value)
        host = AUTHORITY.fullmatch(parts.netloc) and parts.port != 0
        plain = host and not set(value) & set("?#@\\")
    except ValueError:
        plain = False
    if not plain or parts.scheme not in ("http", "https") or not URL_BYTES.fullmatch(value):
        raise ValueError("expected a URL, such as https://auth.example.com")
    return value.rstrip("/")


def origin(value: str) -> str:
    """As a browser's `Origin` has it, without the scheme's default port; raises `ValueError` for anything else."""
    parts = urlsplit(base_url(value).lower())
    if parts.path.strip("/"):
        raise ValueError("expected scheme://host[:port] without a path, such as https://app.example.com")
    if parts.port is None:
        return f"{parts.scheme}://{parts.netloc}"
    port = "" if parts.port == DEFAULT_PORTS[parts.scheme] else f":{parts.port}"
    return f"{parts.scheme}://{parts.netloc.rpartition(':')[0]}{port}"


def is_private(url: str) -> bool:
    """Whether the address is of an application's private scheme."""
    return bool(PRIVATE_SCHEME.fullmatch(url))


def redirect_url(value: str) -> str:
    """Where a browser may be sent back to, kept to the letter; raises `ValueError` for anything else.

    No fragment, which would hide the code that is put behind it (RFC 6749 §3.1.2).
    """
    private = PRIVATE_SCHEME.fullmatch(value) and URL_BYTES.fullmatch(value)
    try:
        parts = urlsplit(value)
        base_url(value.partition("?")[0])
        web = not set(value) & set("#\\") and "@" not in parts.netloc and URL_BYTES.fullmatch(value)
    except ValueError:
        web = None
    if not private and not web:
        raise ValueError("expected a URL, such as https://app.example.com/signed-in")
    return value


def with_query(url: str, parameters: Mapping[str, str]) -> str:
    """The address with more parameters; what it has already stays to the letter."""
    joint = "" if not parameters else "&" if "?" in url else "?"
    return f"{url}{joint}{urlencode(parameters)}"


def _secret(value: str) -> str:
    expected = "expected at least 32 random bytes, such as the output of `openssl rand -base64 48`"
    try:
        length = len(value.encode())
    except UnicodeEncodeError:  # bytes in the environment that are no text
        raise ValueError(f"not text, {expected}") from None
    if length < 32:
        raise ValueError(f"too short, {expected}")
    repeats = any(value[period:] == value[:-period] for period in range(1, len(value) // 2 + 1))
    if repeats or len(set(value)) < 8 or SAMPLES.search(value):
        raise ValueError(f"a sample or easily guessed, {expected}")
    return value


def _database_url(url: str) -> str:
    scheme, _, rest = url.partition("://")
    if scheme in ("postgres", "postgresql", "postgresql+psycopg") and POSTGRES.fullmatch(rest):
        if find_spec("psycopg") is None:
            raise ValueError("PostgreSQL needs psycopg, install it with `pip install 'authserver[production]'`")
        return f"postgresql+psycopg://{rest}"
    if scheme == "sqlite" and rest.startswith("//") and rest.strip("/") and ":memory:" not in rest:
        return url
    raise ValueError("expected postgresql://user:password@host/database or sqlite:////absolute/path.db")


def _page_url(value: str) -> str:
    """A page's address, kept as it is: a link's fragment is put behind it."""
    base_url(value)
    return value


def _domains(values: tuple[str, ...]) -> tuple[str, ...]:
    if not all(re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", value.lower()) for value in values):
        raise ValueError("expected domains, comma-separated, such as example.com,example.org")
    return tuple(value.lower() for value in values)


def _mail_url(value: str) -> str:
    try:
        whole = MAIL_URL.fullmatch(value)
        login = unquote((whole and whole["login"]) or "")
        # A user or password of other characters cannot be sent: the commands of a login are ASCII.
        good = whole and login.isascii() and login.isprintable() and urlsplit(value).port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError(
            "expected smtp://user:password@host:port or smtps://user:password@host:port, "
            "with / ? # @ [ ] % and spaces in the password percent-encoded, as %2F for /"
        )
    return value


def _redis_url(value: str) -> str:
    if find_spec("redis") is None:
        raise ValueError("Redis needs the package redis, install it with `pip install 'authserver[production]'`")
    from redis import ConnectionPool

    try:
        parts = urlsplit(value)
        good = parts.scheme in ("redis", "rediss") and parts.hostname and re.fullmatch(r"(/\d*)?", parts.path)
        # As above: behind a # or ? in a password the host would be a fragment or an option.
        whole = "#" not in value and value.count("@") == parts.netloc.count("@") <= 1
        ConnectionPool.from_url(value).make_connection()  # reads the options, does not connect
    except (ValueError, TypeError):
        good = whole = False
    if not good or not whole:
        raise ValueError("expected redis://user:password@host:port/0 or rediss://user:password@host:port/0")
    return value


def rate_limit(value: str) -> RateLimitItem:
    """How often in how long; raises `ValueError`, also for what `limits` would read otherwise than it looks."""
    try:
        (item,) = parse_many(value)
        good = 0 < item.amount <= 10**6 and item.get_expiry() <= 366 * 86400 and not re.search(r"\b0+\b", value)
    except (ValueError, OverflowError):
        good = False
    if not good:
        raise ValueError("expected one limit, such as 10 per 5 minutes")
    return item


def _rate_limit(value: str) -> str:
    rate_limit(value)
    return value


def _folder(value: Path) -> Path:
    if not value.is_dir():
        raise ValueError("expected the path of a folder that is there, such as /etc/authserver/templates")
    return value


def _mail_from(value: str) -> str:
    value = value.strip()
    if not SENDER.fullmatch(value):
        raise ValueError("expected one e-mail address, such as no-reply@example.com")
    return value


def require_https(url: str) -> None:
    """Raises `ValueError` for a URL that production may not use."""
    if not url.lower().startswith("https://") and not is_loopback(urlsplit(url).hostname):
        raise ValueError("production needs https, expected a URL such as https://auth.example.com")


Origin = Annotated[str, AfterValidator(origin)]
Origins = Annotated[
    tuple[str, ...],
    BeforeValidator(_split),
    AfterValidator(lambda values: tuple(one if one == "*" else origin(one) for one in values)),
    expecting("origins (scheme://host[:port] without a path), comma-separated, such as https://app.example.com"),
]
RedirectUrls = Annotated[
    tuple[str, ...],
    BeforeValidator(_split),
    AfterValidator(lambda values: tuple(redirect_url(one) for one in values)),
    expecting("URLs, comma-separated, such as https://app.example.com/signed-in"),
]
PageUrl = Annotated[str, AfterValidator(_page_url), expecting("a page's URL, such as https://app.example.com/page")]
Domains = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_domains)]
RateLimit = Annotated[str, AfterValidator(_rate_limit)]
Secret = Annotated[str, AfterValidator(_secret)]
Seconds = Annotated[int, Field(ge=1, le=10 * 365 * 86400), expecting("seconds, such as 300 (at most ten years)")]
Proxies = Annotated[int, Field(ge=0, le=10), expecting("a number of proxies from 0 to 10, such as 1")]
Characters = Annotated[int, Field(ge=1, le=256), expecting("a number of characters from 1 to 256, such as 8")]
Switch = Annotated[bool, expecting("true or false")]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
MailFrom = Annotated[str, AfterValidator(_mail_from)]
MailUrl = Annotated[str, AfterValidator(_mail_url)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
AppName = Annotated[str, Field(max_length=100), expecting("at most 100 characters, such as Acme")]
Folder = Annotated[Path, AfterValidator(_folder)]
