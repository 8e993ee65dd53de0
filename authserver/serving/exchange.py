"""A request and its response on a connection, from the first byte of the one to the last of the other."""

import json
import selectors
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from enum import Enum, auto

from authserver.serving.connection import Connection
from authserver.serving.framing import Arrival, ArrivingRequest

# Seconds. All of a request has to arrive within the first, however its bytes are spread.
TO_ARRIVE = 10.0
TO_LEAVE = 10.0
TO_READ_THE_REFUSAL = 2.0  # while a client goes on sending, closing would take the response from it

REFUSAL = (
    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
    "Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
)


class Phase(Enum):
    ARRIVING = auto()
    ARRIVED = auto()  # a thread answers it, or will
    LEAVING = auto()
    LINGERING = auto()
    OVER = auto()


class Exchange:
    """`handle`, which a thread runs, answers the request; `done` is the future of its result."""

    def __init__(self, connection: Connection, handle: Callable[[], object]) -> None:
        self.connection = connection
        self.request = ArrivingRequest()
        self.done: Future[object] = Future()
        self.phase = Phase.ARRIVING
        self.deadline = time.monotonic() + TO_ARRIVE
        self._handle = handle
        self._result: object = None
        self._failure: BaseException | None = None

    def advance(self) -> int:
        """Does what can be done without waiting; returns the event that it goes on with, or 0."""
        try:
            if self.phase is Phase.ARRIVING:
                return self._receive()
            if self.phase is Phase.LEAVING:
                return self._send()
            if self.phase is Phase.LINGERING:
                return self._linger()
        except OSError as error:  # the client has left
            self.abandon(error)
        return 0

    def answer(self) -> None:
        """In a thread, when the phase is `ARRIVED`."""
        try:
            self._result = self._handle()
        except BaseException as error:
            self.abandon(error)
        else:
            self._leave()

    def expire(self) -> None:
        """What has taken too long is refused where the client still waits for a response, else abandoned."""
        if self.phase is Phase.ARRIVING and self.request.raw:
            self._refuse("408 Request Timeout", "The request did not arrive in time.")
        else:
            self.abandon(TimeoutError())

    def idle(self) -> bool:
        return self.phase is Phase.ARRIVING and not self.request.raw

    def abandon(self, why: BaseException) -> None:
        self._failure, self.phase = why, Phase.OVER

    def settle(self) -> None:
        """Gives the connection back to gunicorn, which closes it after a failure."""
        if self._failure is None:
            self.done.set_result(self._result)
        else:
            self.done.set_exception(self._failure)

    def _receive(self) -> int:
        self.connection.receive(self.request)
        if self.request.arrival is Arrival.PART:
            return selectors.EVENT_READ
        if self.request.arrival is Arrival.HEAD_TOO_LARGE:
            self._refuse("431 Request Header Fields Too Large", "The request's headers are too large.")
            return self._send()
        self.connection.hand_over(self.request)
        self.phase = Phase.ARRIVED
        return 0

    def _refuse(self, status: str, detail: str) -> None:
        body = json.dumps({"detail": detail, "code": "invalid_request"})
        self.connection.unsent += REFUSAL.format(status=status, length=len(body), body=body).encode()
        self.connection.whole = False
        self._failure = ConnectionAbortedError(status)
        self._leave()

    def _leave(self) -> None:
        self.phase, self.deadline = Phase.LEAVING, time.monotonic() + TO_LEAVE

    def _send(self) -> int:
        if not self.connection.flush():
            return selectors.EVENT_WRITE
        if self.connection.whole:
            self.phase = Phase.OVER
            return 0
        self.connection.shutdown(socket.SHUT_WR)
        self.phase, self.deadline = Phase.LINGERING, time.monotonic() + TO_READ_THE_REFUSAL
        return self._linger()

    def _linger(self) -> int:
        if not self.connection.discard():
            return selectors.EVENT_READ
        self.phase = Phase.OVER
        return 0
