"""The mailbox: what development would have sent, newest first."""

from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, render_template_string
from sqlalchemy import select

from authserver.emails.outbox import unseal
from authserver.emails.render import Message
from authserver.extensions import db
from authserver.models import Mail

blueprint = Blueprint("mailbox", __name__)
MOST = 100

PAGE = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Mailbox</title></head>
<body>
<h1>Mailbox</h1>
<p>Nothing leaves this machine in development: these mails would have been sent.</p>
{% for mail in mails %}
<article>
<h2>{{ mail.message.subject }}</h2>
<p>To {{ mail.message.to }}, {{ mail.created_at.strftime("%Y-%m-%d %H:%M:%S") }} UTC</p>
<pre style="white-space: pre-wrap">{{ mail.message.text | urlize(rel="noreferrer") }}</pre>
</article>
{% else %}
<p>No mail yet.</p>
{% endfor %}
</body>
</html>
"""


@dataclass(frozen=True)
class Received:
    message: Message
    created_at: datetime


@blueprint.get("/mailbox")
def mailbox() -> str:
    """The mails of this development server, as text."""
    rows = db.session.scalars(select(Mail).order_by(Mail.id.desc()).limit(MOST))
    received = [Received(message, row.created_at) for row in rows if (message := unseal(row)) is not None]
    return render_template_string(PAGE, mails=received)
