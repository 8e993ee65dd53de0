"""What the docs say of settings and endpoints is made from the code: by `make docs`, and compared by a test."""

import re
import secrets
from pathlib import Path
from tempfile import TemporaryDirectory

from flask import Flask

from authserver.app import create_app
from authserver.cli.database import migrate_database
from authserver.extensions import db
from authserver.oauth.provider import IdToken, Provider, ProviderSettings, standard_identity
from authserver.settings import load
from docs.made.endpoints import codes, endpoints
from docs.made.settings import settings_table

DOCS = Path(__file__).parents[1]
MADE = re.compile(r"(?<=<!-- made by docs/made: -->\n).*?(?=<!-- end -->)", re.S)


def any_app(folder: Path) -> Flask:
    """Production's, with one provider, which stands for all."""
    settings, _ = load(
        {
            "AUTHSERVER_SECRET_KEY": secrets.token_urlsafe(48),
            "AUTHSERVER_PUBLIC_URL": "https://auth.example.com",
            "AUTHSERVER_DATABASE_URL": f"sqlite:///{folder}/authserver.db",
            "AUTHSERVER_PROVIDERS__NAME__CLIENT_ID": "id",
        }
    )
    migrate_database(settings)
    return create_app(settings, {"name": any_provider})


def any_provider(_: ProviderSettings) -> Provider:
    """One that comes back by either method."""
    id_token = IdToken(issuer="https://id.example.com", identity=standard_identity)
    return Provider(label="Any", id_token=id_token, scopes=("openid",), public_client=True, form_post=True)


def pages() -> dict[Path, str]:
    """What has to stand in each page."""
    with TemporaryDirectory() as folder:
        app = any_app(Path(folder))
        made = {
            "settings.md": list(settings_table()),
            "reference.md": [*endpoints(app), "## Sentences of the errors", "", *codes()],
        }
        with app.app_context():
            db.engine.dispose()
    return {DOCS / page: with_made(DOCS / page, lines) for page, lines in made.items()}


def with_made(page: Path, lines: list[str]) -> str:
    text, times = MADE.subn(lambda _: "\n".join(["", *lines, "", ""]), page.read_text())
    assert times == 1, f"{page} has not once the place for what is made"
    return text
