"""Serving the stand-ins on loopback, for tests."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, request
from werkzeug.serving import WSGIRequestHandler, make_server

from authserver.testing.standins.all import StandIns
from authserver.testing.standins.base import Now


@contextmanager
def serve(*, now: Now = time.time, taken: str = "taken@example.com") -> Iterator[StandIns]:
    """Serves the stand-ins on a free port of 127.0.0.1 until the block ends; the rest is as in `StandIns`."""
    app = Flask(__name__, static_folder=None)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    standins = StandIns(f"http://127.0.0.1:{server.server_port}", now=now, taken=taken)
    app.before_request(lambda: standins.asked.append(f"{request.method} {request.path}"))
    for blueprint in standins.blueprints():
        app.register_blueprint(blueprint)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield standins
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept alive, as the real ones are

    def log(self, type: str, message: str, *args: object) -> None:
        """Nothing: the tokens in these paths and queries belong to nobody, but nobody reads them either."""
