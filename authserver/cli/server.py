"""`authserver dev` and `authserver migrate`."""

import logging
from importlib.metadata import version

import click

from authserver.app import create_app, serving
from authserver.checks import described, one_sentence
from authserver.cli import reloading
from authserver.cli.adopting import adopt_former_database
from authserver.cli.beside import ENV, PUBLIC_URL, command_settings, remember, require_development, warn
from authserver.cli.database import migrate_database
from authserver.cli.listening import listen, serve
from authserver.dev import home, moving
from authserver.dev.offline import offline_providers, settings_of
from authserver.dev.people import PASSWORD, PEOPLE, TAKEN, seed
from authserver.oauth.registry import enabled_providers, load_all
from authserver.settings import environment
from authserver.values import is_loopback

WELCOME = """\
authserver {version} in development mode, on {url} ({reach})
  open       {url}/
  mails      {url}/mailbox
  database   {database} ({migrated})
  providers  {providers}
  offline    {offline}
{seeded}
A first call, from another terminal:
  curl {url}/api/login/ -H 'Content-Type: application/json' \\
    -d '{{"email": "{person}", "password": "{password}"}}'

Ctrl-C stops it.
"""
AGAIN = "authserver: serving on {url}; {database}: {migrated}"
SEEDED = f"  people     {', '.join(one.email for one in PEOPLE)}; password: {PASSWORD}\n"
EXPOSED = (
    "on {host} others than this machine can reach a server in development: whoever does can read every mail with its "
    "links, sign in as its people, and move its time. It has no stand-ins there, which are for loopback alone"
)


@click.command()
def migrate() -> None:
    """Create the database or bring it up to date.

    Safe to run by several processes at once, and again. On PostgreSQL the database itself is made too where it is
    missing and the user may. The first signing key is made here.
    """
    settings = command_settings()
    enabled_providers(settings)
    adopt_former_database(settings)
    click.echo(f"{described(settings)}: {migrate_database(settings)}")


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="The port to listen on.")
@click.option(
    "--host",
    default="localhost",
    show_default=True,
    help="The address to listen on. Any but loopback lets others read the mails and sign in as anybody.",
)
@click.option("--reload", is_flag=True, help="Start again when a file of authserver, of a provider or .env changes.")
def dev(port: int, host: str, reload: bool) -> None:
    """Serve on this machine for development.

    Listens on localhost only, IPv4 and IPv6. Prepares the database first, with a few people to sign in as where it has
    nobody. Needs no settings: a secret is made once and kept in the instance folder, and a provider without settings
    is a stand-in.
    """
    watched = reloading.inherited()
    if reload and not watched:
        reloading.watch(listen(host, port))
        return
    variables = environment()
    require_development(variables)
    variables[ENV] = "development"
    here = f"http://localhost:{port}"
    variables.setdefault(PUBLIC_URL, here)
    offline = offline_providers(here, variables) if is_loopback(host) else {}
    settings, warnings = load_all({**variables, **settings_of(offline)})
    warn(warnings)
    enabled_providers(settings)
    sockets = watched.sockets if watched else listen(host, port)
    if not is_loopback(host):
        warn([EXPOSED.format(host=host)])
    adopt_former_database(settings)
    migrated = migrate_database(settings)
    app = create_app(settings, unsafe_development=True)
    home.install(app, home.Running(described(settings), offline))
    with one_sentence(settings):
        seeded = seed(app)
        with app.app_context():
            moving.catch_up()
    remember(settings)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    text = WELCOME if watched is None or watched.first else AGAIN
    click.echo(
        text.format(
            version=version("authserver"),
            url=settings.public_url,
            reach="this machine only" if is_loopback(host) else f"and whoever reaches {host}",
            database=described(settings),
            migrated=migrated,
            providers=", ".join(sorted(settings.providers.keys() - offline)) or "none (docs/providers.md)",
            offline=", ".join(offline) or "none",
            seeded=SEEDED if seeded else "",
            person=TAKEN,
            password=PASSWORD,
        )
    )
    serve(serving(app), sockets)
