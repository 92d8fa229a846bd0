"""Bring the database up to the contract, by additions only; the one place where DDL of the warehouse is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.errors import Refused

from .comparison import Difference
from .dialects.mysql import DIALECTS as MYSQL
from .dialects.postgresql import replace_view
from .model import lookup
from .views import VIEWS, View


def view_statements(metadata: sa.MetaData, dialect: sa.Dialect) -> dict[str, str]:
    """The statement that makes each view."""
    return {name: _create(view, metadata, dialect) for name, view in VIEWS.items()}


def _create(view: View, metadata: sa.MetaData, dialect: sa.Dialect) -> str:
    made = sa.schema.CreateView(view.query(lookup(metadata)), view.name, schema=metadata.schema)
    return str(made.compile(dialect=dialect))


def apply(connection: sa.Connection, metadata: sa.MetaData, difference: Difference, views: Mapping[str, str]) -> None:
    """Make what ``difference`` misses, in the caller's transaction. Raises Refused where more is needed than that."""
    if difference.problems:
        raise Refused(
            "The warehouse is not as this version of the program needs it, and was left alone:\n"
            + "\n".join(f"- {problem}" for problem in difference.problems)
        )
    metadata.create_all(connection, tables=difference.tables, checkfirst=False)
    for column in difference.columns:
        _add_column(connection, column)
    for index in difference.indexes:
        index.create(connection)
    for subject in difference.comments:
        _comment(connection, subject)
    for name in difference.views:
        _renew_view(connection, metadata, VIEWS[name], views[name])


def _add_column(connection: sa.Connection, column: sa.Column[Any]) -> None:
    dialect = connection.dialect
    table = dialect.identifier_preparer.format_table(column.table)
    compiler = dialect.ddl_compiler(dialect, sa.schema.CreateTable(column.table))
    specification = compiler.get_column_specification(column)
    if dialect.name == "sqlite":
        # There a foreign key can only come with its column.
        for key in column.foreign_keys:
            parent, parent_column = key.target_fullname.split(".")
            quote = dialect.identifier_preparer.quote
            specification += f" REFERENCES {quote(parent)} ({quote(parent_column)})"
    connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {specification}")
    if dialect.name == "sqlite":
        return
    for key in column.foreign_keys:
        if key.constraint is not None:
            connection.execute(sa.schema.AddConstraint(key.constraint))
    if dialect.name == "postgresql":
        _comment(connection, column)


def _comment(connection: sa.Connection, subject: sa.Table | sa.Column[Any]) -> None:
    if isinstance(subject, sa.Table):
        connection.execute(sa.schema.SetTableComment(subject))
    else:
        connection.execute(sa.schema.SetColumnComment(subject))


def _renew_view(connection: sa.Connection, metadata: sa.MetaData, view: View, statement: str) -> None:
    if connection.dialect.name == "postgresql":
        replace_view(connection, view, statement, schema=metadata.schema)
    elif connection.dialect.name in MYSQL:
        connection.exec_driver_sql(statement.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1))
    else:
        named = sa.Table(view.name, sa.MetaData(schema=metadata.schema))
        name = connection.dialect.identifier_preparer.format_table(named)
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
        connection.exec_driver_sql(statement)
    definitions = lookup(metadata)("view_definitions")
    connection.execute(sa.delete(definitions).where(definitions.c.view_name == view.name))
    connection.execute(sa.insert(definitions).values(view_name=view.name, definition=statement))
