"""The development home: who is there to sign in, the tokens that come of it, and buttons that use them.

`authserver dev` installs it; nothing else does.
"""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Literal

from flask import Blueprint, Flask, Response, current_app, jsonify
from flask.typing import ResponseReturnValue
from pydantic import Field

from authserver import clock
from authserver.body import Body, Text, read
from authserver.dev import documents, moving, offline, pages
from authserver.dev.hosts import at_public_url
from authserver.dev.mailbox import blueprint as mailbox
from authserver.dev.offline import Offline
from authserver.dev.people import PASSWORD, still_here
from authserver.errors import ApiError
from authserver.extensions import current_settings
from authserver.oauth.blueprint import enabled_by_name
from authserver.pages.forms import require_own_origin
from authserver.pages.onward import by_redirect


class TimeBody(Body):
    seconds: Annotated[int, Field(ge=1, le=31 * 86400)]


class ClientTokenBody(Body):
    provider: Text
    person: Text  # the subject
    kind: Literal["access_token", "id_token"]


@dataclass(frozen=True)
class Running:
    """What the home page tells of this server."""

    database: str
    offline: Offline


def install(app: Flask, running: Running) -> None:
    """Adds all that is for development; raises `ValueError` in production, whatever led there."""
    if app.extensions["authserver.settings"].production:
        raise ValueError("the development home is not for production")
    app.extensions["authserver.running"] = running
    app.register_blueprint(blueprint)
    app.register_blueprint(mailbox)
    for stand_in in running.offline.values():
        app.register_blueprint(stand_in.blueprint())


blueprint = Blueprint("home", __name__)
blueprint.register_blueprint(documents.blueprint)


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """The page itself."""
    elsewhere = at_public_url()
    if elsewhere:
        return elsewhere
    running, settings = _running(), current_settings()
    return pages.render(
        "home",
        settings=settings,
        version=version("authserver"),
        database=running.database,
        instance=settings.instance_path.absolute(),
        providers=by_redirect(),
        offline=running.offline,
        client_tokens=_client_tokens(running.offline),
        people=still_here(),
        password=PASSWORD,
        time=_time(),
        documents=documents.documents(),
        documented="/docs" in {rule.rule for rule in current_app.url_map.iter_rules()},
    )


@blueprint.post("/dev/time")
def let_pass() -> Response:
    """Moves the one source of time on, for every check of ours and the stand-ins'."""
    require_own_origin()
    moving.let_pass(read(TimeBody).seconds)
    return jsonify(_time())


@blueprint.delete("/dev/time")
def back_to_now() -> Response:
    """Brings the time back to the present."""
    require_own_origin()
    moving.back_to_now()
    return jsonify(_time())


@blueprint.post("/dev/token")
def client_token() -> Response:
    """A token as the provider's own SDK gives it to a frontend, of somebody at a stand-in."""
    require_own_origin()
    body = read(ClientTokenBody)
    stand_in = _running().offline.get(body.provider)
    if stand_in is None:
        raise ApiError("not_found")
    person = next((one for one in stand_in.people if one.subject == body.person), None)
    if person is None or body.kind not in enabled_by_name()[body.provider].client_tokens:
        raise ApiError("not_found")
    return jsonify(token=offline.client_token(stand_in, person, body.kind))


def _running() -> Running:
    running: Running = current_app.extensions["authserver.running"]
    return running


def _time() -> dict[str, object]:
    return {"now": clock.rfc3339(clock.now()), "offset": int(clock.ahead.total_seconds())}


def _client_tokens(offline_ones: Offline) -> dict[str, dict[str, object]]:
    """What there is to copy, for the page's script."""
    enabled = enabled_by_name()
    return {
        name: {
            "label": one.label,
            "kinds": enabled[name].client_tokens,
            "people": [
                {"subject": person.subject, "name": person.name, "email": person.email, "role": person.role}
                for person in one.people
                if not person.declines
            ],
        }
        for name, one in offline_ones.items()
    }
