"""All outgoing HTTP: bounded in time and size, over kept-alive connections, to the providers' servers and no further.

httpcore2 follows no redirect and reads no proxy from the environment. Its time-outs bound single reads, so a dripping
answer would hold a thread for ever: the backend below cuts each wait to what is left of the one deadline.
"""

import logging
import socket
import ssl
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from json import dumps, loads
from threading import Lock
from time import monotonic
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpcore2 as httpcore

from authserver.oauth.provider import Refused, Unavailable
from authserver.values import Near, near, with_query

log = logging.getLogger(__name__)

CONNECT = 3.0  # seconds
TOTAL = 8.0  # seconds for all upstream calls of one incoming request
MAX_BYTES = 64 * 1024
# Requests that may wait for providers at once, in each process: half of gunicorn.conf.py's threads for one provider,
# three quarters for all, so that the others go on however slow these are.
MOST_OF_ONE = 16
MOST_IN_ALL = 24

UNUSABLE = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    OSError,
    ValueError,  # no JSON, or too much of it
    RecursionError,  # JSON that is nested too deeply
)
Headers = Mapping[bytes | str, bytes | str]
HEADERS: Headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "authserver"}

_deadline: ContextVar[float] = ContextVar("deadline")


class Upstream:
    """The connections, kept for the life of the process; `ask()` begins the upstream calls of one request."""

    def __init__(self) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpcore.default_ssl_context(),
            max_connections=64,
            max_keepalive_connections=16,
            keepalive_expiry=30.0,
            network_backend=_Backend(),
        )
        self._asking: Counter[str] = Counter()
        self._lock = Lock()

    def ask(self) -> "UpstreamAsk":
        return UpstreamAsk(self._pool, monotonic() + TOTAL)

    @contextmanager
    def place(self, provider: str) -> Iterator[None]:
        """Among those that may wait for a provider at once; raises `Unavailable` where all are taken.

        Waiting for one would hold a thread as surely as waiting for the provider.
        """
        with self._lock:
            if self._asking[provider] >= MOST_OF_ONE or self._asking.total() >= MOST_IN_ALL:
                raise Unavailable(f"too many requests wait for {provider} already")
            self._asking[provider] += 1
        try:
            yield
        finally:
            with self._lock:
                self._asking[provider] -= 1


class UpstreamAsk:
    """`oauth.provider.Ask`, with one deadline for whatever is asked through it."""

    def __init__(self, pool: httpcore.ConnectionPool, deadline: float) -> None:
        self._pool = pool
        self._deadline = deadline

    def get(
        self, url: str, params: Mapping[str, str] | None = None, *, bearer: str = "", basic: tuple[str, str] = ("", "")
    ) -> Any:
        return self._json("GET", with_query(url, params or {}), _headers(bearer, basic))

    def post(
        self,
        url: str,
        form: Mapping[str, str] | None = None,
        *,
        json: Any = None,
        bearer: str = "",
        basic: tuple[str, str] = ("", ""),
    ) -> Any:
        if json is not None:
            return self._json("POST", url, _headers(bearer, basic, "application/json"), dumps(json).encode())
        headers = _headers(bearer, basic, "application/x-www-form-urlencoded")
        return self._json("POST", url, headers, urlencode(form or {}).encode())

    def _json(self, method: str, url: str, headers: Headers, content: bytes | None = None) -> Any:
        where = f"{urlsplit(url).hostname}{urlsplit(url).path}"  # never the query: tokens travel there
        _deadline.set(self._deadline)
        try:
            status, body = self._send(method, url, headers, content)
            if status in (200, 201):
                return loads(body)
        except UNUSABLE as error:
            log.warning("upstream %s: %s", where, type(error).__name__)
            raise Unavailable(type(error).__name__) from None
        log.warning("upstream %s answered %d", where, status)
        if 400 <= status < 500 and status != 429:
            raise Refused(f"the provider answered {status}", status=status, body=_json_or_none(body))
        raise Unavailable(f"the provider answered {status}")

    def _send(self, method: str, url: str, headers: Headers, content: bytes | None) -> tuple[int, bytes]:
        extensions = {"timeout": {"connect": CONNECT, "read": TOTAL, "write": TOTAL, "pool": _left(TOTAL)}}
        with self._pool.stream(method, url, headers=headers, content=content, extensions=extensions) as response:
            body = b""
            for chunk in response.iter_stream():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise ValueError("too large")
            return response.status, body


def _headers(bearer: str, basic: tuple[str, str], content_type: str = "") -> Headers:
    headers: dict[bytes | str, bytes | str] = {**HEADERS}
    if content_type:
        headers["Content-Type"] = content_type
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    if basic[0]:
        headers["Authorization"] = f"Basic {b64encode(':'.join(basic).encode()).decode()}"
    return headers


def _json_or_none(body: bytes) -> Any:
    try:
        return loads(body)
    except (ValueError, RecursionError):
        return None


def _left(most: float | None) -> float:
    """Seconds that a wait may take now; raises `httpcore.ReadTimeout` when the deadline has passed."""
    left = _deadline.get() - monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("deadline")
    return left if most is None else min(most, left)


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Tries the host's IP addresses in turn within `timeout` seconds in all, where the library allows it to each.

        None on the local link: no provider is there, but a cloud's metadata, which may hold this machine's credentials.
        """
        until = monotonic() + _left(timeout)
        addresses = list(dict.fromkeys(str(info[4][0]) for info in _resolve(host, port)))
        addresses = [one for one in addresses if near(one.partition("%")[0]) is not Near.LINK]
        for position, address in enumerate(addresses):
            share = (until - monotonic()) / (len(addresses) - position)
            try:
                return _Stream(super().connect_tcp(address, port, max(share, 0.01), local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        raise httpcore.ConnectError(f"no address of {host} answers")


def _resolve(host: str, port: int) -> list[Any]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from None


class _Stream(httpcore.NetworkStream):
    """A stream whose every wait ends at the deadline of the request that now uses it."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
