"""The authorize page: who asks, who may be chosen, and a way to say no. It works without a script."""

import secrets
from collections.abc import Iterable

from flask import Response, make_response, render_template_string

from authserver.testing.standins.authorization import Callback, Request
from authserver.testing.standins.person import Person

_LAYOUT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.5rem; line-height: 1.25; text-wrap: balance }}
ul {{ list-style: none; padding: 0 }}
button {{ font: inherit; text-align: left; width: 100%; min-height: 2.75rem; margin: .25rem 0; padding: .5rem 1rem }}
small {{ display: block }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{main}
</main>
</body>
</html>
"""

_CHOOSE = _LAYOUT.format(
    title="Sign in with {{ label }} (stand-in)",
    main="""
<p>The application <strong>{{ request.client_id }}</strong> asks who you are{% if request.scope %}, for
<em>{{ request.scope }}</em>{% endif %}. Nobody here is real: choose any.</p>
<form method="post">
<ul>
{% for person in people %}
<li><button name="person" value="{{ person.subject }}">{{ person.name or person.subject }}
{%- if person.email %}, {{ person.email }}{% endif %}
{%- if person.role %}<small>{{ person.role }}</small>{% endif %}</button></li>
{% endfor %}
</ul>
<button name="cancel" value="yes">Cancel</button>
</form>""",
)

_BACK = _LAYOUT.format(
    title="Back to the application",
    main="""
<form method="post" action="{{ callback.url }}">
{% for name, value in callback.form.items() %}
<input type="hidden" name="{{ name }}" value="{{ value }}">
{% endfor %}
<button>Continue</button>
</form>
<script nonce="{{ nonce }}">document.forms[0].submit()</script>""",
)

_ERROR = _LAYOUT.format(title="{{ label }} (stand-in) cannot do that", main="<p>{{ problem }}</p>")


def choose_page(label: str, request: Request, people: Iterable[Person]) -> Response:
    return _page(render_template_string(_CHOOSE, label=label, request=request, people=people))


def error_page(label: str, problem: str) -> Response:
    return _page(render_template_string(_ERROR, label=label, problem=problem), 400)


def back(callback: Callback) -> Response:
    """Sends the browser back, by a redirect or by a form that submits itself and can be submitted by hand."""
    if callback.form is None:
        response = make_response("", 302, {"Location": callback.url})
        response.autocorrect_location_header = False
    else:
        nonce = secrets.token_urlsafe(16)
        response = _page(render_template_string(_BACK, callback=callback, nonce=nonce), script=f"'nonce-{nonce}'")
    response.headers["Cache-Control"] = "no-store"
    return response


def _page(html: str, status: int = 200, script: str = "'none'") -> Response:
    # No form-action: browsers hold it against the redirect that follows too.
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src {script}; frame-ancestors 'none'"
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store", "Referrer-Policy": "strict-origin"}
    return make_response(html, status, headers)
