"""Events: things that happened, never deleted; the newest load that showed one decides what it says."""

from __future__ import annotations

import sqlalchemy as sa

from .merge_context import Counts, Publication
from .staging import Staged


def publish_events(publication: Publication, staged: Staged) -> Counts:
    """Publish the staged rows of an event table.

    Which of two loads is the newer is told by their export dates, so that a night that is replayed later never
    overwrites what a newer one found.
    """
    rows = publication.target(staged.table.name)
    differs = sa.or_(
        sa.false(),
        *(
            rows.c[column.name].is_distinct_from(staged.rows.c[column.name])
            for column in staged.columns
            if column.name not in staged.table.key
        ),
    )
    updated = publication.overwrite(staged, sa.and_(publication.written_before(rows), differs))
    publication.confirm(staged, sa.true())
    inserted = publication.insert_new(staged)
    unchanged = publication.count_staged(staged) - updated - inserted
    return Counts(inserted=inserted, updated=updated, unchanged=unchanged)
