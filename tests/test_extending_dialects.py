"""A dialect is one class that names itself; a database without one takes the generic path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from drillster_pipeline.tables.schema import Column
from drillster_pipeline.warehouse import Warehouse, dialects
from drillster_pipeline.warehouse.dialects import Dialect

from .warehouse.support import account, day, load


class MadeUp(SQLiteDialect_pysqlite):
    """A database that SQLAlchemy knows, and this package does not yet."""

    name = "made_up"
    supports_statement_cache = True


def test_a_database_without_a_dialect_of_its_own_is_called_not_tested(tmp_path: Path) -> None:
    registry.register("made_up", __name__, "MadeUp")
    warehouse = Warehouse(f"made_up:///{tmp_path}/warehouse.db")
    assert (warehouse.caution or "").startswith("made_up is not tested")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A dialect as its file would have it: how many rows it has written to each staging table."""
    registry.register("made_up", __name__, "MadeUp")
    monkeypatch.setattr(dialects, "_REGISTERED", dict(dialects._REGISTERED))
    monkeypatch.setattr(dialects, "_dialects", lambda: dialects._REGISTERED)
    found: dict[str, int] = {}

    class Ours(Dialect):
        names = ("made_up",)
        is_tested = True
        expressions = dialects.dialect_named("sqlite").expressions

        def to_driver(self, moment: Any) -> Any:
            return moment.isoformat()

        def timestamp_type(self) -> sa.Text:
            return sa.Text()

        def write(
            self,
            connection: sa.Connection,
            target: sa.Table,
            columns: Sequence[Column],
            frame: pd.DataFrame,
            first_row: int,
        ) -> None:
            found[target.name] = found.get(target.name, 0) + len(frame)
            super().write(connection, target, columns, frame, first_row)

    return found


def test_a_dialect_is_one_class_that_names_itself(written: dict[str, int], tmp_path: Path) -> None:
    warehouse = Warehouse(f"made_up:///{tmp_path}/warehouse.db")
    assert warehouse.caution is None
    warehouse.prepare()
    report = load(warehouse, day(1), {"accounts": [account("a"), account("b")]})
    load(warehouse, day(2), {"accounts": [account("a")]}, allow_mass_delete=True)
    assert report.tables["accounts"].rows_inserted == 2
    assert written == {"drillster_staged_accounts": 3}
    assert warehouse.row_counts(["accounts", "accounts_history"]) == {"accounts": 2, "accounts_history": 2}
    assert sa.inspect(warehouse.engine).get_view_names()
    warehouse.close()
