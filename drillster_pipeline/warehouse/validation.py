"""Everything that can be wrong with a load is found here, before anything of it is published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.errors import GuardRefused
from drillster_pipeline.extract.batches import Reject, redacted
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.tables.schema import Kind

from .ledger import Before
from .limits import SMALL_TABLE_ROWS, bearable, share_exceeded
from .load_plan import LoadPlan, LoadType, TableValidation, ValidationResult
from .staging import Staged, Staging
from .unobserved import MENTIONED_FLAG, absent, is_complete, keeps_referenced, stage_exceptions

_AT_ONCE = 500
_REASONS = 3


class Validator:
    """Judges the staged rows of one load against the warehouse as it is."""

    def __init__(
        self,
        connection: sa.Connection,
        staging: Staging,
        targets: Mapping[str, sa.Table],
        plan: LoadPlan,
        before: Before,
    ) -> None:
        self._connection = connection
        self._staging = staging
        self._targets = targets
        self._plan = plan
        self._before = before
        self._refused: dict[str, list[str]] = {}
        self._excused = dict.fromkeys(staging.tables, 0)
        """Rows of each table that go because the row that they refer to was rejected: that one is weighed, not they."""

    def validate(self, rows_read: Mapping[str, int]) -> ValidationResult:
        """Leave out repeated rows and orphans, and weigh what remains. Raises GuardRefused."""
        self._staging.leave_out_repeated_rejects()
        for name, staged in self._staging.tables.items():
            # Where more are rejected than is borne the load is refused anyway.
            if 0 < self._staging.rejected[name] <= bearable(rows_read[name]):
                self._bring_parents_of_rejects(staged)
            if not self._staging.rows[name]:
                continue
            # Rows of a new date go into their table as they are, and its key finds what repeats: nobody looks before.
            if staged.table.kind is not Kind.SNAPSHOT or self._before.of_date:
                self._staging.index(staged)
                self._leave_out_repeated(staged)
            # Parents come before their children, so an orphan's children are orphans in their turn.
            for column, parent in _references(staged):
                self._reject_orphans(staged, column, parent, bearable(rows_read[name]))
        tables = {name: self._weigh(staged, rows_read[name]) for name, staged in self._staging.tables.items()}
        deleted = dict(self._mass_deletions(tables))
        confirmed = tuple(
            name for name in deleted if self._plan.allow_mass_delete or name in self._plan.mass_deletes_confirmed
        )
        problems = [*self._too_many_rejects(tables), *(told for name, told in deleted.items() if name not in confirmed)]
        if problems:
            raise GuardRefused(
                f"Nothing of {self._plan.export_date} ({self._plan.kind}) was published. " + " ".join(problems)
            )
        return ValidationResult(tables=tables, mass_deletions=confirmed)

    def leave_out_repeated(self, validation: ValidationResult) -> ValidationResult:
        """Look for repeated rows where that was left to the insert; what was judged, without those found."""
        for staged in self._staging.tables.values():
            self._leave_out_repeated(staged)
        tables = {
            name: replace(table, rows_staged=self._staging.rows[name], rows_repeated=self._staging.repeated[name])
            for name, table in validation.tables.items()
        }
        return replace(validation, tables=tables)

    def _leave_out_repeated(self, staged: Staged) -> int:
        name = staged.table.name
        found = self._staging.leave_out_repeated(staged) if self._staging.may_repeat(name) else 0
        self._staging.repeated[name] += found
        return found

    def _reject_orphans(self, staged: Staged, column: str, references: str, limit: int) -> None:
        name, (parent, parent_column) = staged.table.name, references.split(".")
        value = staged.rows.c[column]
        values = sa.select(value.label("value")).where(value.is_not(None)).distinct().subquery()
        known = self._keys(parent, parent_column)
        missing = sa.select(values.c.value).where(~sa.select(sa.literal(1)).where(known == values.c.value).exists())
        if self._connection.execute(missing.limit(1)).first() is None:
            return
        # An orphan that came twice is one, and none if it had parents the last time.
        if self._leave_out_repeated(staged) and self._connection.execute(missing.limit(1)).first() is None:
            return
        # A parent that is there but did not fit must not take its children with it: the rest loads.
        if DATA_TABLES[parent].kind is Kind.ENTITY:
            missing = missing.where(~self._stand_in(parent, values.c.value, missing))
            if self._connection.execute(missing.limit(1)).first() is None:
                return
        excused = value.in_(missing.where(self._rejected_keys(parent, values.c.value)))
        self._excused[name] += self._count(sa.select(sa.func.count()).select_from(staged.rows).where(excused))
        limit += self._excused[name]
        reason = f"{column}: there is no such row in {parent}"
        count = self._count(sa.select(sa.func.count()).select_from(staged.rows).where(value.in_(missing)))
        if self._staging.rejected[name] + count > limit:
            # The load is refused, so nobody will look at the rows; what remains is counted on.
            self._staging.rejected[name] += self._remove_orphans(staged, value.in_(missing))
            self._refused.setdefault(name, []).append(reason)
            return
        orphans = sa.select(staged.rows).where(value.in_(missing)).order_by(staged.rows.c.staged_row)
        for chunk in self._connection.execute(orphans).mappings().partitions(_AT_ONCE):
            self._staging.reject([_orphan(staged, row, reason) for row in map(dict, chunk)])
        self._remove_orphans(staged, value.in_(missing))

    def _remove_orphans(self, staged: Staged, condition: sa.ColumnElement[bool]) -> int:
        # By their numbers, which DISTINCT has looked up once: else MariaDB does so anew for every row of the DELETE.
        orphans = sa.select(staged.rows.c.staged_row).where(condition).distinct().subquery()
        return self._staging.remove(staged, staged.rows.c.staged_row.in_(sa.select(orphans.c.staged_row)))

    def _keys(self, parent: str, column: str) -> sa.ColumnElement[Any]:
        """What may be referred to.

        A load that brings the parents is judged by them alone: what else the warehouse knows depends on the loads
        that came before. A load of children only must find their parents there.
        """
        staged = self._staging.tables.get(parent)
        return (self._targets[parent] if staged is None else staged.rows).c[column]

    def _rejected_keys(self, parent: str, value: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """Whether a value is the key of a rejected row of a table."""
        rejects = self._staging.rejects
        found = sa.select(sa.literal(1)).where(rejects.c.table_name == parent, rejects.c.row_key == value)
        return found.correlate_except(rejects).exists()

    def _bring_parents_of_rejects(self, staged: Staged) -> None:
        """See to it that a rejected row which stands by its key finds what it must refer to; else it can't."""
        rejects = self._staging.rejects
        of_table = sa.and_(rejects.c.table_name == staged.table.name, rejects.c.required.is_not(None))
        for column, references in _references(staged):
            parent, parent_column = references.split(".")
            if staged.table.column(column).nullable or column in staged.table.key:
                continue
            there = self._keys(parent, parent_column)
            query = sa.select(rejects.c.row_number, rejects.c.required).where(of_table)
            for number, required in self._connection.execute(query).all():
                value = sa.literal(json.loads(required)[column])
                missing = sa.select(value).where(~sa.exists().where(there == value))
                found = sa.select(sa.or_(sa.exists().where(there == value), self._stand_in(parent, value, missing)))
                if not self._connection.execute(found).scalar_one():
                    this = sa.and_(of_table, rejects.c.row_number == number)
                    self._connection.execute(sa.update(rejects).where(this).values(required=None))

    def _stand_in(self, parent: str, value: sa.ColumnElement[Any], missing: sa.Select[Any]) -> sa.ColumnElement[bool]:
        """Let rejected rows of a table stand by their keys for the rows that refer to them; whether one does so."""
        rejects, stubs = self._staging.rejects, self._staging.stubs
        fit = sa.and_(rejects.c.table_name == parent, rejects.c.required.is_not(None))
        wanted = sa.select(sa.literal(parent), rejects.c.row_key).where(fit, rejects.c.row_key.in_(missing)).distinct()
        self._connection.execute(sa.insert(stubs).from_select(["table_name", "row_key"], wanted))
        found = sa.select(sa.literal(1)).where(fit, rejects.c.row_key == value)
        return found.correlate_except(rejects).exists()

    def _weigh(self, staged: Staged, rows_read: int) -> TableValidation:
        name = staged.table.name
        plan = self._plan.tables[name]
        keeps = keeps_referenced(staged.table, plan, unreadable=self._staging.unreadable)
        plan = replace(plan, keep_referenced=keeps)
        complete = is_complete(staged.table, plan, unreadable=self._staging.unreadable)
        present = to_delete = 0
        if staged.table.kind is Kind.ENTITY and complete:
            stage_exceptions(self._connection, self._staging, staged.table, plan)
            to_delete = 0 if name in self._before.blank else self._to_delete(staged)
            present = self._present(name) if to_delete else 0
        return TableValidation(
            rows_read=rows_read,
            rows_staged=self._staging.rows[name],
            rows_repeated=self._staging.repeated[name],
            rows_rejected=self._staging.rejected[name],
            rows_present=present,
            rows_to_delete=to_delete,
            is_complete=complete,
        )

    def _to_delete(self, staged: Staged, *conditions: sa.ColumnElement[bool]) -> int:
        rows = self._targets[staged.table.name]
        there = rows.c.deleted_on.is_(None)
        return self._count(sa.select(sa.func.count()).select_from(rows).where(there, self._absent(staged), *conditions))

    def _absent(self, staged: Staged) -> sa.ColumnElement[bool]:
        rows = self._targets[staged.table.name]
        return absent(staged, rows, self._targets["objectives"], self._staging, self._plan.export_date)

    def _explained(self, staged: Staged, tables: Mapping[str, TableValidation]) -> int:
        """How many rows would be deleted of which a parent is proven gone: missing from its own, complete list.

        A list that lost all that was there proves nothing, and neither does one of things that are only met in other
        lists.
        """
        rows = self._targets[staged.table.name]
        gone = []
        for column, references in _references(staged):
            name, key = references.split(".")
            parent = tables.get(name)
            if parent is None or not parent.is_complete or name not in DATA_TABLES[name].sources:
                continue
            if parent.rows_to_delete < max(parent.rows_present, 1):
                parents = self._targets[name]
                listed = parents.c[MENTIONED_FLAG].is_(sa.true()) if MENTIONED_FLAG in parents.c else sa.true()
                query = sa.select(sa.literal(1)).select_from(parents).where(parents.c[key] == rows.c[column], listed)
                gone.append(query.where(self._absent(self._staging.tables[name])).correlate(rows).exists())
        return self._to_delete(staged, sa.or_(*gone)) if gone else 0

    def _present(self, name: str) -> int:
        rows = self._targets[name]
        there = sa.and_(rows.c.deleted_on.is_(None), rows.c.last_seen_on.is_not(None))
        return self._count(sa.select(sa.func.count()).select_from(rows).where(there))

    def _count(self, query: sa.Select[Any]) -> int:
        return int(self._connection.execute(query).scalar_one())

    def _mass_deletions(self, tables: Mapping[str, TableValidation]) -> Iterator[tuple[str, str]]:
        """Tables that lose more than is borne, each with what to tell the operator."""
        for name, table in tables.items():
            runs = 1 + self._plan.unpublished_captures.get(name, 0)
            gone, present = table.rows_to_delete, table.rows_present
            if share_exceeded(gone, present, runs) is None:
                continue
            explained = self._explained(self._staging.tables[name], tables)
            gone, present = gone - explained, present - explained
            if (share := share_exceeded(gone, present, runs)) is not None:
                beside = f" (besides {explained:,} whose group or other parent is gone)" if explained else ""
                message = (
                    f"{name}: {gone:,} of {present:,} present rows would be marked deleted{beside}, "
                    f"which is more than {share:.0%}. Check in Drillster whether they are really gone, and "
                    "whether the service account still sees all groups; if it is right, run this once more with "
                    "allow_mass_delete in the launchpad, or --allow-mass-delete on the command line."
                )
                yield name, message

    def _too_many_rejects(self, tables: Mapping[str, TableValidation]) -> Iterator[str]:
        for name, table in tables.items():
            limit = bearable(table.rows_read)
            own = table.rows_rejected - self._excused[name]
            none_fits = not table.rows_staged and self._plan.tables[name].load_type is not LoadType.ADDITIVE
            if own > limit or (none_fits and own >= SMALL_TABLE_ROWS):
                accepted = f"{limit:,} are accepted" if own > limit else "one at least must fit"
                yield (
                    f"{name}: {table.rows_rejected:,} of {table.rows_read:,} rows did not fit, where {accepted}"
                    f". Most often: {'; '.join(self._reasons(name))}. The answers are kept in the archive: "
                    "report these reasons, and backfill the date once they are mended."
                )

    def _reasons(self, name: str) -> list[str]:
        """Why rows of a table were rejected, the most frequent first; reasons never hold a value."""
        rejects = self._staging.rejects
        query = (
            sa.select(rejects.c.reason)
            .where(rejects.c.table_name == name)
            .group_by(rejects.c.reason)
            .order_by(sa.func.count().desc(), rejects.c.reason)
            .limit(_REASONS)
        )
        return [*self._refused.get(name, ()), *self._connection.scalars(query)][:_REASONS]


def _references(staged: Staged) -> Iterator[tuple[str, str]]:
    for column in staged.table.columns:
        if column.references is not None:
            yield column.name, column.references


def _orphan(staged: Staged, row: Mapping[str, Any], reason: str) -> Reject:
    record = {
        column.name: redacted(column, value) if column.personal or isinstance(value, str) else value
        for column, value in ((column, row[column.name]) for column in staged.table.columns)
    }
    return Reject(staged.table.name, reason, record, tuple(_text(row[name]) for name in staged.table.key))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value.isoformat())
