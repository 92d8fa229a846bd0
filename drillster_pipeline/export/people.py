"""Texts for places where nobody may be named, such as Dagster's records, which `forget` does not reach."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from drillster_pipeline.mentions import Mentions, plainly, words_of
from drillster_pipeline.privacy import REMOVED

from .session import Session


def without_people(session: Session, texts: Sequence[str]) -> list[str]:
    """The texts (names of groups, say) without people: a group is often called after its coach.

    Out go addresses, and names of more than one word of whom the warehouse knows.
    """
    mentions = Mentions(lambda _: REMOVED, shortest=2)
    said = {word for text in texts for form in (text, plainly(text)) for word in words_of(form)}
    with session.warehouse.reading() as (connection, tables):
        for table in (tables("accounts"), tables("group_members")):
            names = sa.select(table.c.name).where(table.c.name.is_not(None)).distinct()
            for name in connection.execution_options(yield_per=10_000).scalars(names):
                # Of a hundred thousand people few can be meant: the others need not be remembered.
                if said.issuperset(words_of(name)):
                    mentions.add(name, REMOVED)
    return [mentions.masked(text) for text in texts]
