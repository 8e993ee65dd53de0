"""docs/frontend.md in Chromium: its page, its example application, and its proxies."""

import getpass
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from authserver.testing import standins as providers
from authserver.testing.standins import Person, StandIns
from tests.blocks import block
from tests.e2e.client_page import Tab, Visitor, hosting, visitors, write_page
from tests.e2e.page import ADDRESS, ROOT, filled, tool
from tests.e2e.servers import (
    PATIENCE,
    Server,
    developing,
    end,
    listening,
    make_checkout,
    running,
    wait_until_expired,
)
from tests.factories import PASSWORD
from tests.npm import installed
from tests.serving import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

EXAMPLE = ROOT / "docs" / "examples" / "react"
BY_NAME = "app.test"  # not loopback, and on plain http: no secure context
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
NGINX = """
daemon off;
user %s;
pid %s/pid;
error_log stderr;
events {}
http {
    access_log off;
    types { text/html html; text/javascript js; }
    %s
    server { listen 127.0.0.1:%d; root %s; %s }
}
"""


@pytest.fixture(scope="module")
def standins() -> Iterator[StandIns]:
    with providers.serve() as standins:
        yield standins


@contextmanager
def serving(folder: Path, standins: StandIns, variables: Mapping[str, str]) -> Iterator[Server]:
    folder.mkdir(exist_ok=True)
    with developing(make_checkout(folder / "checkout"), {**standins.variables(), **variables}) as server:
        yield server


