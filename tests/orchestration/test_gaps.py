"""Dates that were passed over: their events are fetched, and `status` says what is missing and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from io import StringIO

import dagster as dg
import pytest
from rich.console import Console

from drillster_pipeline.cli.run import fetch_missing_events
from drillster_pipeline.cli.status import show_status
from drillster_pipeline.dates import newest_complete
from drillster_pipeline.definitions import defs
from drillster_pipeline.pipeline.guard import mark_refused
from tests.drillster import Failure, Faults
from tests.support.installation import put_capture

from .houses import AMSTERDAM, House, night_after

ONE, TWO, THREE, FOUR, FIVE = (
    newest_complete(datetime.now(UTC), AMSTERDAM) - timedelta(days=ago) for ago in (4, 3, 2, 1, 0)
)
"""The sensor goes by the clock of the world: the last of these is the newest date that has ended."""


def requested(house: House) -> list[dg.RunRequest]:
    """What the sensor asks for now."""
    repository = defs.get_repository_def()
    context = dg.build_sensor_context(instance=house.instance, repository_def=repository)
    return list(repository.get_sensor_def("missing_events").evaluate_tick(context).run_requests or [])


def asked_for(house: House) -> list[str | None]:
    return [request.partition_key for request in requested(house)]


def execute(house: House, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    """Run what was asked for, tagged as Dagster's daemon does."""
    return defs.resolve_job_def("events").execute_in_process(
        instance=house.instance,
        partition_key=request.partition_key,
        tags=tags_of(request),
        raise_on_error=False,
    )


def tags_of(request: dg.RunRequest) -> dict[str, str]:
    return {**request.tags, "dagster/run_key": str(request.run_key), "dagster/sensor_name": "missing_events"}


def export(house: House, *days: date) -> None:
    for day in days:
        house.at(night_after(day))
        assert house.night(day).success


def load(house: House, *days: date, kind: str = "snapshot") -> None:
    """As if nothing but this had been loaded of these dates."""
    with house.warehouse() as warehouse, warehouse.engine.begin() as connection:
        for day in days:
            connection.exec_driver_sql(
                "INSERT INTO loads (load_id, export_date, kind, started_at, finished_at, is_whole)"
                " VALUES (?, ?, ?, '2026-01-01 00:00:00', '2026-01-01 00:00:00', 1)",
                (f"{kind}-{day}", str(day), kind),
            )


def status(house: House, width: int = 100) -> str:
    printed = StringIO()
    with house.session() as session:
        assert show_status(Console(file=printed, width=width), session) is None
    return printed.getvalue()


def unfinished(house: House, tags: dict[str, str]) -> None:
    house.instance.create_run_for_job(
        defs.resolve_job_def("nightly"), status=dg.DagsterRunStatus.NOT_STARTED, tags=tags
    )


def test_events_of_dates_that_were_passed_over_are_fetched_and_their_snapshots_stay_missing(house: House) -> None:
    export(house, ONE, TWO, FIVE)
    told = status(house)
    assert f"{THREE} to {FOUR} │ never captured │ not fetched" in told
    assert "sensor missing_events" in told

    house.sandbox.clear()
    requests = requested(house)
    assert [request.partition_key for request in requests] == [str(THREE), str(FOUR)]
    assert all(int(request.tags["dagster/priority"]) < 0 for request in requests)
    assert all(execute(house, request).success for request in requests)

    loads = house.rows(
        "SELECT kind, export_date FROM loads WHERE export_date IN (:three, :four)", three=str(THREE), four=str(FOUR)
    )
    assert sorted(loads) == [("events", str(THREE)), ("events", str(FOUR))]
    assert house.sandbox.count(path="*/member-results/*") == 0
    assert asked_for(house) == []
    assert f"{THREE} to {FOUR} │ never captured │ yes" in status(house)


def test_nothing_is_fetched_before_there_is_any_data(house: House) -> None:
    house.set(DRILLSTER_FIRST_EXPORT_DATE=str(ONE))
    assert asked_for(house) == []
    load(house, FIVE)
    assert asked_for(house) == []
    assert not (house.folder / "archive").exists()


