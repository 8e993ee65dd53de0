"""S64 in Chromium: what a page of an origin that is not allowed sends with the visitor's cookie changes nothing.

It is on the same site as the server, localhost, so that `SameSite` alone would let the cookie through.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import settings_for, variables
from tests.e2e.client_page import NewVisitor, Visitor, hosting, write_page
from tests.e2e.servers import Server, make_checkout, running
from tests.factories import PASSWORD
from tests.serving import free_port

pytestmark = pytest.mark.browser

PATHS = ("/api/token/refresh/", "/api/token/blacklist/", "/api/logout/", "/api/login/", "/api/signup/", "/api/token/")
FORM = """<form method="post" action="%s" enctype="%s"><input name='{"email": "%s", "password": "%s", "x": "'
value='"}'><input name="refresh" value=""></form><script>document.forms[0].submit()</script>"""
FETCHES = """async ([url, body]) => {
  const outcomes = [];
  for (const init of [
    { mode: 'no-cors' },
    { mode: 'no-cors', headers: { 'Content-Type': 'text/plain' }, body },
    { headers: { 'X-Auth-Transport': 'cookie' } },
    { headers: { 'X-Auth-Transport': 'cookie', 'Content-Type': 'application/json' }, body },
  ])
    outcomes.push(
      await fetch(url, { method: 'POST', credentials: 'include', ...init }).then((r) => r.type, () => 'failed'),
    );
  return outcomes;
}"""


@pytest.fixture(scope="module")
def app_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("app")


@pytest.fixture(scope="module")
def origin(app_folder: Path) -> Iterator[str]:
    with hosting(app_folder) as origin:
        yield origin


@pytest.fixture(scope="module")
def server(
    app_folder: Path, origin: str, migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """As in production, where loopback origins are allowed no more than others."""
    checkout, port = make_checkout(tmp_path_factory.mktemp("foreign") / "checkout"), free_port()
    database = f"sqlite:///{checkout / 'authserver.db'}"
    (checkout / "authserver.db").write_bytes(migrated_sqlite.read_bytes())
    assert settings_for(database).production
    settings = variables(
        database, public_url=f"http://localhost:{port}", cors_origins=origin, refresh_rotation="true"
    ) | {"BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "1"}
    write_page(app_folder / "index.html", f"http://localhost:{port}")
    with running([sys.executable, "-m", "gunicorn", "wsgi:app"], checkout, port, settings) as server:
        yield server


@pytest.fixture
def visitor(new_visitor: NewVisitor) -> Visitor:
    return new_visitor()


def test_a_form_and_a_fetch_of_a_foreign_page_change_nothing(visitor: Visitor, tmp_path: Path) -> None:
    tab = visitor.tab()
    user = tab.sign_up()
    attacker = visitor.tab().sign_up()  # someone's own credentials, to be planted in the visitor's browser
    tab.js("(body) => auth.login(body)", {"email": user["email"], "password": PASSWORD})
    cookie = visitor.cookie()
    assert cookie
    (tmp_path / "index.html").write_text("<!doctype html><title>Foreign</title>")
    number = 0
    for path in PATHS:
        for enctype in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
            form = FORM % (visitor.server.url + path, enctype, attacker["email"], PASSWORD)
            (tmp_path / f"form{(number := number + 1)}.html").write_text(form)
    with hosting(tmp_path) as foreign:
        page = visitor.context.new_page()
        for one in range(1, number + 1):
            page.goto(f"{foreign}/form{one}.html")
            page.wait_for_url(f"{visitor.server.url}/**")
            assert visitor.cookie() == cookie
        page.goto(foreign)
        body = f'{{"email": "{attacker["email"]}", "password": "{PASSWORD}"}}'
        for path in PATHS:
            outcomes = page.evaluate(FETCHES, [visitor.server.url + path, body])
            assert outcomes == ["opaque", "opaque", "failed", "failed"]
            assert visitor.cookie() == cookie
    assert tab.get() == [200, user]
    tab.reload()
    assert tab.user() == user, "with rotation on: none of it was a refresh either"
