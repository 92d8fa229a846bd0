"""The numbers of the report, from the warehouse: counts and averages, and names only on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.errors import Refused
from drillster_pipeline.tables import tables_of
from drillster_pipeline.warehouse import Warehouse, views
from drillster_pipeline.warehouse.dialects import dialect_of
from drillster_pipeline.warehouse.model import Tables
from drillster_pipeline.warehouse.reads import proficiencies

from . import queries

TREND_DAYS = 30
TREND_POINTS = 10
"""Dates of a trend: enough to see where it goes, few enough to be read quickly from a large warehouse."""
FADING_SHOWN = 10
NAMES_SHOWN = 500

Trend = tuple[float | None, ...]
"""A value for each of ``Figures.dates``; None where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """How one group stands with one objective.

    ``type`` is Drillster's own word, ``norm`` that of the date, ``share`` and ``trend`` are in percent.
    """

    group_id: str
    group: str
    name: str
    type: str
    norm: int | None
    evaluated: int
    met: int
    share: float | None
    trend: Trend
    overdue: int
    longest_overdue: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Practice:
    """Learners and their average proficiency; who practiced in 7 days, stopped for 30 days, or never began."""

    learners: int = 0
    proficiency: float | None = None
    practicing: int = 0
    stopped: int = 0
    never: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """How one group stands; ``trend`` is that of its average proficiency, ``share`` that of the objectives met."""

    group_id: str
    name: str
    practice: Practice
    trend: Trend
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """How complete and how old the data is."""

    last_load: Any
    """The row of the table ``loads``."""
    rejected: int
    incomplete: tuple[str, ...]
    """Tables that are not fully loaded."""
    missing: tuple[str, ...]
    """Tables that this date's loads did not write."""
    newest: date
    """The newest date in the warehouse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Everything that the page shows."""

    organization: str
    """Its name; empty where that is not known."""
    export_date: date
    data: Data
    dates: tuple[date, ...]
    """The dates of all trends, oldest first; the last is the export date."""
    groups: tuple[Group, ...]
    objectives: tuple[Objective, ...]
    practice: Practice
    """Of all groups together."""
    spread: tuple[int, ...]
    """Results by proficiency: 0-9, 10-19, …, 90-100."""
    proficiency: Trend
    compliance: Trend
    activity: tuple[int | None, ...]
    """Learners practicing, on each date of the trend."""
    fading: tuple[tuple[str, int, float | None, float | None], ...]
    """By the time since the last practice: in words, results, average proficiency, and what is lost of the highest."""
    fading_playables: tuple[tuple[str, int, float | None, float], ...]
    """Name, learners, average proficiency now, and how much of the highest is lost."""
    tests: tuple[tuple[str, int, int, int, float | None], ...]
    """Of the last 30 days: name, attempts, attempts that passed or failed, passed, average score."""
    became_met: int | None
    became_unmet: int | None
    """Events of the last 7 days; None where those of the export date were not read."""
    overdue: int
    overdue_people: int
    names: tuple[tuple[str, str, str, int | None, int | None, int], ...] | None
    """Group, objective, person, proficiency, norm, days overdue; None where names were not requested."""

    def has_read(self, table: str) -> bool:
        """Whether a table of the date was read; where it was not, none of its numbers means anything."""
        return table not in self.data.missing

    @property
    def week_before(self) -> int | None:
        """Place in the trends of the newest date that is at least a week old, else of the oldest, if there is one."""
        old = [place for place, day in enumerate(self.dates) if day <= self.export_date - timedelta(days=7)]
        oldest = 0 if len(self.dates) > 1 else None
        return old[-1] if old else oldest


def figures_of(warehouse: Warehouse, export_date: date, *, names: bool = False) -> Figures:
    """Read everything in one transaction. Raises Refused where no snapshot of the date was loaded."""
    with warehouse.reading() as (connection, tables):
        dialect_of(connection).read_one_state(connection)
        return _figures(connection, tables, export_date, names=names)


