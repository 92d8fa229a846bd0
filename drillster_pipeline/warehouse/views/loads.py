"""Views of what is published, and of its dates."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from drillster_pipeline.warehouse.expressions import (
    days_after,
    hours_later,
    iso_week,
    month,
    month_begins_on,
    quarter,
    seconds_since,
    utc_midnight,
)
from drillster_pipeline.warehouse.ledger import is_complete_load, is_full_table, newest_complete_loads
from drillster_pipeline.warehouse.model import Tables

from .declaration import VIEWS, flag, labelled, view


def date_bounds(tables: Tables) -> sa.Select[Any]:
    """Per export date of a snapshot, when it begins and ends.

    A date that only loads of an older version describe is a day in UTC.
    """
    loads = tables("loads")
    # Of all loads of a date one that has them is enough: a replay settles what an older version has loaded.
    begins = sa.func.coalesce(sa.func.max(loads.c.date_begins_at), utc_midnight(loads.c.export_date))
    ends = sa.func.coalesce(sa.func.max(loads.c.date_ends_at), hours_later(utc_midnight(loads.c.export_date), 24))
    return (
        sa.select(
            loads.c.export_date,
            begins.label("begins_at"),
            ends.label("ends_at"),
        )
        .where(loads.c.kind == "snapshot")
        .group_by(loads.c.export_date)
    )


@view(
    "The newest complete load of each kind (loads.is_complete): what a dashboard shows as 'data as of'.",
    {
        "kind": "'snapshot' or 'events'.",
        "load_id": "The load.",
        "export_date": "The day that it describes.",
        "finished_at": "When it was published.",
        "age_seconds": "Seconds since then.",
        "newest_export_date": "The newest date of which anything of the kind is loaded, complete or not.",
        "requests_refused": "Requests that were closed to the service account; see loads.",
        "rows_rejected": "Rows of it that did not fit; see rejected_rows.",
    },
)
def latest_load(tables: Tables) -> sa.Select[Any]:
    """The newest complete load of each kind that has one."""
    newest, load_tables = newest_complete_loads(tables), tables("load_tables")
    rejected = (
        sa.select(sa.func.sum(load_tables.c.rows_rejected))
        .where(load_tables.c.load_id == newest.c.load_id)
        .scalar_subquery()
    )
    return sa.select(
        *(newest.c[name] for name in ("kind", "load_id", "export_date", "finished_at")),
        seconds_since(newest.c.finished_at).label("age_seconds"),
        newest.c.newest_export_date,
        newest.c.requests_refused,
        sa.cast(sa.func.coalesce(rejected, 0), sa.BigInteger).label("rows_rejected"),
    )


@view(
    "The dates of which a snapshot was published, with what periods and comparisons need. They stay when `prune` "
    "removes their rows.",
    {
        "export_date": "The date.",
        "is_newest": "Whether it is the newest one. Not every table need have been loaded of it: see table_freshness.",
        "previous_export_date": "The published date before it; NULL: it is the first.",
        "missed_days": "Days between these two, of which no snapshot is published; NULL: it is the first.",
        "iso_week": "Its ISO 8601 week, such as 2026-W01.",
        "month": "Its month, such as 2026-01.",
        "quarter": "Its quarter, such as 2026-Q1.",
        "month_begins_on": "The first day of its month.",
        "is_month_end": (
            "Whether it is the last published date of its month; of the month that is under way, the newest date."
        ),
        "previous_month_end": "The last published date before its month; NULL: there is none.",
        "timezone": "IANA name of the time zone that it is a day of; NULL: loaded by a version that did not record it.",
        "begins_at": "When it begins there.",
        "ends_at": "When it ends there; that moment not included.",
        "is_complete": "Whether one of its loads is complete (loads.is_complete).",
    },
)
def export_dates(tables: Tables) -> sa.Select[Any]:
    """One row per export date of a snapshot."""
    loads = tables("loads")
    per_date = date_bounds(tables).add_columns(
        sa.func.max(loads.c.timezone).label("timezone"),
        sa.func.max(sa.case((is_complete_load(loads), 1), else_=0)).label("complete"),
    )
    dates = per_date.subquery("dates")
    day = dates.c.export_date
    periods = {each.__name__: each(day) for each in (iso_week, month, quarter, month_begins_on)}
    placed = sa.select(
        dates,
        *labelled(periods),
        sa.func.lag(day, type_=day.type).over(order_by=day).label("previous_export_date"),
        sa.func.max(day).over().label("newest"),
        sa.func.max(day).over(partition_by=periods["month"]).label("month_end"),
    ).subquery("placed")
    of_month: dict[str, Any] = {"partition_by": placed.c.month, "order_by": placed.c.export_date}
    made = {
        "is_newest": flag(placed.c.export_date == placed.c.newest),
        "missed_days": days_after(placed.c.export_date, placed.c.previous_export_date) - 1,
        "is_month_end": flag(placed.c.export_date == placed.c.month_end),
        # What comes before the first date of a month is of another month.
        "previous_month_end": sa.func.first_value(placed.c.previous_export_date, type_=sa.Date()).over(**of_month),
        "is_complete": flag(placed.c.complete == 1),
    }
    columns = {name: made[name] if name in made else placed.c[name] for name in VIEWS["export_dates"].columns}
    return sa.select(*labelled(columns))


@view(
    "How new each table is. Loads that only added to it, as those of other tables do, do not count.",
    {
        "table_name": "The table.",
        "kind": "The kind of load that brings it: 'snapshot' or 'events'.",
        "complete_export_date": (
            "The newest date that it has in full (load_tables.is_fully_loaded); NULL: there is none."
        ),
        "newest_export_date": "The newest date of which anything is loaded.",
        "load_id": "The newest load of that date.",
        "finished_at": "When that load was published.",
        "rows_read": "Rows that it read, those that were rejected included.",
        "rows_rejected": "Rows that did not fit; see rejected_rows.",
    },
)
def table_freshness(tables: Tables) -> sa.Select[Any]:
    """Per table its newest load, but for loads that only added to it, and the newest date that it has in full."""
    loads, load_tables = tables("loads"), tables("load_tables")
    full = sa.case((is_full_table(load_tables), loads.c.export_date))
    newest_first = (loads.c.export_date.desc(), loads.c.finished_at.desc(), loads.c.load_id)
    of_table: dict[str, Any] = {"partition_by": load_tables.c.table_name}
    ranked = (
        sa.select(
            *(load_tables.c[name] for name in ("table_name", "load_id", "rows_read", "rows_rejected")),
            loads.c.kind,
            loads.c.finished_at,
            loads.c.export_date.label("newest_export_date"),
            sa.func.max(full).over(**of_table).label("complete_export_date"),
            sa.func.row_number().over(**of_table, order_by=newest_first).label("place"),
        )
        .join_from(load_tables, loads, loads.c.load_id == load_tables.c.load_id)
        .where(sa.or_(load_tables.c.is_fully_loaded.is_not(None), load_tables.c.is_complete.is_(sa.true())))
        .subquery("ranked")
    )
    return sa.select(*(ranked.c[name] for name in VIEWS["table_freshness"].columns)).where(ranked.c.place == 1)
