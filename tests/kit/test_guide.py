"""The other providers in docs/plugins.md, each tested by the kit as the guide says. The first is tests/plugin/."""

import sys
from types import ModuleType
from typing import Any

import pytest

from tests.blocks import block

pytestmark = pytest.mark.slow

FIRST = block("docs/plugins.md", "python", '"""Example.')
TEST = block("docs/plugins.md", "python", "POST /introspect")
CODES = block("docs/plugins.md", "python", "authorize_url")
ID_TOKENS = block("docs/plugins.md", "python", "import IdToken")
ID_TOKENS_TEST = block("docs/plugins.md", "python", "claims = ")


def module_of(source: str) -> Any:
    module = ModuleType("authserver_example")
    exec(compile(source, "docs/plugins.md", "exec"), module.__dict__)
    return module


def kit_of(source: str, module: Any) -> Any:
    """The class of tests that the guide has for the module."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "authserver_example", module)
        return module_of(source).TestExample


with_codes = module_of(FIRST[: FIRST.index("    return Provider(")] + CODES)


class TestCodes(kit_of(TEST, with_codes)):  # type: ignore[misc]
    """The guide's second, by the test of the first."""


class TestIdTokens(kit_of(ID_TOKENS_TEST, module_of(ID_TOKENS))):  # type: ignore[misc]
    pass


def test_each_of_them_is_tested_for_what_it_takes_and_for_nothing_else() -> None:
    for case, left_out in (
        (TestCodes, "test_the_claims_are_declared"),
        (TestIdTokens, "test_an_expired_token_is_refused"),
    ):
        assert callable(case.test_a_redirect_signs_in)
        assert getattr(case, left_out) is None
