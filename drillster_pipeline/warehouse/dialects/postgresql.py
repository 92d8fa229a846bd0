"""What PostgreSQL wants done its own way: a schema that others own, views that others depend on, rights."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from drillster_pipeline.errors import Refused, SettingsError
from drillster_pipeline.warehouse.engine import ALIVE
from drillster_pipeline.warehouse.views import View

_INVALID_TABLE_DEFINITION = "42P16"
_DEPENDENT_OBJECTS = "2BP01"
DDL_WAIT = "15s"
"""How long DDL waits for queries in its way; while it waits, all later queries on that table wait behind it."""

LOCK_WAIT = "10min"
"""How long a publish waits where somebody locked a table by hand, or changes it."""


def ready(connection: sa.Connection, schema: str | None) -> None:
    """See that the schema is there and may be used; make it where that is allowed. Raises SettingsError.

    ``CREATE SCHEMA IF NOT EXISTS`` wants the right to make schemas even where there is nothing to make, so this
    looks first.
    """
    if connection.scalar(sa.text("SHOW server_encoding")) != "UTF8":
        raise SettingsError(
            "The database of DRILLSTER_WAREHOUSE_URL does not store text as UTF-8, so names would be damaged. "
            "Make one with: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )
    if not connection.scalar(sa.text("SELECT has_database_privilege(current_database(), 'TEMPORARY')")):
        raise SettingsError(
            "The role of DRILLSTER_WAREHOUSE_URL may not make temporary tables, which loads are staged in. "
            "Have an administrator run: GRANT TEMPORARY ON DATABASE … TO …"
        )
    name = schema or connection.scalar(sa.text("SELECT current_schema()"))
    if name is None:
        raise SettingsError(
            "The role of DRILLSTER_WAREHOUSE_URL has no schema of its own in its search_path. Name one in "
            "DRILLSTER_WAREHOUSE_SCHEMA"
        )
    there = connection.scalar(sa.text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": name})
    if there is None:
        _make_schema(connection, str(name))
    elif not connection.scalar(sa.text("SELECT has_schema_privilege(:name, 'CREATE')"), {"name": name}):
        raise SettingsError(
            f"The role of DRILLSTER_WAREHOUSE_URL may not make tables in the schema {name}. "
            f"{_who_may(connection, str(name))}; or name another in DRILLSTER_WAREHOUSE_SCHEMA"
        )


def _who_may(connection: sa.Connection, name: str) -> str:
    """What to do about a schema that is closed to the role: where somebody loads into it, it is his."""
    query = sa.text(
        "SELECT pg_get_userbyid(nspowner) FROM pg_namespace n WHERE nspname = :name"
        " AND EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid AND relkind IN ('r', 'p'))"
    )
    owner = connection.scalar(query, {"name": name})
    if owner is None:
        return f"Have an administrator run: ALTER SCHEMA {name} OWNER TO …"
    return f"It has tables already, and belongs to {owner}: let the URL name that role"


def _make_schema(connection: sa.Connection, name: str) -> None:
    if not connection.scalar(sa.text("SELECT has_database_privilege(current_database(), 'CREATE')")):
        raise SettingsError(
            f"There is no schema {name}, and the role of DRILLSTER_WAREHOUSE_URL may not make one. Have an "
            f"administrator run: CREATE SCHEMA {name} AUTHORIZATION …"
        )
    connection.execute(sa.schema.CreateSchema(name))


def be_patient(connection: sa.Connection) -> None:
    """Lift limits that a role may have for the people who use it: a load may be silent, or busy, for minutes.

    And let the server look whether we are still there: a machine that lost its power or its network says no goodbye,
    and its lock would be held for hours.
    """
    limits = ("statement_timeout", "idle_session_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
    settings = {**dict.fromkeys(limits, "0"), **{f"tcp_{name}": value for name, value in ALIVE.items()}}
    query = sa.text("SELECT set_config(name, :value, false) FROM pg_settings WHERE name = :name")
    for name, value in settings.items():
        connection.execute(query, {"name": name, "value": value})
    connection.execute(sa.text("SELECT set_config('lock_timeout', :wait, false)"), {"wait": LOCK_WAIT})


def server_process(connection: sa.Connection) -> int | None:
    """The process of the server that this connection talks to at this moment; None on other databases."""
    if connection.dialect.name != "postgresql":
        return None
    return int(connection.scalar(sa.text("SELECT pg_backend_pid()")) or 0)


def see_that_it_is_the_same(connection: sa.Connection, process: int | None) -> None:
    """Notice a pooler that gives each transaction another session: there, staging and the writer lock are lost.

    Raises SettingsError where the connection no longer talks to ``process``.
    """
    if server_process(connection) != process:
        raise SettingsError(
            "Between two transactions of a load the server of DRILLSTER_WAREHOUSE_URL gave it another session, as a "
            "pooler such as PgBouncer does in transaction mode. A load needs one session from its first row to its "
            "last: name the server itself, or a pool in session mode"
        )


def replace_view(connection: sa.Connection, view: View, statement: str, *, schema: str | None) -> None:
    """Make or replace a view, keeping what others built on it and the rights they were given.

    Raises Refused where its columns changed and another view depends on them.
    """
    name = _name(connection, view, schema)
    options = _options(connection, name)
    replacing = statement.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1)
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(replacing)
    except sa.exc.ProgrammingError as error:
        # Columns that were renamed, removed or moved: only a new view can have them.
        if getattr(error.orig, "sqlstate", None) != _INVALID_TABLE_DEFINITION:
            raise
        rights = _rights(connection, name, view)
        _drop(connection, view, name)
        connection.exec_driver_sql(statement)
        for right in rights:
            connection.exec_driver_sql(right)
    for option in options:
        connection.exec_driver_sql(f"ALTER VIEW {name} SET ({option})")
    quote = connection.dialect.identifier_preparer.quote
    connection.exec_driver_sql(f"COMMENT ON VIEW {name} IS {_quoted(connection, view.description)}")
    for column in view.columns:
        connection.exec_driver_sql(
            f"COMMENT ON COLUMN {name}.{quote(column.name)} IS {_quoted(connection, column.description)}"
        )


def _quoted(connection: sa.Connection, text: str) -> str:
    return str(sa.literal(text).compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))


def _name(connection: sa.Connection, view: View, schema: str | None) -> str:
    return connection.dialect.identifier_preparer.format_table(sa.Table(view.name, sa.MetaData(schema=schema)))


def _rights(connection: sa.Connection, name: str, view: View) -> list[str]:
    """The GRANTs that others have on a view, and on those of its columns that it keeps."""
    query = sa.text(
        "SELECT format('GRANT %s%s ON %s TO %s%s', acl.privilege_type, granted.columns, CAST(:name AS text),"
        " CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END,"
        " CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
        " FROM (SELECT oid, '' AS columns, relacl AS rights, relowner FROM pg_class"
        " UNION ALL SELECT c.oid, format(' (%I)', a.attname), a.attacl, c.relowner FROM pg_class c"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = ANY(:columns)) granted,"
        " aclexplode(granted.rights) acl"
        " WHERE granted.oid = CAST(CAST(:name AS text) AS regclass) AND acl.grantee <> granted.relowner"
    )
    columns = [column.name for column in view.columns]
    values = {"name": name.replace("%%", "%"), "columns": columns}
    rights: list[Any] = list(connection.scalars(query, values))
    return [str(right) for right in rights]


def _options(connection: sa.Connection, name: str) -> list[str]:
    """What an administrator set of a view, such as ``security_invoker=true``: a new one forgets it."""
    query = sa.text("SELECT unnest(reloptions) FROM pg_class WHERE oid = to_regclass(:name)")
    return [str(option) for option in connection.scalars(query, {"name": name.replace("%%", "%")})]


def _drop(connection: sa.Connection, view: View, name: str) -> None:
    try:
        connection.exec_driver_sql(f"DROP VIEW {name}")
    except sa.exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _DEPENDENT_OBJECTS:
            raise
        raise Refused(
            f"The columns of the view {view.name} change with this version of the program, and other views are built "
            f"on it. Drop those (DROP VIEW {name} shows which they are), run again, and make them anew"
        ) from None
