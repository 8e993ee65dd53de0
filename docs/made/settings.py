"""The table of settings, from authserver/settings.py."""

from collections.abc import Iterator
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from authserver.settings import PREFIX, PROVIDERS, Settings
from docs.made.tables import row, schema

# Of settings whose default hangs on another one.
DEFAULTS = {
    "secret_key": "none; made once in development",
    "database_url": "SQLite file in the instance folder",
    "public_url": "none in production; `http://localhost:8000` in development",
    "audience": "the public URL",
    "session_lifetime": "30 days under rotation, else the refresh lifetime",
}


def settings_table() -> Iterator[str]:
    yield "| variable | takes | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, field in Settings.model_fields.items():
        meaning = " ".join((field.description or "").split()).removesuffix(".")
        if name == "providers":
            yield row(f"`{PROVIDERS}<NAME>__<OPTION>`", "", "", meaning)
        else:
            yield row(f"`{PREFIX}{name.upper()}`", takes(field), DEFAULTS.get(name) or default(field), meaning)


def default(field: FieldInfo) -> str:
    if field.default in (None, (), ""):
        return "none"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def takes(field: FieldInfo) -> str:
    """The choices of a setting, or the kind of its value; "" where any text will do."""
    kinds = [kind for kind in (get_args(field.annotation) or (field.annotation,)) if kind is not type(None)]
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in kinds)
    if bool in kinds:
        return "`true`, `false`"
    bounds = schema(field)
    if "maximum" in bounds:
        return "seconds" if bounds["maximum"] > 10**6 else f"{bounds['minimum']} to {bounds['maximum']}"
    if bounds.get("type") == "array":
        return "several, comma-separated"
    return f"at most {bounds['maxLength']} characters" if "maxLength" in bounds else ""
