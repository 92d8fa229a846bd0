"""Pages as the archive gives them, and what comes out of them as plain rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd

from drillster_pipeline.extract.batches import Batch, Page, Reject
from drillster_pipeline.extract.extractor import Extractor
from drillster_pipeline.tables import tables_of

EXPORT_DATE = date(2026, 3, 14)
CAPTURED_AT = datetime(2026, 3, 15, 1, 30, tzinfo=UTC)

ResourcePage = tuple[str, Page]


def page(resource: str, body: Any, *, number: int = 1, at: datetime = CAPTURED_AT, **unit: str) -> ResourcePage:
    """One answer of a resource; keywords are the path parameters."""
    return resource, Page(unit, number, at, body)


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as Python's own values, missing ones as None, without the hash and the rank."""
    columns = {name: [None if pd.isna(value) else _own(value) for value in frame[name]] for name in frame}
    for beside in ("row_hash", "source_rank"):
        columns.pop(beside, None)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _own(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


class Extracted:
    """All that an extraction gave."""

    def __init__(self, extractor: Extractor, batches: Iterable[Batch]) -> None:
        self.batches = list(batches)
        self.unknown_fields = extractor.unknown_fields
        self.unreadable = extractor.unreadable

    def rows(self, table: str) -> list[dict[str, Any]]:
        return [row for batch in self.batches if batch.table.name == table for row in plain(batch.frame)]

    def row(self, table: str) -> dict[str, Any]:
        (row,) = self.rows(table)
        return row

    def column(self, table: str, name: str) -> list[Any]:
        return [row[name] for row in self.rows(table)]

    def rejects(self, table: str | None = None) -> list[Reject]:
        return [one for batch in self.batches for one in batch.rejects if table in {None, batch.table.name}]

    def reasons(self, table: str | None = None) -> list[str]:
        return [reject.reason for reject in self.rejects(table)]


def extract(
    *pages: ResourcePage,
    tables: Collection[str] | None = None,
    chunk_rows: int = 20_000,
    accounts_complete: bool = True,
) -> Extracted:
    """Read pages into all tables of a snapshot, or into those that are named."""
    extractor = Extractor(
        export_date=EXPORT_DATE,
        tables=tables_of("snapshot") if tables is None else tables,
        accounts_complete=accounts_complete,
        chunk_rows=chunk_rows,
    )
    return Extracted(extractor, extractor.batches(pages))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc]  # at most six numbers, which no type says
