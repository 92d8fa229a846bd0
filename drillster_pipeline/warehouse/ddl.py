"""The whole contract as SQL text, for those who make their warehouse by hand or want to read it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import sqlalchemy as sa

from drillster_pipeline.errors import SettingsError

from .ledger import CONTRACT
from .model import build, lookup
from .schema_sync import view_statements
from .views import VIEWS


def ddl(dialect: str, *, schema: str | None = None) -> str:
    """Tables, indexes, comments and views in the words of a dialect, named as SQLAlchemy does (``postgresql``).

    Raises SettingsError where there is no such dialect.
    """
    try:
        # Drivers that mark parameters by % would have it doubled in the texts.
        made: Callable[..., sa.Dialect] = sa.URL.create(dialect).get_dialect()
        spoken = made(paramstyle="named")
    except sa.exc.NoSuchModuleError:
        raise SettingsError(
            f"There is no database dialect '{dialect}'; try sqlite, postgresql, mysql or mariadb"
        ) from None
    if spoken.name == "mssql":
        # Comments there name their schema in any case.
        spoken.default_schema_name = schema or "dbo"
    text = "\n\n".join(f"{statement.strip()};" for statement in _statements(spoken, schema))
    return re.sub(r" +\n", "\n", text) + "\n"


def _statements(dialect: sa.Dialect, schema: str | None) -> Iterator[str]:
    metadata = build(CONTRACT.values(), dialect=dialect.name, schema=schema)
    for name in CONTRACT:
        yield from _table(lookup(metadata)(name), dialect)
    views = view_statements(metadata, dialect)
    for name, statement in views.items():
        yield f"-- {VIEWS[name].description}\n{statement}"


def _table(table: sa.Table, dialect: sa.Dialect) -> Iterator[str]:
    made: list[sa.schema.DDLElement] = []
    if dialect.supports_comments and not dialect.inline_comments:
        made.append(sa.schema.SetTableComment(table))
        made += [sa.schema.SetColumnComment(column) for column in table.columns if column.comment]
    made += [sa.schema.CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name))]
    yield f"-- {table.comment}\n{str(sa.schema.CreateTable(table).compile(dialect=dialect)).strip()}"
    for element in made:
        yield str(element.compile(dialect=dialect))
