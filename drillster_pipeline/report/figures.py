"""The numbers of the report, asked of the warehouse: counts and averages, and names only where asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.errors import Refused
from drillster_pipeline.warehouse import Warehouse

from . import queries
from .queries import Tables

TREND_DAYS = 30
TREND_POINTS = 10
"""Dates of a trend: enough to see where it goes, few enough to be read quickly from a large warehouse."""
FADING_SHOWN = 10
NAMES_SHOWN = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """How one group stands with one objective."""

    group_id: str
    group: str
    objective: str
    type: str
    minimum: int | None
    evaluated: int
    met: int
    trend: tuple[float | None, ...]
    """Share met, in percent, on each date of the trend."""
    overdue: int
    longest_overdue: int | None
    """Days."""

    @property
    def share(self) -> float | None:
        """Share met in percent; None where nobody was evaluated."""
        return 100 * self.met / self.evaluated if self.evaluated else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """How one group stands: proficiency and practice."""

    group_id: str
    name: str
    learners: int
    proficiency: float | None
    practicing: int
    """Learners who practiced in the last 7 days."""
    stopped: int
    """Learners who have practiced, but not in the last 30 days."""
    never: int
    """Learners who have never practiced."""
    trend: tuple[float | None, ...]
    """Average proficiency on each date of the trend."""
    evaluated: int
    met: int

    @property
    def share(self) -> float | None:
        """Share of objectives met in percent."""
        return 100 * self.met / self.evaluated if self.evaluated else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """Attempts at one test that were completed in the last 30 days."""

    name: str
    attempts: int
    judged: int
    """Attempts of which Drillster says whether they were passed."""
    passed: int
    score: float | None

    @property
    def rate(self) -> float | None:
        """Share passed in percent."""
        return 100 * self.passed / self.judged if self.judged else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fading:
    """Results by the time since their last practice."""

    label: str
    results: int
    proficiency: float | None
    lost: float | None
    """Average of the highest proficiency ever less that of now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """How complete and how old the data is."""

    finished_at: Any
    captured_from: Any
    captured_until: Any
    load_id: str
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
    export_date: date
    data: Data
    dates: tuple[date, ...]
    """The dates of all trends, oldest first; the last is the export date."""
    groups: tuple[Group, ...]
    objectives: tuple[Objective, ...]
    learners: int
    practicing: int
    stopped: int
    never: int
    spread: tuple[int, ...]
    """Results by proficiency: 0-9, 10-19, …, 90-100."""
    proficiency: tuple[float | None, ...]
    compliance: tuple[float | None, ...]
    activity: tuple[int | None, ...]
    """Learners practicing, on each date of the trend; None where no results are known."""
    fading: tuple[Fading, ...]
    fading_playables: tuple[tuple[str, int, float | None, float], ...]
    """Name, learners, average proficiency now, and how much of the highest is lost."""
    tests: tuple[Test, ...]
    came_to_meet: int | None
    fell_below: int | None
    """Events of the last 7 days; None where those of the export date were not read."""
    overdue: int
    overdue_people: int
    names: tuple[tuple[str, str, str, int | None, int | None, int], ...] | None
    """Group, objective, person, proficiency, minimum, days overdue; None where names were not asked for."""
    names_left_out: int

    def knows(self, table: str) -> bool:
        """Whether a table of the date was read; where it was not, none of its numbers means anything."""
        return table not in self.data.missing

    @property
    def evaluated(self) -> int:
        """Evaluations of the date."""
        return sum(objective.evaluated for objective in self.objectives)

    @property
    def met(self) -> int:
        """Evaluations that are met."""
        return sum(objective.met for objective in self.objectives)


def figures_of(warehouse: Warehouse, export_date: date, *, names: bool = False) -> Figures:
    """Ask for everything, in one read transaction. Raises Refused where no snapshot of the date was loaded."""
    with warehouse.reading() as (connection, tables):
        if connection.dialect.name == "postgresql":  # all questions are about the same state
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return _Asking(connection, tables, export_date).figures(names=names)


