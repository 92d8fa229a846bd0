"""Roles of a PostgreSQL warehouse, as statements: who reads which tables and views, and which rows and columns of them.

What a role reads follows from the declarations of tables and views: by which columns a row belongs to a group or a
person, and which columns have personal values. Two roles have views of their own, of the same names and columns:

- *reader_without_names*: those of :mod:`.without_names`. *dashboard* reads those of them that have no row about a
  person.
- *team_lead*: tables by :mod:`.row_security`, and views with the rights of who reads them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from drillster_pipeline.errors import Refused, SettingsError
from drillster_pipeline.tables import HISTORY_TABLES, SUBJECTS, Kind

from .dialects import ViewComments, dialect_of, plain, quoted
from .dialects.postgresql import DDL_WAIT, schema_of
from .ledger import CONTRACT
from .model import Tables, build, lookup
from .postgresql_views import replacing, with_values
from .row_security import RowSecurity
from .schema_sync import compare
from .views import VIEWS
from .without_names import WithoutNames, path_to_group

ROLES = {
    "dashboard": "counts and averages of groups; no row about a person",
    "analyst": "everything",
    "reader_without_names": "everything but names, addresses and free text; nothing of people in small groups",
    "auditor": "who met which objective and by which norm, with names and what was loaded; no practice, no tests",
    "team_lead": "the groups that the person manages or may view, with names",
    "loader": "the rights of the owner, to load",
}
"""Each role and what it reads."""
_OWN_SCHEMAS = {
    "dashboard": "without_names",
    "reader_without_names": "without_names",
    "team_lead": "team_lead",
}
"""The schemas that have views for a role, after the prefix."""
MARTS = "{}_dbt"
"""The schema of dbt's models, by that of the warehouse."""
_SECURITY_INVOKER = (15,)
"""The PostgreSQL from which on a view can have the rights of who reads it."""
_BELONG_TO = (
    "SELECT bool_and(pg_get_userbyid(c.relowner) = :owner) FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = :schema AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
)
"""Whether what a schema has belongs to a role; NULL where it has nothing."""
_ELSEWHERE = (
    "SELECT string_agg(DISTINCT d.datname, ', ') FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid"
    " JOIN pg_roles r ON r.oid = s.refobjid WHERE s.refclassid = CAST('pg_authid' AS regclass) AND r.rolname = :name"
    " HAVING NOT bool_or(d.datname = current_database())"
)
"""The other databases where a role has rights, if it has none in this one."""
_READ_BY_VIEWS = (
    "SELECT min(other.nspname) FROM pg_namespace own JOIN pg_class v ON v.relnamespace = own.oid"
    " JOIN pg_rewrite r ON r.ev_class = v.oid"
    " JOIN pg_depend d ON d.objid = r.oid AND d.refclassid = CAST('pg_class' AS regclass)"
    " JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace other ON other.oid = t.relnamespace"
    " WHERE own.nspname = :own AND other.nspname NOT IN (:own, :schema)"
)
"""A schema that the views in a schema of a role read, other than that of this warehouse."""
_NOT_FOR_AUDITORS = {"account_external_ids", *(table.name for table in SUBJECTS["Practice and tests"])}


class Statement(NamedTuple):
    """SQL; where that is CREATE VIEW, the name of the view and its columns."""

    text: str
    view: str | None = None
    columns: Collection[str] = ()


@dataclass(slots=True)
class Grants:
    """What gives the roles their rights, from the warehouse as it is."""

    owner: str
    schema: str
    prefix: str
    """What the names of roles and of their schemas begin with."""
    preparing: list[str] = field(default_factory=list)
    """What needs an administrator, and is not there yet: roles, schemas."""
    statements: list[Statement] = field(default_factory=list)
    """What the owner of the tables may do."""
    notes: list[str] = field(default_factory=list)


def known_roles(names: Collection[str]) -> tuple[str, ...]:
    """The roles of these names; all where none is named. Raises SettingsError for an unknown one."""
    if unknown := [name for name in names if name not in ROLES]:
        raise SettingsError(f"There is no role {', '.join(unknown)}: name some of {', '.join(ROLES)}")
    return tuple(name for name in ROLES if name in (names or ROLES))


def compose(connection: sa.Connection, schema: str | None, prefix: str | None, names: Collection[str]) -> Grants:
    """The statements that give the named roles their rights; ``prefix`` begins the names of roles and schemas.

    Raises SettingsError where the database has no row-level security for views, Refused where the warehouse is not as
    this version has it, or has row-level security of others.
    """
    version = connection.dialect.server_version_info or (0,)
    if connection.dialect.name != "postgresql" or version < _SECURITY_INVOKER:
        raise SettingsError(
            f"Roles need PostgreSQL 15 or newer, and the warehouse is {connection.dialect.name} "
            f"{'.'.join(map(str, version))}, which has no row-level security for views"
        )
    metadata = build(CONTRACT.values(), dialect="postgresql", schema=schema)
    if missing := [addition.name for addition in compare(connection, metadata).additions]:
        shown = f"{', '.join(missing[:5])}{' …' if missing[5:] else ''}"
        raise Refused(
            f"The warehouse is older than this version of the program: it lacks {shown}. The next load "
            "(drillster-pipeline run) brings it up to date; then run this again"
        )
    schema = schema_of(connection, schema)
    composing = _Composing(connection, schema, f"{schema}_" if prefix is None else prefix)
    return composing.grants(names)


