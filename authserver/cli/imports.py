"""`authserver users import`"""

import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from authserver.accounts.import_format import FormatError
from authserver.accounts.importing import import_people
from authserver.cli.application import application, as_json, print_json

KINDS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
SOME_REFUSED = 1

Refuse = Callable[[int, str], None]


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--format", "kind", type=click.Choice(["jsonl", "csv"]), help="Where the name of FILE does not say it.")
@click.option("--dry-run", is_flag=True, help="Check every line and write nothing.")
@as_json
def import_(file: str, kind: str | None, dry_run: bool, as_json: bool) -> None:
    """Add people from a file, with their password hashes; - reads standard input.

    One person a line, as JSON or as CSV with a head: email, and where there is one email_verified, password_hash
    (Django's pbkdf2_sha256, bcrypt_sha256 or argon2, plain bcrypt or Argon2id), first_name, last_name, date_joined,
    disabled. An address that is here already is skipped, so a second run goes on where the first was stopped. Lines
    that are refused are named, the others are imported, and the status is then 1.
    """
    kind = kind or KINDS.get(Path(file).suffix.lower())
    if kind is None:
        raise click.UsageError("The name of the file does not say what it holds: add --format jsonl or --format csv.")
    size = 0 if file == "-" else os.path.getsize(file)
    hidden = not (size and sys.stderr.isatty())
    with (
        application(),
        click.open_file(file, "rb") as stream,
        click.progressbar(length=size, file=sys.stderr, hidden=hidden, update_min_steps=size // 1000 or 1) as bar,
    ):
        try:
            refuse = _refuse_as_json if as_json else _refuse(over_a_bar=not hidden)
            summary = import_people(stream, kind, dry_run=dry_run, refuse=refuse, advance=bar.update)
        except FormatError as error:
            raise click.UsageError(str(error)) from None
    if as_json:
        print_json({**asdict(summary), "dry_run": dry_run})
    else:
        done = "would be imported" if dry_run else "imported"
        click.echo(f"{summary.imported} {done}, {summary.skipped} here already, {summary.refused} refused.")
    if summary.refused:
        sys.exit(SOME_REFUSED)


def _refuse(*, over_a_bar: bool) -> Refuse:
    clear = "\r\x1b[K" if over_a_bar else ""
    return lambda line, reason: click.echo(f"{clear}line {line}: {reason}", err=True)


def _refuse_as_json(line: int, reason: str) -> None:
    print_json({"line": line, "reason": reason})
