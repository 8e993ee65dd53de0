"""Between gunicorn's poller and its threads: connections wait here, so that no thread does.

A deadline in each thread would not do: as many slow clients as there are threads would hold all of them until it ends,
again and again. Here a slow client costs a place among many and some memory.
"""

import selectors
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

from authserver.serving.exchange import Exchange, Phase

TICK = 1.0  # seconds between two looks at what has expired


class Reception:
    """gunicorn's thread pool, for which a request that has not arrived whole does not exist.

    An exchange belongs to one thread at a time: gunicorn's, which tries whether all has arrived already; the
    reception's own, where it waits; or one of the pool. So there are no locks.
    """

    def __init__(self, threads: int, most_waiting: int, stopping: Callable[[], bool]) -> None:
        self._pool = ThreadPoolExecutor(threads)
        self._most_waiting = most_waiting
        self._stopping = stopping
        self._open: set[Exchange] = set()
        self._waiting: dict[Exchange, int] = {}  # with the event that it waits for, the longest waiting first
        self._coming: SimpleQueue[tuple[Exchange, int]] = SimpleQueue()
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._rope.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="reception", daemon=True)
        self._thread.start()

    def submit(self, handle: Callable[[object], object], conn: object) -> "Future[object]":
        connection = conn.sock  # type: ignore[attr-defined]
        exchange = Exchange(connection, partial(handle, conn))
        self._open.add(exchange)
        self._go_on(exchange)
        return exchange.done

    def shutdown(self, wait: bool = False) -> None:
        """What is arriving or leaving may do so until its time is over; then the threads end too."""
        self._closed = True
        self._ring()
        if wait:
            self._thread.join()

    def _go_on(self, exchange: Exchange) -> None:
        """In any thread but the reception's, to which the exchange goes where it has to wait."""
        if event := exchange.advance():
            self._coming.put((exchange, event))
            self._ring()
        else:
            self._pass_on(exchange)

    def _pass_on(self, exchange: Exchange) -> None:
        if exchange.phase is Phase.ARRIVED:
            self._pool.submit(self._answer, exchange)
        else:
            exchange.settle()
            self._open.discard(exchange)

    def _answer(self, exchange: Exchange) -> None:
        exchange.answer()
        self._go_on(exchange)

    def _ring(self) -> None:
        with suppress(OSError):  # full: it rings already
            self._rope.send(b"\0")

    # In the reception's own thread

    def _run(self) -> None:
        look = time.monotonic() + TICK
        while not self._closed or self._open:
            for key, _ in self._selector.select(TICK):
                if key.fileobj is self._bell:
                    with suppress(BlockingIOError):
                        self._bell.recv(4096)
                else:
                    self._advance(key.data)
            self._take_in()
            if time.monotonic() >= look:
                self._expire()
                look = time.monotonic() + TICK
        self._pool.shutdown(wait=False)
        for one in (self._selector, self._bell, self._rope):
            one.close()

    def _take_in(self) -> None:
        with suppress(Empty):
            while True:
                self._wait(*self._coming.get_nowait())
        while len(self._waiting) > self._most_waiting:
            longest = next(iter(self._waiting))
            longest.abandon(ConnectionAbortedError("too many wait"))
            self._forget(longest)

    def _wait(self, exchange: Exchange, event: int) -> None:
        if exchange not in self._waiting:
            self._selector.register(exchange.connection, event, exchange)
        elif self._waiting[exchange] != event:
            self._selector.modify(exchange.connection, event, exchange)
        self._waiting[exchange] = event

    def _advance(self, exchange: Exchange) -> None:
        if event := exchange.advance():
            self._wait(exchange, event)
        else:
            self._forget(exchange)

    def _forget(self, exchange: Exchange) -> None:
        self._selector.unregister(exchange.connection)
        del self._waiting[exchange]
        self._pass_on(exchange)

    def _expire(self) -> None:
        stopping = self._closed or self._stopping()
        now = time.monotonic()
        for exchange in list(self._waiting):
            if now >= exchange.deadline or (stopping and exchange.idle()):
                exchange.expire()
                self._advance(exchange)
