"""A dialect is one file of the package; a database without one takes the generic path."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from drillster_pipeline.warehouse import Warehouse

from .support.copies import ProgramCopy

pytestmark = pytest.mark.slow


class MadeUp(SQLiteDialect_pysqlite):
    """A database that SQLAlchemy knows, and this package does not yet."""

    name = "made_up"
    supports_statement_cache = True


def test_a_database_without_a_dialect_of_its_own_is_called_not_tested(tmp_path: Path) -> None:
    registry.register("made_up", __name__, "MadeUp")
    warehouse = Warehouse(f"made_up:///{tmp_path}/warehouse.db")
    assert (warehouse.caution or "").startswith("made_up is not tested")


DIALECT = """
from typing import Any

import sqlalchemy as sa

from . import Dialect
from .sqlite import SQLite

written = {}


class Ours(Dialect):
    names = ("made_up",)
    is_tested = True
    expressions = SQLite.expressions

    def to_driver(self, moment: Any) -> Any:
        return moment.isoformat()

    def timestamp_type(self) -> sa.Text:
        return sa.Text()

    def write(self, connection, target, columns, frame, first_row):
        written[target.name] = written.get(target.name, 0) + len(frame)
        super().write(connection, target, columns, frame, first_row)
"""
PROGRAM = """
import json, sys

import sqlalchemy as sa
from sqlalchemy.dialects import registry

from drillster_pipeline.warehouse import Warehouse
from tests.warehouse.support import account, day, load

registry.register("made_up", "tests.test_extending_dialects", "MadeUp")
warehouse = Warehouse(sys.argv[1])
warehouse.prepare()
report = load(warehouse, day(1), {"accounts": [account("a"), account("b")]})
load(warehouse, day(2), {"accounts": [account("a")]}, allow_mass_delete=True)

from drillster_pipeline.warehouse.dialects.made_up import written

print(json.dumps({
    "caution": warehouse.caution,
    "inserted": report.tables["accounts"].rows_inserted,
    "written": written,
    "rows": warehouse.row_counts(["accounts", "accounts_history"]),
    "views": len(sa.inspect(warehouse.engine).get_view_names()),
}))
"""


def test_a_dialect_is_one_file_in_its_folder(tmp_path: Path) -> None:
    copy = ProgramCopy(tmp_path)
    copy.write("drillster_pipeline/warehouse/dialects/made_up.py", DIALECT)
    found = copy.run(PROGRAM, f"made_up:///{tmp_path}/warehouse.db")
    assert found["caution"] is None
    assert found["inserted"] == 2
    assert found["written"] == {"drillster_staged_accounts": 3}
    assert found["rows"] == {"accounts": 2, "accounts_history": 2}
    assert found["views"]
