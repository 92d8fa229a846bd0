"""Entities: things as they are now. Their history is the truth, and an entity row is the last row of its history.

So only what changes in the history changes here, and the order of loads makes no difference (see :mod:`.scd2`). Kept
beside it are ``first_seen_on`` and ``last_seen_on``, the first and the last date on which a load observed the row.

A row that is only referenced (a person whom an event names, a group whose members were read while the list of groups
was not) is no observation. It has no history and no dates, and it is written only while nothing has observed it. Of
several loads that refer to it the newest counts, and snapshots before events, which know less. A placeholder, of which
nothing but the key is known, gives way to all of them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import sqlalchemy as sa

from .load_plan import LoadType
from .merge import PLACEHOLDER, Counts, Merge, exists
from .scd2 import HistoryMerge
from .staging import Staged
from .unobserved import REFERENCED_FLAG, flags_referenced, is_missing


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
        inserted=counts.inserted + passing.inserted,
        updated=counts.updated + passing.updated + redated,
        deleted=deleted,
        unchanged=counts.unchanged + passing.unchanged,
        history=written,
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
        return Counts(inserted=merge.insert_staged(observed, new_dates))
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
    return Counts(inserted=inserted, updated=updated + redated, unchanged=unchanged)


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
