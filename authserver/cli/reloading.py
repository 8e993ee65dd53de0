"""`authserver dev --reload`: a process that watches files, and one that serves and is started again when one changes.

The watching process keeps the listening sockets, so a request that comes during a restart waits and is not refused. It
also keeps one end of a pipe. The serving process ends when that end is closed, so it never outlives the other one,
however that ends.
"""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from time import sleep
from typing import NamedTuple

import click

from authserver.oauth.registry import GROUP

# Tells the serving process its descriptors, the pipe's and then the sockets'. It begins with _, so it is no setting.
DESCRIPTORS = "_AUTHSERVER_DESCRIPTORS"
FIRST, AGAIN = "first", "again"
POLL = 0.5  # seconds between two looks at the files
SETTLED = 0.1  # seconds without a change after which a save, or a checkout of many files, is complete
PATIENCE = 5.0  # seconds for the serving process to end by itself
SUFFIXES = {".py", ".html", ".txt", ".json", ".js", ".css", ".svg"}
SKIPPED = {"__pycache__", "node_modules"}

Snapshot = Mapping[Path, tuple[int, int]]  # of each file when it was changed and its size


class Inherited(NamedTuple):
    """The sockets that a serving process got from the watching one."""

    sockets: list[socket.socket]
    first: bool  # whether nothing was served before


def inherited() -> Inherited | None:
    """Returns None in a process that nobody watches. Otherwise this process ends with the one that watches."""
    started, *descriptors = os.environ.pop(DESCRIPTORS, "").split() or [""]
    if not started:
        return None
    pipe, *sockets = map(int, descriptors)
    threading.Thread(target=_end_with, args=(pipe,), daemon=True).start()
    return Inherited([socket.socket(fileno=one) for one in sockets], started == FIRST)


def _end_with(pipe: int) -> None:
    os.read(pipe, 1)  # returns when the other end is closed: nothing is ever written
    os._exit(0)


def watch(sockets: list[socket.socket]) -> None:
    """Runs this very command again as the process that serves, anew after each change of a file, until Ctrl-C."""
    started = FIRST
    with suppress(KeyboardInterrupt):
        while True:
            places = list(_places())
            before = _snapshot(places)
            with _serving(sockets, started) as process:
                changed = _wait_for_change(places, before, process)
            click.echo(f"authserver: {changed} has changed, starting again", err=True)
            started = AGAIN


@contextmanager
def _serving(sockets: list[socket.socket], started: str) -> Iterator["subprocess.Popen[bytes]"]:
    theirs, ours = os.pipe()
    passed = [theirs, *(one.fileno() for one in sockets)]
    environment = {**os.environ, DESCRIPTORS: " ".join([started, *map(str, passed)])}
    process = subprocess.Popen([sys.executable, *sys.orig_argv[1:]], env=environment, pass_fds=passed)
    os.close(theirs)
    try:
        yield process
    finally:
        os.close(ours)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_change(places: list[Path], before: Snapshot, process: "subprocess.Popen[bytes]") -> Path:
    """Returns a file that is new, different or gone, as soon as no more of them change."""
    ended = False
    while (now := _snapshot(places)) == before:
        if not ended and process.poll() is not None:
            ended = True
            click.echo("authserver: waiting for a file to change; Ctrl-C stops it", err=True)
        sleep(POLL)
    changed = min(path for path, _ in before.items() ^ now.items())
    last: Snapshot = {}
    while now != last:
        sleep(SETTLED)
        last, now = now, _snapshot(places)
    return changed


def _places() -> Iterator[Path]:
    """`.env`, this package, and of each installed provider the package or the file; none of them is imported."""
    yield Path(".env").absolute()
    modules = {"authserver", *(point.module.partition(".")[0] for point in entry_points(group=GROUP))}
    for module in sorted(modules):
        spec = find_spec(module)
        if spec is not None:
            yield from map(Path, spec.submodule_search_locations or filter(None, [spec.origin]))


def _snapshot(places: list[Path]) -> Snapshot:
    found = {}
    for path in _files(places):
        with suppress(OSError):  # it is being replaced
            status = path.stat()
            found[path] = (status.st_mtime_ns, status.st_size)
    return found


def _files(places: list[Path]) -> Iterator[Path]:
    for place in places:
        if not place.is_dir():
            yield place
        for folder, folders, names in os.walk(place):
            folders[:] = [name for name in folders if name not in SKIPPED]
            yield from (Path(folder, name) for name in names if Path(name).suffix in SUFFIXES)
