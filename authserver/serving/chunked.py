"""Read a chunked body as strictly as gunicorn does, for `authserver dev`.

Werkzeug's own reader takes `0x2` for a size and LF for CRLF, and knows neither extensions nor trailers.
"""

import io
from typing import TYPE_CHECKING

from authserver.serving.framing import CHUNK_SIZE, CRLF, MOST_LINE, TRAILER

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class ChunkedBody(io.RawIOBase):
    """Raises `OSError` for what is no chunk and for a body that breaks off."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file = file
        self._left = 0  # bytes of the chunk
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        if not self._left and not self._ended:
            self._begin()
        view = memoryview(buffer)
        size = min(self._left, len(view))
        view[:size] = self._exactly(size)
        self._left -= size
        if size and not self._left and self._exactly(len(CRLF)) != CRLF:
            raise OSError("the chunk goes on after its end")
        return size

    def _begin(self) -> None:
        size = CHUNK_SIZE.fullmatch(self._file.readline(MOST_LINE))
        if size is None:
            raise OSError("this is no size of a chunk")
        self._left = int(size[1], 16)
        if not self._left:
            self._end()

    def _end(self) -> None:
        self._ended = True
        while (line := self._file.readline(MOST_LINE)) != CRLF:
            if not TRAILER.fullmatch(line):
                raise OSError("this is no trailer")

    def _exactly(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise OSError("the body breaks off")
        return data
