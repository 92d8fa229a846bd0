"""What every statement of a publish needs to know, and the two inserts that all kinds of tables share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.selectable import Exists

from .dialects import dialect_of
from .ledger import Before, last_unloaded
from .model import lookup
from .staging import Staged, Staging

UNREAD = "unread"
"""In place of the ``row_hash`` of a row of which only the key could be read; it equals no digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Rows of one table that a load wrote, or found to be as they should be."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    history: int | None = None
    """Rows of the table's history that were written or removed; None where the load is no part of it."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            inserted=self.inserted + other.inserted,
            updated=self.updated + other.updated,
            deleted=self.deleted + other.deleted,
            unchanged=self.unchanged + other.unchanged,
            history=other.history if self.history is None else self.history + (other.history or 0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One load that is being published, inside its transaction."""

    connection: sa.Connection
    metadata: sa.MetaData
    staging: Staging
    load_id: str
    loaded_at: datetime
    export_date: date
    kind: str
    before: Before

    def target(self, name: str) -> sa.Table:
        """A table of the warehouse."""
        return lookup(self.metadata)(name)

    def run(self, statement: sa.sql.dml.UpdateBase) -> int:
        """Execute, and say how many rows it touched."""
        return self.connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount

    def change(self, name: str, statement: sa.sql.dml.UpdateBase) -> int:
        """The same where rows of a table are meant that were there before this load."""
        return 0 if name in self.before.blank else self.run(statement)

    def count(self, query: sa.Select[Any]) -> int:
        """The number that a query gives."""
        return int(self.connection.execute(query).scalar_one())

    def count_staged(self, staged: Staged) -> int:
        """How many rows are staged for a table, or for a part of it."""
        if not staged.only:
            return self.staging.rows[staged.table.name]
        return self.count(sa.select(sa.func.count()).select_from(staged.rows).where(*staged.only))

    @property
    def updates_from(self) -> bool:
        """Whether a table can be updated from the rows of another in one go."""
        return dialect_of(self.connection).updates_from

    @property
    def stamp(self) -> dict[str, Any]:
        """The columns that say which load wrote a row."""
        return {"load_id": self.load_id, "loaded_at": self.loaded_at}

    def written_by(self, rows: sa.Table, *conditions: Callable[[sa.FromClause], sa.ColumnElement[bool]]) -> Exists:
        """Whether the load that wrote a row meets the conditions, each of which is given the ledger of loads."""
        loads = self.target("loads").alias()
        query = sa.select(sa.literal(1)).select_from(loads).where(loads.c.load_id == rows.c.load_id)
        return query.where(*(condition(loads) for condition in conditions)).correlate_except(loads).exists()

    def written_before(self, rows: sa.Table) -> Exists:
        """Whether a row was written by a load of this kind and of no newer date."""
        return self.written_by(
            rows, lambda loads: loads.c.kind == self.kind, lambda loads: loads.c.export_date <= self.export_date
        )

    def overwrite(
        self, staged: Staged, condition: sa.ColumnElement[bool], extra: Mapping[str, Any] | None = None
    ) -> int:
        """Overwrite rows that meet the condition with the staged row of the same key; how many rows that were."""
        rows = self.target(staged.table.name)
        data: dict[str, sa.ColumnElement[Any]] = {
            column.name: staged.rows.c[column.name] for column in staged.columns if column.name not in staged.table.key
        }
        conditions = [*staged.same_key(rows), condition]
        if not self.updates_from:
            data = {
                name: sa.select(value).where(*staged.same_key(rows)).correlate(rows).scalar_subquery()
                for name, value in data.items()
            }
            found = sa.select(sa.literal(1)).select_from(staged.rows).where(*conditions)
            conditions = [found.correlate(rows).exists()]
        update = sa.update(rows).values({**data, **(extra or {}), **self.stamp}).where(*conditions)
        return self.change(staged.table.name, update)

    def confirm(self, staged: Staged, condition: sa.ColumnElement[bool]) -> None:
        """Note that this load found the staged rows as they are, where that matters.

        What an older load wrote may be overwritten by a newer one only, and whether a load is newer is told by the
        load that wrote the row. A row that this load found unchanged is as good as written by it, but to stamp
        every such row each night would be much writing for nothing: it matters only if a date between the two was
        never loaded, and so may still come in.
        """
        rows = self.target(staged.table.name)
        if staged.table.name in self.before.blank:
            return
        gap = last_unloaded(self.connection, self.metadata, staged.table.name, self.kind, self.export_date)
        if gap is not None:
            of_kind = self.written_by(
                rows, lambda loads: loads.c.kind == self.kind, lambda loads: loads.c.export_date < gap
            )
            self.run(sa.update(rows).values(self.stamp).where(staged.holds(rows), condition, of_kind))

    def insert_new(self, staged: Staged, extra: Mapping[str, Any] | None = None) -> int:
        """Insert the staged rows whose key is not there yet, with the values of ``extra``."""
        target = self.target(staged.table.name)
        if staged.table.name in self.before.blank:
            return self._insert(staged, extra or {})
        known = sa.select(sa.literal(1)).select_from(target).where(*staged.same_key(target))
        return self._insert(staged, extra or {}, ~known.correlate(staged.rows).exists())

    def insert_stubs(self, staged: Staged) -> int:
        """Insert a row with nothing but its key for each rejected row that others refer to and nobody knows.

        It has no dates, like what was only met in passing, and any load that knows more takes it over.
        """
        if not any(self.staging.rejected.values()):
            return 0
        rejects, stubs, target = self.staging.rejects, self.staging.stubs, self.target(staged.table.name)
        (key,) = staged.table.key
        wanted = sa.select(stubs.c.row_key).where(stubs.c.table_name == staged.table.name)
        known = sa.select(sa.literal(1)).select_from(target).where(target.c[key] == rejects.c.row_key)
        found = (
            sa.select(rejects.c.row_key, rejects.c.required)
            .where(rejects.c.table_name == staged.table.name, rejects.c.required.is_not(None))
            .where(rejects.c.row_key.in_(wanted), ~known.correlate(rejects).exists())
        )
        # Of what was rejected twice, one that does not depend on which came first.
        required = {
            row_key: json.loads(columns) for row_key, columns in sorted(map(tuple, self.connection.execute(found)))
        }
        stamp = {"row_hash": UNREAD, **self.stamp}
        rows = [{key: row_key, **columns, **stamp} for row_key, columns in required.items()]
        if rows:
            self.connection.execute(sa.insert(target), rows)
        return len(rows)

    def insert_all(self, staged: Staged) -> int:
        """Insert all staged rows."""
        return self._insert(staged, {})

    def _insert(self, staged: Staged, extra: Mapping[str, Any], *conditions: sa.ColumnElement[bool]) -> int:
        target = self.target(staged.table.name)
        names = [column.name for column in staged.columns]
        values = {**extra, **self.stamp}
        rows = sa.select(
            *(staged.rows.c[name] for name in names),
            *(sa.literal(value, target.c[name].type) for name, value in values.items()),
        ).where(*staged.only, *conditions)
        return self.run(sa.insert(target).from_select([*names, *values], rows))
