"""What many users cost: `.venv/bin/python benchmarks/million.py [--users N] [--database URL]`.

Imports N generated users by `authserver users import` and prints its time and the most memory that its process held;
then the cost in process of three requests with 1,000 users and with N, measured in the same run, and their ratio.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from requests import environment, microseconds, sign_up

from authserver.app import create_app
from authserver.cli.database import migrate_database
from authserver.settings import load

FEW = 1000
ROUNDS = 3000
# Django's, of "password": every line carries the same one, since making a million would be measured too.
HASH = "pbkdf2_sha256$1000000$benchmarksalt$" + "A" * 43 + "="
LOGIN = {"email": "ada@example.com", "password": "lovelace 1815"}
# Where there is no /proc, getrusage has to do.
IMPORT = """
import resource
from pathlib import Path
from authserver.cli import main
try:
    main()
finally:
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    held = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    held = held or [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]
    print(f"with at most {held[0] / 1024:.0f} MB of memory", flush=True)
"""


def write_people(path: Path, count: int) -> None:
    with path.open("w") as file:
        for number in range(count):
            person = {
                "email": f"person{number}@example.com",
                "email_verified": True,
                "password_hash": HASH,
                "first_name": "Person",
                "last_name": str(number),
                "date_joined": "2020-01-01T00:00:00Z",
            }
            file.write(json.dumps(person) + "\n")


def import_people(path: Path, variables: dict[str, str]) -> None:
    """By the command, in a process of its own that says how much memory it held.

    It says so itself, since Linux begins the count of a process with what the one held that started it.
    """
    start = perf_counter()
    subprocess.run([sys.executable, "-c", IMPORT, "users", "import", str(path)], env=variables, check=True)
    print(f"in {perf_counter() - start:.0f} s")


def measure(variables: dict[str, str]) -> dict[str, float]:
    """Microseconds of each request, in an application that is new, so that it starts with nothing remembered."""
    app = create_app(load(variables)[0])
    tokens = sign_up(app.test_client())
    bearer = {"Authorization": f"Bearer {tokens['access']}"}
    refresh = {"method": "POST", "json": {"refresh": tokens["refresh"]}}
    return {
        "GET /api/me/": microseconds(app, ROUNDS, path="/api/me/", headers=bearer),
        "POST /api/token/refresh/": microseconds(app, ROUNDS, path="/api/token/refresh/", **refresh),
        "POST /api/login/": microseconds(app, 100, path="/api/login/", method="POST", json=LOGIN),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", help="PostgreSQL or SQLite URL, empty; a new SQLite file where none is given")
    parser.add_argument("--users", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        variables = environment(name, arguments.database)
        migrate_database(load(variables)[0])
        costs = []
        for count in (FEW, arguments.users):
            write_people(folder / "people.jsonl", count)
            import_people(folder / "people.jsonl", variables)
            costs.append(measure(variables))
        print(f"{'':24} {FEW:>12,} {arguments.users:>12,} users")
        for label, few in costs[0].items():
            many = costs[1][label]
            print(f"{label:24} {few:9.0f} µs {many:9.0f} µs   × {many / few:.2f}")


if __name__ == "__main__":
    main()
