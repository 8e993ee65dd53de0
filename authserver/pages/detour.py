"""A detour to a provider that a page began: the page redeems the code itself.

Its verifier is derived from the cookie that binds the detour to this browser, so no address ever carries it.
The page is who begins, under its path where a provider's name stands otherwise, and where the provider leads back to.
"""

from collections.abc import Callable
from dataclasses import replace

from flask import Response, request

from authserver.errors import CODES, ApiError
from authserver.extensions import current_settings
from authserver.oauth import redirect as redirects
from authserver.oauth.binding import bind, release, secrets_of
from authserver.oauth.grant import challenge, derived


def set_out(path: str, remembered: redirects.Request, lead: Callable[[redirects.Request], Response]) -> Response:
    """What `lead` answers to what is asked of the provider; `remembered` is there again on the way back."""
    begun = redirects.begin(path, remembered)
    asked = replace(
        remembered,
        next=current_settings().public_url + path,
        code_challenge=challenge(derived(begun.secret, "verifier")),
        state=begun.state,
    )
    response = lead(asked)
    bind(response, begun)
    return response


def come_back(
    path: str,
    arrive: Callable[[redirects.Request, str, str], Response],
    turn_back: Callable[[redirects.Request, ApiError], Response],
) -> Response:
    """What `arrive` makes of what was remembered, the code and its verifier; `turn_back` where there is no code.

    Raises `invalid_request` in another browser than the one that set out.
    """
    state = request.args["state"]
    secrets = secrets_of(state)
    remembered = redirects.finish(path, state, secrets)
    try:
        response = arrive(remembered, _code(), derived(secrets[0], "verifier"))
    except ApiError as error:
        response = turn_back(remembered, error)
        response.headers.update(error.headers)
    release(response, state)
    return response


def _code() -> str:
    """Raises what the callback says instead; the sentences are ours, for an address says what anybody likes."""
    error = request.args.get("error")
    if error == "access_denied":
        raise ApiError("provider_token_not_valid", "The sign-in was declined.")
    if error is not None:
        raise ApiError(error if error in CODES else "provider_token_not_valid")
    return request.args.get("code", "")


def from_elsewhere() -> bool:
    """Whether another site's link led to what only a page of ours should begin."""
    return request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin"
