from uuid import UUID

from flask import Blueprint, Response, jsonify, request

from authserver.clock import rfc3339
from authserver.errors import invalid
from authserver.events import flows
from authserver.models import Event
from authserver.tokens.guard import Caller, signed_in

blueprint = Blueprint("events", __name__, url_prefix="/api")
DEFAULT_LIMIT, MAX_LIMIT = 50, 200


def event_json(event: Event) -> dict[str, str | None]:
    return {
        "id": str(event.id),
        "type": event.type,
        "created_at": rfc3339(event.created_at),
        "session_id": str(event.session_id) if event.session_id else None,
        "ip": event.ip,
        "user_agent": event.user_agent,
    }


@blueprint.get("/events")
@signed_in
def events(caller: Caller) -> Response:
    """What happened to one's account, newest first; `before` (an id) and `limit` page on."""
    found = flows.events_of(caller.id, before(), _limit())
    return jsonify([event_json(event) for event in found])


def before() -> UUID | None:
    """The event of this query after which the list goes on; raises `invalid_request`."""
    text = request.args.get("before")
    try:
        return UUID(text) if text else None
    except ValueError:
        raise invalid("before", "This must be the id of an event.") from None


def _limit() -> int:
    text = request.args.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= MAX_LIMIT):
        raise invalid("limit", f"This must be a number from 1 to {MAX_LIMIT}.")
    return int(text)