def to_print(connection: sa.Connection, grants: Grants) -> list[str]:
    """The statements as a script has them, which gives each role its rights whatever version made the views."""
    texts = [*grants.preparing]
    for text, view, columns in grants.statements:
        texts += [text] if view is None else replacing(connection, view, text, columns)
    return [plain(text) for text in texts]


def apply(connection: sa.Connection, grants: Grants) -> None:
    """Execute the statements, in the caller's transaction.

    Raises SettingsError where an administrator must do what is to be prepared, Busy where a query is in the way,
    Refused where columns of a view changed and views of others are built on it.
    """
    may_prepare = "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    if grants.preparing and not connection.scalar(sa.text(may_prepare)):
        raise SettingsError(
            "The role of DRILLSTER_WAREHOUSE_URL may not make roles. Have an administrator run what "
            "`drillster-pipeline grants` prints, once: psql -f FILE; from then on this role sets their rights"
        )
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{DDL_WAIT}'")
    for text in grants.preparing:
        connection.exec_driver_sql(text)
    for text, view, _ in grants.statements:
        if view is None:
            connection.exec_driver_sql(text)
        else:
            dialect_of(connection).replace_view(connection, view, text, ViewComments("", {}))


@cache
def _tables() -> Tables:
    return lookup(build(CONTRACT.values(), dialect="postgresql"))


def tables_of(view: str) -> set[str]:
    """The tables that a view reads."""
    query = VIEWS[view].query(_tables())
    return {found.name for found in sa.sql.visitors.iterate(query) if isinstance(found, sa.Table)}


def for_team_leads() -> tuple[list[str], list[str]]:
    """The tables that a team lead reads: those by row-level security, and those of which every row is for everybody."""
    read = {name for view in VIEWS for name in tables_of(view)}
    shown = {name: table for name, table in CONTRACT.items() if table.kind is not Kind.BOOKKEEPING or name in read}
    of_groups = [name for name, table in shown.items() if path_to_group(table)]
    return of_groups, [name for name in shown if name not in of_groups]


def for_auditors() -> list[str]:
    """The tables that an auditor reads: not those of practice and tests, nor what is computed from them."""
    hidden = set(_NOT_FOR_AUDITORS)
    for name, table in CONTRACT.items():
        parents = {(column.source or "").partition(".")[0] for column in table.columns}
        entity = name.removesuffix("_history") if name in HISTORY_TABLES else name
        if entity in hidden or (table.kind is not Kind.BOOKKEEPING and parents & hidden):
            hidden.add(name)
    return [name for name in CONTRACT if name not in hidden]