def test_only_the_last_31_days_are_fetched_a_few_at_a_time(house: House) -> None:
    load(house, FIVE - timedelta(days=40))
    asked = requested(house)
    assert [request.partition_key for request in asked] == [str(FIVE - timedelta(days=ago)) for ago in (31, 30, 29)]
    unfinished(house, {**tags_of(asked[0]), "dagster/partition": str(asked[0].partition_key)})
    assert asked_for(house) == [str(FIVE - timedelta(days=ago)) for ago in (30, 29)]


def test_dates_before_the_first_partition_are_left_alone(house: House) -> None:
    house.set(DRILLSTER_FIRST_EXPORT_DATE=str(FOUR))
    load(house, ONE)
    assert asked_for(house) == [str(FOUR)]


@pytest.mark.parametrize(
    "tags",
    [
        {"dagster/partition": str(THREE)},
        {"dagster/asset_partition_range_start": str(TWO), "dagster/asset_partition_range_end": str(THREE)},
    ],
    ids=["a job", "a backfill"],
)
def test_a_date_of_which_a_run_waits_or_is_under_way_is_not_asked_for(house: House, tags: dict[str, str]) -> None:
    load(house, ONE)
    load(house, ONE, TWO, kind="events")
    unfinished(house, tags)
    assert asked_for(house) == [str(FOUR)]


def test_a_date_that_failed_is_asked_for_once_a_day_and_holds_up_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(house, FIVE - timedelta(days=6))
    load(house, ONE, kind="events")
    house.sandbox.faults = Faults(failures=(Failure(at="objectives/*/events", statuses=(400,), error="no_such_thing"),))
    asked = [request for request in requested(house) if not execute(house, request).success]
    assert [request.partition_key for request in asked] == [
        str(FIVE - timedelta(days=6)),
        str(FIVE - timedelta(days=5)),
        str(TWO),
    ]
    assert house.sandbox.count(path="*/events*") > 0  # they were refused
    assert asked_for(house) == [str(THREE), str(FOUR)]
    monkeypatch.setattr("drillster_pipeline.pipeline.context.newest_complete", lambda *_: FIVE + timedelta(days=1))
    assert asked_for(house)[0] == str(FIVE - timedelta(days=6))


def test_events_that_were_refused_wait_for_somebody_to_look(house: House) -> None:
    load(house, ONE)
    with house.session() as session:
        mark_refused(session, put_capture(session, TWO, "events"))
    assert asked_for(house) == [str(ONE), str(THREE), str(FOUR)]


def test_wrong_settings_and_a_warehouse_that_is_away_are_told(house: House) -> None:
    sensor = defs.get_repository_def().get_sensor_def("missing_events")
    for change, told in (
        ({"DRILLSTER_WAREHOUSE_URL": "postgresql://a:very-secret@127.0.0.1:9/c"}, "cannot be reached"),
        ({"DRILLSTER_CONCURRENCY": "many"}, "DRILLSTER_CONCURRENCY"),
    ):
        house.set(**change)
        context = dg.build_sensor_context(instance=house.instance, repository_def=defs.get_repository_def())
        skipped = sensor.evaluate_tick(context).skip_message
        assert told in str(skipped)
        assert "very-secret" not in str(skipped)


class TestTheConsole:
    def fetched(self, house: House) -> str:
        printed = StringIO()
        house.at(night_after(FIVE))
        fetch_missing_events(Console(file=printed, width=100), house.instance, now=lambda: house.now)
        return printed.getvalue()

    def test_it_fetches_them_in_this_process_and_prints_which(self, house: House) -> None:
        load(house, ONE, TWO, FIVE)
        load(house, ONE, TWO, kind="events")
        unfinished(house, {"dagster/partition": str(FOUR)})
        printed = self.fetched(house)
        assert re.search(rf"✓ {THREE}: \d+ events that were missing", printed)
        assert house.rows(
            "SELECT export_date FROM loads WHERE kind = 'events' AND export_date > :day", day=str(TWO)
        ) == [(str(THREE),)]
        assert self.fetched(house) == ""

    def test_where_something_does_not_answer_it_gives_up_at_the_first(self, house: House) -> None:
        """Here the archive: a file is in its way."""
        load(house, ONE)
        (house.folder / "file").touch()
        house.set(DRILLSTER_ARCHIVE_URL=str(house.folder / "file" / "archive"))
        assert self.fetched(house).count("✗") == 1


