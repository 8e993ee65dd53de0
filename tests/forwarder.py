"""A server in front of another, which a test can stop, silence and bring back."""

import socket
import threading
from contextlib import suppress


class Forwarder:
    """Forwards one port of loopback to another; several connections at once."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open: list[socket.socket] = []
        self.silent = False  # takes what comes, and answers nothing
        self.connections = 0
        self.port = 0
        self.start()

    def start(self) -> None:
        """Listens, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Refuses connections, and breaks those that stand."""
        self._close(self._listener)
        self.cut()

    def cut(self) -> None:
        """Breaks the connections that stand, and takes new ones."""
        standing, self._open = self._open, []  # who connects again meanwhile is not cut off too
        for one in standing:
            self._close(one)

    def _close(self, one: socket.socket) -> None:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
        one.close()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.connections += 1
                server = socket.create_connection(self._target)
                self._open += [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not self.silent:
                    sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
