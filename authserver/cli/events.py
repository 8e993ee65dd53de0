"""`authserver events`"""

from datetime import datetime
from uuid import UUID

import click

from authserver.accounts.admin import as_id, find
from authserver.cli.application import application, as_json, print_json, print_table, short
from authserver.clock import past
from authserver.events.flows import all_events
from authserver.events.record import Happened
from authserver.events.views import event_json


def _moment(context: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    try:
        return past(value) if value is not None else None
    except ValueError:
        raise click.BadParameter("expected a time from 1970 until now, such as 2026-01-01T00:00:00Z") from None


@click.command()
@click.option("--user", metavar="EMAIL_OR_ID", help="Of this user; an erased one by the id.")
@click.option("--type", "kind", type=click.Choice([str(one) for one in Happened]), help="Of this type.")
@click.option("--since", callback=_moment, metavar="TIME", help="Not older, such as 2026-01-01T00:00:00Z.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@as_json
def events(user: str | None, kind: str | None, since: datetime | None, limit: int, as_json: bool) -> None:
    """List what happened to accounts, newest first."""
    with application():
        found = all_events(_user_id(user) if user else None, kind, since, limit)
        if as_json:
            for one in found:
                print_json({**event_json(one), "user_id": str(one.user_id) if one.user_id else None})
        else:
            rows = [
                (short(one.created_at), one.type, str(one.user_id or ""), one.ip or "", one.user_agent or "")
                for one in found
            ]
            print_table(("TIME", "WHAT", "USER", "FROM", "BROWSER"), rows)


def _user_id(email_or_id: str) -> UUID:
    return as_id(email_or_id) or find(email_or_id).id
