"""What the commands share: the application that their flows run in, how refusals are said, how lists are printed."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from authserver.app import create_app
from authserver.body import email_address
from authserver.checks import one_sentence
from authserver.cli.beside import command_settings
from authserver.errors import ApiError
from authserver.extensions import db
from authserver.settings import Settings

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar


class Refused(click.ClickException):
    """Ends the command with one sentence on stderr and status 1."""

    def show(self, file: Any = None) -> None:
        click.echo(f"authserver: {self.message}", err=True)


@contextmanager
def application() -> Iterator[Settings]:
    """A context for flows, on a database that is there and up to date; a flow's refusal ends the command."""
    settings = command_settings()
    with one_sentence(settings), create_app(settings, command=True).app_context():
        try:
            yield settings
        except ApiError as error:
            sentences = [sentence for field in (error.errors or {}).values() for sentence in field]
            raise Refused(" ".join(sentences) or error.detail) from None
        finally:
            db.session.remove()
            db.engine.dispose()


def address(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """An e-mail address, in the spelling under which it is stored."""
    try:
        return email_address(value)
    except ValueError:
        raise click.BadParameter("this is not a valid e-mail address") from None


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, one document a line.")


def print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as they need to be; nothing is cut off."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def progress(length: int) -> "ProgressBar[int]":
    """A bar on standard error while that many rows are worked through; nothing where that is no terminal."""
    hidden = not (length and sys.stderr.isatty())
    return click.progressbar(length=length, file=sys.stderr, hidden=hidden, update_min_steps=length // 1000 or 1)


def short(moment: datetime | None) -> str:
    """A moment for people, in UTC."""
    return moment.isoformat(" ", "minutes").removesuffix("+00:00") if moment else ""