class _Asking:
    """The questions about one date, on one connection."""

    def __init__(self, connection: sa.Connection, tables: Tables, day: date) -> None:
        self._connection = connection
        self._tables = tables
        self._day = day

    def _rows(self, query: sa.Executable) -> Sequence[Any]:
        return self._connection.execute(query).all()

    def figures(self, *, names: bool) -> Figures:
        day, tables = self._day, self._tables
        data = self._data()
        begins_at, ends_at = self._connection.execute(queries.bounds(tables, day)).one()
        dates = _trend_dates([row[0] for row in self._rows(queries.loaded_dates(tables, day, TREND_DAYS))], day)
        compliance = self._rows(queries.compliance(tables, dates))
        practiced = self._rows(queries.practice(tables, dates))
        practice = {(row.group_id, row.export_date): row for row in practiced if row.group_id is not None}
        whole = {row.export_date: row for row in practiced if row.group_id is None}
        overdue = {row[:2]: row[2:] for row in self._rows(queries.overdue(tables, day, begins_at))}
        objectives = _objectives(compliance, overdue, dates)
        today = whole.get(day)
        people = self._rows(queries.overdue_names(tables, day, begins_at, NAMES_SHOWN)) if names else None
        total = sum(count for count, _ in overdue.values())
        has_events = self._connection.execute(queries.events_loaded(tables, day)).first() is not None
        events = dict(map(tuple, self._rows(queries.changes(tables, ends_at))))
        return Figures(
            organization=self._organization(),
            export_date=day,
            data=data,
            dates=dates,
            groups=_groups(practice, objectives, dates),
            objectives=objectives,
            learners=today.learners if today else 0,
            practicing=today.practicing if today else 0,
            stopped=today.stopped if today else 0,
            never=today.never if today else 0,
            spread=_spread(self._rows(queries.spread(tables, day))),
            proficiency=tuple(_average(whole.get(each)) for each in dates),
            compliance=_compliance(compliance, dates),
            activity=tuple(whole[each].practicing if each in whole else None for each in dates),
            fading=tuple(
                Fading(label=label, results=row.results, proficiency=_float(row.proficiency), lost=_float(row.lost))
                for (_, label, _, _), row in queries.by_bucket(self._rows(queries.fading(tables, day, ends_at)))
            ),
            fading_playables=tuple(
                (row.name or row.playable_id, row.learners, _float(row.proficiency), float(row.lost))
                for row in self._rows(queries.fading_playables(tables, day, FADING_SHOWN))
            ),
            tests=tuple(
                Test(
                    name=row.name or row.test_id,
                    attempts=row.attempts,
                    judged=row.judged,
                    passed=row.passed,
                    score=_float(row.score),
                )
                for row in self._rows(queries.tests(tables, ends_at))
            ),
            came_to_meet=events.get("OBJECTIVE_BECAME_OK", 0) if has_events else None,
            fell_below=events.get("OBJECTIVE_BECAME_NOK", 0) if has_events else None,
            overdue=total,
            overdue_people=self._connection.execute(queries.overdue_people(tables, day, begins_at)).scalar_one(),
            names=None if people is None else tuple(tuple(row) for row in people),
            names_left_out=0 if people is None else total - len(people),
        )

    def _data(self) -> Data:
        rows = self._rows(queries.loads_of(self._tables, self._day))
        if not rows:
            raise Refused(
                f"There is no snapshot of {self._day} in the warehouse to report on: `drillster-pipeline status` lists "
                "the dates that it has; one that is in the archive can be published by a backfill"
            )
        newest: dict[str, sa.Row[Any]] = {row.table_name: row for row in rows}  # the last load of each table
        last = rows[-1]
        expected = set(queries.SNAPSHOT_TABLES)
        return Data(
            finished_at=last.finished_at,
            captured_from=last.captured_from,
            captured_until=last.captured_until,
            load_id=last.load_id,
            rejected=sum(row.rows_rejected for row in newest.values()),
            incomplete=tuple(sorted(name for name, row in newest.items() if not row.is_complete)),
            missing=tuple(sorted(expected - newest.keys())),
            newest=self._connection.execute(queries.newest_date(self._tables)).scalar_one(),
        )

    def _organization(self) -> str:
        organizations = self._tables("organizations")
        query = sa.select(organizations.c.name).where(organizations.c.deleted_on.is_(None)).limit(1)
        return self._connection.execute(query).scalar() or "Your organization"


