"""gunicorn's gthread worker with a reception before its threads.

What it builds on is the same from gunicorn 23 on: `accept` gets the listener last, `get_thread_pool` is there to be
overridden, and the future of a request that fails makes gunicorn close the connection.
"""

import errno
import socket
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn, ThreadWorker

from authserver.serving.connection import Connection
from authserver.serving.reception import Reception

UNPROTECTED = (
    "TLS, HTTP/2, uWSGI and version 2 of the PROXY protocol are read in the threads, all of which a few dozen slow "
    "clients can hold up: leave these protocols to a proxy in front"
)


class Worker(ThreadWorker):
    """`worker_class` of `authserver.serving.config`."""

    @classmethod
    def check_config(cls, cfg: Config, log: Logger) -> None:
        super().check_config(cfg, log)
        if not plain_http(cfg):
            log.warning(UNPROTECTED)

    def get_thread_pool(self) -> Any:
        if not plain_http(self.cfg):
            return super().get_thread_pool()
        # The other half is for requests in threads and for connections between two requests.
        most_waiting = max(1, self.cfg.worker_connections // 2)
        return Reception(self.cfg.threads, most_waiting, lambda: not self.alive)

    def accept(self, *listening: Any) -> None:
        """Hands even a connection that has sent nothing to the reception: gunicorn 23 would wait for it without end."""
        if not plain_http(self.cfg):
            super().accept(*listening)
            return
        listener: socket.socket = listening[-1]
        try:
            accepted, client = listener.accept()
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ECONNABORTED):
                return
            raise
        self.nr_conns += 1
        conn = TConn(self.cfg, Connection(accepted), client, listener.getsockname())
        conn.data_ready = True  # later gunicorns would look for it in the socket, which has been read
        self.enqueue_req(conn)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Lets nothing follow a request that was not whole: where the next one begins cannot be known."""
        if isinstance(conn.sock, Connection) and not conn.sock.whole:
            req.force_close()
        return super().handle_request(req, conn)


def plain_http(cfg: Config) -> bool:
    """Whether what arrives is HTTP/1 and nothing else, as it is unless the operator asks for more."""
    return (
        not cfg.is_ssl
        and getattr(cfg, "protocol", "http") == "http"
        and getattr(cfg, "http_protocols", ["h1"]) == ["h1"]
        and cfg.proxy_protocol in (False, True, "off", "v1")  # the second is gunicorn 23's
    )
