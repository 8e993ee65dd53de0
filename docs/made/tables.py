"""Rows of Markdown, and what a field of pydantic's takes."""

from typing import Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo


def row(*cells: str) -> str:
    return " ".join(["|", *(f"{cell} |" if cell else "|" for cell in cells)])


def schema(field: FieldInfo) -> dict[str, Any]:
    """Of the value itself, where it may be left out."""
    whole = TypeAdapter(field.rebuild_annotation()).json_schema()
    one: dict[str, Any] = next((one for one in whole.get("anyOf", ()) if one.get("type") != "null"), whole)
    return one
