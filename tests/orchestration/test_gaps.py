"""Dates without data: their events are fetched, and `status` says what is missing and why."""

from __future__ import annotations

import re
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
from tests.support.installation import AMSTERDAM, Installation, night_after, put_capture

pytestmark = pytest.mark.slow

ONE, TWO, THREE, FOUR, FIVE = (
    newest_complete(datetime.now(UTC), AMSTERDAM) - timedelta(days=ago) for ago in (4, 3, 2, 1, 0)
)
"""The sensor goes by the wall clock: the last of these is the newest date that has ended."""


def ago(days: int) -> date:
    return FIVE - timedelta(days=days)


@pytest.fixture(autouse=True)
def now(installation: Installation) -> None:
    installation.at(night_after(FIVE))


def tick(installation: Installation) -> dg.SensorExecutionData:
    """Evaluate the sensor."""
    repository = defs.get_repository_def()
    context = dg.build_sensor_context(instance=installation.instance, repository_def=repository)
    return repository.get_sensor_def("missing_events").evaluate_tick(context)


def requested(installation: Installation) -> list[str | None]:
    return [request.partition_key for request in tick(installation).run_requests or []]


def tags_of(request: dg.RunRequest) -> dict[str, str]:
    """The tags of the run that the daemon makes of a request."""
    return {**request.tags, "dagster/run_key": str(request.run_key), "dagster/sensor_name": "missing_events"}


def execute(installation: Installation, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("events").execute_in_process(
        instance=installation.instance,
        partition_key=request.partition_key,
        tags=tags_of(request),
        raise_on_error=False,
    )


def add_loads(installation: Installation, *days: date, kind: str = "snapshot", complete: bool = True) -> None:
    """As if nothing but this had been loaded of these dates."""
    columns = "load_id, export_date, kind, started_at, finished_at, is_whole"
    moment = "2026-01-01 00:00:00"
    with installation.context.warehouse.engine.begin() as connection:
        for day in days:
            connection.exec_driver_sql(
                f"INSERT INTO loads ({columns}) VALUES (?, ?, ?, ?, ?, ?)",
                (f"{kind}-{day}", str(day), kind, moment, moment, complete),
            )


def status(installation: Installation) -> str:
    printed = StringIO()
    assert show_status(Console(file=printed, width=100), installation.context) is None
    return printed.getvalue()


def unfinished(installation: Installation, **tags: str) -> None:
    job = defs.resolve_job_def("nightly")
    installation.instance.create_run_for_job(job, status=dg.DagsterRunStatus.NOT_STARTED, tags=tags)


class TestSensor:
    def test_events_that_are_missing_are_fetched_and_the_snapshots_stay_missing(
        self, installation: Installation
    ) -> None:
        add_loads(installation, ONE, TWO, FIVE)
        add_loads(installation, ONE, TWO, FIVE, kind="events")
        assert f"{THREE} to {FOUR} │ never captured │ not fetched" in status(installation)
        requests = tick(installation).run_requests or []
        assert [request.partition_key for request in requests] == [str(THREE), str(FOUR)]
        assert all(int(request.tags["dagster/priority"]) < 0 for request in requests)
        assert all(execute(installation, request).success for request in requests)
        query = "SELECT kind, export_date FROM loads WHERE export_date IN (:three, :four) ORDER BY 2"
        fetched = installation.query(query, three=str(THREE), four=str(FOUR))
        assert fetched == [("events", str(THREE)), ("events", str(FOUR))]
        assert installation.sandbox.count(path="*/member-results/*") == 0
        assert requested(installation) == []
        assert f"{THREE} to {FOUR} │ never captured │ yes" in status(installation)

    def test_nothing_is_fetched_before_there_is_any_data_or_before_the_first_partition(
        self, installation: Installation
    ) -> None:
        installation.set(DRILLSTER_FIRST_EXPORT_DATE=str(FOUR))
        assert requested(installation) == []
        add_loads(installation, FIVE)
        assert requested(installation) == []
        add_loads(installation, ONE)
        assert requested(installation) == [str(FOUR)]
        assert not (installation.folder / "archive").exists()

    def test_only_the_last_31_days_are_fetched_a_few_at_a_time(self, installation: Installation) -> None:
        installation.set(DRILLSTER_FIRST_EXPORT_DATE="2026-01-01")
        add_loads(installation, ago(40))
        first, *_ = tick(installation).run_requests or []
        assert requested(installation) == [str(ago(days)) for days in (31, 30, 29)]
        unfinished(installation, **{**tags_of(first), "dagster/partition": str(first.partition_key)})
        assert requested(installation) == [str(ago(days)) for days in (30, 29)]

    @pytest.mark.parametrize(
        "tags",
        [
            {"dagster/partition": str(THREE)},
            {"dagster/asset_partition_range_start": str(TWO), "dagster/asset_partition_range_end": str(THREE)},
        ],
        ids=["a job", "a backfill"],
    )
    def test_a_date_is_not_requested_while_a_run_of_it_waits_or_is_under_way_or_after_a_refusal(
        self, installation: Installation, tags: dict[str, str]
    ) -> None:
        add_loads(installation, ago(5))
        add_loads(installation, ago(5), TWO, kind="events")
        mark_refused(installation.context, put_capture(installation.context, ONE, "events"))
        unfinished(installation, **tags)
        assert requested(installation) == [str(FOUR)]

    def test_a_date_that_failed_is_requested_once_a_day_and_delays_no_other(
        self, installation: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add_loads(installation, ago(6))
        add_loads(installation, ONE, kind="events")
        failure = Failure(at="objectives/*/events", statuses=(400,), error="no_such_thing")
        installation.sandbox.faults = Faults(failures=(failure,))
        requests = tick(installation).run_requests or []
        assert [request.partition_key for request in requests] == [str(ago(6)), str(ago(5)), str(TWO)]
        assert not any(execute(installation, request).success for request in requests)
        assert requested(installation) == [str(THREE), str(FOUR)]
        monkeypatch.setattr("drillster_pipeline.pipeline.context.newest_complete", lambda *_: FIVE + timedelta(days=1))
        assert requested(installation)[0] == str(ago(6))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"DRILLSTER_WAREHOUSE_URL": "postgresql://a:very-secret@127.0.0.1:9/c"}, "cannot be reached"),
            ({"DRILLSTER_CONCURRENCY": "many"}, "DRILLSTER_CONCURRENCY"),
        ],
        ids=["no warehouse", "a wrong setting"],
    )
    def test_what_keeps_it_from_reading_is_its_reason_to_skip(
        self, installation: Installation, change: dict[str, str], words: str
    ) -> None:
        installation.set(**change)
        message = str(tick(installation).skip_message)
        assert words in message
        assert "very-secret" not in message


