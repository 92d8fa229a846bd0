"""Where rows wait to be judged: tables that only the load's own connection sees.

On SQLite and PostgreSQL they are TEMPORARY tables, which vanish with the process: a load that is killed leaves
nothing behind. Other databases get ordinary tables under a prefix; the next load, which holds the writer lock and so
knows that they are dead, clears them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.tables.batches import Batch, Reject
from drillster_pipeline.tables.schema import Column, Kind, Table

from .model import column_type
from .writers import writer_for

PREFIX = "drillster_staged_"
KEY_SEPARATOR = "\x1f"
"""Between the parts of a key where a key is one text; Drillster's ids never hold it."""

_TEMPORARY = {"sqlite", "postgresql"}


@dataclass(frozen=True, slots=True)
class Staged:
    """A table of the contract, and its staged rows. ``columns`` are those of the frames that are staged."""

    table: Table
    columns: tuple[Column, ...]
    rows: sa.Table

    def same_key(self, rows: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        """The staged row and the row of ``rows`` are of the same thing."""
        return [self.rows.c[name] == rows.c[name] for name in self.table.key]

    def holds(self, rows: sa.FromClause) -> sa.ColumnElement[bool]:
        """The row of ``rows`` is among the staged ones."""
        return sa.select(sa.literal(1)).select_from(self.rows).where(*self.same_key(rows)).correlate(rows).exists()


def staged_columns(table: Table) -> tuple[Column, ...]:
    """The columns of a frame of ``table``: its own, and the digest of an entity."""
    return table.columns + ((table.column("row_hash"),) if table.kind is Kind.ENTITY else ())


class Staging:
    """The staging tables of one load, on its connection."""

    def __init__(self, connection: sa.Connection, tables: Iterable[str], *, schema: str | None) -> None:
        dialect = connection.dialect.name
        self._connection = connection
        self._temporary = dialect in _TEMPORARY
        self._metadata = sa.MetaData(schema=None if self._temporary else schema)
        self._prefixes = ["TEMPORARY"] if self._temporary else []
        self._write = writer_for(dialect)
        self._rows = dict.fromkeys(tables, 0)
        self._rejects = dict.fromkeys(tables, 0)
        self.tables: Mapping[str, Staged] = {name: self._staged(DATA_TABLES[name]) for name in tables}
        self.rejects = self._table(
            "rejects",
            sa.Column("table_name", sa.String(255)),
            sa.Column("row_number", sa.BigInteger),
            sa.Column("reason", sa.Text),
            sa.Column("record", sa.Text),
            sa.Column("row_key", sa.Text),
        )
        self.exceptions = self._table(
            "exceptions",
            sa.Column("table_name", sa.String(255)),
            sa.Column("scope", sa.String(255)),
            sa.Column("value", sa.Text),
        )

    def _table(self, name: str, *columns: sa.Column[Any]) -> sa.Table:
        return sa.Table(f"{PREFIX}{name}", self._metadata, *columns, prefixes=self._prefixes)

    def _staged(self, table: Table) -> Staged:
        columns = staged_columns(table)
        # On SQLite an INTEGER PRIMARY KEY is the row's own number, and costs nothing.
        number = sa.Column(
            "staged_row",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=self._connection.dialect.name == "sqlite",
            autoincrement=False,
        )
        keyed = {*table.key, *(column.name for column in columns if column.references)}
        rows = self._table(
            table.name,
            number,
            *(
                sa.Column(column.name, column_type(column, in_key=column.name in keyed), nullable=True)
                for column in columns
            ),
        )
        return Staged(table, columns, rows)

    def create(self) -> None:
        """Make the staging tables, clearing those of a load that died."""
        if not self._temporary:
            self._clear_dead()
        self._metadata.create_all(self._connection, checkfirst=False)

    def _clear_dead(self) -> None:
        inspector = sa.inspect(self._connection)
        for name in inspector.get_table_names(schema=self._metadata.schema):
            if name.startswith(PREFIX):
                dead = sa.Table(name, sa.MetaData(schema=self._metadata.schema))
                self._connection.execute(sa.schema.DropTable(dead))

    def drop(self) -> None:
        """Remove the staging tables."""
        self._metadata.drop_all(self._connection, checkfirst=False)

    def append(self, batch: Batch) -> None:
        """Bring the rows and rejects of a batch into staging."""
        name = batch.table.name
        staged = self.tables[name]
        if len(batch.frame):
            first = self._rows[name] + 1
            self._write(self._connection, staged.rows, staged.columns, batch.frame, first)
            self._rows[name] += len(batch.frame)
        self.reject(batch.rejects)

    def reject(self, rejects: Sequence[Reject]) -> None:
        """Set rows aside; they are numbered within their table."""
        if not rejects:
            return
        values = []
        for reject in rejects:
            self._rejects[reject.table] += 1
            values.append(
                {
                    "table_name": reject.table,
                    "row_number": self._rejects[reject.table],
                    "reason": reject.reason.replace("\0", ""),
                    "record": as_json(reject.record),
                    "row_key": None if reject.key is None else KEY_SEPARATOR.join(map(str, reject.key)),
                }
            )
        self._connection.execute(sa.insert(self.rejects), values)

    def rejected(self, table: str) -> int:
        """How many rows of a table were set aside so far."""
        return self._rejects[table]

    def index(self, staged: Staged) -> None:
        """Make staged rows quick to find by key, once they are all there."""
        if self._connection.dialect.name == "postgresql":
            # It joins by hashing, given statistics, which nobody else gathers for a temporary table.
            self._connection.exec_driver_sql(f'ANALYZE pg_temp."{staged.rows.name}"')
            return
        key = (staged.rows.c[part] for part in staged.table.key)
        sa.Index(f"ix_{staged.rows.name}", *key).create(self._connection)


def as_json(record: Mapping[str, Any]) -> str:
    """A rejected row as JSON text that any database holds."""
    text = json.dumps(record, ensure_ascii=False, default=_as_text)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        text = json.dumps(record, default=_as_text)
    return text


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
