"""The schema of the database and the contract: what differs, the additions that are made, and the DDL as text.

Only additions are made to an existing warehouse: a table, a column, an index, a comment, the figures of dates that have
none, a view. Anything else would rewrite data that someone may be reading or may have changed on purpose, so it is
refused, with what to do instead. Tables, indexes and columns that others added are left alone, as long as rows can do
without them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.types import TypeDecorator, TypeEngine

from drillster_pipeline.errors import Refused, SettingsError
from drillster_pipeline.tables import DAILY_TABLES, DATA_TABLES

from . import daily
from .dialects import ViewComments, dialect_of, quoted
from .ledger import CONTRACT
from .model import build, lookup
from .views import VIEWS


class Addition(NamedTuple):
    """Something that the database misses, and what makes it."""

    kind: str
    """``table``, ``column``, ``index``, ``comment``, ``rows`` or ``view``."""
    name: str
    make: Callable[[sa.Connection], object]


@dataclass(slots=True)
class Difference:
    """What must be added to the database, in this order, and what prevents it."""

    additions: list[Addition] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.additions or self.problems)


def compare(connection: sa.Connection, metadata: sa.MetaData) -> Difference:
    """Compare the database with the contract."""
    found, difference = _Schema(connection, metadata), Difference()
    for table in metadata.sorted_tables:
        if table.name in found.views:
            difference.problems.append(f"{table.name}: there is a view of this name. Rename it, and run again.")
        elif table.name not in found.tables:
            difference.additions.append(Addition("table", table.name, partial(table.create, checkfirst=False)))
        else:
            difference.additions += found.additions_to(table)
            difference.problems += found.problems_of(table)
    tables = lookup(metadata)
    if unfilled := daily.unfilled(connection, tables, found.tables):
        fill = partial(daily.fill, tables=tables, only=dict.fromkeys(unfilled, DATA_TABLES))
        difference.additions.append(Addition("rows", f"of {', '.join(DAILY_TABLES)}", fill))
    # Not before there is a connection: a dialect learns from its server how to write some types.
    for name, statement in view_statements(metadata, connection.dialect).items():
        if name in found.tables:
            difference.problems.append(f"{name}: there is a table of this name. Rename it, and run again.")
        elif name not in found.views or found.definitions.get(name) != statement:
            make = partial(_replace_view, metadata=metadata, name=name, statement=statement)
            difference.additions.append(Addition("view", name, make))
    return difference


def apply(connection: sa.Connection, difference: Difference) -> None:
    """Make the additions, in the caller's transaction. Raises Refused where more is needed."""
    if difference.problems:
        raise Refused(
            "The warehouse is not as this version of the program needs it, and was left alone:\n"
            + "\n".join(f"- {problem}" for problem in difference.problems)
        )
    for addition in difference.additions:
        addition.make(connection)


def view_statements(metadata: sa.MetaData, dialect: sa.Dialect) -> dict[str, str]:
    """The statement that makes each view."""
    tables = lookup(metadata)
    return {
        name: str(sa.schema.CreateView(view.query(tables), name, schema=metadata.schema).compile(dialect=dialect))
        for name, view in VIEWS.items()
    }


def ddl(dialect: str, *, schema: str | None = None) -> str:
    """Tables, indexes, comments and views as SQL text; ``dialect`` is SQLAlchemy's name, such as ``postgresql``.

    Raises SettingsError where there is no such dialect.
    """
    elements: list[Any] = []
    try:
        # Drivers that mark parameters by % would have it doubled in the texts.
        engine = sa.create_mock_engine(
            f"{dialect}://", lambda element, *_args, **_options: elements.append(element), paramstyle="named"
        )
    except (sa.exc.NoSuchModuleError, sa.exc.ArgumentError):
        raise SettingsError(
            f"There is no database dialect '{dialect}'; try sqlite, postgresql, mysql or mariadb"
        ) from None
    engine.dialect.default_schema_name = schema or "dbo"  # SQL Server's comments name their schema in any case
    metadata = build(CONTRACT.values(), dialect=engine.dialect.name, schema=schema)
    texts = []
    for name, declared in CONTRACT.items():
        lookup(metadata)(name).create(engine, checkfirst=False)
        statements = [str(element.compile(dialect=engine.dialect)).strip() for element in elements]
        elements.clear()
        texts += [f"-- {declared.description}\n{statements[0]}", *statements[1:]]
    for name, statement in view_statements(metadata, engine.dialect).items():
        texts.append(f"-- {VIEWS[name].description}\n{statement.strip()}")
    return re.sub(r" +\n", "\n", "\n\n".join(f"{text};" for text in texts)) + "\n"


