from collections.abc import Iterator

import pytest

from authserver.testing.standins import StandIns, serve
from tests.standins.asking import Clock


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def standins(clock: Clock) -> Iterator[StandIns]:
    with serve(now=clock) as standins:
        yield standins
