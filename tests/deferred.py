"""What requests left to the delivery."""

from flask import Flask

from authserver.emails.deferred import finish_due


def finish(app: Flask) -> None:
    """Does it, as the delivery would before it sends."""
    with app.app_context():
        while finish_due():
            pass
