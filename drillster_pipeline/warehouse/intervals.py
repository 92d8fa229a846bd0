"""The history of entities, as intervals of export dates. The order of loads makes no difference.

A load *sees* a thing by showing it in its own right, and sees that it is gone by a whole read without it (see
``exceptions`` for what even such a read cannot see). What a load cannot see is taken to be as on the day before, and is
marked so (``is_seen``). The state of a thing on a date is its row with that mark, or nothing; a date that was never
loaded is as the date before it. A history row is a run of dates with the same state, as long as it can be.

So a load changes only what follows from its own date: there the state becomes another, and goes on through loads that
cannot see the thing, up to the next one that does. Where that state was there already, nothing is to be done::

    loads       d ........ a (cannot see it) ....... b (sees it)
    written     [d, a) as this load tells, seen      from b on: as it was
                            [a, b) the same, not seen

Of two loads of a date the newest counts, and that is all that histories know of a load: ``load_tables.in_history``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.tables import history_name

from .exceptions import excepted
from .publication import Publication
from .staging import KEY_PARTS, Staged

TUPLES = {"sqlite", "postgresql", "mysql", "mariadb"}
"""Dialects that look up several columns at once."""


def publish_history(publication: Publication, seen: Staged, *, is_complete: bool) -> int:
    """Bring the history of an entity table up to what this load saw; how many of its rows were written or removed.

    ``seen``: the staged rows that are sightings. Not yet in the ledger as part of the history, see
    :func:`leave_to_this_load`.
    """
    return _Change.of(publication, seen, is_complete=is_complete).make()


def leave_to_this_load(publication: Publication, tables: Sequence[str]) -> None:
    """Note that of these tables' histories, this load is the one that tells of its date."""
    loads, load_tables = publication.target("loads"), publication.target("load_tables")
    of_date = sa.select(loads.c.load_id).where(loads.c.export_date == publication.export_date)
    publication.run(
        sa.update(load_tables)
        .values(in_history=sa.false())
        .where(
            load_tables.c.table_name.in_(tables),
            load_tables.c.in_history.is_(sa.true()),
            load_tables.c.load_id.in_(of_date),
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """The change of one table's history by one load, worked out in ``changes``, a row per thing that changes.

    ``row_hash``, ``is_seen``: its new state from this date on; no hash: it is gone.
    ``seen_next``: when a later load shows it again; ``gone_on``: when one before that sees that it is gone.
    ``valid_from``, ``valid_until``: the run that the new state becomes part of; ``runs_on``: also beyond what changes.
    """

    publication: Publication
    seen: Staged
    is_complete: bool
    rows: sa.Table
    changes: sa.Table
    again: bool
    """There is an earlier load of this date, which this one takes the place of."""
    next_load: date | None
    """The next date that was loaded; None: this is the newest."""

    @classmethod
    def of(cls, publication: Publication, seen: Staged, *, is_complete: bool) -> _Change:
        """With what the ledger says of other dates."""
        loads, load_tables = publication.target("loads"), publication.target("load_tables")
        day = publication.export_date
        told = (
            sa.select(loads.c.export_date)
            .join(load_tables, load_tables.c.load_id == loads.c.load_id)
            .where(load_tables.c.table_name == seen.table.name, load_tables.c.in_history.is_(sa.true()))
        )
        this = told.where(loads.c.export_date == day)
        later = told.where(loads.c.export_date > day).order_by(loads.c.export_date)
        return cls(
            publication=publication,
            seen=seen,
            is_complete=is_complete,
            rows=publication.target(history_name(seen.table.name)),
            changes=publication.staging.changes,
            again=publication.connection.execute(this.limit(1)).first() is not None,
            next_load=publication.connection.execute(later.limit(1)).scalar(),
        )

    def make(self) -> int:
        """Find what changes, and write it. The order matters: what is cut is copied before, what is joined after."""
        self.publication.run(sa.delete(self.changes))
        found = self._find_seen() + self._find_unseen() + (self._find_unseen_again() if self.again else 0)
        if not found:
            return 0
        if self.next_load is not None:
            self._find_ends(self.next_load)
        self._find_starts()
        written = 0
        if self.next_load is not None:
            written += self._keep_what_follows()
        if self.again or self.next_load is not None:
            written += self._remove_replaced()
        written += self._end_or_lengthen()
        written += self._insert_seen(self.day, self.changes.c.valid_until, is_seen=True, where=[self._starts_here])
        written += self._insert_carried()
        if self.next_load is not None:
            written += self._insert_through_blind_loads(self.next_load)
        return written

    @property
    def day(self) -> date:
        """The date of this load."""
        return self.publication.export_date

    # What changes

    def _find_seen(self) -> int:
        """Things that this load shows, and that are not known to be so on its date."""
        rows, staged = self.rows, self.seen.rows
        known = _exists(
            rows,
            *self._same_thing(rows, staged),
            _covers(rows, self.day),
            rows.c.row_hash == staged.c.row_hash,
            rows.c.is_seen.is_(sa.true()),
        )
        if not self.publication.count_staged(self.seen):
            return 0
        return self._note(staged, staged.c.row_hash, sa.true(), *self.seen.only, ~known)

    def _find_unseen(self) -> int:
        """Things that were there the day before and are not shown: gone, or out of sight."""
        rows = self.rows
        there = sa.and_(rows.c.valid_from < self.day, _open_after(rows, self.day), ~self.seen.holds(rows))
        unseen = self._is_out_of_sight(rows)
        if unseen is None:
            return self._note(rows, rows.c.row_hash, sa.false(), there, rows.c.is_seen.is_(sa.true()))
        carried = sa.case((unseen, rows.c.row_hash))
        return self._note(rows, carried, sa.false(), there, sa.or_(~unseen, rows.c.is_seen.is_(sa.true())))

    def _find_unseen_again(self) -> int:
        """Things that an earlier load of this date saw, or saw gone, and this one does not show."""
        rows, other = self.rows, self.rows.alias()
        ended = sa.and_(rows.c.valid_until == self.day, ~self.seen.holds(rows))
        began = sa.and_(other.c.valid_from == self.day, ~self.seen.holds(other))
        unseen = self._is_out_of_sight(rows)
        carried = ended if unseen is None else sa.and_(ended, unseen)
        same = self._same_thing(rows, other)
        as_is = _exists(
            other,
            *same,
            other.c.valid_from == self.day,
            other.c.row_hash == rows.c.row_hash,
            other.c.is_seen.is_(sa.false()),
        )
        found = self._note(rows, rows.c.row_hash, sa.false(), carried, ~as_is)
        return found + self._note(other, sa.null(), sa.false(), began, ~_exists(rows, *same, carried))

    def _is_out_of_sight(self, rows: sa.FromClause) -> sa.ColumnElement[bool] | None:
        """Whether this load could not see these rows; None: it could see none of those that it does not show."""
        if not self.is_complete:
            return None
        table, objectives = self.seen.table, self.publication.target("objectives")
        return excepted(table, rows, objectives, self.publication.staging.exceptions)

    def _note(
        self, found: sa.FromClause, row_hash: Any, is_seen: sa.ColumnElement[bool], *conditions: sa.ColumnElement[bool]
    ) -> int:
        key = [found.c[name] for name in self.seen.table.key]
        names = [*KEY_PARTS[: len(key)], "row_hash", "is_seen"]
        query = sa.select(*key, row_hash, is_seen).where(*conditions)
        return self.publication.run(sa.insert(self.changes).from_select(names, query))

    # Until when, and since when

    def _find_ends(self, next_load: date) -> None:
        """When each thing is seen next, and until when its new state goes on as it is."""
        rows, changes = self.rows, self.changes
        of_thing = self._of_change(rows)
        begins = sa.case((rows.c.valid_from < next_load, sa.literal(next_load, sa.Date())), else_=rows.c.valid_from)
        shown = sa.select(sa.func.min(begins)).where(
            *of_thing, rows.c.is_seen.is_(sa.true()), _open_after(rows, next_load)
        )
        self._set(seen_next=shown.correlate(changes).scalar_subquery())
        self._find_when_gone()
        is_later = sa.and_(changes.c.seen_next.is_not(None), changes.c.gone_on >= changes.c.seen_next)
        self._set(is_later, gone_on=sa.null())
        self._set(self._is_shown, valid_until=next_load)
        self._set(self._is_carried, valid_until=self._until)
        after = [*of_thing, _covers(rows, next_load), rows.c.row_hash == changes.c.row_hash]
        goes_on = sa.and_(self._is_shown, changes.c.seen_next == next_load, _exists(rows, *after))
        until = sa.select(sa.func.max(rows.c.valid_until)).where(*after).correlate(changes).scalar_subquery()
        self._set(goes_on, valid_until=until, runs_on=sa.true())

    def _find_when_gone(self) -> None:
        """The first later load that sees each thing gone, given what it is like now."""
        connection, table, changes = self.publication.connection, self.seen.table, self.changes
        loads, load_tables = self.publication.target("loads"), self.publication.target("load_tables")
        exceptions, objectives = self.publication.target("load_exceptions"), self.publication.target("objectives")
        of_load = exceptions.c.load_id == loads.c.load_id
        whole = (
            sa.select(loads.c.export_date)
            .join(load_tables, load_tables.c.load_id == loads.c.load_id)
            .where(
                load_tables.c.table_name == table.name,
                load_tables.c.in_history.is_(sa.true()),
                load_tables.c.is_complete.is_(sa.true()),
                loads.c.export_date > self.day,
            )
        )
        blind = _exists(exceptions, of_load, exceptions.c.table_name == table.name)
        first = connection.execute(whole.add_columns(blind).order_by(loads.c.export_date).limit(1)).first()
        if first is None:
            return
        if not first[1]:
            self._set(changes.c.row_hash.is_not(None), gone_on=first[0])
            return
        first_gone = whole.with_only_columns(sa.func.min(loads.c.export_date))
        for rows, which, conditions in (
            (self.seen.rows, self._is_shown, [*self._of_change(self.seen.rows), *self.seen.only]),
            (self.rows, self._is_carried, [*self._of_change(self.rows), *self._before(self.rows)]),
        ):
            missed = ~excepted(table, rows, objectives, exceptions, of_load)
            query = first_gone.where(_exists(rows, *conditions, missed))
            self._set(which, gone_on=query.correlate(changes).scalar_subquery())

    def _find_starts(self) -> None:
        """Since when each thing has its new state: it may have had it the day before already."""
        rows, changes = self.rows, self.changes
        self._set(valid_from=self.day)
        if self.again or self.next_load is not None:
            before = [
                *self._of_change(rows),
                *self._before(rows),
                rows.c.row_hash == changes.c.row_hash,
                rows.c.is_seen == changes.c.is_seen,
            ]
            since = sa.select(sa.func.min(rows.c.valid_from)).where(*before).correlate(changes).scalar_subquery()
            self._set(_exists(rows, *before), valid_from=since)

    # What is written

    def _keep_what_follows(self) -> int:
        """What was so before this date, and still is when the thing is seen next, begins there."""
        rows, changes = self.rows, self.changes
        follows = [
            *self._of_change(rows),
            rows.c.valid_from < changes.c.seen_next,
            _open_after(rows, changes.c.seen_next),
            changes.c.runs_on.is_(None),
        ]
        data = {column.name: rows.c[column.name] for column in self.seen.columns}
        bounds = {"valid_from": changes.c.seen_next, "valid_until": rows.c.valid_until, "is_seen": rows.c.is_seen}
        return self._insert({**data, **bounds}, follows)

    def _remove_replaced(self) -> int:
        """What the new state takes the place of, from this date until the thing is seen next."""
        rows, changes = self.rows, self.changes
        end = sa.case((changes.c.runs_on.is_(sa.true()), changes.c.valid_until), else_=changes.c.seen_next)

        def replaced(found: sa.FromClause) -> list[sa.ColumnElement[bool]]:
            within = sa.or_(end.is_(None), found.c.valid_from < end)
            return [*self._of_change(found), found.c.valid_from >= self.day, within]

        if self.publication.connection.dialect.name not in TUPLES:
            return self.publication.run(sa.delete(rows).where(_exists(changes, *replaced(rows))))
        key = [*self.seen.table.key, "valid_from"]
        found = rows.alias()
        # Through a subquery in FROM: MySQL reads a table that it deletes from in no other way.
        doomed = sa.select(*(found.c[name] for name in key)).join_from(changes, found, sa.and_(*replaced(found)))
        inner = doomed.distinct().subquery()
        these = sa.select(*(inner.c[name] for name in key))
        return self.publication.run(sa.delete(rows).where(sa.tuple_(*(rows.c[name] for name in key)).in_(these)))

    def _end_or_lengthen(self) -> int:
        """What was so the day before ends here, or goes on in the new state if that is the same."""
        rows, changes = self.rows, self.changes
        of_thing = [*self._of_change(rows), rows.c.valid_from < self.day]
        goes_on = [*of_thing, sa.or_(_open_after(rows, self.day), rows.c.valid_until == self.day), ~self._starts_here]
        ends = [*of_thing, _open_after(rows, self.day), self._starts_here]
        written = 0
        if self.again or self.next_load is not None:
            written += self._update(goes_on, changes.c.valid_until)
        return written + self._update(ends, sa.literal(self.day, sa.Date()))

    def _update(self, conditions: list[sa.ColumnElement[bool]], until: sa.ColumnElement[Any]) -> int:
        rows, changes = self.rows, self.changes
        if not self.publication.updates_from:
            until = sa.select(until).where(*self._of_change(rows)).correlate(rows).scalar_subquery()
            conditions = [_exists(changes, *conditions)]
        statement = sa.update(rows).values(valid_until=until, **self.publication.stamp).where(*conditions)
        return self.publication.run(statement)

    def _insert_seen(
        self, start: date, until: sa.ColumnElement[Any], *, is_seen: bool, where: list[sa.ColumnElement[bool]]
    ) -> int:
        """The staged rows of what changes, with these bounds."""
        staged = self.seen.rows
        data = {column.name: staged.c[column.name] for column in self.seen.columns}
        bounds = {
            "valid_from": sa.literal(start, sa.Date()),
            "valid_until": until,
            "is_seen": sa.true() if is_seen else sa.false(),
        }
        return self._insert({**data, **bounds}, [*self._of_change(staged), *self.seen.only, self._is_shown, *where])

    def _insert_carried(self) -> int:
        """What this load cannot see goes on as it was the day before, which has just been ended there."""
        rows = self.rows
        conditions = [*self._of_change(rows), rows.c.valid_until == self.day, self._is_carried, self._starts_here]
        data = {column.name: rows.c[column.name] for column in self.seen.columns}
        bounds = {
            "valid_from": sa.literal(self.day, sa.Date()),
            "valid_until": self.changes.c.valid_until,
            "is_seen": sa.false(),
        }
        return self._insert({**data, **bounds}, conditions)

    def _insert_through_blind_loads(self, next_load: date) -> int:
        """What this load shows goes on through the loads that cannot see it, up to the one that does."""
        goes_on = sa.or_(self._until.is_(None), self._until > next_load)
        return self._insert_seen(next_load, self._until, is_seen=False, where=[goes_on])

    def _insert(self, values: dict[str, sa.ColumnElement[Any]], conditions: Sequence[sa.ColumnElement[bool]]) -> int:
        stamp = {name: sa.literal(value, self.rows.c[name].type) for name, value in self.publication.stamp.items()}
        query = sa.select(*values.values(), *stamp.values()).where(*conditions)
        return self.publication.run(sa.insert(self.rows).from_select([*values, *stamp], query))

    # In the words of SQL

    @property
    def _is_shown(self) -> sa.ColumnElement[bool]:
        return self.changes.c.is_seen.is_(sa.true())

    @property
    def _is_carried(self) -> sa.ColumnElement[bool]:
        return sa.and_(self.changes.c.is_seen.is_(sa.false()), self.changes.c.row_hash.is_not(None))

    @property
    def _starts_here(self) -> sa.ColumnElement[bool]:
        return self.changes.c.valid_from == self.day

    @property
    def _until(self) -> sa.ColumnElement[Any]:
        """Until when what is there now stays there, seen or not."""
        return sa.func.coalesce(self.changes.c.gone_on, self.changes.c.seen_next)

    def _of_change(self, rows: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        """The row is of the thing that changes."""
        key = self.seen.table.key
        return [self.changes.c[part] == rows.c[name] for part, name in zip(KEY_PARTS, key, strict=False)]

    def _same_thing(self, one: sa.FromClause, other: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        return [one.c[name] == other.c[name] for name in self.seen.table.key]

    def _before(self, rows: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        """The row was so the day before."""
        until = rows.c.valid_until
        return [rows.c.valid_from < self.day, sa.or_(until.is_(None), until >= self.day)]

    def _set(self, *conditions: sa.ColumnElement[bool], **values: Any) -> None:
        self.publication.run(sa.update(self.changes).values(values).where(*conditions))


def _covers(rows: sa.FromClause, day: date) -> sa.ColumnElement[bool]:
    return sa.and_(rows.c.valid_from <= day, _open_after(rows, day))


def _open_after(rows: sa.FromClause, day: date | sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """The row is still so on the date."""
    return sa.or_(rows.c.valid_until.is_(None), rows.c.valid_until > day)


def _exists(rows: sa.FromClause, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.select(sa.literal(1)).select_from(rows).where(*conditions).correlate_except(rows).exists()
