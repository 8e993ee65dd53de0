"""`authserver purge`"""

import click

from authserver import purge as verbs
from authserver.cli.application import application, as_json, print_json, progress


@click.command()
@click.option("--dry-run", is_flag=True, help="Count, and delete nothing.")
@as_json
def purge(dry_run: bool, as_json: bool) -> None:
    """Delete what is over, all at once.

    A server that serves does so by itself, a batch of each kind every few minutes. This is for what has gathered
    before: sessions and single-use tokens, 90 days after their end, invitations likewise, redirects and rate limits
    at their end, mails after 30 days, events after AUTHSERVER_EVENT_LIFETIME. Servers may run meanwhile.
    """
    with application():
        over = verbs.count()
        if not dry_run:
            with progress(sum(over.values())) as bar:
                over = verbs.purge(bar.update)
        if as_json:
            print_json({**over, "dry_run": dry_run})
        else:
            found = [f"{number} {table.replace('_', ' ')}" for table, number in over.items() if number]
            click.echo(f"{', '.join(found) or 'Nothing'} {'would be deleted' if dry_run else 'deleted'}.")
