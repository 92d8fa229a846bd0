"""The contract of ``tables`` as SQLAlchemy tables: types per dialect, keys, foreign keys, indexes, comments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator, TypeEngine

from drillster_pipeline.tables.schema import Column, Kind, Table, Type

from .dialects import Dialect, dialect_named, dialect_of

INDEXED = ("account_id", "group_id", "objective_id", "playable_id", "test_id", "drill_id", "organization_id")
"""Columns that analysts join by, each indexed wherever the key does not begin with it."""
INDEXED_IN_SNAPSHOTS = ("account_id", "objective_id")
"""The same for snapshot tables, where each index costs a million rows a run; the date follows in the index."""


class UtcTimestamp(TypeDecorator[datetime]):
    """An aware datetime in UTC, stored as the dialect has it."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> TypeEngine[Any]:
        """The type of the dialect."""
        return dialect.type_descriptor(dialect_of(dialect).timestamp_type())

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        """To what the driver takes."""
        return None if value is None else dialect_of(dialect).to_driver(value.astimezone(UTC))

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's)
        """From what the driver gives."""
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        assert isinstance(moment, datetime)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Text(TypeDecorator[str]):
    """A text that differs by every character on every database; ``in_key``: in a key or an index."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, *, in_key: bool = False) -> None:
        super().__init__()
        self.in_key = in_key

    def load_dialect_impl(self, dialect: sa.Dialect) -> TypeEngine[Any]:
        """The type of the dialect."""
        return dialect_of(dialect).text_type(in_key=self.in_key)


TEXT, KEY_TEXT = Text(), Text(in_key=True)

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


def column_type(column: Column, *, in_key: bool) -> TypeEngine[Any]:
    """The SQLAlchemy type of a column; ``in_key``: in a key or an index, or a digest: bounded on some dialects."""
    if column.type is Type.TEXT and in_key:
        return KEY_TEXT
    return _TYPES[column.type]


def build(tables: Iterable[Table], *, dialect: str, schema: str | None = None) -> sa.MetaData:
    """The tables as a dialect gets them, with keys, foreign keys, indexes and comments.

    Snapshot, history and daily tables have foreign keys only on SQLite, where they are read by people and tools, and
    not enforced. Elsewhere each of a million rows a run would be looked up four times more (PostgreSQL: a merge takes
    three times as long), for what validation has proved before.
    """
    metadata = sa.MetaData(schema=schema)
    for table in tables:
        _add(metadata, table, dialect_named(dialect))
    return metadata


def _add(metadata: sa.MetaData, table: Table, dialect: Dialect) -> None:
    indexed = tuple(_indexed(table))
    foreign_keys = dialect.references_snapshots or table.kind not in {Kind.SNAPSHOT, Kind.HISTORY, Kind.DAILY}
    sa.Table(
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
        **dialect.table_options(table.kind),
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
