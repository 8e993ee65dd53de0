"""A real server is killed between a change and its mail: the mail arrives after the next start."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import update

from authserver.clock import now
from authserver.extensions import db, writing
from authserver.models import Mail
from tests.conftest import SECRET, MakeApp
from tests.e2e.servers import Server, call, end, environment, wait_for
from tests.factories import signup_body
from tests.mails import Server as MailServer
from tests.mails import start
from tests.serving import free_port

pytestmark = pytest.mark.slow

PATIENCE = 30


@contextmanager
def process(folder: Path, database: str, mail_url: str) -> Iterator[tuple[Server, subprocess.Popen[bytes]]]:
    port = free_port()
    server = Server(f"http://localhost:{port}", folder / "server.log")
    settings = {"SECRET_KEY": SECRET, "PUBLIC_URL": server.url, "DATABASE_URL": database, "MAIL_URL": mail_url}
    variables = {f"AUTHSERVER_{name}": value for name, value in settings.items()} | {"BIND": f"127.0.0.1:{port}"}
    command = [sys.executable, "-m", "gunicorn", "--workers", "1", "authserver:create_app()"]
    with server.log.open("ab") as output:
        running = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(folder, {"WEB_CONCURRENCY": "1", **variables}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(server, running)
        yield server, running
    finally:
        end(running)


def test_a_kill_between_the_change_and_its_mail_loses_no_mail(make_app: MakeApp, database: str, tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").symlink_to(Path(__file__).parents[1] / "gunicorn.conf.py")
    smtp, body = MailServer(), signup_body()
    # It takes connections and never says a word: the mail is on its way when the process is killed.
    with socket.create_server(("127.0.0.1", smtp.port)) as mute:
        mute.settimeout(PATIENCE)
        with process(tmp_path, database, smtp.url) as (server, running):
            assert call("POST", f"{server.url}/api/signup/", body).status == 201
            connection, _ = mute.accept()
            os.killpg(running.pid, signal.SIGKILL)
            running.wait(PATIENCE)
            connection.close()
    # The claim of the killed process ends after a minute, which nobody waits for here.
    with make_app(mail_url=smtp.url).app_context():
        with writing() as transaction:
            claimed = transaction.execute(update(Mail).where(Mail.attempts == 1).values(next_attempt_at=now()))
        assert claimed.rowcount == 1  # type: ignore[attr-defined]
        db.session.remove()
    controller = start(smtp)
    try:
        with process(tmp_path, database, smtp.url):
            until = time.monotonic() + PATIENCE
            while not smtp.arrived and time.monotonic() < until:
                time.sleep(0.05)
    finally:
        controller.stop()
    assert [mail.to for mail in smtp.arrived] == [body["email"]]
