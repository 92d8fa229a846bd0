"""Warehouses that documents are tried on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from drillster_pipeline.warehouse import Warehouse
from tests.support.databases import Place, postgresql_server

from .month import LAST, copied, write_nights


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A server, as its superuser."""
    with postgresql_server() as url:
        yield url


@pytest.fixture(scope="session")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A warehouse of three dates, in a folder ``data``."""
    return write_nights(tmp_path_factory.mktemp("analyst") / "data", LAST - timedelta(days=2))


@pytest.fixture(scope="module")
def nights_on_postgresql(nights: Place, postgresql_url: str) -> Iterator[Warehouse]:
    """The same rows on PostgreSQL."""
    with copied(nights, postgresql_url) as warehouse:
        yield warehouse
