"""The authorize page: who asks, who may be chosen, and a way to say no. It works without a script."""

import secrets
from collections.abc import Iterable
from importlib.resources import files

from flask import Response, make_response, render_template_string

from authserver.testing.standins.authorization import Callback, Request
from authserver.testing.standins.person import Person

# The look of the server's own pages. It stands in the page itself: a stand-in has no other address to serve it from.
_STYLE = files("authserver").joinpath("pages/static/page.css").read_text("utf-8")

_LAYOUT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title>
<style>
{{ style | safe }}
.people { padding: 0; list-style: none; }
.people li { margin-bottom: 0.5rem; }
.people button { display: block; text-align: left; }
.people span { display: block; font-weight: 400; }
</style>
</head>
<body>
<main>
<h1>%s</h1>
%s
</main>
</body>
</html>
"""


def _layout(title: str, main: str) -> str:
    return _LAYOUT % (title, title, main)


_CHOOSE = _layout(
    "Sign in with {{ label }} (stand-in)",
    """
<p>The application <strong>{{ request.client_id }}</strong> asks who you are{% if request.scope %}, for
<em>{{ request.scope }}</em>{% endif %}. Nobody here is real: choose any.</p>
<form method="post">
<ul class="people">
{% for person in people %}
<li><button name="person" value="{{ person.subject }}" class="quiet">{{ person.name or person.subject }}
{%- if person.email %}<span>{{ person.email }}</span>{% endif %}
{%- if person.role %}<span class="hint">{{ person.role }}</span>{% endif %}</button></li>
{% endfor %}
</ul>
<button name="cancel" value="yes" class="quiet">Cancel</button>
</form>""",
)

_BACK = _layout(
    "Back to the application",
    """
<form method="post" action="{{ callback.url }}">
{% for name, value in callback.form.items() %}
<input type="hidden" name="{{ name }}" value="{{ value }}">
{% endfor %}
<button>Continue</button>
</form>
<script nonce="{{ nonce }}">document.forms[0].submit()</script>""",
)

_ERROR = _layout("{{ label }} (stand-in) cannot do that", '<p class="alert">{{ problem }}</p>')


def choose_page(label: str, request: Request, people: Iterable[Person]) -> Response:
    return _page(_CHOOSE, label=label, request=request, people=people)


def error_page(label: str, problem: str) -> Response:
    return _page(_ERROR, 400, label=label, problem=problem)


def back(callback: Callback) -> Response:
    """Sends the browser back, by a redirect or by a form that submits itself and can be submitted by hand."""
    if callback.form is None:
        response = make_response("", 302, {"Location": callback.url})
        response.autocorrect_location_header = False
    else:
        nonce = secrets.token_urlsafe(16)
        response = _page(_BACK, script=f"'nonce-{nonce}'", callback=callback, nonce=nonce)
    response.headers["Cache-Control"] = "no-store"
    return response


def _page(template: str, status: int = 200, script: str = "'none'", **facts: object) -> Response:
    html = render_template_string(template, style=_STYLE, **facts)
    # No form-action: browsers hold it against the redirect that follows too.
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src {script}; frame-ancestors 'none'"
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store", "Referrer-Policy": "strict-origin"}
    return make_response(html, status, headers)
