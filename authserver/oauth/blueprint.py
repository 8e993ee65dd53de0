"""One blueprint per provider, under `/api/auth/<name>`: signing in with what a client has, and by redirect."""

from urllib.parse import parse_qsl, urlsplit

from flask import Blueprint, Response, current_app, jsonify, redirect, request
from flask.typing import ResponseReturnValue

from authserver.body import Body, Text, Token, read, whole_body
from authserver.errors import UNREACHABLE, ApiError, database_error, invalid
from authserver.extensions import current_settings
from authserver.limits import Limit, limit_address
from authserver.oauth import codes, grant, identities, linking
from authserver.oauth import redirect as redirects
from authserver.oauth.application import asked, back
from authserver.oauth.binding import bind, release, require_navigation, secrets_of
from authserver.oauth.registry import Enabled
from authserver.oauth.verify import Credential, SentAccessToken, SentIdToken, asking, identify
from authserver.sessions.transport import signed_in_answer
from authserver.tokens.guard import Caller, signed_in
from authserver.tokens.issue import access_token_made_fresh
from authserver.values import with_query
from authserver.visitor import visitor

DECLINED = {"access_denied", "user_cancelled_authorize", "user_cancelled_login"}  # the latter Apple's and LinkedIn's


class ProviderBody(Body):
    """One of the three: what a client got from the provider by its own means."""

    access_token: Token | None = None
    id_token: Token | None = None
    nonce: Text | None = None
    code: Token | None = None
    redirect_uri: Text | None = None
    code_verifier: Text | None = None


def enabled_by_name() -> dict[str, Enabled]:
    enabled: dict[str, Enabled] = current_app.extensions["authserver.providers"]
    return enabled


def read_credential() -> Credential:
    """What the client sends; raises `invalid_request` unless it is exactly one of the kinds there are."""
    body = read(ProviderBody)
    kinds = [name for name in ("access_token", "id_token", "code") if getattr(body, name) is not None]
    if not kinds:
        raise invalid("access_token", "Send this, or id_token, or code with redirect_uri.")
    if len(kinds) > 1:
        raise invalid(kinds[1], f"Send either this or {kinds[0]}.")
    if body.access_token is not None:
        return SentAccessToken(body.access_token)
    if body.id_token is not None:
        return SentIdToken(body.id_token, body.nonce)
    if body.redirect_uri is None:
        raise invalid("redirect_uri", "This field is required with a code.")
    check_redirect_uri(body.redirect_uri)
    return grant.Code(body.code or "", body.redirect_uri, body.code_verifier, body.nonce)


def check_redirect_uri(uri: str) -> None:
    """Raises `invalid_request` for a redirect URI to which no client's code can have come.

    A code that came to this server's callback counts there alone, in the browser that began the sign-in.
    """
    try:
        ours = grant.leads_here(uri)
    except ValueError:  # no redirect URI at all
        ours = True
    if ours:
        raise invalid("redirect_uri", "This must be the client's own.")


def require_redirects(enabled: Enabled) -> None:
    if not enabled.takes_codes:
        raise ApiError("not_found", "This provider is not set up for signing in by redirect.")


def login_url(enabled: Enabled) -> str:
    return f"{current_settings().public_url}/api/auth/{enabled.name}/login/"