class _Schema:
    """The schema of the database, read once."""

    def __init__(self, connection: sa.Connection, metadata: sa.MetaData) -> None:
        self._dialect, self._ours = connection.dialect, dialect_of(connection)
        inspector, schema = sa.inspect(connection), metadata.schema
        has_schema = schema is None or inspector.has_schema(schema)
        self.tables = set(inspector.get_table_names(schema=schema) if has_schema else ())
        self.views = set(inspector.get_view_names(schema=schema) if has_schema else ())
        names = [table.name for table in metadata.sorted_tables if table.name in self.tables]

        self.definitions: Mapping[str, str] = {}
        """The statements that the views were last made with."""
        if not names:
            return

        def read(reflect: Callable[..., Mapping[tuple[str | None, str], Any]]) -> dict[str, Any]:
            return {name: found for (_, name), found in reflect(schema=schema, filter_names=names).items()}

        self._columns, self._indexes = read(inspector.get_multi_columns), read(inspector.get_multi_indexes)
        self._comments = read(inspector.get_multi_table_comment) if self._ours.renews_comments else None
        keys = read(inspector.get_multi_pk_constraint)
        self._keys = {name: list(key["constrained_columns"]) for name, key in keys.items()}
        if "view_definitions" in self.tables:
            definitions = lookup(metadata)("view_definitions")
            query = sa.select(definitions.c.view_name, definitions.c.definition)
            self.definitions = {row.view_name: row.definition for row in connection.execute(query)}

    def additions_to(self, table: sa.Table) -> Iterator[Addition]:
        """Nullable columns, indexes and comments that an existing table misses."""
        columns = {column["name"]: column for column in self._columns[table.name]}
        for column in table.columns:
            if column.name not in columns and column.nullable:
                yield Addition("column", f"{table.name}.{column.name}", partial(_add_column, column=column))
        indexes = {index["name"] for index in self._indexes[table.name]}
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            if index.name not in indexes:
                yield Addition("index", str(index.name), index.create)
        if self._comments is None:
            return
        if self._comments[table.name]["text"] != table.comment:
            yield _comment(table.name, sa.schema.SetTableComment(table))
        for name, reflected in columns.items():
            if name in table.columns and reflected.get("comment") != table.columns[name].comment:
                yield _comment(f"{table.name}.{name}", sa.schema.SetColumnComment(table.columns[name]))

    def problems_of(self, table: sa.Table) -> Iterator[str]:
        """What no addition changes, each with what to do about it."""
        start_over = (
            f"Or name a new place in {self._ours.place_setting} and fill it by a backfill of all dates, which replays "
            "the archive."
        )
        columns = {column["name"]: column for column in self._columns[table.name]}
        for column in table.columns:
            name, reflected = f"{table.name}.{column.name}", columns.get(column.name)
            if reflected is None:
                if not column.nullable:
                    yield (
                        f"{name}: the column is missing, and may not be NULL, so it cannot be added to rows that are "
                        f"there. {start_over}"
                    )
            elif not self._fits(reflected["type"], column.type):
                yield (
                    f"{name}: the type is {self._sql(reflected['type'])}, and must be {self._sql(column.type)}. Change "
                    f"it back if it was changed by hand. {start_over}"
                )
            elif column.nullable and not reflected["nullable"]:
                yield (
                    f"{name}: the column is NOT NULL, but Drillster may leave it out. Remove the NOT NULL, and run "
                    "again."
                )
        for name in sorted(columns.keys() - set(table.columns.keys())):
            if _needs_value(columns[name]):
                yield (
                    f"{table.name}.{name}: this column is not ours, and NOT NULL without a default, so no row could be "
                    "added. Give it a default or allow NULL, and run again."
                )
        key, expected = self._keys[table.name], [column.name for column in table.primary_key.columns]
        if key != expected:
            yield (
                f"{table.name}: the primary key is ({', '.join(key) or 'missing'}), and must be "
                f"({', '.join(expected)}). Put it back if it was changed by hand. {start_over}"
            )

    def _sql(self, kind: TypeEngine[Any]) -> str:
        return kind.compile(dialect=self._dialect)

    def _fits(self, found: TypeEngine[Any], declared: TypeEngine[Any]) -> bool:
        """Whether every value of ``declared`` can be stored in a column of ``found``, as what it is."""
        expected = declared.dialect_impl(self._dialect)
        if isinstance(expected, TypeDecorator):
            expected = expected.load_dialect_impl(self._dialect)
        kind = _kind(expected)
        if kind is sa.Boolean:
            return self._ours.can_store(found, expected)
        if _kind(found) is not kind:
            return False
        if kind is sa.Integer:
            return _bytes(found) >= _bytes(expected)
        if kind is sa.DateTime:
            return bool(getattr(found, "timezone", False)) == bool(getattr(expected, "timezone", False))
        return kind is not sa.String or self._ours.can_store(found, expected)


