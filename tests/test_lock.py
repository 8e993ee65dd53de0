"""deploy/requirements.txt against setup.cfg, whose lower bounds it has to keep."""

import configparser
import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.blocks import ROOT
from tests.each import each

LOCK = (ROOT / "deploy" / "requirements.txt").read_text()
ENTRIES = re.findall(r"^(\S+?)==(\S+)((?: ;[^\\\n]+)?)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", LOCK, re.M)
CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg")
WANTED = [
    Requirement(line)
    for lines in (CONFIG["options"]["install_requires"], CONFIG["options.extras_require"]["production"])
    for line in lines.split("\n")
    if line
]


@each("wanted", WANTED)
def test_every_requirement_is_locked_at_a_version_that_it_admits(wanted: Requirement) -> None:
    locked = [(version, marker) for name, version, marker, _ in ENTRIES if name == canonicalize_name(wanted.name)]
    assert len(locked) == 1, f"{wanted.name} is missing: `make lock` renews deploy/requirements.txt"
    ((version, marker),) = locked
    assert wanted.specifier.contains(version)
    assert marker == "", "it is wanted everywhere"


def test_the_lock_holds_packages_with_hashes_and_no_place_to_get_them_from() -> None:
    lines = [line for line in LOCK.splitlines() if not line.lstrip().startswith("#")]
    assert sum(1 for line in lines if not line.startswith(" ")) == len(ENTRIES), "each with at least one hash"
    assert "://" not in LOCK
    assert not [line for line in lines if line.startswith("-")]


def test_the_lock_has_the_binaries_of_other_systems_too() -> None:
    """One hash would be that of this machine's; of what is compiled there are many."""
    hashes = {name: rest.count("--hash=") for name, _, _, rest in ENTRIES}
    assert hashes["psycopg-binary"] > 20
    assert hashes["cryptography"] > 20
