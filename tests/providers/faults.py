"""What a provider's server may do wrong. Whoever overlooks the fault finds a good answer."""

import gzip
import json
from collections.abc import Callable

from tests.providers.raw_server import Connection, head

# Google's tokeninfo and userinfo in one, for the client id "ours".
GOOD = {"aud": "ours", "sub": "1001"}
GOOD_BYTES = json.dumps(GOOD).encode()
OPEN = GOOD_BYTES[:-1]
BYTE_TOO_MANY = GOOD_BYTES.ljust(64 * 1024 + 1)

Fault = Callable[[Connection], object]
SlowFault = Callable[[Connection], bool]  # whether the client gave up


def _reply(value: object, status: int = 200, **headers: str) -> Fault:
    return lambda connection: connection.reply(value, status, headers)


def _send(data: bytes, then_close: bool = False) -> Fault:
    def fault(connection: Connection) -> None:
        connection.send(data)
        if then_close:
            connection.close()

    return fault


def _endless(connection: Connection) -> None:
    connection.send(head(200, transfer_encoding="chunked"))
    connection.drip(b"1000\r\n" + b" " * 0x1000 + b"\r\n", pause=0)


def _slow(start: bytes, piece: bytes = b"") -> SlowFault:
    """Goes on with one piece after another, or with nothing."""

    def fault(connection: Connection) -> bool:
        connection.send(start)
        return connection.drip(piece) if piece else connection.wait_for_hang_up()

    return fault


# The names are good for providers' too.
QUICK: dict[str, Fault] = {
    "500": _reply(GOOD, 500),
    "502": _reply(b"<html>Bad Gateway</html>", 502, content_type="text/html"),
    "503": _reply(GOOD, 503, retry_after="3600"),
    "429": _reply(GOOD, 429),
    "302": _reply(GOOD, 302, location="/elsewhere"),
    "307": _reply(b"", 307, location="/elsewhere"),
    "304": _send(head(304, connection="close")),
    "204": _send(head(204, connection="close")),
    "html": _reply(b"<!doctype html><title>Sign in to the Wi-Fi</title>"),
    "nothing": _reply(b""),
    "cut_json": _reply(OPEN),
    "two_values": _reply(GOOD_BYTES * 2),
    "javascript": _reply(b"callback(" + GOOD_BYTES + b");"),
    "not_utf8": _reply(OPEN + b', "name": "\xff"}'),
    "too_deep": _reply(b"[" * 60000),
    "too_deep_but_closed": _reply(OPEN + b', "x": ' + b"[" * 20000 + b"]" * 20000 + b"}"),
    "huge_number": _reply(OPEN + b', "x": ' + b"9" * 20000 + b"}"),
    "compressed": _reply(gzip.compress(GOOD_BYTES), content_encoding="gzip"),
    "64_kb_and_a_byte": _reply(BYTE_TOO_MANY),
    "endless": _endless,
    "huge_headers": _reply(GOOD, x="x" * 200_000),
    "closed_early": _send(b"", then_close=True),
    "broken_off": _send(head(200, content_length=str(len(GOOD_BYTES) + 1)) + GOOD_BYTES, then_close=True),
    "not_http": _send(b"SSH-2.0-OpenSSH_9.7\r\n" + GOOD_BYTES + b"\r\n\r\n"),
}

SLOW: dict[str, SlowFault] = {
    "silence": _slow(b""),
    "silence_in_the_body": _slow(head(200, content_length=str(len(GOOD_BYTES) + 1)) + GOOD_BYTES),
    "drip_before_the_answer": _slow(b"", head(100)),
    "drip_in_a_header": _slow(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "drip_of_headers": _slow(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n"),
    "drip_in_the_body": _slow(head(200, content_length="9999") + GOOD_BYTES, b" "),
    "drip_of_chunks": _slow(head(200, transfer_encoding="chunked"), b"1\r\n \r\n"),
}
