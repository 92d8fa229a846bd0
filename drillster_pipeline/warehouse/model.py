"""The contract of ``tables`` as SQLAlchemy tables: types per dialect, keys, foreign keys, indexes, comments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeDecorator, TypeEngine

from drillster_pipeline.tables.schema import Column, Kind, Table, Type

from .dialects.mysql import DIALECTS as MYSQL
from .dialects.mysql import TABLE_OPTIONS, ExactLongText, ExactText

INDEXED = ("account_id", "group_id", "objective_id", "playable_id", "test_id", "drill_id", "organization_id")
"""Columns that analysts join by, each indexed wherever the key does not begin with it."""
INDEXED_IN_SNAPSHOTS = ("account_id", "objective_id")
"""The same for snapshot tables, where each index costs a million rows a night; the date follows in the index."""


class UtcTimestamp(TypeDecorator[datetime]):
    """An aware datetime in UTC: ISO text on SQLite, ``timestamptz`` on PostgreSQL, naive UTC elsewhere."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> TypeEngine[Any]:
        """The type of the dialect."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.Text())
        if dialect.name in MYSQL:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        if dialect.name == "oracle":
            return dialect.type_descriptor(sa.TIMESTAMP())
        if dialect.name == "mssql":
            from sqlalchemy.dialects.mssql import DATETIME2

            return dialect.type_descriptor(DATETIME2(6))  # type: ignore[no-untyped-call]  # SQLAlchemy's own
        return dialect.type_descriptor(sa.DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        """To what the driver takes."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        if dialect.name == "sqlite":
            # Not strftime, which gives the year 800 three digits.
            return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's)
        """From what the driver gives."""
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        assert isinstance(moment, datetime)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


KEY_LENGTH = 255
"""Characters of a text in a key or an index, where a database bounds them; Drillster's ids have 22 to 43.

Three such columns and a date are 3,063 bytes of utf8mb4: the most that InnoDB takes in one key is 3,072.
"""
BY_BYTES = "ids_by_bytes"
"""In ``MetaData.info``: whether PostgreSQL compares keys by their bytes. Where tables were made without, all stay so:
an index of the one kind is no use to a join with a column of the other."""


class KeyText(sa.Text):
    """A text in a key or an index on PostgreSQL: of any length."""


@compiles(KeyText, "postgresql")
def _spell_key(_kind: KeyText, _compiler: Any, type_expression: Any = None, **_options: Any) -> str:
    table = getattr(type_expression, "table", None)
    return 'TEXT COLLATE "C"' if table is not None and table.metadata.info.get(BY_BYTES) else "TEXT"


UNBOUNDED = {"sqlite", "postgresql"}
"""Dialects on which a text in a key may be of any length."""

_SQL_SERVER_COLLATION = "Latin1_General_100_BIN2"
"""SQL Server compares text without regard to case too, unless told otherwise."""
TEXT = (
    sa.UnicodeText()
    .with_variant(sa.Text(), *UNBOUNDED)
    .with_variant(ExactLongText(), *MYSQL)
    .with_variant(sa.UnicodeText(collation=_SQL_SERVER_COLLATION), "mssql")
)
"""Text of any length, told apart by every character on every database."""
KEY_TEXT = (
    sa.Unicode(KEY_LENGTH)
    .with_variant(sa.Text(), "sqlite")
    .with_variant(KeyText(), "postgresql")
    .with_variant(ExactText(KEY_LENGTH), *MYSQL)
    .with_variant(sa.Unicode(KEY_LENGTH, collation=_SQL_SERVER_COLLATION), "mssql")
)
"""The same in a key or an index."""

_TYPES: Mapping[Type, TypeEngine[Any]] = {
    Type.TEXT: TEXT,
    Type.JSON: TEXT,
    Type.INTEGER: sa.BigInteger(),
    Type.SMALLINT: sa.SmallInteger(),
    Type.FLOAT: sa.Double(),
    Type.BOOLEAN: sa.Boolean(),
    Type.TIMESTAMP: UtcTimestamp(),
    Type.DATE: sa.Date(),
}


