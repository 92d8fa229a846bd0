"""Merge staged rows into tables, in one transaction: what all kinds of tables share, and snapshots and events.

A snapshot is replaced for its date. An event is never deleted; of several loads that show it the newest one counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.selectable import Exists

from .dialects import dialect_of
from .ledger import LedgerState, last_unloaded
from .load_plan import Counts, LoadType
from .model import Tables
from .reads import count_rows
from .staging import Staged, Staging

PLACEHOLDER = "unread"
"""In place of the ``row_hash`` of a row of which only the key could be read; it equals no digest."""


class RepeatedRows(Exception):
    """Staged rows of a snapshot table have the same key, or would be overlooked if they had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """One load that is being merged, inside its transaction."""

    connection: sa.Connection
    tables: Tables
    staging: Staging
    load_id: str
    loaded_at: datetime
    export_date: date
    kind: str
    state: LedgerState

    def run(self, statement: sa.sql.dml.UpdateBase) -> int:
        """Execute; returns how many rows were affected."""
        return self.connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount

    def count_staged(self, staged: Staged) -> int:
        """How many rows are staged for a table, or for a part of it."""
        if not staged.filters:
            return self.staging.rows[staged.table.name]
        return count_rows(self.connection, staged.rows, *staged.filters)

    @property
    def stamp(self) -> dict[str, Any]:
        """The columns that say which load wrote a row."""
        return {"load_id": self.load_id, "loaded_at": self.loaded_at}

    def written_by(self, rows: sa.Table, *conditions: Callable[[sa.FromClause], sa.ColumnElement[bool]]) -> Exists:
        """Whether the load that wrote a row meets the conditions, each of which is given the ledger of loads."""
        loads = self.tables("loads").alias()
        return exists(loads, loads.c.load_id == rows.c.load_id, *(condition(loads) for condition in conditions))

    def written_before(self, rows: sa.Table) -> Exists:
        """Whether a row was written by a load of this kind and of no newer date."""
        return self.written_by(
            rows, lambda loads: loads.c.kind == self.kind, lambda loads: loads.c.export_date <= self.export_date
        )

    def update(self, rows: sa.Table, values: Mapping[str, Any], conditions: Sequence[sa.ColumnElement[bool]]) -> int:
        """Update rows with values of other tables, and stamp them; the conditions join these."""
        if rows.name in self.state.empty_tables:
            return 0
        if not dialect_of(self.connection).updates_from:
            joined = sa.select(sa.literal(1)).where(*conditions).correlate(rows)
            values = {
                name: joined.with_only_columns(value, maintain_column_froms=True).scalar_subquery()
                for name, value in values.items()
            }
            conditions = [joined.exists()]
        return self.run(sa.update(rows).values({**values, **self.stamp}).where(*conditions))

    def insert(self, rows: sa.Table, values: Mapping[str, Any], conditions: Sequence[sa.ColumnElement[bool]]) -> int:
        """Insert rows that are made of columns of other tables, or of constants, and stamp them."""
        columns = {
            name: value if isinstance(value, sa.ColumnElement) else sa.literal(value, rows.c[name].type)
            for name, value in {**values, **self.stamp}.items()
        }
        return self.run(sa.insert(rows).from_select([*columns], sa.select(*columns.values()).where(*conditions)))

    def insert_staged(self, staged: Staged, extra: Mapping[str, Any] | None = None, *, is_new: bool = False) -> int:
        """Insert the staged rows, with the values of ``extra``; ``is_new``: none of them is in the table."""
        rows = self.tables(staged.table.name)
        values = {column.name: staged.rows.c[column.name] for column in staged.columns}
        conditions = list(staged.filters)
        if not is_new and rows.name not in self.state.empty_tables:
            conditions.append(~exists(rows, *staged.same_key(rows)))
        return self.insert(rows, {**values, **(extra or {})}, conditions)

    def overwrite(self, staged: Staged, condition: sa.ColumnElement[bool]) -> int:
        """Overwrite rows that meet the condition with the staged row of the same key; returns how many."""
        rows = self.tables(staged.table.name)
        data = {column.name: staged.rows.c[column.name] for column in staged.columns if not staged.is_key(column)}
        return self.update(rows, data, [*staged.same_key(rows), condition])

    def upsert(
        self, staged: Staged, gives_way: sa.ColumnElement[bool] | None, *, touched: sa.ColumnElement[bool] | None = None
    ) -> Counts:
        """Insert what is new and overwrite rows that give way; ``touched``: see :meth:`touch_unchanged`."""
        updated = 0 if gives_way is None else self.overwrite(staged, gives_way)
        if touched is not None:
            self.touch_unchanged(staged, touched)
        inserted = self.insert_staged(staged)
        unchanged = self.count_staged(staged) - updated - inserted
        return Counts(rows_inserted=inserted, rows_updated=updated, rows_unchanged=unchanged)

    def touch_unchanged(self, staged: Staged, condition: sa.ColumnElement[bool]) -> None:
        """Stamp rows that this load found unchanged, where that matters.

        What an older load wrote may be overwritten by a newer one only, and the load that wrote the row says which is
        newer. To stamp every unchanged row in each run would write much for nothing: it matters only if a date between
        the two was never loaded, and so may still be.
        """
        rows = self.tables(staged.table.name)
        if rows.name in self.state.empty_tables:
            return
        gap = last_unloaded(self.connection, self.tables, rows.name, self.kind, self.export_date)
        if gap is not None:
            older = self.written_by(
                rows, lambda loads: loads.c.kind == self.kind, lambda loads: loads.c.export_date < gap
            )
            self.run(sa.update(rows).values(self.stamp).where(staged.holds(rows), condition, older))

    def insert_placeholders(self, staged: Staged) -> int:
        """Insert a row with nothing but its key for each rejected row that others refer to and that is in no table.

        It has no dates, like a row that is only referenced, and any load that has more overwrites it.
        """
        if not any(self.staging.rejected.values()):
            return 0
        rejects, wanted, rows = self.staging.rejects, self.staging.placeholders, self.tables(staged.table.name)
        (key,) = staged.table.key
        keys = sa.select(wanted.c.row_key).where(wanted.c.table_name == staged.table.name)
        found = sa.select(rejects.c.row_key, rejects.c.required).where(
            rejects.c.table_name == staged.table.name,
            rejects.c.required.is_not(None),
            rejects.c.row_key.in_(keys),
            ~exists(rows, rows.c[key] == rejects.c.row_key),
        )
        # Of what was rejected twice, one that does not depend on which came first.
        required = {value: json.loads(columns) for value, columns in sorted(map(tuple, self.connection.execute(found)))}
        stamp = {"row_hash": PLACEHOLDER, **self.stamp}
        values = [{key: value, **columns, **stamp} for value, columns in required.items()]
        if values:
            self.connection.execute(sa.insert(rows), values)
        return len(values)


