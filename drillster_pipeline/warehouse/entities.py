"""Entities: things as they are now, and since when they were seen. The order of loads makes no difference.

Of each row the warehouse knows the first and last date on which it was seen. The data is that of the last one.
``deleted_on`` follows from the ledger: it is the first date after that on which the table was read whole (see
``exceptions`` for what even such a read cannot see). So a load of an old date can add what nobody knew, move
``first_seen_on`` back and date a disappearance more closely, but never undo what a newer one found.

What is only met in passing is no sighting: a person whom an event names, or a group whose members were read while the
list of accounts was not. It has no dates, and it is written only while nothing has shown the row in its own right.
Of several that name it the newest counts, and snapshots before events, which tell less. A stub, of which nothing but
the key is known, gives way to all of them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.tables.schema import Table

from .ledger import NOTHING_LATER, Later, later_read
from .load_plan import LoadType
from .merge_context import UNREAD, Counts, Publication
from .scd2 import publish_history
from .staging import Staged
from .unobserved import MENTIONED_FLAG, absent, excepted, flags_referenced


def publish_entities(publication: Publication, staged: Staged, load_type: LoadType, *, is_complete: bool) -> Counts:
    """Publish the staged rows of an entity table."""
    if load_type is LoadType.ADDITIVE:
        return _publish_named(publication, staged)
    later = _later_read(publication, staged.table)
    seen, named = _divided(publication, staged)
    counts = _write_seen(publication, seen, later) if publication.count_staged(seen) else Counts()
    if named is not None:
        counts += _publish_named(publication, named)
    counts = replace(counts, history=publish_history(publication, seen, is_complete=is_complete))
    if not is_complete:
        return counts
    deleted, redated = _mark_absent(publication, staged, later)
    return replace(counts, deleted=deleted, updated=counts.updated + redated)


def _later_read(publication: Publication, table: Table) -> Later:
    if not publication.before.later:
        return NOTHING_LATER
    return later_read(publication.connection, publication.metadata, table.name, publication.export_date)


def _divided(publication: Publication, staged: Staged) -> tuple[Staged, Staged | None]:
    """What a load shows, and whom it met in passing where it could not read the list of accounts whole."""
    if not flags_referenced(staged.table) or not publication.count_staged(staged):
        return staged, None
    flag = staged.rows.c[MENTIONED_FLAG]
    named = replace(staged, only=(flag.is_(None),))
    return (replace(staged, only=(flag.is_not(None),)), named) if publication.count_staged(named) else (staged, None)


def _write_seen(publication: Publication, staged: Staged, later: Later) -> Counts:
    rows, day = publication.target(staged.table.name), publication.export_date
    never_seen = rows.c.last_seen_on.is_(None)
    differs = rows.c.row_hash != staged.rows.c.row_hash
    gone = {"deleted_on": later.export_date}
    # With the dates at once, so that no row is written twice.
    overwritten = sa.or_(never_seen, sa.and_(rows.c.last_seen_on <= day, differs))
    updated = publication.overwrite(staged, overwritten, gone | _moved_dates(rows, day))
    _move_dates(publication, staged)
    updated += _date_deletions_again(publication, staged, later)
    inserted = publication.insert_new(staged, _seen_on(day) | gone)
    _date_deletions_of_written(publication, staged.table, later)
    unchanged = publication.count_staged(staged) - updated - inserted
    return Counts(inserted=inserted, updated=updated, unchanged=unchanged)


def _publish_named(publication: Publication, staged: Staged) -> Counts:
    """What was met in passing: it counts until something shows the row in its own right."""
    rows = publication.target(staged.table.name)
    unseen = rows.c.last_seen_on.is_(None)
    differs = sa.and_(publication.written_before(rows), rows.c.row_hash != staged.rows.c.row_hash)
    gives_way = [rows.c.row_hash == UNREAD, differs]
    if publication.kind == "snapshot":
        gives_way.append(publication.written_by(rows, lambda loads: loads.c.kind != publication.kind))
    updated = publication.overwrite(staged, sa.and_(unseen, sa.or_(*gives_way)))
    publication.confirm(staged, unseen)
    inserted = publication.insert_new(staged)
    unchanged = publication.count_staged(staged) - updated - inserted
    return Counts(inserted=inserted, updated=updated, unchanged=unchanged)


def _seen_on(day: date) -> dict[str, date | None]:
    return {"first_seen_on": day, "last_seen_on": day}


def _move_dates(publication: Publication, staged: Staged) -> None:
    """Note that the staged rows were seen on this date; nothing else of them is touched."""
    rows, day = publication.target(staged.table.name), publication.export_date
    moved = sa.or_(_is_earlier(rows, day), _is_later(rows, day))
    move = sa.update(rows).values(_moved_dates(rows, day)).where(staged.holds(rows), moved)
    publication.change(staged.table.name, move)


def _moved_dates(rows: sa.Table, day: date) -> dict[str, sa.ColumnElement[Any]]:
    """The dates of rows that were seen on ``day`` as well."""
    return {
        "first_seen_on": sa.case((_is_earlier(rows, day), day), else_=rows.c.first_seen_on),
        "last_seen_on": sa.case((_is_later(rows, day), day), else_=rows.c.last_seen_on),
    }


def _is_earlier(rows: sa.Table, day: date) -> sa.ColumnElement[bool]:
    return sa.or_(rows.c.first_seen_on.is_(None), rows.c.first_seen_on > day)


def _is_later(rows: sa.Table, day: date) -> sa.ColumnElement[bool]:
    return sa.or_(rows.c.last_seen_on.is_(None), rows.c.last_seen_on < day)


def _date_deletions_again(publication: Publication, staged: Staged, later: Later) -> int:
    """A row that was gone, and is seen again, comes back (or is gone from a later date). How many rows changed so."""
    rows = publication.target(staged.table.name)
    deleted_on = _deleted_on(publication, staged.table, later)
    return publication.change(
        staged.table.name,
        sa.update(rows)
        .values(deleted_on=deleted_on, **publication.stamp)
        .where(
            staged.holds(rows),
            rows.c.last_seen_on == publication.export_date,
            rows.c.load_id != publication.load_id,
            rows.c.deleted_on.is_distinct_from(deleted_on),
        ),
    )


def _date_deletions_of_written(publication: Publication, table: Table, later: Later) -> None:
    """Rows that this load wrote have the date of the next whole read; right that where it could not see them."""
    if later.has_exceptions:
        rows = publication.target(table.name)
        publication.run(
            sa.update(rows)
            .values(deleted_on=_deleted_on(publication, table, later))
            .where(rows.c.load_id == publication.load_id, rows.c.last_seen_on == publication.export_date)
        )


def _deleted_on(publication: Publication, table: Table, later: Later) -> sa.ColumnElement[Any]:
    """What ``deleted_on`` is of a row that was last seen on this load's date."""
    if not later.has_exceptions:
        return sa.literal(later.export_date, sa.Date())
    rows = publication.target(table.name)
    loads, load_tables = publication.target("loads").alias(), publication.target("load_tables").alias()
    exceptions = publication.target("load_exceptions").alias()
    of_load = exceptions.c.load_id == loads.c.load_id
    query = (
        sa.select(sa.func.min(loads.c.export_date))
        .join_from(loads, load_tables, load_tables.c.load_id == loads.c.load_id)
        .where(
            load_tables.c.table_name == table.name,
            load_tables.c.is_complete.is_(sa.true()),
            loads.c.export_date > publication.export_date,
            ~excepted(table, rows, publication.target("objectives"), exceptions, of_load),
        )
    )
    return query.correlate(rows).scalar_subquery()


def _mark_absent(publication: Publication, staged: Staged, later: Later) -> tuple[int, int]:
    """Mark what a whole read did not show: rows newly marked, and rows whose mark moves to this earlier date."""
    rows, day = publication.target(staged.table.name), publication.export_date
    gone = absent(staged, rows, publication.target("objectives"), publication.staging, day)
    mark = sa.update(rows).values(deleted_on=day, **publication.stamp)
    deleted = publication.change(staged.table.name, mark.where(gone, rows.c.deleted_on.is_(None)))
    if later.export_date is None:
        return deleted, 0
    # The rows of the first statement no longer meet the second: their date is not after this one.
    return deleted, publication.run(mark.where(gone, rows.c.deleted_on > day))
