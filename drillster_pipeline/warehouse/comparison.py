"""Is the database what the contract says? What is missing can be added; what is different is told, not mended.

Only additions are made to an existing warehouse: a table, a column, an index, a view. Anything else would rewrite
data that someone may be reading or may have changed on purpose, so it is refused, with what to do instead. Extra
tables, indexes and columns that rows can do without are the users' own business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.types import TypeDecorator, TypeEngine

from .dialects.mysql import DIALECTS as MYSQL
from .model import BY_BYTES


@dataclass(slots=True)
class Difference:
    """What must be added to the database, and what stands in the way."""

    tables: list[sa.Table] = field(default_factory=list)
    columns: list[sa.Column[Any]] = field(default_factory=list)
    indexes: list[sa.Index] = field(default_factory=list)
    comments: list[sa.Table | sa.Column[Any]] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.tables or self.columns or self.indexes or self.comments or self.views or self.problems)


def compare(connection: sa.Connection, metadata: sa.MetaData, views: Mapping[str, str]) -> Difference:
    """Compare the database with ``metadata`` and ``views`` (name to the statement that makes it)."""
    inspector = sa.inspect(connection)
    schema = metadata.schema
    difference = Difference()
    expected = metadata.sorted_tables
    if connection.dialect.name in MYSQL and schema is not None and not inspector.has_schema(schema):
        # An error there, and no empty list: what is in a database that does not exist.
        return Difference(tables=expected, views=list(views))
    there = set(inspector.get_table_names(schema=schema))
    views_there = set(inspector.get_view_names(schema=schema))
    names = [table.name for table in expected if table.name in there]
    columns = inspector.get_multi_columns(schema=schema, filter_names=names)
    keys = inspector.get_multi_pk_constraint(schema=schema, filter_names=names)
    indexes = inspector.get_multi_indexes(schema=schema, filter_names=names)
    for table in expected:
        if table.name in views_there:
            difference.problems.append(f"{table.name}: there is a view of this name. Rename it, and run again.")
        elif table.name not in there:
            difference.tables.append(table)
        else:
            place = (schema, table.name)
            _compare_columns(difference, table, columns[place], connection.dialect)
            _compare_key(difference, table, keys[place]["constrained_columns"], connection.dialect)
            known = {index["name"] for index in indexes[place]}
            difference.indexes += [index for index in _by_name(table) if index.name not in known]
    if connection.dialect.name == "postgresql":
        metadata.info[BY_BYTES] = all(
            getattr(column["type"], "collation", None) == "C"
            for (_, name), reflected in columns.items()
            for column in reflected
            if column["name"] in keys[schema, name]["constrained_columns"] and isinstance(column["type"], sa.String)
        )
        _compare_comments(difference, metadata, inspector, columns)
    _compare_views(difference, connection, metadata, views, there, views_there)
    return difference


def _by_name(table: sa.Table) -> list[sa.Index]:
    return sorted(table.indexes, key=lambda index: str(index.name))


def _compare_columns(
    difference: Difference, table: sa.Table, reflected: list[ReflectedColumn], dialect: sa.Dialect
) -> None:
    there = {column["name"]: column for column in reflected}
    for column in table.columns:
        found = there.get(column.name)
        if found is None:
            if column.nullable:
                difference.columns.append(column)
            else:
                difference.problems.append(
                    f"{table.name}.{column.name}: the column is missing, and may not be NULL, so it cannot be added "
                    f"to rows that are there. {_start_over(dialect)}"
                )
            continue
        expected = _in_dialect(column.type, dialect)
        if not _fits(found["type"], expected, dialect):
            difference.problems.append(
                f"{table.name}.{column.name}: the type is {_spelled(found['type'], dialect)}, and must be "
                f"{_spelled(column.type, dialect)}. Change it back if it was changed by hand. {_start_over(dialect)}"
            )
        elif column.nullable and not found["nullable"]:
            difference.problems.append(
                f"{table.name}.{column.name}: the column is NOT NULL, but Drillster may leave it out. "
                "Remove the NOT NULL, and run again."
            )
    for name in sorted(there.keys() - set(table.columns.keys())):
        if _must_be_given(there[name]):
            difference.problems.append(
                f"{table.name}.{name}: this column is not ours, and NOT NULL without a default, so no row could be "
                "added. Give it a default or allow NULL, and run again."
            )


def _must_be_given(column: ReflectedColumn) -> bool:
    filled = column.get("default") is not None or column.get("identity") or column.get("computed")
    return not column["nullable"] and not filled and column.get("autoincrement") is not True


def _compare_key(difference: Difference, table: sa.Table, key: list[str], dialect: sa.Dialect) -> None:
    expected = [column.name for column in table.primary_key.columns]
    if list(key) != expected:
        difference.problems.append(
            f"{table.name}: the primary key is ({', '.join(key) or 'missing'}), and must be ({', '.join(expected)}). "
            f"Put it back if it was changed by hand. {_start_over(dialect)}"
        )


def _start_over(dialect: sa.Dialect) -> str:
    setting = "DRILLSTER_WAREHOUSE_URL" if dialect.name == "sqlite" else "DRILLSTER_WAREHOUSE_SCHEMA"
    return f"Or name a new place in {setting} and fill it by a backfill of all dates, which replays the archive."


def _compare_comments(
    difference: Difference,
    metadata: sa.MetaData,
    inspector: sa.Inspector,
    columns: Mapping[Any, list[ReflectedColumn]],
) -> None:
    schema = metadata.schema
    names = [name for _, name in columns]
    comments = inspector.get_multi_table_comment(schema=schema, filter_names=names)
    for (_, name), reflected in columns.items():
        table = metadata.tables[name if schema is None else f"{schema}.{name}"]
        if comments[schema, name]["text"] != table.comment:
            difference.comments.append(table)
        difference.comments += [
            table.columns[column["name"]]
            for column in reflected
            if column["name"] in table.columns and column.get("comment") != table.columns[column["name"]].comment
        ]


def _compare_views(
    difference: Difference,
    connection: sa.Connection,
    metadata: sa.MetaData,
    views: Mapping[str, str],
    tables_there: set[str],
    views_there: set[str],
) -> None:
    made: dict[str, str] = {}
    if "view_definitions" in tables_there:
        schema = metadata.schema
        definitions = metadata.tables["view_definitions" if schema is None else f"{schema}.view_definitions"]
        rows = connection.execute(sa.select(definitions.c.view_name, definitions.c.definition))
        made = {row.view_name: row.definition for row in rows}
    for name, definition in views.items():
        if name in tables_there:
            difference.problems.append(f"{name}: there is a table of this name. Rename it, and run again.")
        elif name not in views_there or made.get(name) != definition:
            difference.views.append(name)


_FAMILIES: tuple[tuple[type[TypeEngine[Any]], str], ...] = (
    (sa.Boolean, "boolean"),
    (sa.Date, "date"),
    (sa.DateTime, "timestamp"),
    (sa.Integer, "integer"),
    (sa.Float, "float"),
    (sa.String, "text"),
)


def _in_dialect(kind: TypeEngine[Any], dialect: sa.Dialect) -> TypeEngine[Any]:
    """The type that stands in the DDL of the dialect."""
    if isinstance(kind, TypeDecorator):
        return kind.load_dialect_impl(dialect)
    return kind.dialect_impl(dialect)


def _family(kind: TypeEngine[Any]) -> str:
    return next((name for family, name in _FAMILIES if isinstance(kind, family)), type(kind).__name__)


def _bytes(kind: TypeEngine[Any]) -> int:
    if isinstance(kind, sa.SmallInteger):
        return 2
    return 8 if isinstance(kind, sa.BigInteger) else 4


def _fits(found: TypeEngine[Any], expected: TypeEngine[Any], dialect: sa.Dialect) -> bool:
    """Whether every value of ``expected`` can be stored in a column of ``found``, as what it is."""
    family = _family(expected)
    if family == "boolean" and dialect.name in MYSQL:
        return isinstance(found, sa.Integer | sa.Boolean)  # BOOLEAN is a word for TINYINT(1) there
    if _family(found) != family:
        return False
    if family == "integer":
        return _bytes(found) >= _bytes(expected)
    if family == "timestamp":
        return bool(getattr(found, "timezone", False)) == bool(getattr(expected, "timezone", False))
    if family == "text" and getattr(found, "length", None) is not None:
        return dialect.name == "sqlite" or found.length == getattr(expected, "length", None)  # type: ignore[attr-defined]  # of text types only
    return True


def _spelled(kind: TypeEngine[Any], dialect: sa.Dialect) -> str:
    return kind.compile(dialect=dialect)
