"""The mailbox: what development would have sent, newest first, as text and as HTML."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flask import Blueprint, Response, request
from sqlalchemy import select

from authserver.dev import pages
from authserver.emails.outbox import unseal
from authserver.emails.render import Message
from authserver.errors import ApiError
from authserver.extensions import current_settings, db
from authserver.models import Mail

blueprint = Blueprint("mailbox", __name__)
blueprint.register_blueprint(pages.blueprint)
MOST = 100
FIRST = UUID(int=0)  # before all
NEW = "/mailbox/new"  # asked every other second, so the console says nothing of it
# A mail is somebody else's HTML: it runs nothing and loads nothing, and its links open beside the mailbox.
MAIL_HEADERS = {
    **pages.HEADERS,
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox",
    "X-Frame-Options": "SAMEORIGIN",
}


@dataclass(frozen=True)
class Received:
    id: UUID
    message: Message
    created_at: datetime


@blueprint.get("/mailbox")
def mailbox() -> Response:
    """The mails of this development server."""
    return pages.render("mailbox", mails=_received(), sent=bool(current_settings().mail_url))


@blueprint.get(NEW)
def new() -> Response:
    """Those that came after the one that the page shows first, as a piece of it."""
    try:
        after = UUID(request.args.get("after") or str(FIRST))
    except ValueError:
        raise ApiError("not_found") from None
    return pages.render("mails", mails=_received(after))


@blueprint.get("/mailbox/<uuid:mail_id>")
def html(mail_id: UUID) -> Response:
    """A mail's HTML, for the frame that shows it."""
    row = db.session.get(Mail, mail_id)
    message = unseal(row) if row else None
    if message is None:
        raise ApiError("not_found")
    shown = message.html.replace("<head>", '<head><base target="_blank">', 1)
    return Response(shown, 200, MAIL_HEADERS, mimetype="text/html")


def _received(after: UUID = FIRST) -> list[Received]:
    rows = db.session.scalars(select(Mail).where(Mail.id > after).order_by(Mail.id.desc()).limit(MOST))
    return [Received(row.id, message, row.created_at) for row in rows if (message := unseal(row)) is not None]