def _needs_value(column: ReflectedColumn) -> bool:
    filled = column.get("default") is not None or column.get("identity") or column.get("computed")
    return not column["nullable"] and not filled and column.get("autoincrement") is not True


def _kind(found: TypeEngine[Any]) -> type[TypeEngine[Any]]:
    kinds = (sa.Boolean, sa.Date, sa.DateTime, sa.Integer, sa.Float, sa.String)
    return next((kind for kind in kinds if isinstance(found, kind)), type(found))


def _bytes(kind: TypeEngine[Any]) -> int:
    return 2 if isinstance(kind, sa.SmallInteger) else 8 if isinstance(kind, sa.BigInteger) else 4


def _add_column(connection: sa.Connection, *, column: sa.Column[Any]) -> None:
    dialect, ours = connection.dialect, dialect_of(connection)
    preparer = dialect.identifier_preparer
    compiler = dialect.ddl_compiler(dialect, sa.schema.CreateTable(column.table))
    specification = compiler.get_column_specification(column)
    inlined = column.foreign_keys if ours.inlines_references else ()
    for key in inlined:
        specification += " REFERENCES {} ({})".format(*map(preparer.quote, key.target_fullname.split(".")))
    connection.exec_driver_sql(f"ALTER TABLE {preparer.format_table(column.table)} ADD COLUMN {specification}")
    for key in column.foreign_keys - set(inlined):
        if key.constraint is not None:
            connection.execute(sa.schema.AddConstraint(key.constraint))
    if ours.renews_comments:
        connection.execute(sa.schema.SetColumnComment(column))


def _comment(name: str, statement: sa.schema.ExecutableDDLElement) -> Addition:
    return Addition("comment", name, lambda connection: connection.execute(statement))


def _replace_view(connection: sa.Connection, *, metadata: sa.MetaData, name: str, statement: str) -> None:
    comments = ViewComments(VIEWS[name].description, VIEWS[name].columns)
    dialect_of(connection).replace_view(connection, quoted(connection, name, metadata.schema), statement, comments)
    definitions = lookup(metadata)("view_definitions")
    connection.execute(sa.delete(definitions).where(definitions.c.view_name == name))
    connection.execute(sa.insert(definitions).values(view_name=name, definition=statement))
