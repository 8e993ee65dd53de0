"""Find where a request ends while its bytes arrive. Nothing is decoded here: gunicorn parses the request afterwards."""

import re
from collections.abc import Generator
from enum import Enum, auto

MOST_BODY = 64 * 1024  # bytes that the server takes as a body: app.py
MOST_HEAD = 32 * 1024
MOST_CHUNKED = 2 * MOST_BODY  # of a chunked body, the sizes of its chunks included
MOST_LINE = 1024  # of the size of a chunk, and of a trailer
CRLF = b"\r\n"
FRAMING_HEADER = re.compile(rb"\n[ \t]*(content-length|transfer-encoding|expect)[ \t]*:([^\r\n]*)", re.IGNORECASE)
CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,16})(?:[ \t]*;[^\r\n]*)?\r\n")
TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9a-zA-Z-]+:[\t\x20-\x7e\x80-\xff]*\r\n")

Scan = Generator[None, None, int]


class Arrival(Enum):
    """How much of a request has arrived."""

    PART = auto()
    WHOLE = auto()
    BROKEN = auto()  # what can be read of it is here; the rest is no HTTP, too long or will not come
    HEAD_TOO_LARGE = auto()


class Cut(Exception):
    """No more than the first `end` bytes of the request can be read."""

    def __init__(self, end: int, arrival: Arrival = Arrival.BROKEN) -> None:
        self.end = end
        self.arrival = arrival


class ArrivingRequest:
    """One request: `add` its bytes as they come, and look at `arrival`."""

    def __init__(self) -> None:
        self.raw = bytearray()
        self.arrival = Arrival.PART
        self.has_head = False
        self.wants_continue = False  # the client sends its body only when it is told to
        self._chunk = 0  # where the chunk that is arriving begins
        self._scan = self._request()
        next(self._scan)

    def add(self, data: bytes) -> int:
        """Returns how many of these bytes belong to this request; the others are the next one's."""
        before = len(self.raw)
        self.raw += data
        try:
            next(self._scan)
        except StopIteration as whole:
            self.arrival = Arrival.WHOLE
            del self.raw[whole.value :]
            return len(self.raw) - before
        except Cut as cut:
            self.arrival = cut.arrival
            del self.raw[cut.end :]
        return len(data)

    def end_here(self) -> None:
        """Says that no more bytes will come. What has come of a chunked body must not look whole."""
        self.arrival = Arrival.BROKEN
        if self._chunk:
            del self.raw[self._chunk :]

    def _request(self) -> Scan:
        """Goes on whenever bytes were added; returns where the request ends, or raises `Cut`."""
        yield
        head = yield from self._head()
        self.has_head = True
        length = self._body_length(head)
        if length is None:
            return (yield from self._chunks(head))
        if length > MOST_BODY:
            raise Cut(head)  # which is enough to refuse it
        yield from self._until(head + length)
        return head + length

    def _head(self) -> Scan:
        searched = 0
        while (end := self.raw.find(CRLF + CRLF, searched)) < 0:
            if len(self.raw) > MOST_HEAD:
                raise Cut(0, Arrival.HEAD_TOO_LARGE)
            searched = max(0, len(self.raw) - 3)
            yield
        return end + 4

    def _body_length(self, head: int) -> int | None:
        """Returns None for a chunked body; cuts after the head where gunicorn has to refuse that."""
        codings, lengths = [], []
        for name, value in FRAMING_HEADER.findall(self.raw, 0, head):
            if name[:1] in b"cC":
                lengths.append(value.strip())
            elif name[:1] in b"tT":
                codings.append(value.strip().lower())
            else:
                self.wants_continue = value.strip().lower() == b"100-continue"
        if codings == [b"chunked"] and not lengths:
            return None
        if codings or len(lengths) > 1 or not all(re.fullmatch(rb"[0-9]{1,18}", one) for one in lengths):
            raise Cut(head)
        return int(lengths[0]) if lengths else 0

    def _chunks(self, first: int) -> Scan:
        at, data = first, 0
        while True:
            self._chunk = at
            start = yield from self._line(at)
            size = self._matching(CHUNK_SIZE, at, start)
            if not (length := int(size[1], 16)):
                return (yield from self._trailers(start))
            data += length
            if data > MOST_BODY:
                yield from self._until(start + length - (data - MOST_BODY) + 1)  # by which one sees that it is too long
                raise Cut(len(self.raw))
            at = start + length + 2
            yield from self._until(at)
            if self.raw[at - 2 : at] != CRLF or at - first > MOST_CHUNKED:
                raise Cut(self._chunk)

    def _trailers(self, at: int) -> Scan:
        first = at
        while True:
            end = yield from self._line(at)
            if self.raw[at:end] == CRLF:
                return end
            self._matching(TRAILER, at, end)
            if end - first > MOST_LINE:
                raise Cut(self._chunk)
            at = end

    def _matching(self, pattern: re.Pattern[bytes], at: int, end: int) -> re.Match[bytes]:
        match = pattern.fullmatch(self.raw[at:end])
        if match is None:
            raise Cut(self._chunk)
        return match

    def _line(self, at: int) -> Scan:
        searched = at
        while (end := self.raw.find(b"\n", searched) + 1) == 0:
            if len(self.raw) - at > MOST_LINE:
                raise Cut(self._chunk)
            searched = len(self.raw)
            yield
        if end - at > MOST_LINE:
            raise Cut(self._chunk)
        return end

    def _until(self, end: int) -> Generator[None, None, None]:
        while len(self.raw) < end:
            yield
