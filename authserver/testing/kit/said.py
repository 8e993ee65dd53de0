"""What a provider's server says in one sign-in, by question, and how to say it otherwise.

A question is "GET /me"; besides there are "token", the claims of an access token that is a JWT, and "claims", those of
an id_token. A number instead of an answer is a status.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Said = dict[str, Any]
Place = tuple[Any, ...]  # the question, then keys and positions


@dataclass(frozen=True)
class Person:
    subject: str
    email: str


def fields(value: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every place in it, with what stands there, an answer as a whole left out."""
    if len(at) > 1:
        yield at, value
    inside: Any = ()
    if isinstance(value, Mapping):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value)
    for key, one in inside:
        yield from fields(one, (*at, key))


def found(said: Said, wanted: str) -> list[Place]:
    """Where the text stands, or the number of these digits."""
    return [at for at, value in fields(said) if type(value) in (str, int) and str(value) == wanted]


def changed(said: Said, at: Place, to: Any) -> Said:
    copy, last = _copied(said, at)
    last[at[-1]] = to
    return copy


def without(said: Said, at: Place) -> Said:
    copy, last = _copied(said, at)
    del last[at[-1]]
    return copy


def _copied(said: Said, at: Place) -> tuple[Said, Any]:
    copy = deepcopy(said)
    last: Any = copy
    for key in at[:-1]:
        last = last[key]
    return copy, last


def value_at(said: Said, at: Place) -> Any:
    value: Any = said
    for key in at:
        value = value[key]
    return value


def swapped(value: Any, instead: Mapping[str, str]) -> Any:
    """The same with other texts, or numbers of these digits, in the answers and in the questions' paths."""
    if isinstance(value, Mapping):
        return {_path(key, instead): swapped(one, instead) for key, one in value.items()}
    if isinstance(value, list):
        return [swapped(one, instead) for one in value]
    if type(value) in (str, int) and str(value) in instead:
        return type(value)(instead[str(value)])
    return value


def filled(value: Any, upstream: str) -> Any:
    """With the address of the server where it says {upstream}."""
    if isinstance(value, Mapping):
        return {key: filled(one, upstream) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, upstream) for one in value]
    return value.replace("{upstream}", upstream) if isinstance(value, str) else value


def _path(key: str, instead: Mapping[str, str]) -> str:
    return "/".join(instead.get(part, part) for part in key.split("/")) if "/" in key else key


def merged(value: Any, over: Any) -> Any:
    """One answer over another, key by key."""
    if isinstance(value, Mapping) and isinstance(over, Mapping):
        return {**value, **{key: merged(value.get(key), one) for key, one in over.items()}}
    return over


def shown(at: Place) -> str:
    """For a sentence: "emails[0].verified of GET /me"."""
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in at[1:])
    return f"{path.lstrip('.')} of {at[0]}"
