"""Entities: things as they are now. Their history is the truth, and an entity row is the last row of its history.

So only what changes in the history changes here, and the order of loads makes no difference (see below). Kept beside it
are ``first_seen_on`` and ``last_seen_on``, the first and the last date on which a load observed the row.

A row that is only referenced (a person whom an event names, a group whose members were read while the list of groups
was not) is no observation. It has no history and no dates, and it is written only while nothing has observed it. Of
several loads that refer to it the newest counts, and snapshots before events, which have less. A placeholder, of which
nothing but the key was readable, gives way to all of them.

The history is kept as intervals of export dates (SCD 2). A load *observes* a thing by showing it, and observes that it
is gone by a complete read without it (see :mod:`.unobserved` for what even such a read cannot observe). What a load
cannot observe is taken to be as on the day before, and is marked so (``is_seen``). The state of a thing on a date is
its row with that mark, or nothing; a date that was never loaded is as the date before it. A history row is a run of
dates with the same state, as long as it can be.

So a load changes only what follows from its own date: there the state becomes another, and continues through loads that
cannot observe the thing, up to the next one that does. Where that state was there already, nothing is to be done::

    loads       d ........ a (cannot observe it) ... b (observes it)
    written     [d, a) as in this load, seen         from b on: as it was
                            [a, b) the same, not seen

Of two loads of a date the newest counts, and that is all of a load that histories use: ``load_tables.in_history``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.tables import history_name

from .dialects import dialect_of
from .load_plan import Counts, LoadType
from .merge import PLACEHOLDER, Merge, exists
from .staging import KEY_PARTS, Staged
from .unobserved import REFERENCED_FLAG, flags_referenced, is_missing, is_unobserved

Conditions = Sequence[sa.ColumnElement[bool]]


def merge_entities(merge: Merge, staged: Staged, load_type: LoadType, *, is_complete: bool) -> Counts:
    """Merge the staged rows of an entity table, and its history."""
    if load_type is LoadType.ADDITIVE:
        return _merge_referenced(merge, staged)
    observed, referenced = _split(merge, staged)
    history = HistoryMerge(merge, observed, is_complete=is_complete)
    written = history.write()
    deleted, redated = _mark_missing(merge, staged) if is_complete else (0, 0)
    counts = _follow_history(merge, observed, history)
    history.clear()
    passing = Counts() if referenced is None else _merge_referenced(merge, referenced)
    return Counts(
        rows_inserted=counts.rows_inserted + passing.rows_inserted,
        rows_updated=counts.rows_updated + passing.rows_updated + redated,
        rows_deleted=deleted,
        rows_unchanged=counts.rows_unchanged + passing.rows_unchanged,
        history_rows=written,
    )


def _split(merge: Merge, staged: Staged) -> tuple[Staged, Staged | None]:
    """What a load observed, and who is only referenced because the list of accounts was incomplete."""
    if not flags_referenced(staged.table) or not merge.count_staged(staged):
        return staged, None
    flag = staged.rows.c[REFERENCED_FLAG]
    referenced = replace(staged, filters=(flag.is_(None),))
    if not merge.count_staged(referenced):
        return staged, None
    return replace(staged, filters=(flag.is_not(None),)), referenced


def _mark_missing(merge: Merge, staged: Staged) -> tuple[int, int]:
    """Mark what a complete read does not show: rows newly marked, and rows whose mark moves to this earlier date.

    Also rows without a history: a load that another one of its date replaced was the only one to observe them.
    """
    rows, day = merge.tables(staged.table.name), merge.export_date
    if rows.name in merge.state.empty_tables:
        return 0, 0
    missing = is_missing(staged, rows, merge.tables("objectives"), merge.staging, day)
    mark = sa.update(rows).values(deleted_on=day, **merge.stamp)
    deleted = merge.run(mark.where(missing, rows.c.deleted_on.is_(None)))
    return deleted, merge.run(mark.where(missing, rows.c.deleted_on > day)) if merge.state.has_later else 0


def _follow_history(merge: Merge, observed: Staged, history: HistoryMerge) -> Counts:
    """Write what has changed at the end of histories, and the dates of what was observed."""
    rows, last, day = merge.tables(observed.table.name), history.rows, merge.export_date
    new_dates = {"first_seen_on": day, "last_seen_on": day}
    if history.is_first:
        return Counts(rows_inserted=merge.insert_staged(observed, new_dates))
    key = {name: last.c[name] for name in observed.table.key}
    data = {column.name: last.c[column.name] for column in observed.columns if not observed.is_key(column)}
    data["deleted_on"] = last.c.valid_until
    differs = sa.or_(rows.c.row_hash != last.c.row_hash, rows.c.deleted_on.is_distinct_from(last.c.valid_until))
    not_newer = sa.or_(rows.c.last_seen_on.is_(None), sa.and_(rows.c.last_seen_on <= day, differs))
    same_key = [rows.c[name] == column for name, column in key.items()]
    ends = [*history.is_last_row, *same_key, not_newer]
    dates = _observed_dates(rows, day)
    updated = merge.update(rows, data | dates, [*ends, history.is_observed])
    redated = merge.update(rows, data, [*ends, ~history.is_observed]) if history.is_between else 0
    is_new = [*history.is_last_row, history.is_observed, ~exists(rows, *same_key)]
    inserted = merge.insert(rows, {**key, **data, **new_dates}, is_new)
    moved = sa.or_(_is_earlier(rows, day), _is_later(rows, day))
    merge.run(sa.update(rows).values(dates).where(observed.holds(rows), moved))
    unchanged = merge.count_staged(observed) - updated - inserted
    return Counts(rows_inserted=inserted, rows_updated=updated + redated, rows_unchanged=unchanged)


def _merge_referenced(merge: Merge, staged: Staged) -> Counts:
    rows = merge.tables(staged.table.name)
    unobserved = rows.c.last_seen_on.is_(None)
    differs = sa.and_(merge.written_before(rows), rows.c.row_hash != staged.rows.c.row_hash)
    gives_way = [rows.c.row_hash == PLACEHOLDER, differs]
    if merge.kind == "snapshot":
        gives_way.append(merge.written_by(rows, lambda loads: loads.c.kind != merge.kind))
    return merge.upsert(staged, sa.and_(unobserved, sa.or_(*gives_way)), touched=unobserved)


def _observed_dates(rows: sa.Table, day: date) -> dict[str, sa.ColumnElement[Any]]:
    """The dates of rows that were observed on ``day`` as well."""
    return {
        "first_seen_on": sa.case((_is_earlier(rows, day), day), else_=rows.c.first_seen_on),
        "last_seen_on": sa.case((_is_later(rows, day), day), else_=rows.c.last_seen_on),
    }


def _is_earlier(rows: sa.Table, day: date) -> sa.ColumnElement[bool]:
    return sa.or_(rows.c.first_seen_on.is_(None), rows.c.first_seen_on > day)


def _is_later(rows: sa.Table, day: date) -> sa.ColumnElement[bool]:
    return sa.or_(rows.c.last_seen_on.is_(None), rows.c.last_seen_on < day)


class HistoryMerge:
    """What one load changes in the history of a table. It is worked out in a staging table, then written.

    That has a row per thing. ``row_hash``, ``is_seen``: the new state from this date on; no hash: it is gone.
    ``seen_next``: when a later load shows it again; ``gone_on``: when one before that observes that it is gone.
    ``valid_from``, ``valid_until``: the run that the new state becomes part of; ``runs_on``: also beyond what changes.
    """

    def __init__(self, merge: Merge, observed: Staged, *, is_complete: bool) -> None:
        self.rows = merge.tables(history_name(observed.table.name))
        self.is_first = {self.rows.name, observed.table.name} <= merge.state.empty_tables
        """Nothing was ever loaded: what this load shows is all there is."""
        self._merge = merge
        self._observed = observed
        self._is_complete = is_complete
        self._day = merge.export_date
        self._changes = merge.staging.changes
        loads, load_tables = merge.tables("loads"), merge.tables("load_tables")
        self._dates = (
            sa.select(loads.c.export_date)
            .join(load_tables, load_tables.c.load_id == loads.c.load_id)
            .where(load_tables.c.table_name == observed.table.name, load_tables.c.in_history.is_(sa.true()))
        )
        of_date = self._dates.where(loads.c.export_date == self._day).limit(1)
        later = self._dates.where(loads.c.export_date > self._day).order_by(loads.c.export_date).limit(1)
        self._replaces = merge.state.has_date and merge.connection.execute(of_date).first() is not None
        """There is an earlier load of this date, which this one replaces."""
        self._next_load: date | None = merge.connection.execute(later).scalar() if merge.state.has_later else None

    @property
    def is_between(self) -> bool:
        """There are loads of this date or of later ones."""
        return self._replaces or self._next_load is not None

    @property
    def is_observed(self) -> sa.ColumnElement[bool]:
        """The load shows the thing that changes."""
        return self._changes.c.is_seen.is_(sa.true())

    @property
    def is_last_row(self) -> list[sa.ColumnElement[bool]]:
        """The row is the last one of the history of a thing that changes."""
        other = self.rows.alias()
        newest = sa.select(sa.func.max(other.c.valid_from)).where(*self._of_change(other)).correlate(self._changes)
        return [*self._of_change(self.rows), self.rows.c.valid_from == newest.scalar_subquery()]

    def write(self) -> int:
        """Bring the history up to what this load observed; returns how many rows were written or removed."""
        if self.is_first:
            staged, until = self._observed.rows, sa.literal(None, sa.Date())
            return self._insert(staged, self._day, until, is_seen=True, where=self._observed.filters)
        found = self._add_observed() + self._add_missing() + (self._add_missing_now() if self._replaces else 0)
        if not found:
            return 0
        if self._next_load is not None:
            self._find_ends(self._next_load)
        if self.is_between:
            self._find_starts()
        return self._write_changes()

    def clear(self) -> None:
        """Remove the changes, so that those of another table can be worked out."""
        if not self.is_first:
            self._merge.run(sa.delete(self._changes))

    # What changes

    def _add_observed(self) -> int:
        """Things that this load shows, and that are not so in the history of its date."""
        if not self._merge.count_staged(self._observed):
            return 0
        rows, staged = self.rows, self._observed.rows
        known = exists(
            rows,
            *self._same_key(rows, staged),
            rows.c.valid_from <= self._day,
            _open_after(rows, self._day),
            rows.c.row_hash == staged.c.row_hash,
            rows.c.is_seen.is_(sa.true()),
        )
        return self._add(staged, staged.c.row_hash, sa.true(), *self._observed.filters, ~known)

    def _add_missing(self) -> int:
        """Things that were there the day before and are not shown: gone, or not observed."""
        rows = self.rows
        there = sa.and_(rows.c.valid_from < self._day, _open_after(rows, self._day), ~self._observed.holds(rows))
        unobserved = self._is_unobserved()
        if unobserved is None:
            return self._add(rows, rows.c.row_hash, sa.false(), there, rows.c.is_seen.is_(sa.true()))
        carried = sa.case((unobserved, rows.c.row_hash))
        return self._add(rows, carried, sa.false(), there, sa.or_(~unobserved, rows.c.is_seen.is_(sa.true())))

    def _add_missing_now(self) -> int:
        """Things that an earlier load of this date observed, here or gone, and this one does not show."""
        rows, other = self.rows, self.rows.alias()
        ended = sa.and_(rows.c.valid_until == self._day, ~self._observed.holds(rows))
        began = sa.and_(other.c.valid_from == self._day, ~self._observed.holds(other))
        unobserved = self._is_unobserved()
        carried = ended if unobserved is None else sa.and_(ended, unobserved)
        same = self._same_key(rows, other)
        is_so = [other.c.valid_from == self._day, other.c.row_hash == rows.c.row_hash, other.c.is_seen.is_(sa.false())]
        found = self._add(rows, rows.c.row_hash, sa.false(), carried, ~exists(other, *same, *is_so))
        return found + self._add(other, sa.null(), sa.false(), began, ~exists(rows, *same, carried))

    def _is_unobserved(self) -> sa.ColumnElement[bool] | None:
        """Whether this load could not observe a row; None: it observed none of those that it does not show."""
        if not self._is_complete:
            return None
        objectives, unobserved = self._merge.tables("objectives"), self._merge.staging.unobserved
        return is_unobserved(self._observed.table, self.rows, objectives, unobserved)

    def _add(
        self, found: sa.FromClause, row_hash: Any, is_seen: sa.ColumnElement[bool], *conditions: sa.ColumnElement[bool]
    ) -> int:
        key = [found.c[name] for name in self._observed.table.key]
        names = [*KEY_PARTS[: len(key)], "row_hash", "is_seen", "valid_from"]
        query = sa.select(*key, row_hash, is_seen, sa.literal(self._day, sa.Date())).where(*conditions)
        return self._merge.run(sa.insert(self._changes).from_select(names, query))

    # Until when, and since when

    def _find_ends(self, next_load: date) -> None:
        """When each thing is seen next, and until when its new state continues."""
        rows, changes = self.rows, self._changes
        of_change = self._of_change(rows)
        begins = sa.case((rows.c.valid_from < next_load, sa.literal(next_load, sa.Date())), else_=rows.c.valid_from)
        shown = [*of_change, rows.c.is_seen.is_(sa.true()), _open_after(rows, next_load)]
        self._set(seen_next=self._one_of(sa.func.min(begins), shown))
        self._find_when_gone()
        is_later = sa.and_(changes.c.seen_next.is_not(None), changes.c.gone_on >= changes.c.seen_next)
        self._set(is_later, gone_on=sa.null())
        self._set(self.is_observed, valid_until=next_load)
        self._set(self._is_carried, valid_until=self._until)
        same = rows.c.row_hash == changes.c.row_hash
        after = [*of_change, rows.c.valid_from <= next_load, _open_after(rows, next_load), same]
        goes_on = sa.and_(self.is_observed, changes.c.seen_next == next_load, exists(rows, *after))
        self._set(goes_on, valid_until=self._one_of(sa.func.max(rows.c.valid_until), after), runs_on=sa.true())

    def _find_when_gone(self) -> None:
        """The first later load that observes that each thing is gone, given what it is like now."""
        table, changes, tables = self._observed.table, self._changes, self._merge.tables
        loads, load_tables, unobserved = map(tables, ("loads", "load_tables", "load_exceptions"))
        of_load = unobserved.c.load_id == loads.c.load_id
        complete = self._dates.where(load_tables.c.is_complete.is_(sa.true()), loads.c.export_date > self._day)
        has_unobserved = exists(unobserved, of_load, unobserved.c.table_name == table.name)
        query = complete.add_columns(has_unobserved).order_by(loads.c.export_date).limit(1)
        first = self._merge.connection.execute(query).first()
        if first is None:
            return
        if not first[1]:
            self._set(changes.c.row_hash.is_not(None), gone_on=first[0])
            return
        staged = self._observed.rows
        for rows, which, conditions in (
            (staged, self.is_observed, [*self._of_change(staged), *self._observed.filters]),
            (self.rows, self._is_carried, self._is_day_before()),
        ):
            observed = ~is_unobserved(table, rows, tables("objectives"), unobserved, of_load)
            gone = complete.with_only_columns(sa.func.min(loads.c.export_date)).where(
                exists(rows, *conditions, observed)
            )
            self._set(which, gone_on=gone.correlate(changes).scalar_subquery())

    def _find_starts(self) -> None:
        """Since when each thing has its new state: it may have had it the day before already."""
        rows, changes = self.rows, self._changes
        same = [rows.c.row_hash == changes.c.row_hash, rows.c.is_seen == changes.c.is_seen]
        before = [*self._is_day_before(), *same]
        self._set(exists(rows, *before), valid_from=self._one_of(sa.func.min(rows.c.valid_from), before))

    def _set(self, *conditions: sa.ColumnElement[bool], **values: Any) -> None:
        self._merge.run(sa.update(self._changes).values(values).where(*conditions))

    def _one_of(self, value: sa.ColumnElement[Any], conditions: Conditions) -> sa.ScalarSelect[Any]:
        return sa.select(value).where(*conditions).correlate(self._changes).scalar_subquery()

    # Writing

    def _write_changes(self) -> int:
        """The order matters: what is cut is copied before, what is joined after."""
        rows, staged, until, written = self.rows, self._observed.rows, self._changes.c.valid_until, 0
        if self._next_load is not None:
            written += self._keep_what_follows()
        was_before = [*self._of_change(rows), rows.c.valid_from < self._day]
        if self.is_between:
            written += self._remove_replaced()
            joins = sa.or_(_open_after(rows, self._day), rows.c.valid_until == self._day)
            written += self._merge.update(rows, {"valid_until": until}, [*was_before, joins, ~self._starts_here])
        ends = [*was_before, _open_after(rows, self._day), self._starts_here]
        written += self._merge.update(rows, {"valid_until": sa.literal(self._day, sa.Date())}, ends)
        shown = [*self._of_change(staged), *self._observed.filters, self.is_observed]
        written += self._insert(staged, self._day, until, is_seen=True, where=[*shown, self._starts_here])
        # What this load cannot observe continues as it was the day before, which has just been ended there.
        carried = [*self._of_change(rows), rows.c.valid_until == self._day, self._is_carried, self._starts_here]
        written += self._insert(rows, self._day, until, is_seen=False, where=carried)
        if self._next_load is not None:
            goes_on = sa.or_(self._until.is_(None), self._until > self._next_load)
            written += self._insert(staged, self._next_load, self._until, is_seen=False, where=[*shown, goes_on])
        return written

    def _keep_what_follows(self) -> int:
        """What was so before this date, and still is when the thing is seen next, begins there."""
        rows, seen_next = self.rows, self._changes.c.seen_next
        follows = [
            *self._of_change(rows),
            rows.c.valid_from < seen_next,
            _open_after(rows, seen_next),
            self._changes.c.runs_on.is_(None),
        ]
        return self._insert(rows, seen_next, rows.c.valid_until, is_seen=rows.c.is_seen, where=follows)

    def _remove_replaced(self) -> int:
        """What the new state takes the place of, from this date until the thing is seen next."""
        rows, changes = self.rows, self._changes
        end = sa.case((changes.c.runs_on.is_(sa.true()), changes.c.valid_until), else_=changes.c.seen_next)

        def replaced(found: sa.FromClause) -> list[sa.ColumnElement[bool]]:
            within = sa.or_(end.is_(None), found.c.valid_from < end)
            return [*self._of_change(found), found.c.valid_from >= self._day, within]

        if not dialect_of(self._merge.connection).compares_tuples:
            return self._merge.run(sa.delete(rows).where(exists(changes, *replaced(rows))))
        key = [*self._observed.table.key, "valid_from"]
        found = rows.alias()
        # Through a subquery in FROM: MySQL reads a table that it deletes from in no other way.
        doomed = sa.select(*(found.c[name] for name in key)).join_from(changes, found, sa.and_(*replaced(found)))
        inner = doomed.distinct().subquery()
        these = sa.select(*(inner.c[name] for name in key))
        return self._merge.run(sa.delete(rows).where(sa.tuple_(*(rows.c[name] for name in key)).in_(these)))

    def _insert(self, source: sa.FromClause, start: Any, until: Any, *, is_seen: Any, where: Conditions) -> int:
        """Insert rows with the data of ``source`` and these bounds."""
        data = {column.name: source.c[column.name] for column in self._observed.columns}
        return self._merge.insert(
            self.rows, {**data, "valid_from": start, "valid_until": until, "is_seen": is_seen}, where
        )

    # In the words of SQL

    @property
    def _is_carried(self) -> sa.ColumnElement[bool]:
        """The load cannot observe the thing, which is taken to be as the day before."""
        return sa.and_(self._changes.c.is_seen.is_(sa.false()), self._changes.c.row_hash.is_not(None))

    @property
    def _starts_here(self) -> sa.ColumnElement[bool]:
        """Its new state is not the one of the day before."""
        return self._changes.c.valid_from == self._day

    @property
    def _until(self) -> sa.ColumnElement[Any]:
        """Until when what is there now stays there, seen or not."""
        return sa.func.coalesce(self._changes.c.gone_on, self._changes.c.seen_next)

    def _of_change(self, rows: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        """The row is of the thing that changes."""
        key = self._observed.table.key
        return [self._changes.c[part] == rows.c[name] for part, name in zip(KEY_PARTS, key, strict=False)]

    def _same_key(self, one: sa.FromClause, other: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        return [one.c[name] == other.c[name] for name in self._observed.table.key]

    def _is_day_before(self) -> list[sa.ColumnElement[bool]]:
        """The row of the history is how the thing that changes was the day before."""
        until = self.rows.c.valid_until
        return [
            *self._of_change(self.rows),
            self.rows.c.valid_from < self._day,
            sa.or_(until.is_(None), until >= self._day),
        ]


def _open_after(rows: sa.FromClause, day: date | sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """The row, if it begins by then, is still so on the date."""
    return sa.or_(rows.c.valid_until.is_(None), rows.c.valid_until > day)
