"""Where a warehouse of a test is, and what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.warehouse import CONTRACT, Warehouse
from drillster_pipeline.warehouse.model import build, lookup

LEDGER = {"load_id", "loaded_at"}
"""Columns that tell which load wrote a row; they differ where loads come in another order."""


@dataclass(frozen=True)
class Place:
    """A database of a test. ``schema`` is None on SQLite."""

    url: str
    schema: str | None

    @contextmanager
    def opened(self, **options: Any) -> Iterator[Warehouse]:
        warehouse = Warehouse(self.url, schema=self.schema, **options)
        try:
            yield warehouse
        finally:
            warehouse.close()


@cache
def metadata_of(dialect: str, schema: str | None) -> sa.MetaData:
    return build(CONTRACT.values(), dialect=dialect, schema=schema)


def table(warehouse: Warehouse, name: str) -> sa.Table:
    return lookup(metadata_of(warehouse.engine.dialect.name, warehouse.schema))(name)


def is_mariadb(warehouse: Warehouse) -> bool:
    return warehouse.engine.dialect.name == "mariadb"


def empty(warehouse: Warehouse) -> None:
    """Remove all that loads have left."""
    names = [name for name in reversed(CONTRACT) if name not in {"loads", "view_definitions"}]
    with warehouse.engine.begin() as connection:
        for name in (*names, "loads"):
            connection.execute(sa.delete(table(warehouse, name)))


def rows(warehouse: Warehouse, name: str, *, ledger: bool = False) -> list[dict[str, Any]]:
    """All rows of a table in the order of its key; without the columns of the ledger unless asked for."""
    found = table(warehouse, name)
    columns = [column for column in found.columns if ledger or name not in _DATA or column.name not in LEDGER]
    query = sa.select(*columns).order_by(*found.primary_key.columns)
    with warehouse.engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def column(warehouse: Warehouse, name: str, of: str) -> dict[Any, Any]:
    """The values of a column by the key of the row: one value, or a tuple where the key has several parts."""
    key = [part.name for part in table(warehouse, name).primary_key.columns]
    return {
        row[key[0]] if len(key) == 1 else tuple(row[part] for part in key): row[of]
        for row in rows(warehouse, name, ledger=True)
    }


def view(warehouse: Warehouse, name: str) -> list[dict[str, Any]]:
    prefix = "" if warehouse.schema is None else f"{warehouse.schema}."
    with warehouse.engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {prefix}{name}")).mappings()]


def sql(warehouse: Warehouse, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement as an outsider would; ``{}`` stands for the schema and its dot."""
    prefix = "" if warehouse.schema is None else f"{warehouse.schema}."
    with warehouse.engine.connect() as connection, connection.begin():
        if is_mariadb(warehouse):
            # Some statements take no schema; the session is not used again.
            connection.detach()
            connection.exec_driver_sql(f"USE {warehouse.schema}")
        result = connection.exec_driver_sql(statement.replace("{}", prefix))
        return [tuple(row) for row in result] if result.returns_rows else []


_DATA = {name for name, declared in CONTRACT.items() if declared.kind != "bookkeeping"}
