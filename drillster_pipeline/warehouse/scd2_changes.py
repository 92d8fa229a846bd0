"""What a load changes in the history of a table, worked out in a staging table before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.tables import history_name

from .merge_context import Publication
from .staging import KEY_PARTS, Staged
from .unobserved import excepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What one load changes in one history (see :mod:`.intervals`); ``changes`` has a row per thing.

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
    def of(cls, publication: Publication, seen: Staged, *, is_complete: bool) -> Changes:
        """With what the ledger says of other dates."""
        loads, load_tables = publication.target("loads"), publication.target("load_tables")
        day = publication.export_date
        told = (
            sa.select(loads.c.export_date)
            .join(load_tables, load_tables.c.load_id == loads.c.load_id)
            .where(load_tables.c.table_name == seen.table.name, load_tables.c.in_history.is_(sa.true()))
        )
        this = told.where(loads.c.export_date == day).limit(1)
        later = told.where(loads.c.export_date > day).order_by(loads.c.export_date).limit(1)
        before, connection = publication.before, publication.connection
        return cls(
            publication=publication,
            seen=seen,
            is_complete=is_complete,
            rows=publication.target(history_name(seen.table.name)),
            changes=publication.staging.changes,
            again=before.of_date and connection.execute(this).first() is not None,
            next_load=connection.execute(later).scalar() if before.later else None,
        )

    def find(self) -> int:
        """Fill ``changes``; how many rows that are."""
        found = self._find_seen() + self._find_unseen() + (self._find_unseen_again() if self.again else 0)
        if found:
            if self.next_load is not None:
                self._find_ends(self.next_load)
            if self.again or self.next_load is not None:
                self._find_starts()
        return found

    def clear(self) -> None:
        """Make room for the changes of another table."""
        self.publication.run(sa.delete(self.changes))

    @property
    def day(self) -> date:
        """The date of this load."""
        return self.publication.export_date

    # What changes

    def _find_seen(self) -> int:
        """Things that this load shows, and that are not known to be so on its date."""
        rows, staged = self.rows, self.seen.rows
        known = exists(
            rows,
            *self._same_thing(rows, staged),
            covers(rows, self.day),
            rows.c.row_hash == staged.c.row_hash,
            rows.c.is_seen.is_(sa.true()),
        )
        if not self.publication.count_staged(self.seen):
            return 0
        return self._note(staged, staged.c.row_hash, sa.true(), *self.seen.only, ~known)

    def _find_unseen(self) -> int:
        """Things that were there the day before and are not shown: gone, or out of sight."""
        rows = self.rows
        there = sa.and_(rows.c.valid_from < self.day, open_after(rows, self.day), ~self.seen.holds(rows))
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
        as_is = exists(
            other,
            *same,
            other.c.valid_from == self.day,
            other.c.row_hash == rows.c.row_hash,
            other.c.is_seen.is_(sa.false()),
        )
        found = self._note(rows, rows.c.row_hash, sa.false(), carried, ~as_is)
        return found + self._note(other, sa.null(), sa.false(), began, ~exists(rows, *same, carried))

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
        names = [*KEY_PARTS[: len(key)], "row_hash", "is_seen", "valid_from"]
        query = sa.select(*key, row_hash, is_seen, sa.literal(self.day, sa.Date())).where(*conditions)
        return self.publication.run(sa.insert(self.changes).from_select(names, query))

    # Until when, and since when

    def _find_ends(self, next_load: date) -> None:
        """When each thing is seen next, and until when its new state goes on as it is."""
        rows, changes = self.rows, self.changes
        of_thing = self.of_thing(rows)
        begins = sa.case((rows.c.valid_from < next_load, sa.literal(next_load, sa.Date())), else_=rows.c.valid_from)
        shown = sa.select(sa.func.min(begins)).where(
            *of_thing, rows.c.is_seen.is_(sa.true()), open_after(rows, next_load)
        )
        self._set(seen_next=shown.correlate(changes).scalar_subquery())
        self._find_when_gone()
        is_later = sa.and_(changes.c.seen_next.is_not(None), changes.c.gone_on >= changes.c.seen_next)
        self._set(is_later, gone_on=sa.null())
        self._set(self.is_shown, valid_until=next_load)
        self._set(self.is_carried, valid_until=self.until)
        after = [*of_thing, covers(rows, next_load), rows.c.row_hash == changes.c.row_hash]
        goes_on = sa.and_(self.is_shown, changes.c.seen_next == next_load, exists(rows, *after))
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
        blind = exists(exceptions, of_load, exceptions.c.table_name == table.name)
        first = connection.execute(whole.add_columns(blind).order_by(loads.c.export_date).limit(1)).first()
        if first is None:
            return
        if not first[1]:
            self._set(changes.c.row_hash.is_not(None), gone_on=first[0])
            return
        first_gone = whole.with_only_columns(sa.func.min(loads.c.export_date))
        for rows, which, conditions in (
            (self.seen.rows, self.is_shown, [*self.of_thing(self.seen.rows), *self.seen.only]),
            (self.rows, self.is_carried, [*self.of_thing(self.rows), *self._before(self.rows)]),
        ):
            missed = ~excepted(table, rows, objectives, exceptions, of_load)
            query = first_gone.where(exists(rows, *conditions, missed))
            self._set(which, gone_on=query.correlate(changes).scalar_subquery())

    def _find_starts(self) -> None:
        """Since when each thing has its new state: it may have had it the day before already."""
        rows, changes = self.rows, self.changes
        before = [
            *self.of_thing(rows),
            *self._before(rows),
            rows.c.row_hash == changes.c.row_hash,
            rows.c.is_seen == changes.c.is_seen,
        ]
        since = sa.select(sa.func.min(rows.c.valid_from)).where(*before).correlate(changes).scalar_subquery()
        self._set(exists(rows, *before), valid_from=since)

    # In the words of SQL

    @property
    def is_shown(self) -> sa.ColumnElement[bool]:
        """The load shows the thing."""
        return self.changes.c.is_seen.is_(sa.true())

    @property
    def is_carried(self) -> sa.ColumnElement[bool]:
        """The load cannot see the thing, which is taken to be as the day before."""
        return sa.and_(self.changes.c.is_seen.is_(sa.false()), self.changes.c.row_hash.is_not(None))

    @property
    def starts_here(self) -> sa.ColumnElement[bool]:
        """Its new state is not the one of the day before."""
        return self.changes.c.valid_from == self.day

    @property
    def until(self) -> sa.ColumnElement[Any]:
        """Until when what is there now stays there, seen or not."""
        return sa.func.coalesce(self.changes.c.gone_on, self.changes.c.seen_next)

    def of_thing(self, rows: sa.FromClause) -> list[sa.ColumnElement[bool]]:
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


def covers(rows: sa.FromClause, day: date) -> sa.ColumnElement[bool]:
    """The row is so on the date."""
    return sa.and_(rows.c.valid_from <= day, open_after(rows, day))


def open_after(rows: sa.FromClause, day: date | sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """The row, if it begins by then, is still so on the date."""
    return sa.or_(rows.c.valid_until.is_(None), rows.c.valid_until > day)


def exists(rows: sa.FromClause, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """There is such a row of ``rows``; all other tables are those of the statement around it."""
    return sa.select(sa.literal(1)).select_from(rows).where(*conditions).correlate_except(rows).exists()
