"""What a login rush does to everybody else: `.venv/bin/python benchmarks/login_rush.py --database URL [--people N]`.

Starts three gunicorn servers on loopback with one PostgreSQL database, which must be empty or another run's, and lets
N people sign in at once, each from an IP address of their own. Meanwhile every server is asked for `/api/me/` and the
JWKS, again and again. Prints how the logins were answered and how long the others waited, beside the same without a
rush in the same run, since the machine decides the numbers.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from multiprocessing import Event, Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, perf_counter, sleep
from typing import Any

from argon2 import PasswordHasher
from requests import SECRET

ROOT = Path(__file__).parents[1]
NODES = 3
PASSWORD = "lovelace 1815"
PATIENCE = 120  # seconds for whatever is waited for
ALONE = 5  # logins that have the servers to themselves
IDLE = 2.0  # seconds of asking while nobody signs in
PAUSE = 0.1  # seconds between two questions of a kind to one server


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any
    seconds: float


@dataclass
class Waited:
    """How long answers took, and their statuses."""

    seconds: list[float]
    statuses: Counter[int]

    def percentiles(self) -> dict[str, float]:
        each = quantiles(self.seconds, n=100, method="inclusive")
        return {"p50": each[49], "p99": each[98]}


async def ask(port: int, method: str, path: str, body: object = None, **headers: str) -> Answer:
    """One request over a connection of its own."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: localhost:{port}", "Connection: close"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    begun = perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join([*lines, "", ""]).encode() + content)
    raw = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    head, _, rest = raw.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    named = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
    return Answer(int(status.split()[1]), named, json.loads(rest), perf_counter() - begun)


async def log_in(port: int, number: int) -> Answer:
    body = {"email": f"person{number}@example.com", "password": PASSWORD}
    return await ask(port, "POST", "/api/login/", body, X_Forwarded_For=str(IPv4Address("10.0.0.0") + number))


async def keep_asking(ports: list[int], access: str, over: Event) -> dict[str, Waited]:
    """Asks every server what people ask who are signed in already, and waits for each answer.

    It does not wait for an answer before it asks again: that would ask seldom while answers are slow, and hide it.
    """
    paths = {"/api/me/": {"Authorization": f"Bearer {access}"}, "/.well-known/jwks.json": {}}
    waited = {path: Waited([], Counter()) for path in paths}

    async def once(port: int, path: str) -> None:
        answer = await ask(port, "GET", path, **paths[path])
        waited[path].seconds.append(answer.seconds)
        waited[path].statuses[answer.status] += 1

    async with asyncio.TaskGroup() as group:
        while not over.is_set():
            for port in ports:
                for path in paths:
                    group.create_task(once(port, path))
            await asyncio.sleep(PAUSE)
    return waited


def others(ports: list[int], access: str, over: Event, found: Connection) -> None:
    """In a process of its own, which a thousand logins that are sent at once do not hold up."""
    found.send(asyncio.run(keep_asking(ports, access, over)))


@contextmanager
def asking(ports: list[int], access: str) -> Iterator[dict[str, Waited]]:
    """What others wait for while the block runs; it is there when the block has ended."""
    waited: dict[str, Waited] = {}
    over, (theirs, ours) = Event(), Pipe(duplex=False)
    process = Process(target=others, args=(ports, access, over, ours))
    process.start()
    try:
        yield waited
    finally:
        over.set()
        waited.update(theirs.recv())
        process.join(PATIENCE)


async def all_at_once(ports: list[int], people: int) -> list[Answer]:
    return await asyncio.gather(*(log_in(ports[number % NODES], number) for number in range(1, people + 1)))


