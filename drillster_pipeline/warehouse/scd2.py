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

from .dialects import dialect_of
from .merge_context import Publication
from .scd2_changes import Changes, exists, open_after
from .staging import Staged


def publish_history(publication: Publication, seen: Staged, *, is_complete: bool) -> int:
    """Bring the history of an entity table up to what this load saw; how many of its rows were written or removed.

    ``seen``: the staged rows that are sightings. Not yet in the ledger as part of the history, see
    :func:`leave_to_this_load`.
    """
    changes = Changes.of(publication, seen, is_complete=is_complete)
    writing = _Writing(changes)
    if changes.rows.name in publication.before.blank:
        return writing.begin()
    if not changes.find():
        return 0
    written = writing.write()
    changes.clear()
    return written


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


@dataclass(frozen=True, slots=True)
class _Writing:
    """Writes the changes that were found into the history."""

    of: Changes

    @property
    def _day(self) -> sa.ColumnElement[Any]:
        return sa.literal(self.of.day, sa.Date())

    def begin(self) -> int:
        """The first load of all: what it shows is all there is to tell."""
        staged = self.of.seen.rows
        data = {column.name: staged.c[column.name] for column in self.of.seen.columns}
        bounds = {"valid_from": self._day, "valid_until": sa.literal(None, sa.Date()), "is_seen": sa.true()}
        return self._insert({**data, **bounds}, self.of.seen.only)

    def write(self) -> int:
        """The order matters: what is cut is copied before, what is joined after."""
        between, written = self.of.again or self.of.next_load is not None, 0
        if self.of.next_load is not None:
            written += self._keep_what_follows()
        if between:
            written += self._remove_replaced()
            written += self._lengthen()
        written += self._end()
        written += self._insert_seen(
            self.of.day, self.of.changes.c.valid_until, is_seen=True, where=[self.of.starts_here]
        )
        written += self._insert_carried()
        if self.of.next_load is not None:
            written += self._insert_through_blind_loads(self.of.next_load)
        return written

    def _keep_what_follows(self) -> int:
        """What was so before this date, and still is when the thing is seen next, begins there."""
        rows, changes = self.of.rows, self.of.changes
        follows = [
            *self.of.of_thing(rows),
            rows.c.valid_from < changes.c.seen_next,
            open_after(rows, changes.c.seen_next),
            changes.c.runs_on.is_(None),
        ]
        data = {column.name: rows.c[column.name] for column in self.of.seen.columns}
        bounds = {"valid_from": changes.c.seen_next, "valid_until": rows.c.valid_until, "is_seen": rows.c.is_seen}
        return self._insert({**data, **bounds}, follows)

    def _remove_replaced(self) -> int:
        """What the new state takes the place of, from this date until the thing is seen next."""
        rows, changes = self.of.rows, self.of.changes
        end = sa.case((changes.c.runs_on.is_(sa.true()), changes.c.valid_until), else_=changes.c.seen_next)

        def replaced(found: sa.FromClause) -> list[sa.ColumnElement[bool]]:
            within = sa.or_(end.is_(None), found.c.valid_from < end)
            return [*self.of.of_thing(found), found.c.valid_from >= self.of.day, within]

        if not dialect_of(self.of.publication.connection).compares_tuples:
            return self.of.publication.run(sa.delete(rows).where(exists(changes, *replaced(rows))))
        key = [*self.of.seen.table.key, "valid_from"]
        found = rows.alias()
        # Through a subquery in FROM: MySQL reads a table that it deletes from in no other way.
        doomed = sa.select(*(found.c[name] for name in key)).join_from(changes, found, sa.and_(*replaced(found)))
        inner = doomed.distinct().subquery()
        these = sa.select(*(inner.c[name] for name in key))
        return self.of.publication.run(sa.delete(rows).where(sa.tuple_(*(rows.c[name] for name in key)).in_(these)))

    def _lengthen(self) -> int:
        """What was so the day before, and still is, goes on."""
        rows, before = self.of.rows, self._before()
        same = sa.or_(open_after(rows, self.of.day), rows.c.valid_until == self.of.day)
        return self._update([*before, same, ~self.of.starts_here], self.of.changes.c.valid_until)

    def _end(self) -> int:
        """What was so the day before, and is no longer, ends."""
        conditions = [*self._before(), open_after(self.of.rows, self.of.day), self.of.starts_here]
        return self._update(conditions, self._day)

    def _before(self) -> list[sa.ColumnElement[bool]]:
        return [*self.of.of_thing(self.of.rows), self.of.rows.c.valid_from < self.of.day]

    def _update(self, conditions: list[sa.ColumnElement[bool]], until: sa.ColumnElement[Any]) -> int:
        rows, changes = self.of.rows, self.of.changes
        if not self.of.publication.updates_from:
            until = sa.select(until).where(*self.of.of_thing(rows)).correlate(rows).scalar_subquery()
            conditions = [exists(changes, *conditions)]
        statement = sa.update(rows).values(valid_until=until, **self.of.publication.stamp).where(*conditions)
        return self.of.publication.run(statement)

    def _insert_seen(
        self, start: date, until: sa.ColumnElement[Any], *, is_seen: bool, where: list[sa.ColumnElement[bool]]
    ) -> int:
        """The staged rows of what changes, with these bounds."""
        staged = self.of.seen.rows
        data = {column.name: staged.c[column.name] for column in self.of.seen.columns}
        bounds = {
            "valid_from": sa.literal(start, sa.Date()),
            "valid_until": until,
            "is_seen": sa.true() if is_seen else sa.false(),
        }
        return self._insert(
            {**data, **bounds}, [*self.of.of_thing(staged), *self.of.seen.only, self.of.is_shown, *where]
        )

    def _insert_carried(self) -> int:
        """What this load cannot see goes on as it was the day before, which has just been ended there."""
        rows = self.of.rows
        conditions = [
            *self.of.of_thing(rows),
            rows.c.valid_until == self.of.day,
            self.of.is_carried,
            self.of.starts_here,
        ]
        data = {column.name: rows.c[column.name] for column in self.of.seen.columns}
        bounds = {
            "valid_from": self._day,
            "valid_until": self.of.changes.c.valid_until,
            "is_seen": sa.false(),
        }
        return self._insert({**data, **bounds}, conditions)

    def _insert_through_blind_loads(self, next_load: date) -> int:
        """What this load shows goes on through the loads that cannot see it, up to the one that does."""
        goes_on = sa.or_(self.of.until.is_(None), self.of.until > next_load)
        return self._insert_seen(next_load, self.of.until, is_seen=False, where=[goes_on])

    def _insert(self, values: dict[str, sa.ColumnElement[Any]], conditions: Sequence[sa.ColumnElement[bool]]) -> int:
        stamp = {
            name: sa.literal(value, self.of.rows.c[name].type) for name, value in self.of.publication.stamp.items()
        }
        query = sa.select(*values.values(), *stamp.values()).where(*conditions)
        return self.of.publication.run(sa.insert(self.of.rows).from_select([*values, *stamp], query))
