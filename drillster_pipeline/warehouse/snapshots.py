"""Snapshots: things as they were on a date; the rows of the date are replaced as a whole."""

from __future__ import annotations

import sqlalchemy as sa

from .load_plan import LoadType
from .merge_context import Counts, Publication
from .staging import Staged


class RowsRepeat(Exception):
    """Staged rows of a snapshot table have the same key, or would be overlooked if they had."""


def publish_snapshot(publication: Publication, staged: Staged, load_type: LoadType, *, is_complete: bool) -> Counts:
    """Publish the staged rows of a snapshot table: replace the date's, or add to them where the read had holes.

    Raises RowsRepeat where the key finds what the judge left to it; the transaction must then be given up.
    """
    try:
        return _publish(publication, staged, load_type, is_complete=is_complete)
    except sa.exc.IntegrityError:
        if publication.staging.may_repeat(staged.table.name):
            raise RowsRepeat from None  # the error shows whose rows
        raise


def _publish(publication: Publication, staged: Staged, load_type: LoadType, *, is_complete: bool) -> Counts:
    rows = publication.target(staged.table.name)
    of_date = rows.c.export_date == publication.export_date
    blank = staged.table.name in publication.before.blank
    before = 0 if blank else publication.count(sa.select(sa.func.count()).select_from(rows).where(of_date))
    if before == 0:
        return Counts(inserted=publication.insert_all(staged))
    if publication.staging.may_repeat(staged.table.name) and not is_complete:
        raise RowsRepeat  # an update would take any of them
    same = sa.and_(
        sa.true(),
        *(
            rows.c[column.name].is_not_distinct_from(staged.rows.c[column.name])
            for column in staged.columns
            if column.name not in staged.table.key
        ),
    )
    if is_complete:
        return _replace(publication, staged, of_date, same, before)
    updated = publication.overwrite(staged, ~same) if load_type is not LoadType.ADDITIVE else 0
    inserted = publication.insert_new(staged)
    return Counts(inserted=inserted, updated=updated, unchanged=publication.count_staged(staged) - updated - inserted)


def _replace(
    publication: Publication,
    staged: Staged,
    of_date: sa.ColumnElement[bool],
    same: sa.ColumnElement[bool],
    before: int,
) -> Counts:
    rows = publication.target(staged.table.name)
    joined = rows.join(staged.rows, sa.and_(*staged.same_key(rows)))
    counted = sa.select(sa.func.count(), sa.func.count(sa.case((same, 1)))).select_from(joined)
    kept, unchanged = publication.connection.execute(counted).one()
    publication.run(sa.delete(rows).where(of_date))
    staged_rows = publication.insert_all(staged)
    return Counts(inserted=staged_rows - kept, updated=kept - unchanged, deleted=before - kept, unchanged=unchanged)
