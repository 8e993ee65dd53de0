"""What a request costs, in process: `.venv/bin/python benchmarks/requests.py [--database URL]`.

Prints microseconds of this process per request, beside a bare Flask route measured in the same run, since the machine
decides the numbers and only their ratio means something elsewhere.
"""

import argparse
import tempfile
from time import process_time
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder

from authserver.app import create_app
from authserver.cli.database import migrate_database
from authserver.settings import load

# The same at each run, so that the signing keys open that an earlier run left in the database.
SECRET = "pWq7sLm2Vx9KfRtB4nYcZ0hGd6JuEa3oTiC8vXkQ5Ms"


def environment(folder: str, database: str | None) -> dict[str, str]:
    """The settings of a benchmark: no rate limits, which many logins from one address would meet."""
    variables = {
        "AUTHSERVER_ENV": "development",
        "AUTHSERVER_INSTANCE_PATH": folder,
        "AUTHSERVER_SECRET_KEY": SECRET,
        "AUTHSERVER_RATE_LIMITS": "false",
    }
    return variables | ({"AUTHSERVER_DATABASE_URL": database} if database else {})


def microseconds(app: Flask, rounds: int, **request: Any) -> float:
    """Processor time a request, at the WSGI interface: the test client would cost more than what it measures."""
    environ = EnvironBuilder(**request).get_environ()
    body = environ["wsgi.input"].read()

    def once() -> None:
        environ["wsgi.input"].seek(0)
        b"".join(app.wsgi_app(dict(environ), lambda *_: lambda _: None))

    assert environ["wsgi.input"].seek(0) == 0
    assert len(body) >= 0
    for _ in range(max(rounds // 10, 3)):
        once()
    start = process_time()
    for _ in range(rounds):
        once()
    return (process_time() - start) / rounds * 1e6


def sign_up(client: FlaskClient) -> dict[str, Any]:
    body = {"email": "ada@example.com", "password": "lovelace 1815", "password_confirm": "lovelace 1815"}
    client.post("/api/signup/", json=body)
    answer: dict[str, Any] = client.post("/api/login/", json=body).get_json()
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", help="PostgreSQL or SQLite URL; a new SQLite file where none is given")
    parser.add_argument("--rounds", type=int, default=3000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings, _ = load(environment(folder, arguments.database))
        migrate_database(settings)
        app = create_app(settings, unsafe_development=True)
        tokens = sign_up(app.test_client())
        bare = Flask("bare")
        bare.add_url_rule("/", view_func=lambda: {"hello": "world"})

        floor = microseconds(bare, arguments.rounds, path="/")
        print(f"{'bare Flask route':24} {floor:8.0f} µs")
        bearer = {"Authorization": f"Bearer {tokens['access']}"}
        login = {"email": "ada@example.com", "password": "lovelace 1815"}
        for label, rounds, request in (
            ("GET /api/me/", arguments.rounds, {"path": "/api/me/", "headers": bearer}),
            (
                "POST /api/token/refresh/",
                arguments.rounds,
                {"path": "/api/token/refresh/", "method": "POST", "json": {"refresh": tokens["refresh"]}},
            ),
            ("POST /api/login/", 50, {"path": "/api/login/", "method": "POST", "json": login}),
        ):
            cost = microseconds(app, rounds, **request)
            print(f"{label:24} {cost:8.0f} µs {cost / floor:8.1f} × bare")


if __name__ == "__main__":
    main()
