"""The databases of the tests. Each test has a schema of its own, which on MariaDB is another word for a database."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drillster_pipeline.warehouse import Warehouse
from tests.support.databases import Place, execute, sqlite_in

from .support import empty

SERVERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("postgresql", "mariadb")]
DATABASES = ["sqlite", *SERVERS]


@contextmanager
def _schema(url: str) -> Iterator[Place]:
    schema = f"test_{secrets.token_hex(4)}"
    yield Place(url, schema)
    execute(url, f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture
def postgresql(postgresql_url: str) -> Iterator[Place]:
    """A schema of its own, not made yet, on PostgreSQL."""
    with _schema(postgresql_url) as place:
        yield place


@contextmanager
def _database(url: str) -> Iterator[Place]:
    name = f"test_{secrets.token_hex(4)}"
    with Place(url, name).opened() as warehouse:
        yield Place(url, name)
        with warehouse.engine.begin() as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")


@pytest.fixture
def mariadb(mariadb_url: str) -> Iterator[Place]:
    """A database of its own, not made yet, on MariaDB."""
    with _database(mariadb_url) as place:
        yield place


@pytest.fixture
def sqlite(tmp_path: Path) -> Place:
    """A file that does not exist yet, in a folder that does not either."""
    return sqlite_in(tmp_path / "data")


@pytest.fixture(params=DATABASES)
def place(request: pytest.FixtureRequest) -> Place:
    """Each of the databases in turn."""
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def sqlite_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """One for all tests that want no other: its statements are compiled once."""
    with sqlite_in(tmp_path_factory.mktemp("sqlite")).prepared() as opened:
        yield opened


@pytest.fixture(scope="session")
def postgresql_warehouse(postgresql_url: str) -> Iterator[Warehouse]:
    """The same on PostgreSQL."""
    with _schema(postgresql_url) as place, place.prepared() as opened:
        yield opened


@pytest.fixture(scope="session")
def mariadb_warehouse(mariadb_url: str) -> Iterator[Warehouse]:
    """The same on MariaDB."""
    with _database(mariadb_url) as place, place.prepared() as opened:
        yield opened


@pytest.fixture
def warehouse(sqlite_warehouse: Warehouse) -> Warehouse:
    """A warehouse that is prepared and empty, on SQLite: where dialects do not differ."""
    empty(sqlite_warehouse)
    return sqlite_warehouse


@pytest.fixture(params=DATABASES)
def any_warehouse(request: pytest.FixtureRequest) -> Warehouse:
    """The same on each of the databases."""
    found: Warehouse = request.getfixturevalue(f"{request.param}_warehouse")
    empty(found)
    return found
