"""Row-level security for team leads: functions that know whose session it is, and policies on tables."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.errors import Refused
from drillster_pipeline.tables import Kind

from .dialects import plain, quoted
from .ledger import CONTRACT, READER_LOGINS
from .model import Tables
from .postgresql_views import literal, with_values
from .without_names import path_to_group

SETTING = "drillster.account_id"
"""The session setting by which a trusted application says for whom it reads."""
_POLICIES = sa.text(
    "SELECT c.relname, c.relrowsecurity, p.polname, d.description"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_policy p ON p.polrelid = c.oid"
    " LEFT JOIN pg_description d ON d.objoid = p.oid AND d.classoid = CAST('pg_policy' AS regclass)"
    " AND d.xmin = p.xmin WHERE n.nspname = :schema AND (c.relrowsecurity OR p.oid IS NOT NULL)"
)
"""Tables with policies, and the comment on each; none where the policy was altered in a later transaction."""


@dataclass(frozen=True, slots=True)
class RowSecurity:
    """The statements, for one schema."""

    connection: sa.Connection
    tables: Tables
    schema: str
    name: str
    """Of the role, of its policies, and of the schema that has its functions."""

    def functions(self) -> Iterator[str]:
        """Those that the policies call, with the rights of the owner."""
        logins, staff = self.tables(READER_LOGINS.name), self.tables("group_staff")
        said = sa.func.current_setting(SETTING, sa.true())
        account = sa.select(sa.case((logins.c.is_trusted, said), else_=logins.c.account_id))
        account = account.where(logins.c.login == sa.func.session_user())
        of_staff = staff.c.account_id == self._call("reader_account")
        groups = sa.select(staff.c.group_id).where(of_staff, staff.c.deleted_on.is_(None))
        for name, result, body in (("reader_account", "text", account), ("reader_groups", "SETOF text", groups)):
            function = self._function(name)
            yield (
                f"CREATE OR REPLACE FUNCTION {function} RETURNS {result} LANGUAGE sql STABLE SECURITY DEFINER"
                f" SET search_path = pg_catalog, pg_temp AS {self._literal(with_values(self.connection, body))}"
            )
            yield f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC"
            yield f"GRANT EXECUTE ON FUNCTION {function} TO {self._role}"

    def policies(self, names: Collection[str]) -> Iterator[str]:
        """Those of the named tables, which hold for team leads alone; nothing for a table that has them already.

        Raises Refused where a table has policies of others.
        """
        found: dict[str, dict[str, str]] = {}
        secured = set()
        for name, is_secured, policy, comment in self.connection.execute(_POLICIES, {"schema": self.schema}):
            found.setdefault(name, {})[policy] = comment
            if is_secured:
                secured.add(name)
        for name in names:
            table, condition = quoted(self.connection, name, self.schema), self._of_groups(name)
            there = found.get(name)
            if there is None:
                yield f"CREATE POLICY every_row ON {table} USING (true)"
            elif "every_row" not in there:
                raise Refused(
                    f"The table {name} has row-level security of others, which a role of this program would undo. "
                    f"Remove it (ALTER TABLE {table} DISABLE ROW LEVEL SECURITY; DROP POLICY …), or give rights by hand"
                )
            if name not in secured:
                yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
            if (there or {}).get(self.name) != plain(condition):
                policy = f"POLICY {self._role} ON {table}"
                yield f"DROP POLICY IF EXISTS {self._role} ON {table}"
                yield f"CREATE {policy} AS RESTRICTIVE TO {self._role} USING ({condition})"
                yield f"COMMENT ON {policy} IS {self._literal(condition)}"

    def _of_groups(self, name: str) -> str:
        """The rows of a table that a team lead sees. What other tables have of them is filtered there."""
        column, parent = path_to_group(CONTRACT[name]) or ("", "")
        found = self.tables(name).c[column]
        people = [
            sa.select(self.tables(each).c.account_id)
            for each, table in CONTRACT.items()
            if table.kind is Kind.ENTITY and {"group_id", "account_id"} <= {column.name for column in table.columns}
        ]
        rows, _, key = parent.partition(".")
        shown: Any = sa.select(self.tables(rows).c[key])
        if column == "group_id":
            shown = sa.select(self._call("reader_groups"))
        elif name == "accounts":
            shown = sa.union_all(*people)
        return with_values(self.connection, found.in_(shown))

    @property
    def _role(self) -> str:
        return self.connection.dialect.identifier_preparer.quote(self.name)

    def _function(self, name: str) -> str:
        return f"{quoted(self.connection, name, self.name)}()"

    def _call(self, name: str) -> sa.ColumnElement[Any]:
        return sa.literal_column(plain(self._function(name)))

    def _literal(self, sql: str) -> str:
        return literal(self.connection, plain(sql))
