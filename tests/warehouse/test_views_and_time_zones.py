"""Views count by the day of the organization's time zone, also where clocks change, on either side of the date line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from drillster_pipeline.dates import Window, day_window
from drillster_pipeline.tables import DAILY_TABLES
from drillster_pipeline.warehouse import Warehouse

from .support import account, evaluation, group, load, objective, playable, result, rows, sql, view

DAY = timedelta(days=1)
PLACES = {
    "a day of 23 hours": ("Europe/Amsterdam", date(2026, 3, 29)),
    "a day of 25 hours": ("Europe/Amsterdam", date(2026, 10, 25)),
    "13 hours ahead": ("Pacific/Tongatapu", date(2026, 6, 10)),
    "no midnight": ("America/Santiago", date(2026, 9, 6)),
}


def moments(on: date, zone: ZoneInfo, window: Window) -> Iterator[datetime]:
    """The edges of the day, and midnights, noons and evenings around it."""
    second, tick = timedelta(seconds=1), timedelta(microseconds=1)
    for edge in (window.start, window.end, window.start - DAY, window.end - 7 * DAY, window.end - 30 * DAY):
        yield from (edge - second, edge - tick, edge, edge + tick)
    for back in (-1, 0, 1, 2, 6, 7, 8, 29, 30, 31):
        for at in (time(0), time(12), time(23, 59, 59)):
            yield datetime.combine(on - back * DAY, at, zone).astimezone(UTC)


@pytest.fixture(params=PLACES.values(), ids=PLACES)
def somewhere(request: pytest.FixtureRequest, any_warehouse: Warehouse) -> tuple[Warehouse, date, ZoneInfo, Window]:
    """A warehouse with one learner and one evaluation for each of the moments; names are places in the list."""
    name, on = request.param
    zone = ZoneInfo(name)
    window = day_window(on, zone)
    publish(any_warehouse, on, [*dict.fromkeys(moments(on, zone, window))], timezone=name, window=window)
    return any_warehouse, on, zone, window


def publish(warehouse: Warehouse, on: date, found: list[datetime], **options: Any) -> None:
    people = [account(f"a{number:03}") for number in range(len(found))]
    content: dict[str, list[Any]] = {
        "accounts": people,
        "playables": [playable("p")],
        "groups": [group("g")],
        "objectives": [objective("o", "g")],
        "objective_evaluations": [
            evaluation(on, "o", person["account_id"], "g", False, review_at=moment)
            for person, moment in zip(people, found, strict=True)
        ],
        "results": [
            result(on, "g", person["account_id"], "p", last_practiced_at=moment)
            for person, moment in zip(people, found, strict=True)
        ],
    }
    load(warehouse, on, content, **options)


def reviews(warehouse: Warehouse) -> dict[str, datetime]:
    return {row["account_id"]: row["review_at"] for row in rows(warehouse, "objective_evaluations")}


def test_loads_and_views_go_by_the_local_date(somewhere: tuple[Warehouse, date, ZoneInfo, Window]) -> None:
    warehouse, on, zone, window = somewhere
    (row,) = rows(warehouse, "loads", ledger=True)
    assert (row["timezone"], row["date_begins_at"], row["date_ends_at"]) == (zone.key, window.start, window.end)

    found = reviews(warehouse)
    due = {who: moment for who, moment in found.items() if moment.astimezone(zone).date() < on}
    overdue = {row["account_id"]: row["days_overdue"] for row in view(warehouse, "overdue_objectives")}
    assert overdue == {who: -((moment - window.start) // DAY) for who, moment in due.items()}
    assert min(overdue.values()) == 1

    (trend,) = view(warehouse, "proficiency_trend")  # who practiced at the same moments
    assert trend["learners_practicing_7_days"] == sum(moment >= window.end - 7 * DAY for moment in found.values())
    assert trend["learners_idle_30_days"] == sum(moment < window.end - 30 * DAY for moment in found.values())


def test_a_date_that_an_older_version_loaded_is_a_day_in_utc(warehouse: Warehouse) -> None:
    on = date(2026, 6, 10)
    found = [datetime(2026, 6, 10, tzinfo=UTC) + timedelta(hours=hours) for hours in (-169, -145, -1, 0)]
    publish(warehouse, on, found, timezone="Pacific/Tongatapu", window=day_window(on, ZoneInfo("Pacific/Tongatapu")))
    sql(warehouse, "UPDATE {}loads SET timezone = NULL, date_begins_at = NULL, date_ends_at = NULL")
    sql(warehouse, *(f"DELETE FROM {{}}{name}" for name in DAILY_TABLES))
    warehouse.prepare()
    overdue = {row["account_id"]: row["days_overdue"] for row in view(warehouse, "overdue_objectives")}
    assert overdue == {"a000": 8, "a001": 7, "a002": 1}
    (trend,) = view(warehouse, "proficiency_trend")
    assert trend["learners_practicing_7_days"] == 2


def test_a_replay_settles_which_day_it_was_that_an_older_version_loaded(warehouse: Warehouse) -> None:
    zone, on = ZoneInfo("Europe/Amsterdam"), date(2026, 6, 10)
    window = day_window(on, zone)
    publish(warehouse, on, [window.start, window.start - DAY])
    assert len(view(warehouse, "overdue_objectives")) == 2
    publish(warehouse, on, [window.start, window.start - DAY], timezone=zone.key, window=window)
    assert [row["account_id"] for row in view(warehouse, "overdue_objectives")] == ["a001"]
