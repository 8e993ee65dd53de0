"""Each call, from the routes of an application, its views and the bodies that these read."""

import dis
import inspect
import re
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

from flask import Flask
from pydantic.fields import FieldInfo

from authserver.body import Body
from authserver.errors import CODES
from docs.made.tables import row, schema

ASKS = {"signed_in": "Bearer", "freshly_signed_in": "fresh Bearer"}  # of tokens/guard.py


def rules(app: Flask) -> dict[tuple[str, str], Callable[..., Any]]:
    """The view of each call, by path and method."""
    return {
        (documented_path(rule.rule), method): app.view_functions[rule.endpoint]
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def documented_path(rule: str) -> str:
    slash = (
        ""
        if rule.endswith((".json", ".js", ".ts")) or rule in ("/", "/pages/<name>", "/.well-known/change-password")
        else "/"
    )
    return re.sub(r"<uuid:\w+>", "<id>", rule).replace("/auth/name", "/auth/<name>") + slash


def endpoints(app: Flask) -> Iterator[str]:
    calls = rules(app)
    for path, method in sorted(calls):
        view = calls[path, method]
        yield f"## {method} {path.replace('<', '&lt;').replace('>', '&gt;')}"
        yield ""
        asks = ASKS.get(view.__code__.co_qualname.partition(".")[0])
        yield " ".join((inspect.getdoc(view) or "").split()) + (f" Asks for a {asks} token." if asks else "")
        yield ""
        named = dict.fromkeys(bodies(inspect.unwrap(view), set()))
        # A shape of a query says so in its name; a page can be opened without one.
        shapes = [shape for shape in named if shape.__name__.endswith("Query") == (method == "GET")]
        if shapes and (method != "GET" or path.startswith("/api/")):
            yield from (f"{shape.__doc__}\n" for shape in shapes if shape.__doc__)
            yield f"| in the {'query' if method == 'GET' else 'body'} | takes | required |"
            yield "| --- | --- | --- |"
            for shape in shapes:
                for name, field in shape.model_fields.items():
                    yield row(f"`{name}`", kind(field), "yes" if field.is_required() else "")
            yield ""


def bodies(view: Any, seen: set[object]) -> Iterator[type[Body]]:
    """The shapes that the view or a function that it calls names."""
    seen.add(view)
    for name in names(view.__code__):
        value = view.__globals__.get(name)
        if inspect.isclass(value) and issubclass(value, Body) and value.model_fields:
            yield value
        elif isinstance(value, FunctionType) and value.__module__.startswith("authserver.") and value not in seen:
            yield from bodies(value, seen)


def names(code: CodeType) -> Iterator[str]:
    """The globals that it reads, functions inside of it included."""
    yield from (one.argval for one in dis.get_instructions(code) if one.opname == "LOAD_GLOBAL")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names(constant)


def kind(field: FieldInfo) -> str:
    bounds = schema(field)
    said = [field.description or bounds.get("description") or "text"]
    if "maxLength" in bounds:
        said.append(f"at most {bounds['maxLength']} characters")
    return ", ".join(said)


def codes() -> Iterator[str]:
    yield "| status | code | sentence |"
    yield "| --- | --- | --- |"
    for code, (status, sentence) in CODES.items():
        yield row(str(status), f"`{code}`", sentence)
