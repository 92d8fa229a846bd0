"""Staging tables, which only the load's own connection can read.

On SQLite and PostgreSQL they are TEMPORARY tables, which vanish with the process: a load that is killed leaves
nothing behind. Other databases get ordinary tables under a prefix; the next load, which has the writer lock, so that
no other load uses them, clears them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from drillster_pipeline.extract.batches import RANK, Batch, Reject
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.tables.schema import Column, Kind, Table, Type

from .dialects import Dialect, dialect_of
from .model import KEY_TEXT, TEXT, bounded_columns, column_type

PREFIX = "drillster_staged_"
KEY_SEPARATOR = "\x1f"
"""Between the parts of a key where a key is one text; no id of Drillster contains it."""

KEY_PARTS = ("key_1", "key_2", "key_3")
"""Columns for the key of an entity of any table."""

_RANK = Column(name=RANK, type=Type.INTEGER, nullable=False, description="Which row counts of those with its key.")


@dataclass(frozen=True, slots=True)
class Staged:
    """A table of the contract, and its staged rows. ``columns`` are those of the frames that are staged."""

    table: Table
    columns: tuple[Column, ...]
    rows: sa.Table
    filters: tuple[sa.ColumnElement[bool], ...] = ()
    """Conditions that a staged row must meet to be one of these; none: they are all that is staged."""

    def is_key(self, column: Column) -> bool:
        """Whether a column is part of the key."""
        return column.name in self.table.key

    def same_key(self, rows: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        """The staged row is one of these, and of the same thing as the row of ``rows``."""
        return [*(self.rows.c[name] == rows.c[name] for name in self.table.key), *self.filters]

    def holds(self, rows: sa.FromClause) -> sa.ColumnElement[bool]:
        """The row of ``rows`` is among the staged ones."""
        return sa.select(sa.literal(1)).select_from(self.rows).where(*self.same_key(rows)).correlate(rows).exists()


def staged_columns(table: Table) -> tuple[Column, ...]:
    """The columns of a frame of ``table``: its own, and the digest of an entity."""
    return table.columns + ((table.column("row_hash"),) if table.kind is Kind.ENTITY else ())


class StagingTables:
    """The staging tables of a dialect. Made once: statements on the same tables need not be compiled again."""

    def __init__(self, dialect: Dialect, schema: str | None) -> None:
        self.temporary = dialect.has_temporary_tables
        self.metadata = sa.MetaData(schema=None if self.temporary else schema)
        self._dialect = dialect
        self.of: Mapping[str, Staged] = {name: self._staged(table) for name, table in DATA_TABLES.items()}
        self.bounded = dialect.key_length is not None
        """Whether texts in keys have a length that they must not exceed."""
        self.rejects = self._work_table(
            "rejects",
            {"table_name": KEY_TEXT, "row_number": sa.BigInteger()},
            dict.fromkeys(("reason", "record", "row_key", "required"), TEXT),
        )
        self.placeholders = self._work_table("placeholders", {"table_name": KEY_TEXT, "row_key": TEXT})
        self.unobserved = self._work_table("unobserved", {"table_name": KEY_TEXT, "scope": KEY_TEXT, "value": TEXT})
        self.changes = self._work_table(
            "changes",
            dict.fromkeys((*KEY_PARTS, "row_hash"), KEY_TEXT),
            dict.fromkeys(("is_seen", "runs_on"), sa.Boolean()),
            dict.fromkeys(("seen_next", "gone_on", "valid_from", "valid_until"), sa.Date()),
        )

    def _work_table(self, name: str, *columns: Mapping[str, TypeEngine[Any]]) -> sa.Table:
        return self._table(name, *(sa.Column(*column) for some in columns for column in some.items()))

    def _table(self, name: str, *columns: sa.Column[Any]) -> sa.Table:
        prefixes = ["TEMPORARY"] if self.temporary else []
        if self._dialect.has_staging_keys and not any(column.primary_key for column in columns):
            number = self._dialect.row_number_type
            columns = (sa.Column("row_id", number, primary_key=True, autoincrement=True), *columns)
        options = self._dialect.table_options(None)
        return sa.Table(f"{PREFIX}{name}", self.metadata, *columns, prefixes=prefixes, **options)

    def _staged(self, table: Table) -> Staged:
        columns = staged_columns(table)
        number = sa.Column(
            "staged_row", self._dialect.row_number_type, primary_key=self._dialect.has_staging_keys, autoincrement=False
        )
        keyed = {column.name for column in bounded_columns(table)}
        rows = self._table(
            table.name,
            number,
            *(
                sa.Column(column.name, column_type(column, in_key=column.name in keyed), nullable=True)
                for column in columns
            ),
            sa.Column(RANK, sa.BigInteger),
        )
        return Staged(table, columns, rows)

    def clear_dead(self, connection: sa.Connection) -> None:
        """Remove what a killed load has left, where that did not go with its session; needs the writer lock."""
        if self.temporary:
            return
        schema = self.metadata.schema
        for name in sa.inspect(connection).get_table_names(schema=schema):
            if name.startswith(PREFIX):
                connection.execute(sa.schema.DropTable(sa.Table(name, sa.MetaData(schema=schema))))


class Staging:
    """The staging tables of one load, on its connection, and the numbers of their rows."""

    def __init__(self, connection: sa.Connection, defined: StagingTables, tables: Iterable[str]) -> None:
        self._connection = connection
        self._defined = defined
        self._dialect = dialect_of(connection)
        self.tables: Mapping[str, Staged] = {name: defined.of[name] for name in tables}
        self.rejects = defined.rejects
        """Rejected rows. ``required`` holds, as JSON, what a row with the key alone must have beside it."""
        self.placeholders = defined.placeholders
        """Keys of rejected rows that others refer to: each gets a row with its key alone, if it is in no table."""
        self.unobserved = defined.unobserved
        self.changes = defined.changes
        """Work space of :mod:`.entities`: what changes in the history of one table."""
        others = (self.rejects, self.placeholders, self.unobserved, self.changes)
        self._all = [*(staged.rows for staged in self.tables.values()), *others]
        self.rows = Counter[str]()
        """Staged rows of each table."""
        self.repeated = Counter[str]()
        """Rows of each table that were left out for another one with the same key."""
        self.rejected = Counter[str]()
        """Rejected rows of each table."""
        self._last_row, self._last_reject = Counter[str](), Counter[str]()
        """Their numbers go on where some of them turn out to be the same, and are taken out."""
        self.unreadable: set[str] = set()
        """Tables with a reject of which the key could not be read: it may be any row."""
        self._distinct: set[str] = set()
        """Tables of which no two staged rows have the same key."""

    def create(self) -> None:
        """Make the staging tables, clearing those of a load that was killed."""
        self._defined.clear_dead(self._connection)
        self._defined.metadata.create_all(self._connection, tables=self._all, checkfirst=False)

    def drop(self) -> None:
        """Remove the staging tables."""
        self._dialect.drop_staging(self._connection, self._defined.metadata, self._all)

    def append(self, batch: Batch) -> None:
        """Bring the rows and rejects of a batch into staging."""
        name, count = batch.table.name, len(batch.frame)
        staged = self.tables[name]
        if count:
            columns = (*staged.columns, _RANK)
            self._dialect.write(self._connection, staged.rows, columns, batch.frame, self._last_row[name] + 1)
            self._last_row[name] += count
            self.rows[name] += count
        self.repeated[name] += batch.rows_read - count - len(batch.rejects)
        self.reject(batch.rejects)

    def reject(self, rejects: Sequence[Reject]) -> None:
        """Add rejects; they are numbered within their table."""
        if not rejects:
            return
        values = []
        for reject in rejects:
            self.rejected[reject.table] += 1
            self._last_reject[reject.table] += 1
            if reject.key is None:
                self.unreadable.add(reject.table)
            values.append(
                {
                    "table_name": reject.table,
                    "row_number": self._last_reject[reject.table],
                    "reason": reject.reason.replace("\0", ""),
                    "record": _as_json(reject.record),
                    "row_key": None if reject.key is None else KEY_SEPARATOR.join(map(str, reject.key)),
                    "required": None if reject.required is None else _as_json(reject.required),
                }
            )
        self._connection.execute(sa.insert(self.rejects), values)

    def leave_out_repeated_rejects(self) -> None:
        """An item that came twice and was rejected twice is one reject."""
        rejects = self.rejects
        for name in [name for name, count in self.rejected.items() if count > 1]:
            # Through a subquery in FROM: MySQL reads a table that it deletes from in no other way.
            first = (
                sa.select(sa.func.min(rejects.c.row_number).label("row_number"))
                .where(rejects.c.table_name == name)
                .group_by(rejects.c.row_key, rejects.c.reason, rejects.c.record)
                .subquery()
            )
            again = sa.and_(
                rejects.c.table_name == name,
                rejects.c.row_key.is_not(None),
                rejects.c.row_number.not_in(sa.select(first.c.row_number)),
            )
            self.rejected[name] -= self._connection.execute(sa.delete(rejects).where(again)).rowcount

    def remove(self, staged: Staged, condition: sa.ColumnElement[bool]) -> int:
        """Take rows out of staging; how many."""
        removed = self._connection.execute(sa.delete(staged.rows).where(condition)).rowcount
        self.rows[staged.table.name] -= removed
        return removed

    def may_repeat(self, name: str) -> bool:
        """Whether staged rows of a table may have the same key: that was not checked yet."""
        return bool(self.rows[name]) and name not in self._distinct

    def leave_out_repeated(self, staged: Staged) -> int:
        """Of staged rows with the same key keep that of the highest rank, and of those the last; how many went."""
        self._distinct.add(staged.table.name)
        rows = staged.rows
        key = [rows.c[name] for name in staged.table.key]
        repeats = sa.select(sa.literal(1)).select_from(rows).group_by(*key).having(sa.func.count() > 1).limit(1)
        if self._connection.execute(repeats).first() is None:
            return 0
        place = sa.func.row_number().over(partition_by=key, order_by=[rows.c[RANK].desc(), rows.c.staged_row.desc()])
        ranked = sa.select(rows.c.staged_row, place.label("place")).subquery()
        return self.remove(staged, rows.c.staged_row.in_(sa.select(ranked.c.staged_row).where(ranked.c.place > 1)))

    def index(self, staged: Staged) -> None:
        """Make staged rows quick to find by key, once they are all there."""
        joined = [column.name for column in staged.columns if staged.is_key(column) or column.references is not None]
        name, key = staged.table.name, staged.table.key
        if self._dialect.index_staged(self._connection, staged.rows, key, joined, self.rows[name]):
            self._distinct.add(name)


def _as_json(record: Mapping[str, Any]) -> str:
    """A rejected row as JSON text that any database stores."""
    text = json.dumps(record, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return json.dumps(record)
    return text
