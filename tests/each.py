"""Many values for one test, where `parametrize` would make a database and an application for each."""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

Test = Callable[..., None]


def each(names: str | Sequence[str], values: Iterable[Any]) -> Callable[[Test], Test]:
    """Calls the test with each value and the same fixtures, and says in the end for which values it failed.

    It takes the first two arguments of `pytest.mark.parametrize`. A value finds no patch, log line, cookie or file of
    the value before; what a value leaves in the database, the next one finds.
    """
    listed = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    given = [dict(zip(listed, value if len(listed) > 1 else (value,), strict=True)) for value in values]
    assert given, "a test without a value tests nothing"

    def decorate(test: Test) -> Test:
        signature = inspect.signature(test)

        @functools.wraps(test)
        def try_each(**fixtures: Any) -> None:
            failures: list[Exception] = []
            for number, value in enumerate(given):
                try:
                    with ExitStack() as stack:
                        test(**renewed(fixtures, number, stack), **value)
                except Exception as error:
                    error.add_note(f"the value: {value!a}")
                    failures.append(error)
            if failures:
                raise ExceptionGroup(f"{len(failures)} of {len(given)} values", failures)

        left = [parameter for name, parameter in signature.parameters.items() if name not in listed]
        try_each.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
        return try_each

    return decorate


def renewed(fixtures: dict[str, Any], number: int, stack: ExitStack) -> dict[str, Any]:
    """The fixtures as a value is to find them."""
    new = dict(fixtures)
    for name, fixture in fixtures.items():
        if isinstance(fixture, FlaskClient):
            new[name] = fixture.application.test_client()
        elif isinstance(fixture, pytest.MonkeyPatch):
            new[name] = stack.enter_context(fixture.context())
        elif isinstance(fixture, pytest.LogCaptureFixture):
            fixture.clear()
        elif name == "tmp_path":
            new[name] = Path(fixture, str(number))
            new[name].mkdir()
    return new
