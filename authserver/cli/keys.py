"""`authserver keys …`"""

import click
from sqlalchemy import delete

from authserver.cli.beside import command_settings
from authserver.cli.database import exclusive
from authserver.models import SigningKey
from authserver.oauth.registry import enabled_providers
from authserver.tokens.keys import ensure_key


@click.group()
def keys() -> None:
    """The keys that sign the tokens."""


@keys.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool) -> None:
    """Delete all signing keys and make a new one.

    For a secret that is lost: the keys cannot be read without it. Every token stops counting, so everybody signs in
    again. Running servers take the new key over within a minute; restart them to have it at once.
    """
    settings = command_settings()
    enabled_providers(settings)
    if not yes:
        click.confirm("Every token stops counting and everybody is signed out. Go on?", abort=True)
    with exclusive(settings) as connection:
        count = connection.execute(delete(SigningKey)).rowcount
        ensure_key(connection, settings)
    click.echo(f"{count} deleted, 1 made.")