_POSTGRESQL_STORAGE: Mapping[Kind, Mapping[str, Any]] = {
    # Every row that is still there gets a new ``last_seen_on`` each night. Where its page has room for the new
    # version, no index is touched: a tenth of the log, and the size that such a table grows to anyway.
    Kind.ENTITY: {"postgresql_with": {"fillfactor": 50}},
    Kind.SNAPSHOT: {"postgresql_partition_by": "RANGE (export_date)"},
}


def column_type(column: Column, *, in_key: bool) -> TypeEngine[Any]:
    """The SQLAlchemy type of a column; ``in_key``: in a key or an index, or a digest: bounded on some dialects."""
    if column.type is Type.TEXT and in_key:
        return KEY_TEXT
    return _TYPES[column.type]


def build(tables: Iterable[Table], *, dialect: str, schema: str | None = None) -> sa.MetaData:
    """The tables as a dialect gets them, with keys, foreign keys, indexes and comments.

    Snapshot and history tables have foreign keys only on SQLite, where they are read by people and tools, and not
    enforced. Elsewhere each of a million rows a night would be looked up four times more (PostgreSQL: a publish takes
    three times as long), for what the judge has proved before.
    """
    metadata = sa.MetaData(schema=schema, info={BY_BYTES: True})
    for table in tables:
        _add(metadata, table, dialect)
    return metadata


def _add(metadata: sa.MetaData, table: Table, dialect: str) -> sa.Table:
    indexed = tuple(_indexed(table))
    foreign_keys = dialect == "sqlite" or table.kind not in {Kind.SNAPSHOT, Kind.HISTORY}
    return sa.Table(
        table.name,
        metadata,
        *(
            sa.Column(
                column.name,
                column_type(column, in_key=_is_keyed(table, column, indexed)),
                *(_foreign_key(metadata.schema, table, column) if foreign_keys else ()),
                nullable=column.nullable,
                primary_key=column.name in table.key,
                autoincrement=False,
                comment=column.description,
            )
            for column in table.all_columns
        ),
        *(sa.Index(f"ix_{table.name}_{name}", name, *following) for name, *following in indexed),
        comment=table.description,
        **(_POSTGRESQL_STORAGE.get(table.kind, {}) if dialect == "postgresql" else {}),
        **TABLE_OPTIONS,
    )


def bounded_columns(table: Table) -> tuple[Column, ...]:
    """The texts of a table that are part of a key or an index, so that some databases bound their length."""
    indexed = tuple(_indexed(table))
    return tuple(
        column for column in table.all_columns if column.type is Type.TEXT and _is_keyed(table, column, indexed)
    )


def _is_keyed(table: Table, column: Column, indexed: tuple[tuple[str, ...], ...]) -> bool:
    named = column.name in {*table.key, "row_hash"}
    return named or column.references is not None or any(column.name in names for names in indexed)


def _foreign_key(schema: str | None, table: Table, column: Column) -> list[sa.ForeignKey]:
    if column.references is None:
        return []
    name = f"fk_{table.name}_{column.name}"
    return [sa.ForeignKey(column.references if schema is None else f"{schema}.{column.references}", name=name)]


def _indexed(table: Table) -> Iterable[tuple[str, ...]]:
    if table.name == "loads":
        yield ("kind", "export_date")
    snapshot = table.kind is Kind.SNAPSHOT
    for column in table.columns:
        if snapshot and (
            column.name in INDEXED_IN_SNAPSHOTS or (column.name == "group_id" and "group_id" not in table.key)
        ):
            yield (column.name, "export_date")
        elif not snapshot and column.name in INDEXED and table.key[0] != column.name:
            yield (column.name,)


Tables = Callable[[str], sa.Table]
"""Finds a table of the warehouse by name."""


def lookup(metadata: sa.MetaData) -> Tables:
    """A lookup of the contract's tables by name."""
    prefix = "" if metadata.schema is None else f"{metadata.schema}."
    return lambda name: metadata.tables[prefix + name]