def gaps_told(house: House) -> list[list[str]]:
    """The rows of the table of gaps."""
    rows = [[cell.strip() for cell in line.split("│")] for line in status(house).split("Gaps")[1].splitlines()]
    return [cells for cells in rows if len(cells) == 3]


class TestStatus:
    """What is known of each date; the house's clock says that 9 June is the newest that has ended."""

    @staticmethod
    def days(*numbers: int) -> Sequence[date]:
        return [date(2026, 5, number) for number in numbers]

    def test_it_says_of_each_range_what_is_missing_and_what_can_be_done(self, house: House) -> None:
        load(house, *self.days(1, 2, 5, 9, 10), date(2026, 6, 8))
        load(house, *self.days(1, 2, 3, 4, 5), kind="events")
        with house.session() as session:
            put_capture(session, date(2026, 5, 6), "events")
            put_capture(session, date(2026, 5, 6))
            mark_refused(session, put_capture(session, date(2026, 5, 7)))
            put_capture(session, date(2026, 5, 8), sealed=False)
        assert gaps_told(house) == [
            ["2026-06-08", "yes", "not fetched"],
            ["2026-05-11 to 2026-06-07", "never captured", "not fetched"],
            ["2026-05-09 to 2026-05-10", "yes", "not fetched"],
            ["2026-05-08", "never captured", "not fetched"],
            ["2026-05-07", "refused", "not fetched"],
            ["2026-05-06", "captured, not published", "captured, not published"],
            ["2026-05-03 to 2026-05-04", "never captured", "yes"],
        ]
        told = status(house)
        for words in ("backfill", "--allow-mass-delete", "sensor missing_events", "can't be had any more"):
            assert words in told

    def test_it_says_nothing_of_gaps_where_there_are_none(self, house: House) -> None:
        load(house, *self.days(31), *(date(2026, 6, number) for number in range(1, 10)))
        load(house, *self.days(31), *(date(2026, 6, number) for number in range(1, 10)), kind="events")
        assert "Gaps" not in status(house)

    def test_a_load_of_some_tables_only_leaves_the_gap(self, house: House) -> None:
        load(house, *self.days(1))
        load(house, *(date(2026, 5, 1) + timedelta(days=n) for n in range(40)), kind="events")
        load(house, *self.days(2))
        with house.warehouse() as warehouse, warehouse.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE loads SET is_whole = 0 WHERE load_id = 'snapshot-2026-05-02'")
        assert gaps_told(house) == [["2026-05-02 to 2026-06-08", "never captured", "yes"]]

    def test_many_gaps_are_cut_short_and_an_archive_of_years_costs_few_requests(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = date(2024, 1, 1)
        load(house, first, *(first + timedelta(days=n) for n in range(500, 800, 2)))
        with house.session() as session:
            for ago in range(100, 500):
                day = house.now.date() - timedelta(days=ago)
                (house.folder / "archive" / str(day)).mkdir(parents=True)
                if ago < 200:  # more than are examined
                    put_capture(session, day)
                    put_capture(session, day, "events")
            listed: list[str] = []
            names = session.archive.storage.names
            monkeypatch.setattr(session.archive.storage, "names", lambda name: listed.append(name) or names(name))
            printed = StringIO()
            assert show_status(Console(file=printed, width=100), session) is None
        assert len(listed) < 350
        assert len(printed.getvalue().splitlines()) < 60
        assert "of " in printed.getvalue().split("Gaps")[1].splitlines()[0]
        assert "in the archive" in printed.getvalue()
