"""The queries of readers without names: each table and view of the warehouse, without what says who somebody is.

Personal values and free text are NULL. Of a group with fewer than FEWEST_PEOPLE, rows about a person are left out, and
figures are NULL.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.tables import Column, Kind, Table

from .ledger import CONTRACT
from .model import Tables
from .views import VIEWS

FEWEST_PEOPLE = 5
"""A group with fewer members shows nothing of them to who may not see people."""
_COUNTS = {
    "learner_count": "results.",
    "result_count": "results.proficiency",
    "evaluated": "objective_evaluations.",
    "tests_completed": "test_results.",
}
"""The daily figures that say of how many people, results or attempts others are, by how the source of those begins."""


def path_to_group(table: Table) -> tuple[str, str] | None:
    """The column by which a row belongs to a group or a person, and the ``table.column`` that has it; None: to none."""
    columns = {column.name: column for column in table.columns}
    if "group_id" in columns:
        return "group_id", "groups.group_id"
    if table.name == "accounts":
        return "account_id", "group_members.account_id"
    for column in columns.values():
        parent = CONTRACT.get((column.references or "").partition(".")[0])
        if parent is not None and parent is not table and path_to_group(parent):
            return column.name, column.references or ""
    return None


@dataclass(frozen=True, slots=True)
class WithoutNames:
    """The queries, of these tables."""

    tables: Tables

    def _source(self, name: str) -> sa.FromClause:
        return self.tables(name) if name in CONTRACT else VIEWS[name].query(self.tables).subquery("shown")

    def is_about_groups(self, name: str) -> bool:
        """Whether it is a view or a table of figures, and has no row about a person."""
        is_computed = name in VIEWS or CONTRACT[name].kind is Kind.DAILY
        return is_computed and "account_id" not in self._source(name).c

    def query(self, name: str) -> sa.Select[Any]:
        """A table or view without personal values, and without what it shows of people in small groups."""
        source = self._source(name)
        is_of_people, is_of_group = "account_id" in source.c, "group_id" in source.c
        columns: list[sa.ColumnElement[Any]] = []
        sizes, needs_sizes = self._sizes(is_of_group=is_of_group), False
        for column in source.c:
            declared = [self._declared(each) for each in _origins(column)]
            if any(
                each.personal or (each.prose and each.name != "name") or each.name == "row_hash" for each in declared
            ):
                columns.append(sa.cast(sa.null(), column.type).label(column.name))
            elif not is_of_people and (conditions := [*self._is_of_many(source, column, declared, sizes)]):
                columns.append(sa.case((sa.and_(*conditions), column)).label(column.name))
                needs_sizes = True
            else:
                columns.append(column)
        rows = source
        if needs_sizes:
            same = (source.c[each] == sizes.c[each] for each in ("export_date", "group_id") if each in sizes.c)
            rows = source.outerjoin(sizes, sa.and_(*same))
        query = sa.select(*columns).select_from(rows)
        if is_of_people and is_of_group:
            return query.where(self._is_large(source))
        if is_of_people and name in VIEWS:  # what people did, whatever the group: those who are in a large one
            members = self.tables("group_members").alias("members")
            of_large = sa.select(members.c.account_id).where(members.c.deleted_on.is_(None), self._is_large(members))
            return query.where(source.c.account_id.in_(of_large))
        return query.where(*self._by_parent(source, name))

    def _sizes(self, *, is_of_group: bool) -> sa.Subquery:
        """Per export date and group its members; or per export date whom the groups without figures count together."""
        daily = self.tables("group_daily")
        if is_of_group:
            columns = (daily.c[name] for name in ("export_date", "group_id", "member_count", "result_count"))
            return sa.select(*columns).subquery("sizes")
        is_small = sa.func.coalesce(daily.c.member_count, 0) < FEWEST_PEOPLE
        counts = []
        for name in (each for each in _COUNTS if each in daily.c):
            are_few = (daily.c[each] < FEWEST_PEOPLE for each in _counts_of(_COUNTS[name]))
            counts.append(sa.func.sum(sa.case((sa.or_(is_small, *are_few), daily.c[name]))).label(name))
        return sa.select(daily.c.export_date, *counts).group_by(daily.c.export_date).subquery("sizes")

    def _is_of_many(
        self, source: sa.FromClause, column: sa.ColumnElement[Any], declared: Collection[Column], sizes: sa.FromClause
    ) -> Iterator[sa.ColumnElement[bool]]:
        """When a figure may be shown: where its group is large, and the row counts nobody, or FEWEST_PEOPLE or more.

        Of proficiency, where so many results have one, too: fewer results are of fewer people.

        One of the organization: where this is so of the groups without figures together, too. To subtract all other
        groups leaves the figure of these.
        """
        is_of_group = "group_id" in source.c
        if is_of_group and self._is_figure(column):
            yield sizes.c.member_count >= FEWEST_PEOPLE
        for name in _counts_of(*(each.source or "" for each in declared)):
            own = (source if name in source.c else sizes).c[name]
            for count in (own, *(() if is_of_group else (sa.func.coalesce(sizes.c[name], 0),))):
                yield sa.not_(count.between(1, FEWEST_PEOPLE - 1))

    def _by_parent(self, source: sa.FromClause, name: str) -> Iterator[sa.ColumnElement[bool]]:
        """For parts of rows about people (the scores of an attempt): that those rows are shown."""
        column, parent = (path_to_group(CONTRACT[name]) if name in CONTRACT else None) or ("", "")
        rows = self.tables(parent.partition(".")[0]) if parent else None
        if (
            rows is not None
            and column not in {"group_id", "account_id"}
            and {"account_id", "group_id"} <= {*rows.c.keys()}
        ):
            yield source.c[column].in_(sa.select(rows.c[column]).where(self._is_large(rows)))

    def _is_large(self, source: sa.FromClause) -> sa.ColumnElement[bool]:
        """Whether the group of a row has enough members: on the export date of the row, else now."""
        (of_group,) = source.c.group_id.base_columns
        is_dated = isinstance(of_group, sa.Column) and CONTRACT[of_group.table.name].kind in {Kind.SNAPSHOT, Kind.DAILY}
        if is_dated and "export_date" in source.c:
            daily = self.tables("group_daily").alias("of_date")
            of_row = (daily.c.export_date == source.c.export_date, daily.c.group_id == source.c.group_id)
            return sa.exists().where(*of_row, daily.c.member_count >= FEWEST_PEOPLE)
        members = self.tables("group_members")
        are_there = (members.c.deleted_on.is_(None), members.c.status == "MEMBER")
        large = sa.select(members.c.group_id).where(*are_there).group_by(members.c.group_id)
        return source.c.group_id.in_(large.having(sa.func.count(members.c.account_id) >= FEWEST_PEOPLE))

    def _declared(self, column: sa.Column[Any]) -> Column:
        return CONTRACT[column.table.name].column(column.name)

    def _is_figure(self, column: sa.ColumnElement[Any]) -> bool:
        """Whether it says something of the people of a group: not a key, nor how a thing is now."""
        (base, *_) = column.base_columns
        if not isinstance(base, sa.Column):
            return True
        table, declared = CONTRACT[base.table.name], self._declared(base)
        is_fixed = declared.in_key or declared.references or declared in table.managed_columns
        return not is_fixed and table.kind not in {Kind.ENTITY, Kind.HISTORY, Kind.BOOKKEEPING}


def _counts_of(*sources: str) -> list[str]:
    """The figures that say of how many people, results or attempts those are that are computed from these sources."""
    return [name for name, start in _COUNTS.items() if any(source.startswith(start) for source in sources)]


def _origins(column: sa.ColumnElement[Any]) -> Iterator[sa.Column[Any]]:
    """The columns of tables that a column is made of."""
    for base in column.base_columns:
        for each in sa.sql.visitors.iterate(base):
            if isinstance(each, sa.Column) and isinstance(each.table, sa.Table):
                yield each
            elif isinstance(each, sa.ColumnClause) and each is not base:
                yield from _origins(each)
