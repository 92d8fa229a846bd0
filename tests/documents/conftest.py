"""Warehouses that documents are tried on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from drillster_pipeline.warehouse import Warehouse
from tests.support.databases import Place

from .month import LAST, copied, write_dates


@pytest.fixture(scope="session")
def dates(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A warehouse of three dates, in a folder ``data``."""
    return write_dates(tmp_path_factory.mktemp("analyst") / "data", LAST - timedelta(days=2))


@pytest.fixture(scope="module")
def dates_on_postgresql(dates: Place, postgresql_url: str) -> Iterator[Warehouse]:
    """The same rows on PostgreSQL."""
    with copied(dates, postgresql_url) as warehouse:
        yield warehouse
