"""One fuzzed Drillster for all tests of a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .nights import House, houses

NewHouse = Callable[[], House]


@pytest.fixture(scope="package")
def new_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewHouse]:
    """Makes houses: each has a folder of its own, everything else is shared."""
    with houses(tmp_path_factory.mktemp("fuzz")) as make:
        yield make
