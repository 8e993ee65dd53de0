"""The page's React example, cut out, built, and served from an origin of its own."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.e2e.page import between, tool
from tests.e2e.servers import Server
from tests.npm import installed

REACT = Path(__file__).with_name("react")
BUILD = ("harness.jsx", "--bundle", "--jsx=automatic", "--outfile=app.js", "--log-level=warning")
# The one insertion: the example has `handleSignup` and nothing that calls it.
FIRST_BUTTON = "<button onClick={() => handleGoogleSignIn("
SIGN_UP_BUTTON = "<button onClick={() => handleSignup(%s)}>Sign up</button>"


@dataclass(frozen=True)
class Site:
    origin: str
    server: Server


def example() -> str:
    return between("Complete Example (React with All Auth Methods)", "When Refresh Token Expires")


def as_module(code: str, sign_up: tuple[str, str, str, str]) -> str:
    """The example with a button that signs up, and its `App` exported."""
    assert code.count(FIRST_BUTTON) == 1
    button = SIGN_UP_BUTTON % ", ".join(map(json.dumps, sign_up))
    return code.replace(FIRST_BUTTON, button + FIRST_BUTTON) + "export { App };\n"


def build(folder: Path, code: str) -> None:
    for name in ("harness.jsx", "index.html"):
        shutil.copy(REACT / name, folder)
    (folder / "example.jsx").write_text(code, "utf-8")
    modules = installed(REACT)
    built = subprocess.run(
        [tool("node"), str(modules / "esbuild" / "bin" / "esbuild"), *BUILD],
        cwd=folder,
        env={**os.environ, "NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (built.returncode, built.stderr) == (0, ""), built.stderr


@contextmanager
def serving(folder: Path, server: Server) -> Iterator[Site]:
    """Serves the folder's files until the block ends, to a page that asks the given server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(folder))) as files:
        thread = threading.Thread(target=files.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield Site(f"http://localhost:{files.server_port}", server)
        finally:
            files.shutdown()
            thread.join()


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what the browser asked for, the test records."""