def provider_blueprint(enabled: Enabled) -> Blueprint:
    name = enabled.name
    blueprint = Blueprint(f"auth_{name}", __name__, url_prefix=f"/api/auth/{name}")

    @blueprint.post("")
    def sign_in() -> Response:
        """A sign-in with a token or code of the provider's that the client already has."""
        credential = read_credential()
        limit_address(Limit.PROVIDER_ADDRESS)
        identity = identify(enabled, credential).identity
        return signed_in_answer(*linking.sign_in(name, identity, visitor()))

    @blueprint.post("/reauthenticate")
    @signed_in
    def reauthenticate(caller: Caller) -> Response:
        """Makes the session's access token fresh again, by a fresh sign-in at the provider."""
        credential = read_credential()
        limit_address(Limit.PROVIDER_ADDRESS)
        proved = identify(enabled, credential)
        identities.reauthenticate(caller, name, proved, visitor())
        return jsonify(access=access_token_made_fresh(caller.id, caller.session_id, caller.session_expires_at))

    @blueprint.get("/login")
    def login() -> ResponseReturnValue:
        """Sends the browser to the provider, for a sign-in or, with the ticket of a link, for linking."""
        require_redirects(enabled)
        require_navigation()
        elsewhere = at_public_url()
        if elsewhere:
            return redirect(elsewhere)
        limit_address(Limit.PROVIDER_ADDRESS)
        return to_provider(enabled, _wanted(name))

    @blueprint.route("/callback", methods=["GET", "POST"] if enabled.provider.form_post else ["GET"])
    def callback() -> ResponseReturnValue:
        """Where the provider sends the browser back to; goes on to the frontend with a code or an error."""
        came = _parameters()
        state = came.get("state", "")
        secrets = secrets_of(state)
        wanted = redirects.finish(name, state, secrets)
        response = back(wanted, _answer(enabled, came, secrets[0], wanted))
        release(response, state, _same_site(enabled))
        return response

    return blueprint


def to_provider(enabled: Enabled, wanted: redirects.Request) -> Response:
    """Leads the browser to the provider, or back where that cannot be."""
    try:
        begun = redirects.begin(enabled.name, wanted)
        with asking(enabled) as (ask, documents):
            url = grant.authorize_url(enabled, documents, ask, begun.state, begun.secret)
    except (ApiError, *UNREACHABLE) as error:
        return back(wanted, _said(error))
    response = Response(status=302, headers={"Location": url})
    bind(response, begun, _same_site(enabled))
    return response


def _same_site(enabled: Enabled) -> str:
    """A form that the provider posts brings no Lax cookie."""
    return "None" if enabled.provider.form_post else "Lax"


def at_public_url() -> str:
    """The same under AUTHSERVER_PUBLIC_URL, where the cookie belongs; "" where the request came there.

    It is tried once: behind a proxy that does not pass the host on, every request seems to come elsewhere.
    """
    public = current_settings().public_url
    if request.host.lower() == urlsplit(public).netloc.lower() or "moved" in request.args:
        return ""
    return with_query(f"{public}{request.path}/?{request.query_string.decode('ascii', 'replace')}", {"moved": "1"})


def _wanted(name: str) -> redirects.Request:
    if "ticket" in request.args:
        return redirects.take(name, request.args["ticket"])
    return asked()


def _parameters() -> dict[str, str]:
    """What the provider sends along, in the query or as a form; raises `invalid_request` for what no provider sends."""
    raw = whole_body() if request.method == "POST" else request.query_string
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise ApiError("invalid_request") from None
    if len(dict(pairs)) != len(pairs):
        raise ApiError("invalid_request")
    return dict(pairs)


def _answer(enabled: Enabled, came: dict[str, str], secret: str, wanted: redirects.Request) -> dict[str, str]:
    """What goes back to the frontend: a code, or why there is none."""
    if came.get("error") in DECLINED:
        return {"error": "access_denied", "error_description": "The sign-in was declined."}
    try:
        return {"code": _code(enabled, came, secret, wanted)}
    except (ApiError, *UNREACHABLE) as error:
        return _said(error)


def _said(error: Exception) -> dict[str, str]:
    """There is an application to go back to, so it hears of an outage too."""
    error = error if isinstance(error, ApiError) else database_error(error)
    return {"error": error.code, "error_description": error.detail}


def _code(enabled: Enabled, came: dict[str, str], secret: str, wanted: redirects.Request) -> str:
    if "error" in came:
        unavailable = came["error"] in ("server_error", "temporarily_unavailable")
        raise ApiError("provider_unavailable" if unavailable else "provider_token_not_valid")
    code = grant.Code(
        code=came.get("code", ""),
        redirect_uri=grant.redirect_uri(enabled.name),
        verifier=grant.derived(secret, "verifier") if enabled.provider.pkce else None,
        nonce=grant.derived(secret, "nonce"),
        callback=came,
    )
    identity = identify(enabled, code).identity
    return codes.code_for(enabled.name, identity, wanted, visitor())
