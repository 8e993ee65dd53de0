"""The client in Node, where both tokens are in memory, its package, and its types."""

import configparser
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.blocks import block
from tests.e2e.client_page import hosting, recording
from tests.e2e.page import ADDRESS, ROOT, filled, tool
from tests.e2e.servers import Server, developing, environment, make_checkout
from tests.factories import signup_body
from tests.npm import installed

pytestmark = pytest.mark.slow

HARNESS = Path(__file__).with_name("client_node.mjs")
TYPES = Path(__file__).with_name("client_types")
CLIENT = ROOT / "authserver" / "client" / "authserver.js"
NPM = {"audit": "false", "fund": "false", "offline": "true", "update_notifier": "false"}
LIFETIME = 2  # seconds
EXPIRED = f"await pause({LIFETIME * 1000 + 100});"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    tool("node")
    folder = make_checkout(tmp_path_factory.mktemp("node") / "checkout")
    settings = {"ACCESS_TOKEN_LIFETIME": str(LIFETIME), "REFRESH_ROTATION": "true", "RATE_LIMITS": "false"}
    with developing(folder, {f"AUTHSERVER_{name}": value for name, value in settings.items()}) as server:
        yield server


def ran(server: Server, code: str, *, page: str = "", **options: object) -> tuple[Any, list[dict[str, Any]]]:
    """What the code returned, and the requests that were sent."""
    sign_up = f"const signUp = (client) => client.signup({{ ...{json.dumps(signup_body())}, ...more }});"
    given = {
        "client": CLIENT.as_uri(),
        "server": server.url,
        "options": options,
        "code": f"const more = {{}}; {sign_up} {code}",
        "page": page,
    }
    node = subprocess.run(
        [tool("node"), str(HARNESS)],
        input=json.dumps(given),
        env=environment(server.log.parent, {}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (node.returncode, node.stderr) == (0, "")
    answer = json.loads(node.stdout)
    return answer.get("seen"), answer["requests"]


def calls(requests: list[dict[str, Any]]) -> list[str]:
    return [one["call"] for one in requests]


def test_a_script_signs_up_goes_on_after_expiry_and_leaves(server: Server) -> None:
    """Again and again with rotation on: each refresh token is used once."""
    code = f"""
      const before = auth.user;
      const user = await signUp(auth);
      const statuses = [];
      for (let round = 0; round < 2; round += 1) {{
        {EXPIRED}
        statuses.push((await auth.fetch('/api/me/')).status);
      }}
      const same = auth.user === user;
      await auth.logout();
      return [before, statuses, same, auth.user, (await auth.fetch('/api/me/')).status];
    """
    seen, requests = ran(server, code)
    assert seen == [None, [200, 200], True, None, 401]
    again = ["GET /api/me/ 401", "POST /api/token/refresh/ 200", "GET /api/me/ 200"]
    assert calls(requests) == ["POST /api/signup/ 201", *again, *again, "POST /api/logout/ 204", "GET /api/me/ 401"]
    assert {one["cookie"] for one in requests} == {None}


def test_fifty_401s_at_once_are_one_refresh_in_node_too(server: Server) -> None:
    code = f"""
      await signUp(auth);
      {EXPIRED}
      const all = await Promise.all(Array.from({{ length: 50 }}, () => auth.fetch('/api/me/')));
      return all.map((response) => response.status);
    """
    seen, requests = ran(server, code)
    assert seen == [200] * 50
    assert len([one for one in calls(requests) if "refresh" in one]) == 1
    assert len({one["bearer"] for one in requests if one["call"] == "GET /api/me/ 200"}) == 1


def test_two_clients_of_one_process_are_two_visitors(server: Server) -> None:
    code = "await signUp(auth); await pause(50); return [another.user, (await another.fetch('/api/me/')).status];"
    assert ran(server, code)[0] == [None, 401]


def test_a_redirect_takes_no_token_to_another_origin_in_node_too(server: Server) -> None:
    with recording() as api, recording() as foreign:
        api.redirects = {"/away": f"{foreign.url}/from-api"}
        code = f"""
          await signUp(auth);
          await auth.fetch('{api.url}/away');
          await auth.fetch('{foreign.url}/absolute');
        """
        ran(server, code, apis=[api.url])
        assert len([token for path, token in api.tokens if token]) == 1
        assert foreign.tokens == [("/from-api", None), ("/absolute", None)]


def test_a_stream_cannot_be_sent_twice_in_node_and_the_error_says_so(server: Server) -> None:
    code = f"""
      await signUp(auth);
      {EXPIRED}
      const init = () => ({{
        method: 'PATCH', duplex: 'half', headers: {{ 'Content-Type': 'application/json' }},
        body: new Blob([JSON.stringify({{ first_name: 'Ada' }})]).stream(),
      }});
      const code = await auth.fetch('/api/me/', init()).catch((error) => error.code);
      return [code, (await auth.fetch('/api/me/', init())).status];
    """
    seen, requests = ran(server, code)
    assert seen[0] == "stream"
    assert calls(requests)[1:3] == ["PATCH /api/me/ 401", "POST /api/token/refresh/ 200"]


def test_a_redirect_needs_a_browser_and_says_so(server: Server) -> None:
    assert ran(server, "return await auth.signIn().catch((error) => error.code);")[0] == "insecure_context"


# The server's address, and what answers there

ADDRESSES = {"http://localhost:8000", "HTTPS://auth.example.com/", "/"}
READ_ALL_THE_SAME = {"http://localhost:8000/api", "http://localhost:8000?x", "/api/", "localhost", "", None}
NO_ADDRESSES = {"localhost:8000", "ftp://localhost", "http://"}
REFUSED = """
const refused = (...given) => {
  try { createClient(...given) } catch ({ name, message }) { return `${name}: ${message}` }
};
"""


@pytest.mark.parametrize("page", ["http://localhost:5173/tasks", "https://app.example.com/tasks"])
def test_what_is_no_address_of_a_server_is_refused_with_what_was_expected(server: Server, page: str) -> None:
    """What could be read all the same is refused where one develops, and goes on in production."""
    given = json.dumps([*ADDRESSES, *READ_ALL_THE_SAME, *NO_ADDRESSES])
    code = f"""
      {REFUSED}
      return {given}.map((one) => {{
        const ways = [refused(one ?? undefined), refused('/', {{ apis: [one] }}), refused('/', {{ pages: one }})];
        return [one, ways];
      }});
    """
    seen = dict(ran(server, code, page=page)[0])
    fine = {one for one, ways in seen.items() if ways == [None] * 3}
    assert fine == (ADDRESSES if "localhost" in page else ADDRESSES | READ_ALL_THE_SAME)
    for one in seen.keys() - fine:
        for said in seen[one]:
            assert said.startswith(
                "TypeError: createClient needs the address of a server, such as 'http://localhost:8000'"
            )
            assert said.endswith(f"and not {json.dumps(one)}.") or one is None


def test_node_has_no_page_whose_host_could_be_meant(server: Server) -> None:
    code = f"{REFUSED} return ['localhost:8000', '', undefined, '/'].map((one) => refused(one));"
    assert [said[:9] for said in ran(server, code)[0]] == ["TypeError"] * 4


def test_what_answers_but_is_no_authserver_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "api" / "auth").mkdir(parents=True)
    (tmp_path / "api" / "auth" / "index.html").write_text("<!doctype html><title>An application</title>")
    failed = "({ code, status, message }) => [code, status, message]"
    with hosting(tmp_path) as url:
        code = f"""
          const elsewhere = createClient('{url}');
          const page = await elsewhere.providers().catch({failed});
          const unknown = await elsewhere.login({{ email: 'lin@example.com', password: 'x' }}).catch({failed});
          return [page, unknown, await auth.signInWith('myspace', {{ access_token: 'x' }}).catch({failed})];
        """
        page, unknown, ours = ran(server, code)[0]
    assert page == ["not_authserver", 200, f"{url} answers, but not as authserver does."]
    assert unknown[:2] == ["not_authserver", 501]
    assert ours[:2] == ["not_found", 404]


# The package


@pytest.fixture(scope="module")
def frontend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a frontend, into which the package was installed as the docs say."""
    projects = tmp_path_factory.mktemp("my projects")
    source = projects / "authserver" / "authserver" / "client"
    shutil.copytree(CLIENT.parent, source, ignore=shutil.ignore_patterns("*.tgz"))
    (folder := projects / "frontend").mkdir()
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    quiet = {f"npm_config_{name}": value for name, value in NPM.items()}
    commands = block("docs/frontend.md", "sh", "npm pack")
    subprocess.run(["sh", "-e"], input=commands, cwd=folder, env=environment(folder, quiet), text=True, check=True)
    assert not list(source.glob("*.tgz")), "nothing is left in the repository"
    return folder


def test_the_package_is_the_client_under_the_servers_version(frontend: Path) -> None:
    package = frontend / "node_modules" / "authserver-client"
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert json.loads((package / "package.json").read_text())["version"] == config["metadata"]["version"]
    assert {one.name for one in package.iterdir()} == {"authserver.js", "authserver.d.ts", "package.json"}
    code = "import { createClient } from 'authserver-client'; console.log(createClient('http://localhost:8000').user);"
    command = [tool("node"), "--input-type=module", "--eval", code]
    assert subprocess.run(command, cwd=frontend, capture_output=True, text=True, timeout=60).stdout == "null\n"


def test_the_types_fit_what_an_application_writes(server: Server, frontend: Path) -> None:
    """Of the package, and of an import by address with what the docs say of it."""
    fetch = filled(block("docs/frontend.md", "sh", "authserver.d.ts"), {ADDRESS: server.url})
    subprocess.run(["sh", "-e"], input=fetch, cwd=frontend, text=True, check=True, capture_output=True)
    settings = json.loads((TYPES / "tsconfig.json").read_text())
    settings["compilerOptions"] |= json.loads(block("docs/frontend.md", "json", "paths"))["compilerOptions"]
    (frontend / "tsconfig.json").write_text(json.dumps(settings))
    (frontend / "documented.ts").write_text(block("docs/frontend.md", "ts"))
    for name in ("sample.ts", "by_address.ts"):
        shutil.copy(TYPES / name, frontend)
    tsc = installed(TYPES) / "typescript" / "bin" / "tsc"
    command = [tool("node"), str(tsc), "--noEmit", "--project", str(frontend)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (checked.returncode, checked.stdout) == (0, "")
