"""Where dbt is, and what DuckDB needs to read a warehouse."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _needs_dbt() -> None:
    if importlib.util.find_spec("dagster_dbt") is None:
        pytest.skip("dbt is in an environment of its own: make test-deep runs these tests there")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with the extensions of DuckDB, which it would download otherwise."""
    import duckdb

    folder = tmp_path_factory.mktemp("home")
    with duckdb.connect() as connection:
        connection.execute(f"SET extension_directory = '{folder}/.duckdb/extensions'")
        for name in ("sqlite_scanner", "postgres_scanner"):
            package = Path(str(importlib.import_module(f"duckdb_extension_{name}").__file__)).parent
            (file,) = package.glob("extensions/*/*.duckdb_extension")
            connection.execute(f"INSTALL '{file}'")
    return folder
