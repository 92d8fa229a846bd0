"""Views over all organizations of one PostgreSQL database: each table and view of the contract, from every schema.

They run with the rights of their owner, so that a reader needs none on the schemas below. A view of the database,
``organization_schemas``, says which organizations they show: by it a load finds them again, and makes them anew after
it changed what they are made of.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import sqlalchemy as sa

from drillster_pipeline.errors import PipelineError, Refused, SettingsError

from .dialects import ViewComments, dialect_of, plain, quoted
from .dialects.postgresql import schema_of
from .engine import database_errors
from .ledger import CONTRACT
from .postgresql_views import ORGANIZATION_SCHEMAS, literal, rights_on
from .views import VIEWS

DEFAULT_SCHEMA = "all_organizations"
_COLUMNS = sa.text(
    "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod)"
    " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = ANY(:schemas) AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0 AND NOT a.attisdropped"
)
_IS_TRUSTED = sa.text(
    "SELECT pg_has_role(c.relowner, 'MEMBER') AND (c.relowner = r.oid OR NOT r.rolsuper)"
    " FROM pg_class c JOIN pg_roles r ON r.rolname = current_user WHERE c.oid = CAST(:view AS regclass)"
)
"""Whether we may act for the owner of a view: to read one runs its functions with our rights. PostgreSQL takes a
superuser for a member of every role."""
logger = logging.getLogger(__name__)


class AllViews(NamedTuple):
    """What makes the views of all organizations."""

    statements: dict[str, tuple[str, ViewComments]]
    """``CREATE VIEW`` by the name of the view, and the descriptions."""
    notes: list[str]
    """What is left out, and why."""


def compose(connection: sa.Connection, schema: str, organizations: Mapping[str, str | None]) -> AllViews:
    """The views as they are to be in ``schema``. ``organizations``: names and schemas; None: that of the connection.

    A column that one of them lacks is NULL there. Raises SettingsError where ``schema`` is that of an organization.
    """
    schemas = {name: schema_of(connection, own) for name, own in organizations.items()}
    if schema in schemas.values():
        raise SettingsError(f"The schema {schema} has the tables of an organization: name another with --schema")
    found: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for own, name, column, kind in connection.execute(_COLUMNS, {"schemas": [*schemas.values()]}):
        found[own, name][column] = kind
    rows = ", ".join(f"({literal(connection, name)}, {literal(connection, own)})" for name, own in schemas.items())
    listing = (
        f"CREATE VIEW {quoted(connection, ORGANIZATION_SCHEMAS, schema)} AS"
        f"\nSELECT * FROM (VALUES {rows}) AS found (organization, schema_name)"
    )
    described = {"organization": "The organization.", "schema_name": "The schema of its tables."}
    comments = ViewComments("The organizations that the views here show.", described)
    statements = {ORGANIZATION_SCHEMAS: (listing, comments)}
    for name, comments in _contract().items():
        tables = {each: found[own, name] for each, own in schemas.items() if (own, name) in found}
        kinds = {column: kind for columns in tables.values() for column, kind in columns.items()}
        shown = [column for column in comments.columns if column in kinds]
        selects = []
        for each, columns in tables.items():
            values = (_value(connection, column, None if column in columns else kinds[column]) for column in shown)
            of_each = f"CAST({literal(connection, each)} AS text) AS organization"
            selects.append(f"SELECT {', '.join([of_each, *values])}\nFROM {quoted(connection, name, schemas[each])}")
        if selects:
            text = f"CREATE VIEW {quoted(connection, name, schema)} AS\n" + "\nUNION ALL\n".join(selects)
            described = {"organization": "The organization.", **{each: comments.columns[each] for each in shown}}
            statements[name] = (text, ViewComments(comments.view, described))
    notes = []
    for each, own in schemas.items():
        if missing := [name for name in _contract() if (own, name) not in found]:
            what = "no tables" if len(missing) == len(_contract()) else f"no {', '.join(missing)}"
            notes.append(f"{each}: the schema {own} has {what} yet: left out until its next load")
    return AllViews(statements, notes)


def make(connection: sa.Connection, schema: str, organizations: Mapping[str, str | None]) -> None:
    """Make the views, or make them anew with the rights that others have on them.

    The schema must be there. Raises Refused where columns changed and views of others are built on them.
    """
    dialect = dialect_of(connection)
    for name, (statement, comments) in compose(connection, schema, organizations).statements.items():
        view = quoted(connection, name, schema)
        dialect.replace_view(connection, view, statement, comments)
        connection.exec_driver_sql(f"SELECT FROM {view} LIMIT 0")  # whether its owner may read all below it


@contextmanager
def renewed(connection: sa.Connection, schema: str | None) -> Iterator[None]:
    """Around changes of an organization's schema: make the views over all organizations anew, if it is among them.

    Where they can't be made, that is logged, and all else goes on.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    query = sa.text(
        "SELECT n.nspname, has_schema_privilege(n.oid, 'USAGE') FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = :name AND c.relkind = 'v'"
    )
    # To change a view of the schema may drop the one over all, and the rights with it.
    rights = {
        place: [
            right
            for name in (VIEWS if is_open else ())
            for right in rights_on(connection, quoted(connection, name, place), ["organization", *VIEWS[name].columns])
        ]
        for place, is_open in connection.execute(query, {"name": ORGANIZATION_SCHEMAS})
    }
    yield
    for place, granted in rights.items():
        try:
            with database_errors(f"making the views of {place}"), connection.begin_nested():
                _make_again(connection, place, schema, granted)
        except PipelineError as error:
            logger.warning("%s. Run: drillster-pipeline schema --all-organizations --apply", error)


def _make_again(connection: sa.Connection, place: str, schema: str | None, rights: list[str]) -> None:
    view = plain(quoted(connection, ORGANIZATION_SCHEMAS, place))
    if not connection.scalar(_IS_TRUSTED, {"view": view}):
        raise Refused(f"The views of {place} are those of a role that this one is no member of")
    listing = sa.table(ORGANIZATION_SCHEMAS, sa.column("organization"), sa.column("schema_name"), schema=place)
    organizations = {row.organization: row.schema_name for row in connection.execute(sa.select(listing))}
    if schema_of(connection, schema) in organizations.values():
        make(connection, place, organizations)
        for right in rights:
            connection.exec_driver_sql(right)


def _contract() -> dict[str, ViewComments]:
    """The tables and views of the contract, with their columns."""
    found = {name: ViewComments(view.description, view.columns) for name, view in VIEWS.items()}
    for name, table in CONTRACT.items():
        found[name] = ViewComments(table.description, {each.name: each.description for each in table.all_columns})
    return found


def _value(connection: sa.Connection, column: str, missing: str | None) -> str:
    """A column; ``missing`` is its type where there is none."""
    name = connection.dialect.identifier_preparer.quote(column)
    return f"CAST(NULL AS {missing}) AS {name}" if missing else name
