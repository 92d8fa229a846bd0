"""Publishing captures of a sandbox that withholds this or that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.errors import GuardRefused, PastDateRefused, Refused
from drillster_pipeline.pipeline.guard import CONFIRMED_MARK, unpublished_captures
from drillster_pipeline.pipeline.publish import PublishOutcome, load_quality
from drillster_pipeline.tables import DATA_TABLES, Kind
from tests.drillster import Failure, Faults, FieldFault, PageFault, Sandbox, Size, closed
from tests.support.installation import DAY, NOW, Installation

pytestmark = pytest.mark.slow

SIZE = Size(accounts=14, groups=3, objectives_per_group=2, catalogs=1, playables_per_catalog=6)
ENTITIES = [name for name, table in DATA_TABLES.items() if table.kind is Kind.ENTITY]
LEDGER = {"load_id", "loaded_at", "last_seen_on", "row_hash", "playable_count"}
"""Columns that a load of another date may change though nothing changed in Drillster (but for a wrong total)."""
Rows = dict[str, dict[tuple[Any, ...], dict[str, Any]]]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """It stays as it is at NOW, whatever the clock of the installation."""
    with Sandbox(size=SIZE, seed=7, now=NOW) as running:
        yield running


@pytest.fixture(scope="module")
def unchanged(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Rows]]:
    """An installation after a complete load, and what its entities were then."""
    sandbox.faults = Faults()
    with Installation(tmp_path_factory.mktemp("unchanged"), sandbox) as installation:
        installation.load()
        yield installation, entities(installation)


def load_next(installation: Installation, faults: Faults | None = None, **options: Any) -> PublishOutcome:
    """Load the next date, of which Drillster answers the same but for its faults."""
    installation.now += timedelta(days=1)
    installation.sandbox.faults = faults or Faults()
    return installation.load(**options)


def entities(installation: Installation, without: set[str] = frozenset()) -> Rows:
    return {
        name: {
            key: {column: value for column, value in row.items() if column not in without}
            for key, row in installation.rows(name).items()
        }
        for name in ENTITIES
    }


def one_group(installation: Installation) -> str:
    """A group that has members, objectives and tests."""
    installation.sandbox.faults = Faults()
    requests = installation.sandbox.requests
    return next(record.path.split("/")[4] for record in requests if "/test-results/" in record.path)


def without_groups(installation: Installation) -> Faults:
    listed = installation.context.archive.newest_sealed(DAY, "snapshot").manifest["groups"]["listed"]
    return Faults(hidden_groups=frozenset(listed))


def failing(path: str, status: int = 403) -> Callable[[str], Faults]:
    """Requests that fail: in one group where the path has ``{group}``, else everywhere."""
    return lambda group: Faults(failures=(Failure(at=path.replace("{group}", group), statuses=(status,)),))


def wrong_pages(resource: str, *what: tuple[str, int], **options: Any) -> Callable[[str], Faults]:
    return lambda _: Faults(pages=tuple(PageFault(resource=resource, what=each, n=n) for each, n in what), **options)


A_GROUP = "group/" + "?" * 43
FAULTS: dict[str, Callable[[str], Faults]] = {
    "the organization": failing("organization"),
    "accounts": failing("organizations/*/accounts"),
    "catalogs": failing("organization/*/catalogs"),
    "the content of catalogs, 404": failing("catalog/*/content", 404),
    "groups": failing("groups"),
    "each group": failing(A_GROUP),
    "members": failing("group/*/members"),
    "objectives": failing("group/*/objectives"),
    "results, 404": failing("group/*/member-results/*", 404),
    "one group itself": failing("group/{group}"),
    "members of one group, 404": failing("group/{group}/members", 404),
    "drillables of one group": failing("group/{group}/drillables"),
    "objectives of one group": failing("group/{group}/objectives"),
    **{f"{name} to the end": wrong_pages(name, ("total_off", 50)) for name in ("accounts", "groups")},
    # Here something is really missing, and only Drillster's own count shows it.
    **{
        f"{name} in a gap": wrong_pages(name, ("shrink", 2), ("total_off", 50), clamped_sizes={name: 4})
        for name in ("catalog_content", "group_members")
    },
    "a group that a short list lacks": lambda group: Faults(
        hidden_groups=frozenset({group}), pages=(PageFault(resource="groups", what="total_off", n=50),)
    ),
    "a group that is closed": lambda group: Faults(failures=closed(group)),
    "a group that is closed and not listed": lambda group: Faults(
        failures=closed(group), unlisted_groups=frozenset({group})
    ),
    "a group that is not listed": lambda group: Faults(unlisted_groups=frozenset({group})),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_could_not_be_read_is_neither_deleted_nor_forged(
    unchanged: tuple[Installation, Rows], fault: Callable[[str], Faults]
) -> None:
    """A column may become NULL, which by the contract means that Drillster did not say; never another value."""
    installation, before = unchanged
    load_next(installation, fault(one_group(installation)))
    for name, after in entities(installation).items():
        assert after.keys() == before[name].keys(), name
        for key, row in after.items():
            assert row["deleted_on"] is None, (name, key)
            values = {column: value for column, value in row.items() if value is not None and column not in LEDGER}
            assert values == {column: before[name][key][column] for column in values}, (name, key)


def test_a_closed_group_takes_nothing_away_and_the_next_complete_load_reads_all_again(
    installation: Installation,
) -> None:
    installation.load()
    before = entities(installation, LEDGER)
    snapshots = {name: installation.rows(name).keys() for name in ("results", "objective_evaluations")}
    is_closed = Faults(failures=closed(one_group(installation)))
    installation.sandbox.faults = is_closed
    installation.load()  # the same date again
    assert {name: installation.rows(name).keys() for name in snapshots} == snapshots
    load_next(installation, is_closed)
    load_next(installation)
    assert entities(installation, LEDGER) == before


def test_a_group_that_is_gone_is_deleted_with_everything_in_it(installation: Installation) -> None:
    installation.load()
    group = one_group(installation)
    load_next(installation, Faults(hidden_groups=frozenset({group})), allow_mass_delete=True)
    assert installation.rows("groups")[(group,)]["deleted_on"] == installation.day
    for name in ("group_members", "group_playables", "group_staff"):
        assert {key[0] for key, row in installation.rows(name).items() if row["deleted_on"]} == {group}, name


class TestTheGuard:
    def test_it_refuses_and_the_next_capture_is_made_anew(self, installation: Installation) -> None:
        installation.load()
        before = installation.rows("group_members")
        with pytest.raises(GuardRefused, match=r"group_members: [\d,]+ of [\d,]+ present rows would be marked deleted"):
            load_next(installation, without_groups(installation))
        assert installation.rows("group_members") == before
        installation.sandbox.faults = Faults()
        installation.sandbox.clear()
        installation.load()
        assert installation.sandbox.requests
        assert installation.rows("group_members").keys() == before.keys()

    def test_it_does_not_yield_however_many_loads_it_refuses(self, installation: Installation) -> None:
        installation.load()
        for _ in range(3):
            with pytest.raises(GuardRefused, match="more than 20%"):
                load_next(installation, without_groups(installation))

    @pytest.mark.slow
    def test_what_an_operator_has_confirmed_no_backfill_asks_again_in_any_order(
        self, installation: Installation
    ) -> None:
        installation.load()
        with pytest.raises(GuardRefused):
            load_next(installation, without_groups(installation))
        confirmed = installation.load(allow_mass_delete=True).capture.ref
        load_next(installation, installation.sandbox.faults)
        expected = entities(installation, {"load_id", "loaded_at"})
        for order in ((0, 1, 2), (0, 2, 1)):
            installation.set(DRILLSTER_WAREHOUSE_URL=f"sqlite:///{installation.folder}/{order}.sqlite")
            for days in order:
                installation.publish(day=DAY + timedelta(days=days))
            assert entities(installation, {"load_id", "loaded_at"}) == expected
        # A note of it that is damaged confirms nothing.
        installation.context.archive.storage.write(f"{confirmed.folder}/{CONFIRMED_MARK}", b"{")
        installation.set(DRILLSTER_WAREHOUSE_URL=f"sqlite:///{installation.folder}/damaged.sqlite")
        installation.publish(day=DAY)
        with pytest.raises(GuardRefused):
            installation.publish(day=DAY + timedelta(days=1))


class TestALoadOfSelectedTables:
    def test_it_is_not_the_newest_load_and_the_rest_of_its_capture_is_unpublished(
        self, installation: Installation
    ) -> None:
        """What a dashboard shows as "data as of", and what makes a warehouse stale, is a load of all tables."""

        def newest() -> set[date]:
            shown = {date.fromisoformat(day) for (day,) in installation.query("SELECT export_date FROM latest_load")}
            return shown | {load.export_date for load in installation.context.warehouse.ledger.latest_loads().values()}

        installation.load()
        some = load_next(installation, tables=["groups"])
        assert newest() == {DAY}
        assert all(each.agrees for each in load_quality(installation.context, some).comparisons.values())
        # What it has lost of other tables must not count against the next date.
        next_date, names = DAY + timedelta(days=2), ["groups", "accounts", "catalogs"]
        waiting = unpublished_captures(installation.context, "snapshot", next_date, names)
        assert waiting == {"groups": [], "accounts": [some.capture.ref], "catalogs": [some.capture.ref]}
        installation.load()
        assert newest() == {DAY + timedelta(days=1)}

    @pytest.mark.parametrize(("resource", "field"), [("objectives", "playables"), ("catalogs", "id")])
    def test_it_takes_into_account_what_could_not_be_read_of_others(
        self, installation: Installation, resource: str, field: str
    ) -> None:
        installation.load()
        fault = FieldFault(resource=resource, field=field, what="value", value=[5])
        tables = load_next(installation, Faults(fields=(fault,)), tables=["playables", "groups"]).validation.tables
        assert not tables["playables"].is_complete, "what a row that cannot be read named, or leads to, may be there"
        assert tables["groups"].is_complete

    def test_it_is_refused_where_none_of_them_could_be_read(self, installation: Installation) -> None:
        """An empty load must not stand in the ledger as the newest one."""
        installation.sandbox.faults = Faults(failures=(Failure(at="organization", statuses=(403,)),))
        with pytest.raises(Refused, match="organizations stays as it is, organization: the service account has no per"):
            installation.load(tables=["organizations"])
        assert installation.context.warehouse.ledger.latest_loads() == {}

    @pytest.mark.parametrize("name", ["catalog_playables", "group_members", "objective_evaluations", "results"])
    def test_it_fills_an_empty_warehouse_with_what_it_needs(
        self, unchanged: tuple[Installation, Rows], tmp_path: Path, name: str
    ) -> None:
        installation, _ = unchanged
        with Installation(tmp_path, DRILLSTER_ARCHIVE_URL=f"{installation.folder}/archive") as other:
            report = other.publish(day=DAY, tables=[name]).report
            assert not any(table.rows_rejected for table in report.tables.values())
            assert other.context.warehouse.row_counts()[name] == report.tables[name].rows_inserted > 0


def test_a_load_has_the_time_zone_that_its_capture_was_made_in(loaded: Installation) -> None:
    """A replay does not move the day that was captured, whatever the setting is by then."""
    loaded.set(DRILLSTER_TIMEZONE="Pacific/Tongatapu")
    loaded.publish(day=DAY, run_id="later")
    query = "SELECT timezone, date_begins_at, date_ends_at FROM loads WHERE run_id = 'later'"
    assert loaded.query(query) == [("Europe/Amsterdam", "2026-06-08T22:00:00.000000Z", "2026-06-09T22:00:00.000000Z")]


def test_a_load_is_complete_only_where_all_that_is_open_was_read(installation: Installation) -> None:
    """The checks of a run show it too, but a dashboard reads the ledger."""
    assert installation.load().report.is_complete
    group = one_group(installation)
    for failures, is_complete in (
        ((Failure(at=f"group/{group}/staff", statuses=(400,), error="odd"),), False),
        ((Failure(at="organization/*/catalogs", statuses=(403,)),), False),
        (closed(group), True),
    ):
        assert load_next(installation, Faults(failures=failures)).report.is_complete is is_complete, failures
    rows = installation.query("SELECT export_date, requests_refused > 0 FROM latest_load")
    assert rows == [(str(installation.day), 1)]


def test_a_date_without_a_capture_is_refused(loaded: Installation) -> None:
    with pytest.raises(PastDateRefused, match="no sealed snapshot capture of 2026-06-01"):
        loaded.publish(day=date(2026, 6, 1))


def replay_as(loaded: Installation, then: str, now: str) -> PublishOutcome:
    """Publish a capture that was made with another mode of personal data than is set now."""
    (manifest,) = loaded.folder.rglob("*-snapshot-*/manifest.json")
    manifest.write_text(manifest.read_text().replace('"personal_data": "keep"', f'"personal_data": "{then}"'))
    loaded.set(DRILLSTER_PERSONAL_DATA=now, DRILLSTER_PSEUDONYM_KEY="a key of many characters")
    return loaded.publish()


@pytest.mark.parametrize(("then", "now"), [("keep", "pseudonymize"), ("keep", "drop"), ("pseudonymize", "drop")])
def test_a_replay_stores_no_more_of_people_than_the_setting_allows_now(
    loaded: Installation, then: str, now: str
) -> None:
    with pytest.raises(Refused, match=f"DRILLSTER_PERSONAL_DATA={then}, and it is {now} now"):
        replay_as(loaded, then, now)


def test_what_was_captured_with_less_of_people_is_replayed_under_any_setting(loaded: Installation) -> None:
    assert replay_as(loaded, "drop", "keep").report.tables["accounts"]
