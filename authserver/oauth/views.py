from uuid import UUID

from flask import Blueprint, Response, jsonify
from flask.typing import ResponseReturnValue

from authserver.body import Body, Token, no_content, read
from authserver.errors import ApiError
from authserver.limits import Limit, limit_address
from authserver.oauth import codes
from authserver.oauth import identities as flows
from authserver.oauth import redirect as redirects
from authserver.oauth.application import AppState, Challenge, Next
from authserver.oauth.blueprint import enabled_by_name, login_url, read_credential, require_redirects
from authserver.oauth.registry import Enabled
from authserver.oauth.verify import identify
from authserver.sessions.transport import signed_in_answer
from authserver.tokens.guard import Caller, authenticate, challenging, freshly_signed_in, signed_in
from authserver.visitor import visitor

blueprint = Blueprint("oauth", __name__, url_prefix="/api")


class ExchangeBody(Body):
    code: Token
    code_verifier: Token  # a wrong one uses the code up, what can be none does not


class LinkLoginBody(Body):
    next: Next
    code_challenge: Challenge
    state: AppState | None = None


@blueprint.get("/auth")
def providers() -> Response:
    """The providers that are enabled; `login_url` is null for one that takes tokens only."""
    return jsonify(
        [
            {
                "name": one.name,
                "label": one.provider.label,
                "login_url": login_url(one) if one.takes_codes else None,
            }
            for one in enabled_by_name().values()
        ]
    )


@blueprint.post("/auth/exchange")
def exchange() -> ResponseReturnValue:
    """What a redirect's code is worth: a session, or an identity that is linked to the session that asked."""
    body = read(ExchangeBody)
    if codes.links(body.code):
        caller, _ = authenticate()
        with challenging():
            linked = codes.exchange_link(body.code, body.code_verifier, caller, visitor())
        return jsonify(flows.identity_json(linked)), 201
    return signed_in_answer(*codes.exchange(body.code, body.code_verifier, visitor()))


@blueprint.get("/identities")
@signed_in
def identities(caller: Caller) -> Response:
    """The providers' accounts that sign one in."""
    return jsonify([flows.identity_json(one) for one in flows.identities(caller.id)])


@blueprint.post("/identities/<name>")
@freshly_signed_in
def link(caller: Caller, name: str) -> ResponseReturnValue:
    """Links the identity of a token or code that the client already has."""
    enabled = _enabled(name)
    credential = read_credential()
    limit_address(Limit.PROVIDER_ADDRESS)
    identity = identify(enabled, credential).identity
    linked = flows.link(caller.id, caller.session_id, name, identity, visitor())
    return jsonify(flows.identity_json(linked)), 201


@blueprint.post("/identities/<name>/login")
@freshly_signed_in
def link_by_redirect(caller: Caller, name: str) -> Response:
    """Where to send the browser, once, to link an identity by signing in at its provider."""
    enabled = _enabled(name)
    require_redirects(enabled)
    body = read(LinkLoginBody)
    redirects.check_next(body.next)
    limit_address(Limit.PROVIDER_ADDRESS)
    wanted = redirects.Request(body.next, body.code_challenge, body.state, caller.id, caller.session_id)
    return jsonify(url=f"{login_url(enabled)}?ticket={redirects.begin_later(name, wanted)}")


@blueprint.delete("/identities/<uuid:identity_id>")
@freshly_signed_in
def unlink(caller: Caller, identity_id: UUID) -> Response:
    """Unlinks an identity, unless nothing else would let one in."""
    flows.unlink(caller.id, caller.session_id, identity_id, enabled_by_name().keys(), visitor())
    return no_content()


def _enabled(name: str) -> Enabled:
    enabled = enabled_by_name().get(name)
    if enabled is None:
        raise ApiError("not_found")
    return enabled
