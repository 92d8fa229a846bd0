"""Everything that can be wrong with a load is found here, before anything of it is merged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.errors import GuardRefused
from drillster_pipeline.extract.batches import Batch, Reject, redacted
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.tables.schema import Kind, Table

from .dialects import KEY_LENGTH, python_values
from .ledger import LedgerState
from .load_plan import LoadPlan, LoadType, TableValidation, ValidationResult
from .merge import exists
from .model import Tables, bounded_columns
from .reads import count_rows
from .staging import Staged, Staging
from .unobserved import REFERENCED_FLAG, is_complete, is_missing, keeps_referenced, stage_unobserved

MASS_DELETE_SHARE, MASS_DELETE_ROWS = 0.20, 10
"""A load that marks more than this share of the present rows, and at least so many rows, is refused.

The share is that of one run. Where dates are loaded out of order, what the captures between have lost is added.
"""
SMALL_TABLE_SHARE, SMALL_TABLE_ROWS = 0.50, 2
"""So is one that marks more than this share of a table that has at least so many. Where at least so many rows were
read, one of them must fit: all of them wrong is no accident, and no deletion that an operator could confirm."""
NEARLY_ALL = 0.99
"""However many captures are between: no load is accepted that empties a table of two rows or more."""
REJECT_SHARE, REJECT_ROWS = 0.01, 10
"""So many rejects of a table are accepted: the larger of this share of the rows read, and this number."""

_AT_ONCE = 500
_REASONS = 3


def max_rejects(rows_read: int) -> int:
    """How many rejects of a table are accepted, of so many rows read."""
    return max(REJECT_ROWS, int(REJECT_SHARE * rows_read))


def share_exceeded(gone: int, present: int, runs: int) -> float | None:
    """The share of the present rows that may go in so many runs, if more would go."""
    for share, is_enough in (
        (MASS_DELETE_SHARE, gone >= runs * MASS_DELETE_ROWS),
        (SMALL_TABLE_SHARE, present >= SMALL_TABLE_ROWS),
    ):
        accepted = round(min(NEARLY_ALL, 1 - (1 - share) ** runs), 9)
        if is_enough and gone > accepted * present:
            return accepted
    return None


def reject_long_keys(batch: Batch) -> Batch:
    """The batch with rows that have a key or reference of more than ``KEY_LENGTH`` characters among its rejects.

    For databases that bound the length of keys; the rest of the run is loaded.
    """
    batch = replace(batch, rejects=tuple(map(_without_long_placeholder, batch.rejects)))
    frame = batch.frame
    reasons: dict[int, str] = {}
    for column in bounded_columns(batch.table) if len(frame) else ():
        if column.name not in frame.columns:
            continue
        lengths = frame[column.name].str.len().fillna(0).to_numpy()
        for place in (lengths > KEY_LENGTH).nonzero()[0].tolist():
            reason = f"{column.name}: {int(lengths[place])} characters, where this database takes {KEY_LENGTH} in a key"
            reasons.setdefault(place, reason)
    if not reasons:
        return batch
    places = sorted(reasons)
    columns = batch.table.columns
    rows = zip(*(python_values(column, frame[column.name].iloc[places]) for column in columns), strict=True)
    rejects = [
        _reject(batch.table, {column.name: value for column, value in zip(columns, row, strict=True)}, reasons[place])
        for place, row in zip(places, rows, strict=True)
    ]
    return replace(batch, frame=frame.drop(frame.index[places]), rejects=(*batch.rejects, *rejects))


def _without_long_placeholder(reject: Reject) -> Reject:
    """No placeholder can have a key, or another required value, that is too long as well."""
    parts = (*(reject.key or ()), *(reject.required or {}).values())
    return replace(reject, required=None) if any(len(part) > KEY_LENGTH for part in parts) else reject


class Validator:
    """Validates the staged rows of one load against the warehouse as it is."""

    def __init__(
        self, connection: sa.Connection, staging: Staging, tables: Tables, plan: LoadPlan, state: LedgerState
    ) -> None:
        self._connection = connection
        self._staging = staging
        self._tables = tables
        self._plan = plan
        self._state = state
        self._refused: dict[str, list[str]] = {}
        self._excused = dict.fromkeys(staging.tables, 0)
        """Rows of each table that go because the row that they refer to was rejected: that one counts, not they."""

    def validate(self, rows_read: Mapping[str, int]) -> ValidationResult:
        """Leave out repeated rows and orphans, and count what remains. Raises GuardRefused."""
        self._staging.leave_out_repeated_rejects()
        for name, staged in self._staging.tables.items():
            # Where more are rejected than is accepted the load is refused anyway.
            if 0 < self._staging.rejected[name] <= max_rejects(rows_read[name]):
                self._require_parents_of_rejects(staged)
            if not self._staging.rows[name]:
                continue
            # Rows of a new date are inserted as they are, and the key of the table finds what repeats.
            if staged.table.kind is not Kind.SNAPSHOT or self._state.has_date:
                self._staging.index(staged)
                self._leave_out_repeated(staged)
            # Parents come before their children, so an orphan's children are orphans in their turn.
            for column, parent in _references(staged):
                self._reject_orphans(staged, column, parent, max_rejects(rows_read[name]))
        tables = {name: self._counted(staged, rows_read[name]) for name, staged in self._staging.tables.items()}
        deletions = dict(self._mass_deletions(tables))
        confirmed = tuple(
            name for name in deletions if self._plan.allow_mass_delete or name in self._plan.mass_deletes_confirmed
        )
        problems = [message for name, message in deletions.items() if name not in confirmed]
        problems = [*self._too_many_rejects(tables), *problems]
        if problems:
            raise GuardRefused(
                f"Nothing of {self._plan.export_date} ({self._plan.kind}) was published. " + " ".join(problems)
            )
        return ValidationResult(tables=tables, mass_deletions=confirmed)

    def leave_out_repeated(self, validation: ValidationResult) -> ValidationResult:
        """Leave out repeated rows where finding them was left to the insert; the result without these."""
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

    # References

    def _reject_orphans(self, staged: Staged, column: str, references: str, limit: int) -> None:
        name, (parent, parent_column) = staged.table.name, references.split(".")
        value = staged.rows.c[column]
        values = sa.select(value.label("value")).where(value.is_not(None)).distinct().subquery()
        known = self._keys(parent, parent_column)
        missing = sa.select(values.c.value).where(~sa.select(sa.literal(1)).where(known == values.c.value).exists())
        if not self._finds(missing):
            return
        # An orphan that came twice is one, and none if it had parents the last time.
        if self._leave_out_repeated(staged) and not self._finds(missing):
            return
        # A parent that was read but rejected must not take its children with it: the rest loads.
        if DATA_TABLES[parent].kind is Kind.ENTITY:
            missing = missing.where(~self._stage_placeholders(parent, values.c.value, missing))
            if not self._finds(missing):
                return
        rejects = self._staging.rejects
        is_rejected = exists(rejects, rejects.c.table_name == parent, rejects.c.row_key == values.c.value)
        self._excused[name] += count_rows(self._connection, staged.rows, value.in_(missing.where(is_rejected)))
        reason = f"{column}: there is no such row in {parent}"
        is_orphan = value.in_(missing)
        accepted = limit + self._excused[name]
        if self._staging.rejected[name] + count_rows(self._connection, staged.rows, is_orphan) > accepted:
            # The load is refused, so the rows are not needed; what remains is counted on.
            self._staging.rejected[name] += self._remove_orphans(staged, is_orphan)
            self._refused.setdefault(name, []).append(reason)
            return
        orphans = sa.select(staged.rows).where(is_orphan).order_by(staged.rows.c.staged_row)
        for chunk in self._connection.execute(orphans).mappings().partitions(_AT_ONCE):
            self._staging.reject([_reject(staged.table, row, reason) for row in map(dict, chunk)])
        self._remove_orphans(staged, is_orphan)

    def _remove_orphans(self, staged: Staged, condition: sa.ColumnElement[bool]) -> int:
        # By their numbers, which DISTINCT has looked up once: else MariaDB does so anew for every row of the DELETE.
        orphans = sa.select(staged.rows.c.staged_row).where(condition).distinct().subquery()
        return self._staging.remove(staged, staged.rows.c.staged_row.in_(sa.select(orphans.c.staged_row)))

    def _keys(self, parent: str, column: str) -> sa.ColumnElement[Any]:
        """What may be referred to.

        A load that brings the parents is validated by them alone: what else the warehouse has depends on the loads
        that came before. A load of children only must find their parents there.
        """
        staged = self._staging.tables.get(parent)
        return (self._tables(parent) if staged is None else staged.rows).c[column]

    def _require_parents_of_rejects(self, staged: Staged) -> None:
        """A rejected row can have a placeholder only where what this must refer to is there."""
        rejects = self._staging.rejects
        of_table = sa.and_(rejects.c.table_name == staged.table.name, rejects.c.required.is_not(None))
        for column, references in _references(staged):
            parent, parent_column = references.split(".")
            if staged.table.column(column).nullable or column in staged.table.key:
                continue
            known = self._keys(parent, parent_column)
            query = sa.select(rejects.c.row_number, rejects.c.required).where(of_table)
            for number, required in self._connection.execute(query).all():
                value = sa.literal(json.loads(required)[column])
                missing = sa.select(value).where(~sa.exists().where(known == value))
                has_placeholder = self._stage_placeholders(parent, value, missing)
                found = sa.select(sa.or_(sa.exists().where(known == value), has_placeholder))
                if not self._connection.execute(found).scalar_one():
                    this = sa.and_(of_table, rejects.c.row_number == number)
                    self._connection.execute(sa.update(rejects).where(this).values(required=None))

    def _stage_placeholders(
        self, parent: str, value: sa.ColumnElement[Any], missing: sa.Select[Any]
    ) -> sa.ColumnElement[bool]:
        """Stage placeholders for rejected rows that others refer to; whether a value has one."""
        rejects, placeholders = self._staging.rejects, self._staging.placeholders
        fit = sa.and_(rejects.c.table_name == parent, rejects.c.required.is_not(None))
        wanted = sa.select(sa.literal(parent), rejects.c.row_key).where(fit, rejects.c.row_key.in_(missing)).distinct()
        self._connection.execute(sa.insert(placeholders).from_select(["table_name", "row_key"], wanted))
        return exists(rejects, fit, rejects.c.row_key == value)

    # Counts and limits

    def _counted(self, staged: Staged, rows_read: int) -> TableValidation:
        name, unreadable = staged.table.name, self._staging.unreadable
        plan = self._plan.tables[name]
        plan = replace(plan, keep_referenced=keeps_referenced(staged.table, plan, unreadable=unreadable))
        complete = is_complete(staged.table, plan, unreadable=unreadable)
        present = to_delete = 0
        if staged.table.kind is Kind.ENTITY and complete:
            stage_unobserved(self._connection, self._staging, staged.table, plan)
            to_delete = 0 if name in self._state.empty_tables else self._to_delete(staged)
            rows = self._tables(name)
            if to_delete:
                present = count_rows(
                    self._connection, rows, rows.c.deleted_on.is_(None), rows.c.last_seen_on.is_not(None)
                )
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
        rows = self._tables(staged.table.name)
        return count_rows(self._connection, rows, rows.c.deleted_on.is_(None), self._is_missing(staged), *conditions)

    def _is_missing(self, staged: Staged) -> sa.ColumnElement[bool]:
        rows, objectives = self._tables(staged.table.name), self._tables("objectives")
        return is_missing(staged, rows, objectives, self._staging, self._plan.export_date)

    def _explained(self, staged: Staged, tables: Mapping[str, TableValidation]) -> int:
        """How many rows would be deleted of which a parent is proven gone: missing from its own, complete list.

        A list that lost all of its rows proves nothing, and neither does one of things that only other lists name.
        """
        rows = self._tables(staged.table.name)
        gone = []
        for column, references in _references(staged):
            name, key = references.split(".")
            parent = tables.get(name)
            if parent is None or not parent.is_complete or name not in DATA_TABLES[name].sources:
                continue
            if parent.rows_to_delete < max(parent.rows_present, 1):
                parents = self._tables(name)
                listed = parents.c[REFERENCED_FLAG].is_(sa.true()) if REFERENCED_FLAG in parents.c else sa.true()
                missing = self._is_missing(self._staging.tables[name])
                query = sa.select(sa.literal(1)).select_from(parents).where(parents.c[key] == rows.c[column], listed)
                gone.append(query.where(missing).correlate(rows).exists())
        return self._to_delete(staged, sa.or_(*gone)) if gone else 0

    def _finds(self, query: sa.Select[Any]) -> bool:
        return self._connection.execute(query.limit(1)).first() is not None

    def _mass_deletions(self, tables: Mapping[str, TableValidation]) -> Iterator[tuple[str, str]]:
        """Tables that lose more than is accepted, each with a message to the operator."""
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
            limit = max_rejects(table.rows_read)
            own = table.rows_rejected - self._excused[name]
            none_fits = not table.rows_staged and self._plan.tables[name].load_type is not LoadType.ADDITIVE
            if own > limit or (none_fits and own >= SMALL_TABLE_ROWS):
                accepted = f"{limit:,} are accepted" if own > limit else "one at least must fit"
                yield (
                    f"{name}: {table.rows_rejected:,} of {table.rows_read:,} rows did not fit, where {accepted}"
                    f". Most often: {'; '.join(self._reasons(name))}. The responses are kept in the archive: "
                    "report these reasons, and backfill the date once they are fixed."
                )

    def _reasons(self, name: str) -> list[str]:
        """Why rows of a table were rejected, the most frequent first; reasons never contain a value."""
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


def _reject(table: Table, row: Mapping[str, Any], reason: str) -> Reject:
    key = tuple(value if isinstance(value := row[name], str) else value.isoformat() for name in table.key)
    return Reject(table.name, reason, {each.name: redacted(each, row[each.name]) for each in table.columns}, key)
