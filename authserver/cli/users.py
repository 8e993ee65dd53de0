"""`authserver users …`; the import is in `imports.py`."""

import sys
from typing import Any

import click
from pydantic import ValidationError

from authserver.accounts import admin, data
from authserver.body import Body, Email, Name, Password, sentences
from authserver.cli.application import address, application, as_json, print_json, print_table, short
from authserver.cli.imports import import_
from authserver.clock import rfc3339
from authserver.errors import ApiError
from authserver.models import User
from authserver.passwords.policy import check_new_password
from authserver.sessions.answer import user_json


class Person(Body):
    """What `create` is given, under the rules of a sign-up."""

    email: Email
    first_name: Name
    last_name: Name
    password: Password | None


@click.group()
def users() -> None:
    """The accounts."""


users.add_command(import_)


@users.command("list")
@click.option("--search", default="", metavar="TEXT", help="Only those with this in their address or names.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@as_json
def list_(search: str, limit: int, as_json: bool) -> None:
    """List accounts, the newest first."""
    with application():
        found = admin.search(search, limit)
        if as_json:
            for user in found:
                print_json(account_json(user))
        else:
            rows = [
                (str(user.id), user.email or "", _names(user), _state(user), short(user.date_joined)) for user in found
            ]
            print_table(("ID", "E-MAIL", "NAME", "STATE", "JOINED"), rows)


@users.command()
@click.argument("email_or_id")
@as_json
def show(email_or_id: str, as_json: bool) -> None:
    """Show one account."""
    with application():
        shown = account_json(admin.find(email_or_id))
        if as_json:
            print_json(shown)
        else:
            for name, value in shown.items():
                click.echo(f"{name:15} {'' if value is None else value}".rstrip())


@users.command()
@click.argument("email", callback=address)
@click.option("--first-name", default="", help="At most 150 characters.")
@click.option("--last-name", default="", help="Likewise.")
@click.option("--verified", is_flag=True, help="You know that the address is theirs.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input, its first line.")
@click.option("--no-password", is_flag=True, help="Mail them a link to set one.")
def create(
    email: str, first_name: str, last_name: str, verified: bool, password_stdin: bool, no_password: bool
) -> None:
    """Make an account, whether or not sign-up is open.

    The password is asked for without being shown. It has to pass the rule that sign-ups do.
    """
    if password_stdin and no_password:
        raise click.UsageError("Either --password-stdin or --no-password.")
    with application():
        person = _checked(email, first_name, last_name, None if no_password else _read_password(password_stdin))
        user, mailed = admin.create(**person.model_dump(), verified=verified)
        click.echo(f"Made {user.email}, id {user.id}.")
        if no_password:
            click.echo(MAILED if mailed else NOT_MAILED)


MAILED = "A link to set a password is mailed, by a server that runs; it works for one hour."
NOT_MAILED = "No mail can be sent: nobody can sign in to the account by a password yet."


def _read_password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.buffer.readline().decode("utf-8", "surrogateescape").rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password


def _checked(email: str, first_name: str, last_name: str, password: str | None) -> Person:
    try:
        person = Person(email=email, first_name=first_name, last_name=last_name, password=password)
    except ValidationError as error:
        raise ApiError("invalid_request", errors=sentences(error)) from None
    if password is not None:
        check_new_password(password, password, person.email)
    return person


@users.command()
@click.argument("email_or_id")
def disable(email_or_id: str) -> None:
    """Let nobody in to the account: every token stops counting at once, and its sessions end."""
    with application():
        click.echo("Disabled." if admin.disable(admin.find(email_or_id).id) else "It was disabled already.")


@users.command()
@click.argument("email_or_id")
def enable(email_or_id: str) -> None:
    """Let a disabled account's owner sign in again."""
    with application():
        click.echo("Enabled." if admin.enable(admin.find(email_or_id).id) else "It was not disabled.")


@users.command()
@click.argument("email_or_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(email_or_id: str, yes: bool) -> None:
    """Erase everything of an account, for good."""
    with application():
        user = admin.find(email_or_id)
        if not yes:
            click.confirm(f"Everything of {user.email or user.id} is erased for good. Go on?", abort=True, err=True)
        data.erase(user.id, admin.NOBODY)
        click.echo("Erased.")


def account_json(user: User) -> dict[str, Any]:
    return {
        **user_json(user),
        "has_password": user.password_hash is not None,
        "disabled_at": rfc3339(user.disabled_at) if user.disabled_at else None,
    }


def _names(user: User) -> str:
    return f"{user.first_name} {user.last_name}".strip()


def _state(user: User) -> str:
    if user.disabled_at:
        return "disabled"
    return "verified" if user.email_verified else "unverified"
