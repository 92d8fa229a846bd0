"""A dialect of a database that SQLAlchemy knows; tests/test_extending.py puts it into the folder of dialects."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from drillster_pipeline.warehouse.dialects import Dialect
from drillster_pipeline.warehouse.dialects.sqlite import SQLite

written: dict[str, int] = {}


class Ours(Dialect):
    """Counts the rows that it writes."""

    names = ("made_up",)
    is_tested = True
    expressions = SQLite.expressions

    def to_driver(self, moment: Any) -> Any:
        return moment.isoformat()

    def timestamp_type(self) -> sa.Text:
        return sa.Text()

    def write(self, connection: Any, target: Any, columns: Any, frame: Any, first_row: int) -> None:
        written[target.name] = written.get(target.name, 0) + len(frame)
        super().write(connection, target, columns, frame, first_row)
