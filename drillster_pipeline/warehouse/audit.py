"""Questions about what was published: does everything that is referred to exist, and does Drillster count as much.

Asked after a publish, for the checks that people see; nothing here stops a load (see :mod:`.judge` for what does).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import sqlalchemy as sa

from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.tables.schema import Kind

from .history import Tables


def is_loaded(connection: sa.Connection, tables: Tables, capture_id: str) -> bool:
    """Whether a capture was published."""
    loads = tables("loads")
    return connection.execute(sa.select(loads.c.load_id).where(loads.c.capture_id == capture_id)).first() is not None


def orphans(connection: sa.Connection, tables: Tables, name: str, export_date: date) -> dict[str, int]:
    """Per column of a table, how many rows refer to what is not there; of a snapshot, the rows of the date."""
    table = tables(name)
    found = {}
    for column in DATA_TABLES[name].columns:
        parent_name, _, parent_key = (column.references or "").partition(".")
        if parent_name not in DATA_TABLES:
            continue
        parent = tables(parent_name).alias("parent")
        value = table.c[column.name]
        missing = sa.and_(value.is_not(None), ~sa.exists().where(parent.c[parent_key] == value))
        if DATA_TABLES[name].kind is Kind.SNAPSHOT:
            missing = sa.and_(table.c.export_date == export_date, missing)
        count = int(connection.execute(sa.select(sa.func.count()).select_from(table).where(missing)).scalar_one())
        if count:
            found[column.name] = count
    return found


def present(connection: sa.Connection, tables: Tables, name: str, *, managed: bool = False) -> int:
    """How many rows of an entity table are there now, not marked deleted; ``managed``: accounts of the organization."""
    table = tables(name)
    there = table.c.deleted_on.is_(None)
    if managed:
        there = sa.and_(there, table.c.is_managed.is_(sa.true()))
    return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(there)).scalar_one())


def count_differences(connection: sa.Connection, tables: Tables, name: str) -> list[tuple[str, int, int]]:
    """Where a parent's own count and the rows differ: (id of the parent, what Drillster counts, rows).

    ``group_members``: ``groups.member_count`` counts members, and may or may not count invitees, so anything from
    one to the other agrees. ``group_playables``: drillables and tests. ``catalog_playables``: the catalog's total.
    """
    child = tables(name)
    if name == "group_members":
        parent, key = tables("groups"), "group_id"
        named = parent.c.member_count
        joined = sa.func.sum(sa.case((child.c.status == "MEMBER", 1), else_=0))
    elif name == "group_playables":
        parent, key = tables("groups"), "group_id"
        named = parent.c.drillable_count + sa.func.coalesce(parent.c.test_count, 0)
        joined = sa.func.count()
    else:
        parent, key = tables("catalogs"), "catalog_id"
        named = parent.c.playable_count
        joined = sa.func.count()
    rows = (
        sa.select(child.c[key], sa.func.count().label("most"), joined.label("least"))
        .where(child.c.deleted_on.is_(None))
        .group_by(child.c[key])
        .subquery()
    )
    most = sa.func.coalesce(rows.c.most, 0)
    query = (
        sa.select(parent.c[key], named, most)
        .join_from(parent, rows, rows.c[key] == parent.c[key], isouter=True)
        .where(
            parent.c.deleted_on.is_(None),
            named.is_not(None),
            sa.or_(named > most, named < sa.func.coalesce(rows.c.least, 0)),
        )
        .order_by(parent.c[key])
    )
    return [(row[0], int(row[1]), int(row[2])) for row in connection.execute(query)]


def facts(
    connection: sa.Connection, tables: Tables, names: Iterable[str], export_date: date
) -> dict[str, dict[str, int]]:
    """The orphans of several tables, where there are any."""
    found = {name: orphans(connection, tables, name, export_date) for name in names}
    return {name: columns for name, columns in found.items() if columns}