class _Composing:
    """The statements for one schema."""

    def __init__(self, connection: sa.Connection, schema: str, prefix: str) -> None:
        self._connection, self._schema, self._prefix = connection, schema, prefix
        self._tables = lookup(build(CONTRACT.values(), dialect="postgresql", schema=schema))
        self._without = WithoutNames(self._tables)
        self._quote = connection.dialect.identifier_preparer.quote
        self._role = {name: self._quote(prefix + name) for name in ROLES}
        self._database = self._quote(str(connection.scalar(sa.text("SELECT current_database()"))))
        owner = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass(:name)"
        self._owner = str(self._scalar(owner, name=plain(self._name("loads"))))

    def grants(self, names: Collection[str]) -> Grants:
        """All that the roles need, in order."""
        found = Grants(self._owner, self._schema, self._prefix)
        own_schemas = list(dict.fromkeys(_OWN_SCHEMAS[name] for name in names if name in _OWN_SCHEMAS))
        found.preparing += [*self._preparing(names, found.notes), *self._schemas(own_schemas)]
        owner = self._quote(self._owner)
        texts = [f"SET LOCAL ROLE {owner}"]
        if "team_lead" in own_schemas:
            row_security = RowSecurity(self._connection, self._tables, self._schema, self._own("team_lead"))
            texts += [*row_security.functions(), *row_security.policies(for_team_leads()[0])]
        found.statements += map(Statement, texts)
        for each in own_schemas:
            found.statements += self._views(each)
        texts = []
        for name in names:
            if name == "loader":
                continue
            role = self._role[name]
            for where in (self._schema, *map(self._own, own_schemas)):
                texts.append(f"REVOKE ALL ON ALL TABLES IN SCHEMA {self._quote(where)} FROM {role}")
            for where, read in self._read_by(name):
                if self._may_give(where):
                    texts.append(f"GRANT USAGE ON SCHEMA {self._quote(where)} TO {role}")
                texts += [f"GRANT SELECT ON {self._name(each, where)} TO {role}" for each in read]
                if name == "analyst":
                    all_here = f"IN SCHEMA {self._quote(where)}"
                    texts.append(f"GRANT SELECT ON ALL TABLES {all_here} TO {role}")
                    default = f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} {all_here}"
                    texts.append(f"{default} GRANT SELECT ON TABLES TO {role}")
        found.statements.extend(map(Statement, [*texts, "RESET ROLE"]))
        return found

    def _own(self, name: str) -> str:
        """The schema with the views of a role, or of two."""
        return f"{self._prefix}{name}"

    def _name(self, name: str, schema: str | None = None) -> str:
        return quoted(self._connection, name, schema or self._schema)

    def _scalar(self, query: str, **values: Any) -> Any:
        return self._connection.scalar(sa.text(query), values)

    def _preparing(self, names: Collection[str], notes: list[str]) -> Iterator[str]:
        """Roles that are not there, and rights that only an administrator may give."""
        has_role = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :name)"
        may_connect = "SELECT has_database_privilege(:name, current_database(), 'CONNECT')"
        may_use = "SELECT has_schema_privilege(:name, :schema, 'USAGE')"
        for name in names:
            is_there = self._scalar(has_role, name=self._prefix + name)
            if not is_there:
                yield f"CREATE ROLE {self._role[name]}"
            elif elsewhere := self._scalar(_ELSEWHERE, name=self._prefix + name):
                raise self._taken(f"role {self._prefix}{name}", elsewhere)
            for where in (each for each, _ in self._read_by(name) if not self._may_give(each)):
                if not (is_there and self._scalar(may_use, name=self._prefix + name, schema=where)):
                    yield f"GRANT USAGE ON SCHEMA {self._quote(where)} TO {self._role[name]}"
            if not self._scalar(may_connect, name=self._prefix + name if is_there else "public"):
                yield f"GRANT CONNECT ON DATABASE {self._database} TO {self._role[name]}"
            if name == "loader":
                is_super = self._scalar("SELECT rolsuper FROM pg_roles WHERE rolname = :name", name=self._owner)
                member = "SELECT pg_has_role(:name, :owner, 'MEMBER')"
                if is_super:
                    notes.append(f"The tables belong to {self._owner}, a superuser: the role loader gets no rights")
                elif not (is_there and self._scalar(member, name=self._prefix + name, owner=self._owner)):
                    yield f"GRANT {self._quote(self._owner)} TO {self._role[name]}"

    def _schemas(self, own_schemas: Collection[str]) -> Iterator[str]:
        """Those with views of roles that are not there."""
        for name in own_schemas:
            if not self._scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :name)", name=self._own(name)):
                yield f"CREATE SCHEMA {self._quote(self._own(name))} AUTHORIZATION {self._quote(self._owner)}"
            elif other := self._scalar(_READ_BY_VIEWS, own=self._own(name), schema=self._schema):
                raise self._taken(f"schema {self._own(name)}", other)

    def _taken(self, what: str, other: str) -> Refused:
        return Refused(
            f"The {what} is of the warehouse in {other}, whose readers would read this one. "
            "Name other roles by --prefix"
        )

    def _may_give(self, schema: str) -> bool:
        """Whether the owner may give the use of a schema; of one that is not there, for it will be the owner's."""
        query = (
            "SELECT coalesce(bool_or(has_schema_privilege(:owner, oid, 'USAGE WITH GRANT OPTION')), true)"
            " FROM pg_namespace WHERE nspname = :schema"
        )
        return bool(self._scalar(query, owner=self._owner, schema=schema))

    def _read_by(self, name: str) -> Iterator[tuple[str, Collection[str]]]:
        """The schemas that a role uses, and what it reads there one by one."""
        if name == "analyst":
            yield self._schema, ()
            marts = MARTS.format(self._schema)
            if self._scalar(_BELONG_TO, schema=marts, owner=self._owner):
                yield marts, ()
        elif name == "auditor":
            tables = for_auditors()
            yield self._schema, [*tables, *(view for view in VIEWS if tables_of(view) <= {*tables})]
        elif name == "team_lead":
            yield self._schema, [each for some in for_team_leads() for each in some]
            yield self._own("team_lead"), VIEWS
        elif name != "loader":
            every = self._shown_without_names()
            counts = [each for each in every if self._without.is_about_groups(each)]
            yield self._own("without_names"), counts if name == "dashboard" else every

    def _views(self, place: str) -> Iterator[Statement]:
        """Those of a schema of a role, of the names and columns of the others."""
        # Else a function of the reader could be given rows before they are left out.
        option = "security_invoker" if place == "team_lead" else "security_barrier"
        for name in VIEWS if place == "team_lead" else self._shown_without_names():
            query = VIEWS[name].query(self._tables) if place == "team_lead" else self._without.query(name)
            view = self._name(name, self._own(place))
            text = f"CREATE VIEW {view} WITH ({option} = true) AS\n{with_values(self._connection, query)}"
            yield Statement(text, view, query.selected_columns.keys())

    def _shown_without_names(self) -> list[str]:
        return [name for some in (*for_team_leads(), VIEWS) for name in some]
