"""The contract of ``tables`` as SQLAlchemy tables: types per dialect, keys, foreign keys, indexes, comments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

from drillster_pipeline.tables.schema import Column, Kind, Table, Type

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
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
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


# MySQL compares text without regard to case unless told otherwise, and cannot make TEXT part of a key.
_TEXT = sa.Text().with_variant(mysql.LONGTEXT(collation="utf8mb4_bin"), "mysql", "mariadb")
_KEY_TEXT = (
    sa.String(255)
    .with_variant(sa.Text(), "sqlite", "postgresql")
    .with_variant(mysql.VARCHAR(255, collation="utf8mb4_bin"), "mysql", "mariadb")
)

_TYPES: Mapping[Type, TypeEngine[Any]] = {
    Type.TEXT: _TEXT,
    Type.JSON: _TEXT,
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
    """The SQLAlchemy type of a column; ``in_key``: part of a key or an index, so of bounded length on some dialects."""
    if column.type is Type.TEXT and in_key:
        return _KEY_TEXT
    return _TYPES[column.type]


def build(tables: Iterable[Table], *, dialect: str, schema: str | None = None) -> sa.MetaData:
    """The tables as a dialect gets them, with keys, foreign keys, indexes and comments.

    Snapshot tables have foreign keys only on SQLite, where they are read by people and tools, and not enforced.
    Elsewhere each of a million rows a night would be looked up four times more (PostgreSQL: a publish takes three
    times as long), for what the judge has proved before.
    """
    metadata = sa.MetaData(schema=schema)
    for table in tables:
        _add(metadata, table, dialect)
    return metadata


def _add(metadata: sa.MetaData, table: Table, dialect: str) -> sa.Table:
    indexed = tuple(_indexed(table))
    foreign_keys = dialect == "sqlite" or table.kind is not Kind.SNAPSHOT
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
    )


def _is_keyed(table: Table, column: Column, indexed: tuple[tuple[str, ...], ...]) -> bool:
    return column.name in table.key or column.references is not None or any(column.name in names for names in indexed)


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
