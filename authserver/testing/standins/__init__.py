"""Stand-ins for the servers of Google, Facebook and Microsoft, answering as their documents say, on loopback only.

with serve() as standins:
    token = standins.google.token(Person(subject="1", email="ada@gmail.com", email_verified=True))
    ...  # a server started with standins.variables() accepts it at /api/auth/google/
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, request
from werkzeug.serving import WSGIRequestHandler, make_server

from authserver.testing.standins.facebook import Facebook
from authserver.testing.standins.google import Google
from authserver.testing.standins.microsoft import Microsoft
from authserver.testing.standins.person import Person

__all__ = ["Person", "StandIns", "serve"]


class StandIns:
    """The three providers at one address; `asked` lists what was asked of them, as "METHOD path"."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[str] = []
        self.google = Google(f"{url}/google")
        self.facebook = Facebook(f"{url}/facebook")
        self.microsoft = Microsoft(f"{url}/microsoft")

    def variables(self) -> dict[str, str]:
        """The AUTHSERVER_… variables of a server that uses these instead of the real ones."""
        return {
            f"AUTHSERVER_PROVIDERS__{name}__{option}": value
            for name, options in (
                ("GOOGLE", self.google.options()),
                ("FACEBOOK", self.facebook.options()),
                ("MICROSOFT", self.microsoft.options()),
            )
            for option, value in options.items()
        }


@contextmanager
def serve() -> Iterator[StandIns]:
    """Serves the stand-ins on a free port of 127.0.0.1 until the block ends."""
    app = Flask(__name__, static_folder=None)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    standins = StandIns(f"http://127.0.0.1:{server.server_port}")
    app.before_request(lambda: standins.asked.append(f"{request.method} {request.path}"))
    for one in (standins.google, standins.facebook, standins.microsoft):
        app.register_blueprint(one.blueprint())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
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
