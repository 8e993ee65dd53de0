"""What a page's browser remembers: which accounts signed in here before (limits/devices.py). It opens nothing.

The API never reads this cookie: whoever calls it is known by their sessions.
"""

from dataclasses import replace
from uuid import UUID

from flask import Response, g

from authserver.cookies import read_cookies, set_cookie
from authserver.limits.devices import LIFETIME, parts, remembering
from authserver.visitor import Visitor, visitor

COOKIE = "device"


def page_visitor() -> Visitor:
    """Returns who asks on a page; two cookies of the name count as none."""
    sent = read_cookies(COOKIE)
    return replace(visitor(), devices=parts(sent[0]) if len(sent) == 1 else ())


def remember(user_id: UUID) -> None:
    """Tells the browser that it signed in to the account, with whatever this request is answered."""
    g.device_cookie = remembering(user_id, page_visitor().devices)


def send_cookie(response: Response) -> Response:
    value = g.get("device_cookie")
    if value is not None:
        set_cookie(response, COOKIE, value, int(LIFETIME.total_seconds()), "Lax")
    return response
