"""The pytest plugin: what the kit's tests are given. Every run of pytest beside authserver imports this file, before
any measuring of coverage begins, so whatever else is needed is imported when it is asked for.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from authserver.testing.kit.bench import Bench


@pytest.fixture(scope="session")
def authserver_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database without people, to be copied."""
    from authserver.testing.kit.application import migrate

    return migrate(tmp_path_factory.mktemp("authserver") / "migrated.db")


@pytest.fixture(scope="class")
def provider_bench(
    request: pytest.FixtureRequest, authserver_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[Bench]":
    """Where the provider that the test's class declares is tried; its tests share it, for a start takes a while."""
    from authserver.testing.kit.bench import bench

    with bench(request.cls, authserver_database, tmp_path_factory.mktemp("provider")) as made:
        yield made


@pytest.fixture
def new_provider_bench(request: pytest.FixtureRequest, authserver_database: Path, tmp_path: Path) -> "Iterator[Bench]":
    """Another one, where nothing has been asked yet."""
    from authserver.testing.kit.bench import bench

    with bench(request.cls, authserver_database, tmp_path) as made:
        yield made