def rush(ports: list[int], people: int) -> dict[str, Any]:
    access = asyncio.run(log_in(ports[0], 0)).body["access"]
    with asking(ports, access) as idle:
        sleep(IDLE)
    alone = [asyncio.run(log_in(ports[number % NODES], people + number)).seconds for number in range(1, ALONE + 1)]
    with asking(ports, access) as busy:
        sleep(PAUSE)
        begun = perf_counter()
        logins = asyncio.run(all_at_once(ports, people))
        took = perf_counter() - begun
    refused = [answer for answer in logins if answer.status != 200]
    return {
        "people": people,
        "logins": Counter(answer.status for answer in logins),
        "refusals": Counter(one.body["code"] for one in refused if 1 <= int(one.headers.get("retry-after", 0)) <= 10),
        "seconds": took,
        "slowest refusal": max((answer.seconds for answer in refused), default=0.0),
        "a login alone": median(alone),
        "others": {
            path: {
                "answers": busy[path].statuses,
                "idle": idle[path].percentiles(),
                "in the rush": busy[path].percentiles(),
            }
            for path in busy
        },
    }


def free_ports() -> list[int]:
    with ExitStack() as held:
        probes = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(NODES)]
        return [probe.getsockname()[1] for probe in probes]


def prepare(folder: Path, variables: dict[str, str], people: int) -> None:
    """The database and its people, all of one password: making a hash for each would take longer than the rush."""
    hashed = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash(PASSWORD)
    file = folder / "people.jsonl"
    with file.open("w") as lines:
        for number in range(people + ALONE + 1):
            lines.write(json.dumps({"email": f"person{number}@example.com", "password_hash": hashed}) + "\n")
    for command in (["migrate"], ["users", "import", str(file)]):
        subprocess.run(
            [sys.executable, "-m", "authserver", *command], cwd=folder, env=variables, check=True, capture_output=True
        )


@contextmanager
def serving(folder: Path, variables: dict[str, str], ports: list[int]) -> Iterator[None]:
    """The servers, as `gunicorn wsgi:app` in the repository starts them, until the block ends."""
    for name in ("wsgi.py", "gunicorn.conf.py"):
        (folder / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "gunicorn", "wsgi:app"]
    servers = [
        subprocess.Popen(command, cwd=folder, env={**variables, "BIND": f"127.0.0.1:{port}"}, start_new_session=True)
        for port in ports
    ]
    try:
        for port in ports:
            wait_for(port)
        yield
    finally:
        for server in servers:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
        for server in servers:
            server.wait(PATIENCE)


def wait_for(port: int) -> None:
    until = monotonic() + PATIENCE
    while True:
        try:
            asyncio.run(ask(port, "GET", "/.well-known/jwks.json"))
            return
        except (OSError, ValueError, IndexError):
            if monotonic() > until:
                raise
            sleep(0.1)


def show(found: dict[str, Any]) -> None:
    print(f"{found['people']} logins at once, all answered in {found['seconds']:.1f} s: {dict(found['logins'])}")
    print(f"slowest refusal {found['slowest refusal']:.2f} s; a login alone {found['a login alone'] * 1000:.0f} ms")
    for path, waits in found["others"].items():
        idle, busy = waits["idle"], waits["in the rush"]
        print(
            f"{path:24} {dict(waits['answers'])}: p50 {busy['p50'] * 1000:.0f} ms, p99 {busy['p99'] * 1000:.0f} ms"
            f" (idle {idle['p50'] * 1000:.0f} and {idle['p99'] * 1000:.0f} ms)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", required=True, help="PostgreSQL URL, of a database of its own")
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    ports = free_ports()
    with tempfile.TemporaryDirectory() as name:
        variables = {
            **{name: os.environ[name] for name in ("PATH", "WEB_CONCURRENCY") if name in os.environ},
            "AUTHSERVER_SECRET_KEY": os.environ.get("AUTHSERVER_SECRET_KEY", SECRET),
            "AUTHSERVER_DATABASE_URL": arguments.database,
            "AUTHSERVER_PUBLIC_URL": f"http://localhost:{ports[0]}",
            "AUTHSERVER_TRUSTED_PROXIES": "1",
        }
        prepare(Path(name), variables, arguments.people)
        with serving(Path(name), variables, ports):
            found = rush(ports, arguments.people)
    if arguments.json:
        print(json.dumps(found))
    else:
        show(found)


if __name__ == "__main__":
    main()
