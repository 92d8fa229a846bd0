"""Views of PostgreSQL, replaced or dropped with the rights that others have on them; and values in statements."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from drillster_pipeline.errors import Refused

from .dialects import plain


def with_values(connection: sa.Connection, element: sa.ClauseElement) -> str:
    """An element in statements, with values in the place of parameters."""
    return str(element.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))


def literal(connection: sa.Connection, text: str) -> str:
    """A text in statements."""
    return with_values(connection, sa.literal(text))


_RIGHTS = sa.text(
    "SELECT format('GRANT %s%s ON %s TO %s%s', acl.privilege_type, granted.columns, CAST(:name AS text),"
    " CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END,"
    " CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
    " FROM (SELECT oid, '' AS columns, relacl AS rights, relowner FROM pg_class"
    " UNION ALL SELECT c.oid, format(' (%I)', a.attname), a.attacl, c.relowner FROM pg_class c"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = ANY(:columns)) granted,"
    " aclexplode(granted.rights) acl"
    " WHERE granted.oid = to_regclass(CAST(:name AS text)) AND acl.grantee <> granted.relowner"
)


def rights_on(connection: sa.Connection, view: str, columns: Collection[str]) -> list[str]:
    """The GRANTs that others have on a view, and on those of its columns that it keeps; none where there is no view."""
    rights = connection.scalars(_RIGHTS, {"name": plain(view), "columns": [*columns]})
    return [right.replace("%", "%%") for right in rights]


_VIEW = sa.text(
    "SELECT quote_ident(pg_get_userbyid(c.relowner)), array_agg(a.attname ORDER BY a.attnum)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid"
    " WHERE CAST(ARRAY[n.nspname, c.relname] AS text[]) = parse_ident(:name) GROUP BY c.oid, c.relowner"
)


def replacing(connection: sa.Connection, view: str, statement: str, columns: Collection[str]) -> list[str]:
    """CREATE VIEW as it is printed: what makes the view, or replaces it whatever columns the one that is there has.

    ``view`` has its schema. PostgreSQL replaces a view by one that has more columns at the end, and by no other. Of a
    view that is dropped for that, owner and rights are kept.
    """
    owner, found = connection.execute(_VIEW, {"name": plain(view)}).one_or_none() or ("", [])
    if found == [*columns][: len(found)]:
        return [statement.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1)]
    own = f"ALTER VIEW {view} OWNER TO {owner.replace('%', '%%')}"
    return [f"DROP VIEW {view}", statement, own, *rights_on(connection, view, columns)]


ORGANIZATION_SCHEMAS = "organization_schemas"
"""The view by which the schema is known that has views over all organizations."""
_ONLY_OVER_ALL = sa.text(
    "WITH RECURSIVE dropped AS (SELECT oid, relname FROM pg_class WHERE oid = to_regclass(CAST(:name AS text))),"
    " dependents (id, class) AS ("
    " SELECT oid, CAST(CAST('pg_class' AS regclass) AS oid) FROM dropped"
    " UNION SELECT coalesce(r.ev_class, d.objid), CASE WHEN r.oid IS NULL THEN d.classid ELSE d.refclassid END"
    " FROM dependents JOIN pg_depend d ON d.refobjid = id AND d.refclassid = class AND d.deptype = 'n'"
    " LEFT JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = CAST('pg_rewrite' AS regclass))"
    " SELECT bool_and(EXISTS (SELECT FROM pg_class c JOIN pg_class listing ON listing.relnamespace = c.relnamespace"
    " AND listing.relname = :listing AND listing.relkind = 'v'"
    " WHERE c.oid = id AND c.relkind = 'v' AND c.relname = dropped.relname))"
    " FROM dependents, dropped WHERE id <> dropped.oid"
)
"""Whether all that is built on a view are the views of its name over all organizations; NULL where nothing is."""


def drop_view(connection: sa.Connection, name: str) -> None:
    """Drop a view with those over all organizations, which are made anew; raises Refused where others are built on it.

    CASCADE, since these may belong to another role.
    """
    values = {"name": plain(name), "listing": ORGANIZATION_SCHEMAS}
    cascade = " CASCADE" if connection.scalar(_ONLY_OVER_ALL, values) else ""
    try:
        connection.exec_driver_sql(f"DROP VIEW {name}{cascade}")
    except sa.exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != "2BP01":
            raise
        raise Refused(
            f"The columns of the view {name} change with this version of the program, and other views are built "
            f"on it. Drop those (DROP VIEW {name} shows which they are), run again, and make them anew"
        ) from None