@pytest.fixture(scope="module")
def server(standins: StandIns, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    variables = {"AUTHSERVER_ACCESS_TOKEN_LIFETIME": "3", "AUTHSERVER_REFRESH_ROTATION": "true"}
    with serving(tmp_path_factory.mktemp("frontend"), standins, variables) as server:
        yield server


def test_the_guides_page_runs_as_it_stands(browser: "Browser", server: Server, tmp_path: Path) -> None:
    page = block("docs/frontend.md", "html")
    (tmp_path / "index.html").write_text('<link rel="icon" href="data:,">' + page.replace(ADDRESS, server.url))
    with hosting(tmp_path) as origin, browser.new_context() as context:
        tab = context.new_page()
        crashes: list[str] = []
        tab.on("pageerror", lambda error: crashes.append(str(error)))
        for _ in range(2):  # at the second visit there is an account, and somebody is signed in
            with tab.expect_console_message(lambda message: message.type == "log") as said:
                tab.goto(origin)
            tab.wait_for_function("document.title === 'Nobody is signed in'")
            tab.wait_for_function("document.title === 'Signed in as radia@example.com'")
            assert (said.value.text, crashes) == ("true", [])


def test_the_readmes_lines_run_as_they_stand(browser: "Browser", server: Server, tmp_path: Path) -> None:
    lines = block("README.md", "js", "createClient")
    assert len(lines.splitlines()) == 3
    script = lines.replace(ADDRESS, server.url) + "document.title = JSON.stringify(auth.user);"
    (tmp_path / "index.html").write_text(f'<link rel="icon" href="data:,"><script type="module">{script}</script>')
    with hosting(tmp_path) as origin, browser.new_context() as context:
        tab = context.new_page()
        for _ in range(2):
            tab.goto(origin)
            tab.wait_for_function("document.title.includes('ada@example.org')")


def test_the_first_minutes_page_signs_in_from_another_origin(
    browser: "Browser", server: Server, tmp_path: Path
) -> None:
    page = block("docs/first-minute.md", "html")
    email, password = "ada@example.org", "analytical engine"
    assert email in page
    assert password in page
    (tmp_path / "index.html").write_text('<link rel="icon" href="data:,">' + page.replace(ADDRESS, server.url))
    port = free_port()
    command = filled(block("docs/first-minute.md", "sh", "http.server"), {"5173": str(port)})
    process = subprocess.Popen(shlex.split(command), cwd=tmp_path, start_new_session=True)
    try:
        until = time.monotonic() + PATIENCE
        while not listening(port) and time.monotonic() < until:
            time.sleep(0.05)
        with browser.new_context() as context:
            tab = context.new_page()
            for _ in range(2):
                tab.goto(f"http://localhost:{port}/")
                tab.wait_for_function(f"document.title === '{email}'")
    finally:
        end(process)


def test_the_guides_hook_is_the_examples() -> None:
    assert (EXAMPLE / "src" / "useUser.js").read_text() == block("docs/frontend.md", "js", "useSyncExternalStore")


@pytest.fixture(scope="module")
def application(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The example, built for this server, at its origin."""
    folder = tmp_path_factory.mktemp("example") / "react"
    modules = installed(EXAMPLE)
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (folder / "node_modules").symlink_to(modules)
    auth = folder / "src" / "auth.js"
    auth.write_text(auth.read_text().replace(ADDRESS, server.url))
    built = subprocess.run(
        [tool("npm"), "run", "build"], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    with hosting(folder / "dist") as origin:
        yield origin


def test_the_example_application_signs_in_stays_so_and_logs_out(
    browser: "Browser", server: Server, application: str, standins: StandIns
) -> None:
    barbara = Person(subject="109", email="barbara@gmail.com", email_verified=True, first_name="Barbara")
    standins.google.people.append(barbara)
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(20_000)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(application)
        page.get_by_label("E-mail").fill("hedy@example.com")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign up").click()
        page.get_by_role("heading", name="Welcome, hedy@example.com!").wait_for()
        page.reload()
        page.get_by_role("heading", name="Welcome, hedy@example.com!").wait_for()
        page.get_by_role("button", name="Where am I signed in?").click()
        page.get_by_text("Here", exact=True).wait_for()
        page.get_by_role("button", name="Log out").click()
        page.get_by_label("E-mail").fill("hedy@example.com")
        assert complaints == []
        page.get_by_label("Password").fill("not this one")
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("alert").get_by_text("No active account found").wait_for()
        page.get_by_role("button", name="Continue with Google").click()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("alert").get_by_text("The sign-in was declined.").wait_for()
        page.get_by_role("button", name="Continue with Google").click()
        page.locator(f'button[value="{barbara.subject}"]').click()
        page.get_by_role("heading", name="Welcome, Barbara!").wait_for()
        assert page.url.rstrip("/") == application
        assert [one for one in complaints if "status of 401" not in one] == []


def test_the_example_says_that_the_server_cannot_be_reached_and_comes_at_a_click(
    browser: "Browser", server: Server, application: str
) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(20_000)
        crashes: list[str] = []
        page.on("pageerror", lambda error: crashes.append(str(error)))
        unreachable = page.get_by_role("alert").get_by_text("The server cannot be reached.")
        again = page.get_by_role("button", name="Try again")
        google = page.get_by_role("button", name="Continue with Google")

        context.route(f"{server.url}/**", lambda route: route.abort())
        page.goto(application)
        unreachable.wait_for()
        with page.expect_event("requestfailed"):
            again.click()
        unreachable.wait_for()
        context.unroute(f"{server.url}/**")
        again.click()
        google.wait_for()
        assert not unreachable.is_visible()
        assert not again.is_visible()

        page.get_by_label("E-mail").fill("lin@example.com")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign up").click()
        welcome = page.get_by_role("heading", name="Welcome, lin@example.com!")
        welcome.wait_for()
        context.route(f"{server.url}/**", lambda route: route.abort())
        page.get_by_role("button", name="Log out").click()
        unreachable.wait_for()
        page.reload()
        unreachable.wait_for()
        with page.expect_event("requestfailed"):
            again.click()
        unreachable.wait_for()
        context.unroute(f"{server.url}/**")
        again.click()
        welcome.wait_for()
        assert not unreachable.is_visible()
        assert crashes == []


# Under the frontend's own host


def use(tab: Tab, visitor: Visitor) -> None:
    """All that the client does, through the proxy."""
    user = tab.sign_up()
    tab.reload()
    assert tab.user() == user
    wait_until_expired(tab.access())
    assert tab.get() == [200, user]
    assert visitor.cookie(), "the refresh token is a cookie of the frontend's host"
    tab.js("() => auth.logout()")
    assert visitor.cookie() == ""
    assert tab.user() is None


def test_vite_serves_the_api_under_its_own_host(browser: "Browser", standins: StandIns, tmp_path: Path) -> None:
    config = block("docs/frontend.md", "js", "proxy:")
    variables = {"AUTHSERVER_TRUSTED_PROXIES": "1", "AUTHSERVER_ACCESS_TOKEN_LIFETIME": "3"}
    port = free_port()
    vite = installed(EXAMPLE) / "vite" / "bin" / "vite.js"
    with serving(tmp_path / "server", standins, variables) as server:
        folder = tmp_path / "frontend"
        folder.mkdir()
        (folder / "vite.config.js").write_text(config.replace(ADDRESS, server.url))
        write_page(folder / "index.html", server.url, at="/", pages=server.url)
        command = [tool("node"), str(vite), "--port", str(port), "--strictPort"]
        with running(command, folder, port, {}) as proxied, visitors(browser, proxied, proxied.url) as new:
            visitor = new()
            use(visitor.tab(), visitor)
            tab = visitor.tab()
            tab.js("() => void auth.signInWith('google')")
            tab.page.locator(f'button[value="{standins.google.person("verified").subject}"]').click()
            tab.page.wait_for_url(f"{proxied.url}/")
            tab.settle()
            assert tab.user()["email"] == "ada@google.example"
            tab.js("() => auth.signIn()")
            tab.page.wait_for_url(f"{server.url}/signin?*")


def test_nginx_serves_the_api_under_its_own_host_on_plain_http_by_name_too(
    browser: "Browser", standins: StandIns, tmp_path: Path
) -> None:
    """At a name that is not loopback, where there is neither `crypto.subtle` nor a lock."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin") or tool("nginx")
    location = block("docs/frontend.md", "nginx")
    port = free_port()
    origin = f"http://{BY_NAME}:{port}"
    variables = {
        "AUTHSERVER_TRUSTED_PROXIES": "1",
        "AUTHSERVER_ACCESS_TOKEN_LIFETIME": "3",
        "AUTHSERVER_CORS_ORIGINS": origin,
    }
    with serving(tmp_path / "server", standins, variables) as server:
        location = location.replace("https://auth.example.com", server.url)
        location = location.replace("Host auth.example.com", f"Host {server.url.removeprefix('http://')}")
        folder = tmp_path / "frontend"
        folder.mkdir()
        shutil.copy(ROOT / "authserver" / "client" / "authserver.js", folder)
        write_page(folder / "index.html", "", at="/", pages=server.url)
        temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in TEMPORARY)
        (folder / "nginx.conf").write_text(NGINX % (getpass.getuser(), folder, temporary, port, folder, location))
        arguments = [f"--host-resolver-rules=MAP {BY_NAME} 127.0.0.1", "--no-sandbox", "--disable-gpu"]
        command = [nginx, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
        chromium = browser.browser_type.launch(executable_path=tool("chromium"), args=arguments)
        with running(command, folder, port, {}), visitors(chromium, Server(origin, server.log), origin) as new:
            visitor = new()
            tab = visitor.tab()
            assert tab.js("() => [isSecureContext, typeof crypto.subtle, typeof navigator.locks]") == [
                False,
                "undefined",
                "undefined",
            ]
            use(tab, visitor)
            assert tab.failure("auth.signIn()") == "insecure_context"
        chromium.close()
