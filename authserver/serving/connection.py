"""A client's connection that never makes anybody wait: a thread reads what has arrived, and what it sends is kept."""

import socket
from typing import IO, TYPE_CHECKING

from authserver.serving.framing import Arrival, ArrivingRequest

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PIECE = 16 * 1024


class Connection(socket.socket):
    """Looks like a blocking socket to the thread that answers a request; all that waits is the reception's."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        super().setblocking(False)
        self.arrived = bytearray()
        self.unsent = bytearray()
        self.whole = True  # whether the request that has arrived was whole; else nothing can follow it
        self._continued = False

    # What gunicorn calls

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """The end, as of a connection that was closed, is where the arrived request ends.

        Peeking is looking past the request, at whether the client is still there.
        """
        if flags & socket.MSG_PEEK:
            return super().recv(size, flags)
        data = bytes(self.arrived[:size])
        del self.arrived[:size]
        return data

    def sendall(self, data: "ReadableBuffer", flags: int = 0, /) -> None:
        self.unsent += data
        self.flush()

    def send(self, data: "ReadableBuffer", flags: int = 0, /) -> int:
        """gunicorn sends nothing so but its `100 Continue`, which the client may have had already."""
        if data == CONTINUE and self._continued:
            self._continued = False
        else:
            self.sendall(data)
        return len(memoryview(data))

    def sendfile(self, file: IO[bytes], offset: int = 0, count: int | None = None) -> int:  # type: ignore[override]
        file.seek(offset)
        data = file.read(-1 if count is None else count)
        self.sendall(data)
        return len(data)

    def setblocking(self, flag: bool, /) -> None:
        """Never."""

    def settimeout(self, value: float | None, /) -> None:
        """Never."""

    # What the reception calls

    def receive(self, request: ArrivingRequest) -> None:
        """Reads what has arrived of the request and nothing of the next one, which gunicorn's poller has to see.

        Raises `OSError` where the client has left.
        """
        while request.arrival is Arrival.PART:
            try:
                data = super().recv(PIECE, socket.MSG_PEEK)
            except BlockingIOError:
                self._continue(request)
                return
            if not data and not request.has_head:
                raise ConnectionAbortedError
            if not data:
                request.end_here()
                return
            of_this = request.add(data)
            while of_this:
                of_this -= len(super().recv(of_this))

    def _continue(self, request: ArrivingRequest) -> None:
        if request.wants_continue and not self._continued:
            self._continued = True
            self.sendall(CONTINUE)

    def hand_over(self, request: ArrivingRequest) -> None:
        """Lets the thread read the request."""
        self.arrived += request.raw
        self.whole = request.arrival is Arrival.WHOLE

    def flush(self) -> bool:
        """Returns whether all has been sent."""
        try:
            while self.unsent:
                del self.unsent[: super().send(self.unsent)]
        except BlockingIOError:
            return False
        return True

    def discard(self) -> bool:
        """Returns whether the client has closed its side; drops what it goes on sending until then."""
        try:
            for _ in range(16):
                if not super().recv(PIECE):
                    return True
        except BlockingIOError:
            pass
        return False
