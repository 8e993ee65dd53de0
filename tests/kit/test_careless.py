"""The kit notices what it is for: each careless provider is caught by the test that is meant for it.

Its tests run in one process of their own, for failing is what they are there to do.
"""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from authserver.testing.kit import ProviderKit
from tests.kit import careless, careless_openid

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
Case = type[careless.Case] | type[careless_openid.Case]
CASES: dict[str, Case] = {
    f"{module.__name__}.{name}": case
    for module in (careless, careless_openid)
    for name, case in vars(module).items()
    if name.startswith("Test")
}
CARELESS = {name: case for name, case in CASES.items() if case.caught_by}
GOOD = "test_a_person_signs_in_and_is_found_again"
Outcomes = dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Of each class and test, how it failed, "" where it passed."""
    report = tmp_path_factory.mktemp("careless") / "report.xml"
    tests = [
        f"{case.__module__.replace('.', '/')}.py::{case.__name__}::{test}"
        for case in CARELESS.values()
        for test in dict.fromkeys([GOOD, *(f"test_{test}" for test in case.caught_by)])
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *tests]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout + ran.stderr
    found = {}
    for test in ElementTree.parse(report).iter("testcase"):
        failure = test.find("failure")
        assert test.find("error") is None, ran.stdout
        found[test.attrib["classname"], test.attrib["name"]] = "" if failure is None else failure.attrib["message"]
    return found


@pytest.mark.parametrize("name", CARELESS)
def test_a_careless_provider_is_caught_by_the_test_that_is_meant_for_it(outcomes: Outcomes, name: str) -> None:
    for test, says in CARELESS[name].caught_by.items():
        message = outcomes[name, f"test_{test}"]
        assert says in message
        assert message.startswith("AssertionError: ")
        assert message.endswith(".")


@pytest.mark.parametrize("name", CARELESS)
def test_a_careless_provider_looks_well_to_whoever_tries_only_a_good_sign_in(outcomes: Outcomes, name: str) -> None:
    if GOOD.removeprefix("test_") not in CARELESS[name].caught_by:
        assert outcomes[name, GOOD] == ""


def test_every_test_of_the_kit_has_caught_something() -> None:
    tests = {name for name in dir(ProviderKit) if name.startswith("test_")}
    assert tests == {f"test_{test}" for case in CARELESS.values() for test in case.caught_by}
