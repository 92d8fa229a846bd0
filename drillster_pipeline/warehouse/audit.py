"""Questions about what was published: whether Drillster counts as many rows, and why some were left out.

Asked after a publish, for the checks that people see; nothing here stops a load (see :mod:`.judge` for what does, such
as rows that refer to what is not there).
"""

from __future__ import annotations

from datetime import date

import sqlalchemy as sa

from .ledger_queries import Tables


def is_loaded(connection: sa.Connection, tables: Tables, capture_id: str) -> bool:
    """Whether a capture was published."""
    loads = tables("loads")
    return connection.execute(sa.select(loads.c.load_id).where(loads.c.capture_id == capture_id)).first() is not None


def present(connection: sa.Connection, tables: Tables, name: str, *, managed: bool = False) -> int:
    """How many rows of an entity table are there now, not marked deleted; ``managed``: accounts of the organization."""
    table = tables(name)
    there: sa.ColumnElement[bool] = table.c.deleted_on.is_(None)
    if managed:
        there = sa.and_(there, table.c.is_managed.is_(sa.true()))
    return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(there)).scalar_one())


def present_groups(connection: sa.Connection, tables: Tables) -> set[str]:
    """Ids of the groups that are there now, not marked deleted."""
    groups = tables("groups")
    return set(connection.scalars(sa.select(groups.c.group_id).where(groups.c.deleted_on.is_(None))))


def count_differences(
    connection: sa.Connection, tables: Tables, name: str, export_date: date
) -> list[tuple[str, int, int]]:
    """Where a parent's own count and the rows differ: (id of the parent, what Drillster counts, rows).

    Of the parents that were seen on the date: what is closed to us keeps old rows and old counts. ``group_members``:
    ``groups.member_count`` counts members, and may or may not count invitees, so anything from one to the other
    agrees. ``group_playables``: drillables and tests. ``catalog_playables``: the catalog's total.
    """
    child = tables(name)
    named: sa.ColumnElement[int]
    joined: sa.ColumnElement[int] = sa.func.count()
    if name == "group_members":
        parent, key = tables("groups"), "group_id"
        named = parent.c.member_count
        joined = sa.func.sum(sa.case((child.c.status == "MEMBER", 1), else_=0))
    elif name == "group_playables":
        parent, key = tables("groups"), "group_id"
        named = parent.c.drillable_count + sa.func.coalesce(parent.c.test_count, 0)
    else:
        parent, key = tables("catalogs"), "catalog_id"
        named = parent.c.playable_count
    rows = (
        sa.select(child.c[key], sa.func.count().label("most"), joined.label("least"))
        .where(child.c.deleted_on.is_(None))
        .group_by(child.c[key])
        .subquery()
    )
    most, least = sa.func.coalesce(rows.c.most, 0), sa.func.coalesce(rows.c.least, 0)
    query = (
        sa.select(parent.c[key], named, sa.case((named > most, most), else_=least))
        .join_from(parent, rows, rows.c[key] == parent.c[key], isouter=True)
        .where(
            parent.c.last_seen_on == export_date,
            parent.c.deleted_on.is_(None),
            named.is_not(None),
            sa.or_(named > most, named < least),
        )
        .order_by(parent.c[key])
    )
    return [(row[0], int(row[1]), int(row[2])) for row in connection.execute(query)]


def reject_reasons(connection: sa.Connection, tables: Tables, load_id: str) -> dict[str, list[tuple[str, int]]]:
    """Per table, why rows of a load were rejected and how many for each reason, the most frequent first."""
    rejected = tables("rejected_rows")
    number = sa.func.count()
    query = (
        sa.select(rejected.c.table_name, rejected.c.reason, number)
        .where(rejected.c.load_id == load_id)
        .group_by(rejected.c.table_name, rejected.c.reason)
        .order_by(rejected.c.table_name, number.desc(), rejected.c.reason)
    )
    found: dict[str, list[tuple[str, int]]] = {}
    for name, reason, rows in connection.execute(query):
        found.setdefault(name, []).append((reason, int(rows)))
    return found
