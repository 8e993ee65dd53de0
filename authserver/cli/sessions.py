"""`authserver sessions …`"""

from uuid import UUID

import click

from authserver.accounts.admin import NOBODY, find
from authserver.cli.application import application, as_json, print_json, print_table, progress, short
from authserver.sessions import everybody, flows
from authserver.sessions.answer import session_json
from authserver.sessions.flows import MOST_LISTED


@click.group()
def sessions() -> None:
    """Where people are signed in."""


@sessions.command("list")
@click.argument("email_or_id")
@click.option("--limit", type=click.IntRange(min=1), default=MOST_LISTED, show_default=True, help="At most so many.")
@as_json
def list_(email_or_id: str, limit: int, as_json: bool) -> None:
    """List a user's sessions of which a token may still count, newest first."""
    with application():
        live = flows.live_sessions(find(email_or_id).id, limit=limit)
        if as_json:
            for one in live:
                shown = session_json(one, one.id)
                del shown["current"]  # nobody's session asks here
                print_json(shown)
        else:
            rows = [
                (str(one.id), short(one.created_at), short(one.last_used_at), one.method, one.ip, one.user_agent)
                for one in live
            ]
            print_table(("ID", "SIGNED IN", "LAST USED", "BY", "FROM", "BROWSER"), rows)


@sessions.command()
@click.argument("email_or_id", required=False)
@click.option("--id", "session_id", type=click.UUID, help="End this session.")
@click.option("--all", "every", is_flag=True, help="End all of the user's sessions.")
@click.option("--everybody", "of_everybody", is_flag=True, help="End all sessions there are.")
@click.option("--yes", is_flag=True, help="Do not ask, with --everybody.")
def end(email_or_id: str | None, session_id: UUID | None, every: bool, of_everybody: bool, yes: bool) -> None:
    """End one of a user's sessions, or all of them, or everybody's, at once."""
    if of_everybody:
        if email_or_id is not None or session_id is not None or every:
            raise click.UsageError("--everybody names no user and no session.")
        _end_everybodys(yes)
        return
    if email_or_id is None:
        raise click.UsageError("Say whose: EMAIL_OR_ID, or --everybody.")
    if every == (session_id is not None):
        raise click.UsageError("Say which: either --id SESSION_ID or --all.")
    with application():
        user = find(email_or_id)
        if session_id is None:
            count = flows.end_all(user.id, NOBODY)
        else:
            flows.end_one(user.id, session_id, NOBODY)
            count = 1
        click.echo(f"{count} ended.")


def _end_everybodys(yes: bool) -> None:
    with application():
        if not yes:
            click.confirm("Everybody is signed out everywhere and told nothing of it. Go on?", abort=True, err=True)
        with progress(everybody.count()) as bar:
            count = everybody.sign_everybody_out(NOBODY, bar.update)
        click.echo(f"{count} ended.")