def test_the_command_fetches_them_in_this_process_until_something_does_not_answer(installation: Installation) -> None:
    def fetched() -> str:
        printed = StringIO()
        console = Console(file=printed, width=100)
        fetch_missing_events(console, installation.instance, now=lambda: installation.now)
        return printed.getvalue()

    add_loads(installation, ago(5), FIVE)
    add_loads(installation, ago(5), ONE, TWO, kind="events")
    unfinished(installation, **{"dagster/partition": str(FOUR)})
    assert re.search(rf"✓ {THREE}: \d+ missing events?", fetched())
    assert fetched() == ""
    installation.query("DELETE FROM loads WHERE kind = 'events'")
    (installation.folder / "file").touch()
    installation.set(DRILLSTER_ARCHIVE_URL=str(installation.folder / "file" / "archive"))
    assert fetched().count("✗") == 1


class TestStatus:
    """What is known of each date, on 10 June."""

    @pytest.fixture(autouse=True)
    @staticmethod
    def june(installation: Installation) -> None:
        installation.at(night_after(date(2026, 6, 9)))

    @staticmethod
    def days(*numbers: int) -> list[date]:
        """Of May."""
        return [date(2026, 5, 1) + timedelta(days=number - 1) for number in numbers]

    @staticmethod
    def gaps(installation: Installation) -> list[list[str]]:
        """The rows of the table of gaps."""
        lines = status(installation).split("Gaps")[1].splitlines()
        rows = [[cell.strip() for cell in line.split("│")] for line in lines]
        return [cells for cells in rows if len(cells) == 3]

    def test_it_says_of_each_range_what_is_missing_and_what_can_be_done(self, installation: Installation) -> None:
        add_loads(installation, *self.days(1, 2, 5, 9, 10), date(2026, 6, 8))
        add_loads(installation, *self.days(1, 2, 3, 4, 5), kind="events")
        context = installation.context
        put_capture(context, date(2026, 5, 6), "events")
        put_capture(context, date(2026, 5, 6))
        mark_refused(context, put_capture(context, date(2026, 5, 7)))
        put_capture(context, date(2026, 5, 8), sealed=False)
        assert self.gaps(installation) == [
            ["2026-06-08", "yes", "not fetched"],
            ["2026-05-11 to 2026-06-07", "never captured", "not fetched"],
            ["2026-05-09 to 2026-05-10", "yes", "not fetched"],
            ["2026-05-08", "never captured", "not fetched"],
            ["2026-05-07", "refused", "not fetched"],
            ["2026-05-06", "captured, not published", "captured, not published"],
            ["2026-05-03 to 2026-05-04", "never captured", "yes"],
        ]
        printed = status(installation)
        for words in ("backfill", "--allow-mass-delete", "sensor missing_events", "can't be had any more"):
            assert words in printed

    def test_a_load_of_some_tables_only_leaves_the_gap_and_nothing_else_does(self, installation: Installation) -> None:
        add_loads(installation, *self.days(*range(1, 41)), kind="events")
        add_loads(installation, *self.days(1, *range(3, 41)))
        add_loads(installation, *self.days(2), complete=False)
        assert self.gaps(installation) == [["2026-05-02", "never captured", "yes"]]
        installation.query("UPDATE loads SET is_whole = 1")
        assert "Gaps" not in status(installation)

    def test_many_gaps_are_cut_short_and_an_archive_of_years_costs_few_requests(
        self, installation: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = date(2024, 1, 1)
        add_loads(installation, first, *(first + timedelta(days=number) for number in range(500, 800, 2)))
        context = installation.context
        for back in range(100, 500):
            day = installation.now.date() - timedelta(days=back)
            (installation.folder / "archive" / str(day)).mkdir(parents=True)
            if back < 200:  # more than are examined
                put_capture(context, day)
        listed: list[str] = []
        names = context.archive.storage.names
        monkeypatch.setattr(context.archive.storage, "names", lambda name: listed.append(name) or names(name))
        printed = status(installation)
        assert len(listed) < 350
        assert len(printed.splitlines()) < 60
        assert "of " in printed.split("Gaps")[1].splitlines()[0]
        assert "in the archive" in printed
