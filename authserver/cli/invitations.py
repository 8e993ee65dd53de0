"""`authserver invitations …`"""

import re
from datetime import timedelta

import click

from authserver.accounts.invitations import all_invitations, invite, revoke, state
from authserver.cli.application import address, application, as_json, print_json, print_table, short
from authserver.clock import rfc3339
from authserver.models import Invitation

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST = timedelta(days=366)


def _duration(context: click.Context, parameter: click.Parameter, value: str) -> timedelta:
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", value)
    duration = timedelta(**{UNITS[match[2]]: int(match[1])}) if match else None
    if duration is None or duration > LONGEST:
        raise click.BadParameter("expected a time of at most a year, such as 90m, 12h, 7d or 2w")
    return duration


@click.group()
def invitations() -> None:
    """Who may sign up where AUTHSERVER_SIGNUP=invited, and past AUTHSERVER_SIGNUP_DOMAINS."""


@invitations.command()
@click.argument("email", callback=address)
@click.option("--expires-in", callback=_duration, default="7d", show_default=True, help="Such as 90m, 12h, 7d or 2w.")
@click.option("--no-mail", is_flag=True, help="Send no mail; hand the link over yourself.")
@as_json
def create(email: str, expires_in: timedelta, no_mail: bool, as_json: bool) -> None:
    """Invite an address, and print the link, which is shown this once.

    It works once, for this address only, and takes the place of an older one that is still open. It is mailed too
    where mail can be sent, by a server that runs.
    """
    with application() as settings:
        invited = invite(email, expires_in, mail=not no_mail)
        if settings.signup == "closed":
            click.echo("authserver: sign-up is closed: the invitation counts once AUTHSERVER_SIGNUP is not", err=True)
        if as_json:
            print_json({**invitation_json(invited.invitation), "link": invited.link, "mailed": invited.mailed})
            return
        click.echo(invited.link)
        how = "It is mailed too, by a server that runs." if invited.mailed else "No mail is sent: hand it over."
        click.echo(f"For {email}, until {short(invited.invitation.expires_at)} UTC. {how}", err=True)


@invitations.command("list")
@as_json
def list_(as_json: bool) -> None:
    """List the invitations, newest first, and what became of them."""
    with application():
        if as_json:
            for one in all_invitations():
                print_json(invitation_json(one))
        else:
            rows = [(str(one.id), one.email, state(one), short(one.expires_at)) for one in all_invitations()]
            print_table(("ID", "E-MAIL", "STATE", "EXPIRES"), rows)


@invitations.command("revoke")
@click.argument("id_or_email")
def revoke_(id_or_email: str) -> None:
    """Revoke an open invitation."""
    with application():
        revoke(id_or_email)
        click.echo("Revoked.")


def invitation_json(invitation: Invitation) -> dict[str, str]:
    return {
        "id": str(invitation.id),
        "email": invitation.email,
        "state": state(invitation),
        "created_at": rfc3339(invitation.created_at),
        "expires_at": rfc3339(invitation.expires_at),
    }
