"""One blueprint per provider, under `/api/auth/<name>`: signing in with what a client has, and by redirect."""

from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from flask import Blueprint, Response, current_app, jsonify, redirect, request
from flask.typing import ResponseReturnValue
from pydantic import StringConstraints

from authserver.body import Body, Shape, Text, Token, read, validated, whole_body
from authserver.cookies import read_cookies, set_cookie
from authserver.errors import UNREACHABLE, ApiError, database_error, invalid
from authserver.extensions import current_settings
from authserver.limits import Limit, limit_address
from authserver.oauth import grant, identities, linking
from authserver.oauth import redirect as redirects
from authserver.oauth.registry import Enabled
from authserver.oauth.verify import Credential, SentAccessToken, SentIdToken, asking, identify
from authserver.sessions.transport import signed_in_answer
from authserver.tokens.guard import Caller, signed_in
from authserver.values import with_query
from authserver.visitor import visitor

AppState = Annotated[str, StringConstraints(max_length=512, pattern=r"^[^\x00]*$")]
Challenge = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
Next = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
DECLINED = {"access_denied", "user_cancelled_authorize", "user_cancelled_login"}  # the latter Apple's and LinkedIn's


class ProviderBody(Body):
    """One of the three: what a client got from the provider by its own means."""

    access_token: Token | None = None
    id_token: Token | None = None
    nonce: Text | None = None
    code: Token | None = None
    redirect_uri: Text | None = None
    code_verifier: Text | None = None


class LoginQuery(Body):
    next: Next
    code_challenge: Challenge
    code_challenge_method: Text = "S256"
    state: AppState | None = None


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
    return grant.Code(body.code or "", body.redirect_uri, body.code_verifier, body.nonce)


def require_redirects(enabled: Enabled) -> None:
    if not enabled.takes_codes:
        raise ApiError("not_found", "This provider is not set up for signing in by redirect.")


def provider_blueprint(enabled: Enabled) -> Blueprint:
    name = enabled.name
    blueprint = Blueprint(f"auth_{name}", __name__, url_prefix=f"/api/auth/{name}")
    cookie = "flow-{}".format
    same_site = "None" if enabled.provider.form_post else "Lax"  # a form that the provider posts brings no Lax cookie

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
        return jsonify(access=identities.reauthenticate(caller, name, proved, visitor()))

    @blueprint.get("/login")
    def login() -> ResponseReturnValue:
        """Sends the browser to the provider, for a sign-in or, with the ticket of a link, for linking."""
        require_redirects(enabled)
        elsewhere = _at_public_url()
        if elsewhere:
            return redirect(elsewhere)
        limit_address(Limit.PROVIDER_ADDRESS)
        wanted = _wanted(name)
        try:
            begun = redirects.begin(name, wanted)
            with asking(enabled) as (ask, documents):
                url = grant.authorize_url(enabled, documents, ask, begun.state, begun.secret)
        except (ApiError, *UNREACHABLE) as error:
            return _back(wanted, _said(error))
        response = redirect(url)
        set_cookie(response, cookie(begun.state), begun.secret, int(redirects.LIFETIME.total_seconds()), same_site)
        return response

    @blueprint.route("/callback", methods=["GET", "POST"] if enabled.provider.form_post else ["GET"])
    def callback() -> ResponseReturnValue:
        """Where the provider sends the browser back to; goes on to the frontend with a code or an error."""
        came = _parameters()
        state = came.get("state", "")
        wanted = redirects.finish(name, state, read_cookies(cookie(state)))
        response = _back(wanted, _answer(enabled, came, read_cookies(cookie(state))[0], wanted))
        set_cookie(response, cookie(state), "", 0, same_site)
        return response

    return blueprint


def _at_public_url() -> str:
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
    query = _query(LoginQuery)
    if query.code_challenge_method != "S256":
        raise invalid("code_challenge_method", "S256 is the only one.")
    redirects.check_next(query.next)
    return redirects.Request(query.next, query.code_challenge, query.state)


def _query(shape: type[Shape]) -> Shape:
    doubled = [field for field, values in request.args.lists() if len(values) > 1]
    if doubled:
        raise invalid(doubled[0], "This came twice.")
    return validated(shape, request.args.to_dict())


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
    return redirects.code_for(enabled.name, identity, wanted, visitor())


def _back(wanted: redirects.Request, answer: dict[str, str]) -> Response:
    """To the frontend; its page's own address, which has the code in it, is told to nobody (RFC 9700 §4.2.4)."""
    if wanted.state is not None:
        answer = {**answer, "state": wanted.state}
    response = Response(status=303, headers={"Location": with_query(wanted.next, answer)})
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