def exists(rows: sa.FromClause, *conditions: sa.ColumnElement[bool]) -> Exists:
    """There is such a row of ``rows``; all other tables are those of the statement around it."""
    return sa.select(sa.literal(1)).select_from(rows).where(*conditions).correlate_except(rows).exists()


def merge_events(merge: Merge, staged: Staged) -> Counts:
    """Merge the staged rows of an event table; an older export date never overwrites what a newer one found."""
    rows = merge.tables(staged.table.name)
    gives_way = sa.and_(merge.written_before(rows), _differs(rows, staged))
    return merge.upsert(staged, gives_way, touched=sa.true())


def merge_snapshot(merge: Merge, staged: Staged, load_type: LoadType, *, is_complete: bool) -> Counts:
    """Merge the staged rows of a snapshot table: replace the date's, or add to them where the read is incomplete.

    Raises RepeatedRows where the key finds what validation left to it; the transaction must then be rolled back.
    """
    rows = merge.tables(staged.table.name)
    of_date = rows.c.export_date == merge.export_date
    before = 0 if rows.name in merge.state.empty_tables else count_rows(merge.connection, rows, of_date)
    may_repeat = merge.staging.may_repeat(rows.name)
    try:
        if not before:
            return Counts(rows_inserted=merge.insert_staged(staged, is_new=True))
        if is_complete:
            return _replace(merge, staged, of_date, before)
        return merge.upsert(staged, None if load_type is LoadType.ADDITIVE else _differs(rows, staged))
    except sa.exc.IntegrityError:
        if may_repeat:
            raise RepeatedRows from None  # the error quotes the row
        raise


def _replace(merge: Merge, staged: Staged, of_date: sa.ColumnElement[bool], before: int) -> Counts:
    rows = merge.tables(staged.table.name)
    joined = rows.join(staged.rows, sa.and_(*staged.same_key(rows)))
    same = sa.case((~_differs(rows, staged), 1))
    counted = sa.select(sa.func.count(), sa.func.count(same)).select_from(joined)
    kept, unchanged = merge.connection.execute(counted).one()
    merge.run(sa.delete(rows).where(of_date))
    inserted = merge.insert_staged(staged, is_new=True)
    return Counts(
        rows_inserted=inserted - kept,
        rows_updated=kept - unchanged,
        rows_deleted=before - kept,
        rows_unchanged=unchanged,
    )


def _differs(rows: sa.Table, staged: Staged) -> sa.ColumnElement[bool]:
    """Whether a row has another value than the staged row of its key in any column."""
    columns = [column.name for column in staged.columns if not staged.is_key(column)]
    return sa.or_(sa.false(), *(rows.c[name].is_distinct_from(staged.rows.c[name]) for name in columns))
