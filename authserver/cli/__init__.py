"""The command `authserver`: a file a noun, and `server.py`."""

import sys

import click

from authserver import CANNOT_START
from authserver.cli.events import events
from authserver.cli.invitations import invitations
from authserver.cli.keys import keys
from authserver.cli.providers import providers
from authserver.cli.purge import purge
from authserver.cli.server import dev, migrate
from authserver.cli.sessions import sessions
from authserver.cli.users import users
from authserver.settings import SettingsError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="authserver", message="%(prog)s %(version)s")
def cli() -> None:
    """Sign-in for Python and JavaScript applications.

    Settings come from AUTHSERVER_… variables or a .env file in the working directory; docs/settings.md lists them.
    Without any, commands are for the server of `authserver dev` in the same folder.
    """


for command in (dev, migrate, users, sessions, invitations, providers, events, purge, keys):
    cli.add_command(command)


def main() -> None:
    try:
        cli(prog_name="authserver")
    except SettingsError as error:
        print(error.report, file=sys.stderr)
    sys.exit(CANNOT_START)
