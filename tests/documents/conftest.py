"""Warehouses that documents are tried on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from drillster_pipeline.warehouse import Warehouse
from tests.warehouse import postgresql as postgresql_server
from tests.warehouse.place import Place

from .month import FIRST, LAST, copied, write_nights


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A server, as its superuser."""
    with postgresql_server.server() as url:
        yield url


@pytest.fixture(scope="module")
def first() -> date:
    """The first night of the warehouse; a module that needs few nights has a fixture of its own."""
    return FIRST


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory, first: date) -> Place:
    """The warehouse in a folder ``data``."""
    return write_nights(tmp_path_factory.mktemp("analyst") / "data", first, LAST)


@pytest.fixture(scope="module")
def nights_on_postgresql(nights: Place, postgresql_url: str) -> Iterator[Warehouse]:
    """The same rows on PostgreSQL."""
    with copied(nights, postgresql_url) as warehouse:
        yield warehouse