def _figures(connection: sa.Connection, tables: Tables, day: date, *, names: bool) -> Figures:
    def rows(query: sa.Executable) -> Sequence[Any]:
        return connection.execute(query).all()

    known = {row.export_date: row for row in rows(views.date_bounds(tables))}
    if day not in known:
        raise Refused(
            f"There is no snapshot of {day} in the warehouse to report on: `drillster-pipeline status` lists the dates "
            "that it has; one that is in the archive can be published by a backfill"
        )
    loads = rows(queries.loads_of(tables, day))
    dates, ends_at = _trend_dates(known, day), known[day].ends_at
    compliance = rows(queries.compliance(tables, dates))
    practiced = {(row.group_id, row.export_date): row for row in rows(queries.practice(tables, dates))}
    overdue = {(group, objective): late for group, objective, *late in rows(queries.overdue(tables, day))}
    objectives = _objectives(compliance, overdue, dates)
    overall = [practiced.get((None, each)) for each in dates]
    has_events = any(row.table_name == "objective_events" for row in loads)
    events = dict(map(tuple, rows(queries.events(tables, ends_at))))
    organizations = tables("organizations")
    organization = sa.select(organizations.c.name).where(organizations.c.deleted_on.is_(None))
    spread = [0] * 10
    for proficiency, count in proficiencies(connection, tables, day).items():
        spread[min(proficiency // 10, 9)] += count
    return Figures(
        organization=connection.scalars(organization).first() or "",
        export_date=day,
        data=_data([row for row in loads if row.kind == "snapshot"], newest=max(known)),
        dates=dates,
        groups=_groups(practiced, objectives, dates),
        objectives=objectives,
        practice=_practice(overall[-1]),
        spread=tuple(spread),
        proficiency=tuple(row and row.proficiency for row in overall),
        compliance=tuple(_share(row for row in compliance if row.export_date == each) for each in dates),
        activity=tuple(row and row.practicing for row in overall),
        fading=tuple((queries.BUCKETS[place][0], *row) for place, *row in rows(queries.fading(tables, day, ends_at))),
        fading_playables=tuple(map(tuple, rows(queries.fading_playables(tables, day, FADING_SHOWN)))),
        tests=tuple(map(tuple, rows(queries.tests(tables, ends_at)))),
        became_met=events.get("OBJECTIVE_BECAME_OK", 0) if has_events else None,
        became_unmet=events.get("OBJECTIVE_BECAME_NOK", 0) if has_events else None,
        overdue=sum(count for count, _ in overdue.values()),
        overdue_people=connection.execute(queries.overdue_people(tables, day)).scalar_one(),
        names=tuple(map(tuple, rows(queries.overdue_names(tables, day, NAMES_SHOWN)))) if names else None,
    )


def _data(loads: Sequence[Any], *, newest: date) -> Data:
    of_table = {row.table_name: row for row in loads}  # its last load
    return Data(
        last_load=loads[-1],
        rejected=sum(row.rows_rejected for row in of_table.values()),
        incomplete=tuple(sorted(name for name, row in of_table.items() if not row.is_full)),
        missing=tuple(sorted(set(tables_of("snapshot")) - of_table.keys())),
        newest=newest,
    )


def _trend_dates(known: Mapping[date, Any], day: date) -> tuple[date, ...]:
    """At most TREND_POINTS of the dates up to a day, evenly spread, the first and the last among them."""
    loaded = sorted(each for each in known if day - timedelta(days=TREND_DAYS) < each <= day)
    if len(loaded) <= TREND_POINTS:
        return tuple(loaded)
    step = (len(loaded) - 1) / (TREND_POINTS - 1)
    return tuple(loaded[round(number * step)] for number in range(TREND_POINTS))


def _objectives(
    compliance: Sequence[Any], overdue: Mapping[tuple[str, str], Sequence[int]], dates: tuple[date, ...]
) -> tuple[Objective, ...]:
    shares = {(row.group_id, row.objective_id, row.export_date): row.met_percentage for row in compliance}
    found = []
    for row in compliance:
        if row.export_date != dates[-1]:
            continue
        key = (row.group_id, row.objective_id)
        late, longest = overdue.get(key, (0, None))
        found.append(
            Objective(
                group_id=row.group_id,
                group=row.group_name or row.group_id,
                name=row.objective_name or row.objective_id,
                type=row.objective_type or "",
                norm=row.norm,
                evaluated=row.evaluated,
                met=int(row.met),
                share=row.met_percentage,
                trend=tuple(shares.get((*key, day)) for day in dates),
                overdue=late,
                longest_overdue=longest,
            )
        )
    return tuple(sorted(found, key=lambda one: (one.group.casefold(), one.group_id, one.name.casefold())))


def by_group(objectives: Sequence[Objective]) -> list[list[Objective]]:
    """The objectives of each group together; two groups of one name stay apart."""
    return [list(some) for _, some in groupby(objectives, key=lambda one: one.group_id)]


def _groups(
    practiced: Mapping[tuple[str | None, date], Any], objectives: tuple[Objective, ...], dates: tuple[date, ...]
) -> tuple[Group, ...]:
    """Groups with results or with evaluations on the date."""
    evaluated = {some[0].group_id: some for some in by_group(objectives)}
    names = {group_id: some[0].group for group_id, some in evaluated.items()} | {
        group_id: row.group_name or group_id
        for (group_id, day), row in practiced.items()
        if group_id is not None and day == dates[-1]
    }
    found = []
    for group_id, name in names.items():
        rows = [practiced.get((group_id, day)) for day in dates]
        trend = tuple(row and row.proficiency for row in rows)
        share = _share(evaluated.get(group_id, ()))
        found.append(Group(group_id=group_id, name=name, practice=_practice(rows[-1]), trend=trend, share=share))
    return tuple(sorted(found, key=lambda one: one.name.casefold()))


def _practice(row: Any) -> Practice:
    return Practice() if row is None else Practice(**{name: getattr(row, name) for name in Practice.__slots__})


def _share(rows: Any) -> float | None:
    """Of all evaluations of some rows, the percentage that is met; None where nobody was evaluated."""
    counts = [(int(row.met), row.evaluated) for row in rows]
    evaluated = sum(count for _, count in counts)
    return 100 * sum(count for count, _ in counts) / evaluated if evaluated else None
