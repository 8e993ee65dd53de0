"""Requests that only look: a HEAD, and what a browser asks for before a person does. They change nothing anywhere.

What would be changed says so where it is written, so that no view has to think of them.
"""

import re

from flask import has_request_context, request

# How browsers say that nobody has opened this yet: Chromium, older ones and Safari, Firefox.
PURPOSES = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
AHEAD = re.compile(r"\b(prefetch|prerender|preview|instant)\b", re.I)


class WouldChange(Exception):
    """Something would be changed by a request that only looks; answered with a 405 or 503 (`errors.py`).

    It is no `ApiError`, for no view may take it for an outcome and send a browser on with it.
    """


def only_looks() -> bool:
    """Tells whether this request must change nothing. Outside a request, as in a command, the answer is no."""
    if not has_request_context():
        return False
    if request.method == "GET":
        return any(AHEAD.search(request.headers.get(name, "")) for name in PURPOSES)
    return request.method == "HEAD"


def require_more_than_a_look() -> None:
    """To be called before anything is changed; raises `WouldChange`."""
    if only_looks():
        raise WouldChange
