"""The job in this process: what a run writes and what it shows, complete or not."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import dagster as dg
import pytest

from drillster_pipeline.dates import newest_complete
from drillster_pipeline.definitions import defs
from drillster_pipeline.errors import PastDateRefused
from drillster_pipeline.orchestration.in_process import RunResult
from drillster_pipeline.report.charts import picture
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES, Kind, tables_of
from drillster_pipeline.warehouse.reads import preview_columns
from tests.drillster import Failure, Faults, FieldFault, PageFault, Sandbox, closed
from tests.support.installation import AMSTERDAM, DAY, Installation, night_after
from tests.support.webhooks import Webhook

from .runs import checks_of, failures_of, launch, load_and_show, metadata_of

pytestmark = pytest.mark.slow

NEXT = DAY + timedelta(days=1)
SHOWN_IN_PLACE = 1_000
"""Characters of a Markdown entry that the UI shows in place; a longer one is behind a button."""
CHEAP = ["drillster/accounts", "warehouse/organizations"]
"""A selection of assets with a capture and a load."""


class TestACompleteRun:
    @pytest.fixture(scope="class")
    @staticmethod
    def run(running: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, RunResult]]:
        running.faults = Faults()
        running.clear()
        with (
            pytest.MonkeyPatch.context() as monkeypatch,
            Installation(tmp_path_factory.mktemp("complete"), running, monkeypatch=monkeypatch) as installation,
            Webhook() as hook,
        ):
            hook.status = 500
            installation.set(DRILLSTER_HEARTBEAT_URL=hook.url)
            result = installation.run(DAY)
            assert hook.pings == 2  # a failed request is repeated once
            yield installation, result

    def test_it_succeeds_without_a_warning(self, run: tuple[Installation, RunResult]) -> None:
        installation, result = run
        assert (result.success, result.exit_code) == (True, 0)
        assert (result.errors, result.unexpected, result.warnings) == ((), (), ())
        assert result.rows == installation.context.warehouse.row_counts()
        checks = checks_of(installation.instance, result.run_id)
        assert set(checks.values()) == {True}
        shown = metadata_of(installation.instance, result.run_id)
        assert set(shown) == {asset.to_user_string() for asset in defs.resolve_asset_graph().get_all_asset_keys()}
        events = installation.instance.all_logs(result.run_id)
        assert len(events) < 3 * (len(shown) + len(checks)) + 25
        warnings = [entry.user_message for entry in events if entry.level == 30]
        assert warnings == [
            "DRILLSTER_HEARTBEAT_URL did not answer (status 500): its service may raise an alarm.",
        ]
        assert "very-secret" not in str(events)

    def test_it_shows_what_was_captured_and_written(self, run: tuple[Installation, RunResult]) -> None:
        installation, result = run
        shown = metadata_of(installation.instance, result.run_id)
        for resource in RESOURCES:
            entry = shown[f"drillster/{resource}"]
            assert (entry["how"], entry["status"], entry["export_date"]) == ("captured", "captured", str(DAY))
        requests = [shown[f"drillster/{name}"]["capture_requests"] for name in ("accounts", "objective_events")]
        assert sum(requests) == installation.sandbox.count(path="/api/*")
        assert installation.sandbox.grants == 1
        loads = dict(installation.query("SELECT kind, load_id FROM loads"))
        for name, rows in installation.context.warehouse.row_counts().items():
            entry = shown[f"warehouse/{name}"]
            assert entry["dagster/partition_row_count"] == entry["rows_inserted"] == rows
            assert (entry["rows_deleted"], entry["rows_rejected"]) == (0, 0)
            assert entry["load_id"] == loads["events" if name == "objective_events" else "snapshot"]
        assert installation.query("SELECT DISTINCT run_id FROM loads") == [(result.run_id,)]
        page = shown["report/nightly"]
        assert page["page"] == str(installation.folder / "reports" / f"{DAY}.html")
        assert (page["rows_rejected"], page["learners"] > 0) == (0, True)


def test_a_date_is_compared_with_the_one_before(loaded: Installation) -> None:
    loaded.at(night_after(NEXT))
    shown = {**load_and_show(loaded).metadata, **load_and_show(loaded, "events").metadata}
    query = (
        "SELECT table_name, rows_inserted FROM load_tables JOIN loads USING (load_id) "
        "WHERE export_date = :day AND (kind = 'snapshot' OR table_name = 'objective_events')"
    )
    before = dict(loaded.query(query, day=str(DAY)))
    for name, table in DATA_TABLES.items():
        entry: dict[str, Any] = shown[f"warehouse/{name}"]
        rows, first = entry["dagster/partition_row_count"], before[name]
        change = "as many as" if rows == first else f"{abs(rows - first):,} {'more' if rows > first else 'fewer'} than"
        assert f"{change} on {DAY}" in entry["summary"], name
        assert entry["last_dates"].startswith(f"![Rows, {DAY}: {first:,}, {NEXT}: {rows:,}](")
        assert entry["complete"].startswith("Yes: ")
        assert ("dagster/row_count" in entry) == (table.kind is not Kind.EVENT)
        assert all(len(entry.get(name, "")) < SHOWN_IN_PLACE for name in ("last_dates", "spread_of_proficiency"))
    ((average, share),) = loaded.query(
        "SELECT (SELECT AVG(proficiency) FROM results WHERE export_date = :d), "
        "(SELECT 100.0 * SUM(met) / COUNT(met) FROM objective_evaluations WHERE export_date = :d)",
        d=str(NEXT),
    )
    assert shown["warehouse/results"]["average_proficiency"] == pytest.approx(average, abs=0.05)
    assert shown["warehouse/objective_evaluations"]["objectives_met_percentage"] == pytest.approx(share, abs=0.05)

    replayed = load_and_show(loaded, day=DAY)
    assert {entry["how"] for name, entry in replayed.metadata.items() if name.startswith("drillster/")} == {"replayed"}
    assert "capture_requests" not in replayed.metadata["drillster/accounts"]
    assert replayed.warnings == {}
    agrees = replayed.checks["warehouse/accounts:agrees_with_drillster"]
    assert f"Not compared: this table is as of {NEXT}" in str(agrees.description)


def test_a_picture_is_drawing_and_words_and_is_shown_in_place() -> None:
    markdown = picture([None, 0, 50, 100] + [75.0] * 6, most=100, first="a", last="b", words="four")
    assert len(markdown) < SHOWN_IN_PLACE
    alt, _, content = markdown.partition("](data:image/svg+xml;base64,")
    assert alt == "![four"
    drawing = ET.fromstring(base64.b64decode(content.removesuffix(")")))  # noqa: S314 - our own
    assert [element.text for element in drawing.iter() if element.text] == ["a", "b"]


def test_rows_are_shown_without_the_columns_that_identify_a_person() -> None:
    for table in DATA_TABLES.values():
        shown = {column.name for column in preview_columns(table)}
        assert not shown & {column.name for column in table.columns if column.personal}
        assert not shown & {"account_id", "member_key", "name" if table.name == "accounts" else ""}
        assert not any(column.references == "accounts.account_id" for column in preview_columns(table))


def field(resource: str, name: str, value: object, every: int = 1) -> FieldFault:
    return FieldFault(resource=resource, field=name, what="value", value=value, every=every)


INCOMPLETE: dict[str, tuple[Callable[[str], Faults], dict[str, str]]] = {
    "a resource that may not be read": (
        lambda _: Faults(failures=(Failure(at="organization/*/catalogs", statuses=(403,)),)),
        {
            "drillster/catalogs:complete": "no permission for it",
            "drillster/catalog_content:complete": "`drillster-pipeline check` shows",
            "warehouse/catalogs:no_rejects": "Only what other responses name was added",
            "warehouse/catalog_playables:no_rejects": "The table stays as it is",
        },
    ),
    "a list that is cut short": (
        lambda _: Faults(pages=(PageFault(resource="accounts", what="short", n=1),)),
        {"drillster/accounts:complete": "rows that are missing are not marked deleted"},
    ),
    "staff that is hidden by 404": (
        lambda group: Faults(failures=closed(group, what="staff", status=404, error="not_found")),
        {"drillster/group_staff:complete": "group GROUP is not to be found (404); rows"},
    ),
    "staff without a usable response": (
        lambda group: Faults(failures=closed(group, what="staff", status=400, error="odd")),
        {"drillster/group_staff:complete": "group GROUP is without a usable response after all attempts"},
    ),
    "staff that is closed": (
        lambda group: Faults(failures=closed(group, what="staff")),
        {"drillster/group_staff:complete": "group GROUP is closed to the service account"},
    ),
    "an unknown field": (
        lambda _: Faults(fields=(field("accounts", "account.nickname", "Sjors", 3),)),
        {"warehouse/accounts:no_unknown_fields": "accounts[].account.nickname"},
    ),
    "some rejects": (
        lambda _: Faults(fields=(FieldFault(resource="group_staff", field="user.id", what="missing", every=50),)),
        {"warehouse/group_staff:no_rejects": "rows did not fit and were left out: account_id: "},
    ),
}


@pytest.mark.parametrize("what", INCOMPLETE)
def test_a_check_says_what_is_missing_and_no_other_warns(loaded: Installation, what: str) -> None:
    ((group,),) = loaded.query("SELECT group_id FROM group_staff LIMIT 1")
    faults, expected = INCOMPLETE[what]
    loaded.sandbox.faults = faults(group)
    loaded.at(night_after(NEXT))
    shown = load_and_show(loaded)
    assert set(shown.warnings) == set(expected)
    for name, words in expected.items():
        assert words.replace("GROUP", group) in shown.warnings[name]
    assert ("warehouse/catalogs" in shown.metadata) == (what != "a resource that may not be read")
    assert "Sjors" not in str(shown)
    if "staff" in what:
        assert shown.metadata["warehouse/group_staff"]["complete"].startswith("No. Not read: group_staff")


def test_percentages_with_a_fraction_are_rounded_and_counted(installation: Installation) -> None:
    installation.sandbox.faults = Faults(fields=(field("objective_evaluations", "proficiency", 66.5),))
    shown = load_and_show(installation)
    query = "SELECT count(*), min(proficiency), max(proficiency) FROM objective_evaluations"
    ((evaluations, *spread),) = installation.query(query)
    assert (spread, shown.warnings) == ([67, 67], {})
    words = str(shown.checks["warehouse/objective_evaluations:no_rejects"].description)
    assert f"rows fitted. Rounded, as they had a fraction: proficiency ({evaluations:,})" in words


def test_a_past_date_without_an_archive_gets_its_events_and_a_refusal_of_the_rest(installation: Installation) -> None:
    installation.at(night_after(DAY + timedelta(days=3)))
    result = installation.run(DAY)
    assert (result.success, result.exit_code) == (False, 5)
    (error,) = result.errors
    assert isinstance(error, PastDateRefused)
    assert f"{DAY} was never captured" in str(error)
    shown = metadata_of(installation.instance, result.run_id)
    assert set(shown) == {"drillster/objective_events", "warehouse/objective_events"}
    assert installation.query("SELECT kind, export_date FROM loads") == [("events", str(DAY))]
    requests = [record for record in installation.sandbox.requests if "/events" in record.path]
    # 22:00 UTC of the day before the day before.
    assert {record.query.split("fromDate=")[1][:10] for record in requests} == {str(DAY - timedelta(days=2))}
    run = installation.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags["drillster/error_type"] == "past date refused"


@pytest.mark.slow
def test_events_that_can_not_be_read_do_not_stop_the_snapshot(installation: Installation) -> None:
    failure = Failure(at="objectives/*/events", statuses=(400,), error="no_such_thing")
    installation.sandbox.faults = Faults(failures=(failure,))
    result = installation.run(DAY)
    assert not result.success
    assert set(result.rows) == set(DATA_TABLES) - {"objective_events"}


@pytest.mark.slow
def test_the_options_of_a_run_reach_capture_and_publish(loaded: Installation) -> None:
    loaded.at(night_after(NEXT))
    loaded.capture()  # it waits to be published, and has all groups
    groups = frozenset(group for (group,) in loaded.query("SELECT group_id FROM groups"))
    loaded.sandbox.faults = Faults(hidden_groups=groups)
    assert loaded.run(NEXT, capture_again=True, allow_mass_delete=True).success
    assert loaded.query("SELECT count(*) FROM groups WHERE deleted_on IS NULL") == [(0,)]


def test_the_resource_of_the_definitions_serves_a_run(installation: Installation) -> None:
    """As Dagster runs it: by the wall clock, and with nothing that the command passes in."""
    now = datetime.now(UTC)
    day = newest_complete(now, AMSTERDAM)
    installation.at(now)
    assert launch(installation, CHEAP, day=day, resources={}).success
    assert installation.query("SELECT DISTINCT export_date FROM loads") == [(str(day),)]


class TestSelections:
    """What can be selected in the UI: an asset, checks alone, a run over several dates."""

    @pytest.mark.parametrize("name", ["results", "objective_events"])
    def test_a_table_alone_fills_an_empty_warehouse(self, loaded: Installation, name: str) -> None:
        loaded.set(DRILLSTER_WAREHOUSE_URL=f"sqlite:///{loaded.folder / 'empty.sqlite'}")
        result = launch(loaded, [f"warehouse/{name}"])
        assert result.success
        assert set(metadata_of(loaded.instance, result.run_id)) == {f"warehouse/{name}"}
        checks = checks_of(loaded.instance, result.run_id)
        assert {key.split(":")[0] for key in checks} == {f"warehouse/{name}"}
        assert set(checks.values()) == {True}
        assert loaded.context.warehouse.row_counts()[name] > 0

    def test_a_resource_alone_is_captured_with_all_of_its_kind(self, installation: Installation) -> None:
        result = launch(installation, ["drillster/organization"])
        assert set(metadata_of(installation.instance, result.run_id)) == {"drillster/organization"}
        (ref,) = installation.context.archive.captures(DAY)
        assert ref.kind == "snapshot"
        assert set(installation.context.archive.open(ref).manifest["resources"]) == {*RESOURCES} - {"objective_events"}

    def test_a_table_of_a_date_that_was_not_captured_is_refused(self, installation: Installation) -> None:
        result = launch(installation, ["warehouse/accounts"])
        (message,) = failures_of(installation.instance, result.run_id).values()
        assert "select its capture assets (drillster/…) as well" in message

    def test_checks_can_be_left_out(self, loaded: Installation) -> None:
        result = launch(loaded, ["warehouse/organizations"], checks=set())
        assert result.success
        assert checks_of(loaded.instance, result.run_id) == {}
        logged = [entry.message for entry in loaded.instance.all_logs(result.run_id)]
        assert not any("not selected" in message for message in logged)

    @pytest.mark.parametrize(
        ("tags", "words"),
        [
            ({"any": "thing"}, "checks are made when their asset is materialized"),
            (
                {
                    "dagster/asset_partition_range_start": str(DAY - timedelta(days=1)),
                    "dagster/asset_partition_range_end": str(DAY),
                },
                "launch a run for each",
            ),
        ],
        ids=["checks alone", "several dates"],
    )
    def test_a_run_without_one_date_is_refused(
        self, installation: Installation, tags: dict[str, str], words: str
    ) -> None:
        check = dg.AssetCheckKey(dg.AssetKey(["warehouse", "results"]), "no_rejects")
        result = launch(installation, [], checks={check}, tags=tags)
        (message,) = failures_of(installation.instance, result.run_id).values()
        assert words in message

    def test_a_run_of_a_backfill_has_its_date_by_its_range(self, loaded: Installation) -> None:
        loaded.set(DRILLSTER_WAREHOUSE_URL=f"sqlite:///{loaded.folder / 'empty.sqlite'}")
        tags = {"dagster/asset_partition_range_start": str(DAY), "dagster/asset_partition_range_end": str(DAY)}
        assert launch(loaded, ["warehouse/organizations"], tags=tags).success
        assert loaded.query("SELECT export_date FROM loads") == [(str(DAY),)]
        assert [run.tags["drillster/export_date"] for run in loaded.instance.get_runs(limit=1)] == [str(DAY)]


@pytest.mark.slow
def test_the_heartbeat_is_sent_for_a_complete_load_of_the_newest_date_alone(loaded: Installation) -> None:
    with Webhook() as hook:
        loaded.set(DRILLSTER_HEARTBEAT_URL=hook.url)
        assert launch(loaded, ["warehouse/groups"]).success
        loaded.at(night_after(NEXT))
        assert launch(loaded, [f"warehouse/{name}" for name in tables_of("snapshot")]).success  # a replay
        assert hook.pings == 0