def _trend_dates(loaded: Sequence[date], day: date) -> tuple[date, ...]:
    """At most TREND_POINTS of the loaded dates, evenly spread, the first and the last among them."""
    loaded = sorted({*loaded, day})
    if len(loaded) <= TREND_POINTS:
        return tuple(loaded)
    step = (len(loaded) - 1) / (TREND_POINTS - 1)
    return tuple(loaded[round(number * step)] for number in range(TREND_POINTS))


def _objectives(
    compliance: Sequence[sa.Row[Any]], overdue: Mapping[Any, Any], dates: tuple[date, ...]
) -> tuple[Objective, ...]:
    shares = {
        (row.group_id, row.objective_id, row.export_date): 100 * row.met / row.evaluated
        for row in compliance
        if row.evaluated
    }
    found = []
    for row in compliance:
        if row.export_date != dates[-1]:
            continue
        late, longest = overdue.get((row.group_id, row.objective_id), (0, None))
        found.append(
            Objective(
                group_id=row.group_id,
                group=row.group_name or row.group_id,
                objective=row.objective_name or row.objective_id,
                type=(row.objective_type or "").capitalize(),
                minimum=row.minimum,
                evaluated=row.evaluated,
                met=row.met,
                trend=tuple(shares.get((row.group_id, row.objective_id, day)) for day in dates),
                overdue=late,
                longest_overdue=longest,
            )
        )
    return tuple(sorted(found, key=lambda one: (one.group.casefold(), one.objective.casefold())))


def _groups(
    practice: Mapping[tuple[str, date], sa.Row[Any]], objectives: tuple[Objective, ...], dates: tuple[date, ...]
) -> tuple[Group, ...]:
    counts: dict[str, list[int]] = {}
    names: dict[str, str] = {}
    for one in objectives:
        names[one.group_id] = one.group
        count = counts.setdefault(one.group_id, [0, 0])
        count[0] += one.evaluated
        count[1] += one.met
    for (group_id, day), row in practice.items():
        if day == dates[-1]:
            names[group_id] = row.group_name or group_id
    found = []
    for group_id, name in names.items():
        today = practice.get((group_id, dates[-1]))
        evaluated, met = counts.get(group_id, (0, 0))
        found.append(
            Group(
                group_id=group_id,
                name=name,
                learners=today.learners if today else 0,
                proficiency=_average(today),
                practicing=today.practicing if today else 0,
                stopped=today.stopped if today else 0,
                never=today.never if today else 0,
                trend=tuple(_average(practice.get((group_id, day))) for day in dates),
                evaluated=evaluated,
                met=met,
            )
        )
    return tuple(sorted(found, key=lambda one: one.name.casefold()))


def _float(value: Any) -> float | None:
    """A mean as a number: some databases give a decimal."""
    return None if value is None else float(value)


def _average(row: sa.Row[Any] | None) -> float | None:
    return float(row.total) / float(row.counted) if row is not None and row.counted else None


def _compliance(rows: Sequence[sa.Row[Any]], dates: tuple[date, ...]) -> tuple[float | None, ...]:
    found: list[float | None] = []
    for day in dates:
        counts = [(row.met, row.evaluated) for row in rows if row.export_date == day]
        evaluated = sum(count[1] for count in counts)
        found.append(100 * sum(count[0] for count in counts) / evaluated if evaluated else None)
    return tuple(found)


def _spread(rows: Sequence[Any]) -> tuple[int, ...]:
    bins = [0] * 10
    for proficiency, count in rows:
        bins[min(int(proficiency) // 10, 9)] += count
    return tuple(bins)


def week_before(figures: Figures) -> int | None:
    """Place in the trend of the newest date that is at least a week old, else of the oldest; None: there is none."""
    old = [place for place, day in enumerate(figures.dates) if day <= figures.export_date - timedelta(days=7)]
    if old:
        return old[-1]
    return 0 if len(figures.dates) > 1 else None
