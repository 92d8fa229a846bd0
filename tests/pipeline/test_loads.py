"""Publishing from captures of a real walk over a sandbox that withholds this or that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from drillster_pipeline.dates import midnight
from drillster_pipeline.errors import GuardRefused, PastDateRefused, Refused
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.guard import CONFIRMED_MARK, unpublished_captures
from drillster_pipeline.pipeline.publish import PublishOutcome, publish
from drillster_pipeline.pipeline.quality import load_quality
from drillster_pipeline.settings import load_settings
from drillster_pipeline.tables import DATA_TABLES, Kind, tables_of
from tests.drillster import Failure, Faults, FieldFault, PageFault, Sandbox, Size, closed

from .sessions import session_in

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
DAY = date(2026, 6, 8)
SIZE = Size(accounts=14, groups=3, objectives_per_group=2, catalogs=1, playables_per_catalog=6)
ENTITIES = [name for name, table in DATA_TABLES.items() if table.kind is Kind.ENTITY]
LEDGER = ("load_id", "loaded_at", "last_seen_on", "row_hash", "playable_count")
"""Columns that a load of another date may change though nothing changed in Drillster (but for a wrong total)."""


def night_after(day: date) -> datetime:
    return midnight(day + timedelta(days=1), AMSTERDAM) + timedelta(hours=2, minutes=30)


@dataclass
class Place:
    """An archive and a warehouse, the sandbox that they are of, and the day whose night it is."""

    sandbox: Sandbox
    folder: Path
    day: date = DAY

    def __post_init__(self) -> None:
        settings = load_settings(
            {
                **self.sandbox.environment(),
                "DRILLSTER_ARCHIVE_URL": str(self.folder / "archive"),
                "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{self.folder / 'warehouse.sqlite'}",
            }
        )
        self.session = PipelineContext(settings=settings, now=lambda: night_after(self.day))

    def night(self, **options: Any) -> PublishOutcome:
        """Capture the day and publish it."""
        capture(self.session, "snapshot", self.day)
        return publish(self.session, "snapshot", self.day, run_id=f"run-{self.day}", **options)

    def next_night(self, **options: Any) -> PublishOutcome:
        """The same, a day later."""
        self.day += timedelta(days=1)
        return self.night(**options)

    def rows(self, name: str) -> dict[tuple[Any, ...], dict[str, Any]]:
        """A table's rows by their key."""
        with self.session.warehouse.engine.connect() as connection:
            found = [dict(row) for row in connection.execute(sa.text(f'SELECT * FROM "{name}"')).mappings()]
        return {tuple(row[column] for column in DATA_TABLES[name].key): row for row in found}


@contextmanager
def place_in(folder: Path) -> Iterator[Place]:
    """A place of a small organization, whose sandbox stays at the moment of the first night."""
    with Sandbox(size=SIZE, seed=7, now=night_after(DAY)) as sandbox:
        place = Place(sandbox, folder)
        with place.session:
            yield place


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, dict[str, Any]]]:
    """A place after a whole night, and what its entities were then."""
    with place_in(tmp_path_factory.mktemp("unchanged")) as place:
        place.night()
        yield place, {name: place.rows(name) for name in ENTITIES}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place where nothing was captured yet."""
    with place_in(tmp_path) as made:
        yield made


def one_group(sandbox: Sandbox) -> str:
    """A group that has members, objectives and tests."""
    return next(record.path.split("/")[4] for record in sandbox.requests if "/test-results/" in record.path)


PATHS = {
    "organization": "organization",
    "accounts": "organizations/*/accounts",
    "catalogs": "organization/*/catalogs",
    "catalog": "catalog/??????????????????????",
    "catalog_content": "catalog/*/content",
    "groups": "groups",
    "group": "group/{group}",
    "group_members": "group/{group}/members",
    "group_staff": "group/{group}/staff",
    "group_drillables": "group/{group}/drillables",
    "objectives": "group/{group}/objectives",
    "objective_evaluations": "group/{group}/objective/*/evaluations",
    "results": "group/{group}/member-results/*",
    "test_results": "group/{group}/test-results/*",
}


def everywhere(path: str, status: int) -> Callable[[str], Faults]:
    at = path.replace("{group}", "*") if path != "group/{group}" else "group/" + "?" * 43
    return lambda _group: Faults(failures=(Failure(at=at, statuses=(status,)),))


def in_one_group(path: str, status: int) -> Callable[[str], Faults]:
    return lambda group: Faults(failures=(Failure(at=path.replace("{group}", group), statuses=(status,)),))


IN_GROUPS = [name for name, path in PATHS.items() if "{group}" in path]
FAULTS: dict[str, Callable[[str], Faults]] = {
    **{f"{name} 403 everywhere": everywhere(path, 403) for name, path in PATHS.items()},
    **{f"{name} 404 everywhere": everywhere(PATHS[name], 404) for name in ("catalog_content", "group", "results")},
    **{f"{name} 403 in one group": in_one_group(PATHS[name], 403) for name in IN_GROUPS},
    **{f"{name} 404 in one group": in_one_group(PATHS[name], 404) for name in IN_GROUPS if name != "test_results"},
    **{
        f"{name} short": lambda _group, name=name: Faults(pages=(PageFault(resource=name, what="total_off", n=50),))
        for name in ("accounts", "catalogs", "catalog_content", "groups", "group_members")
    },
    # Here something is really missing, and only Drillster's own count tells.
    **{
        f"{name} with a gap": lambda _group, name=name: Faults(
            clamped_sizes={name: 4},
            pages=(PageFault(resource=name, what="shrink", n=2), PageFault(resource=name, what="total_off", n=50)),
        )
        for name in ("accounts", "catalog_content", "group_members")
    },
    "a group missing from a short list": lambda group: Faults(
        hidden_groups=frozenset({group}), pages=(PageFault(resource="groups", what="total_off", n=50),)
    ),
    "a group closed": lambda group: Faults(failures=closed(group)),
    "a group closed and not listed": lambda group: Faults(failures=closed(group), unlisted_groups=frozenset({group})),
    "a group not listed": lambda group: Faults(unlisted_groups=frozenset({group})),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_could_not_be_seen_is_neither_deleted_nor_forged(
    unchanged: tuple[Place, dict[str, Any]], fault: str
) -> None:
    """Drillster is as it was the night before, but withholds something: what the warehouse says must still be true.

    A column may become NULL, which by the contract means that Drillster did not say; never another value.
    """
    place, before = unchanged
    place.sandbox.faults = FAULTS[fault](one_group(place.sandbox))
    place.next_night()
    for name in ENTITIES:
        after = place.rows(name)
        assert after.keys() == before[name].keys(), name
        for key, row in after.items():
            assert row["deleted_on"] is None, (name, key)
            told = {column: value for column, value in row.items() if value is not None and column not in LEDGER}
            assert told == {column: before[name][key][column] for column in told}, (name, key)


def test_a_whole_night_after_one_with_holes_tells_all_again(place: Place) -> None:
    place.night()
    before = {name: place.rows(name) for name in ENTITIES}
    place.sandbox.faults = Faults(failures=closed(one_group(place.sandbox)))
    place.next_night()
    place.sandbox.faults = Faults()
    place.next_night()
    for name in ENTITIES:
        after = {key: {c: v for c, v in row.items() if c not in LEDGER} for key, row in place.rows(name).items()}
        assert after == {key: {c: v for c, v in row.items() if c not in LEDGER} for key, row in before[name].items()}


def test_a_hole_keeps_the_rows_that_an_earlier_capture_of_the_same_date_has_seen(place: Place) -> None:
    place.night()
    before = place.rows("results"), place.rows("objective_evaluations")
    place.sandbox.faults = Faults(failures=closed(one_group(place.sandbox)))
    place.night()
    assert place.rows("results").keys() == before[0].keys()
    assert place.rows("objective_evaluations").keys() == before[1].keys()


def test_a_group_that_is_gone_is_deleted_with_everything_in_it(place: Place) -> None:
    place.night()
    group = one_group(place.sandbox)
    place.sandbox.faults = Faults(hidden_groups=frozenset({group}))
    place.next_night(allow_mass_delete=True)
    assert {key[0]: row["deleted_on"] for key, row in place.rows("groups").items()}[group] == str(place.day)
    for name in ("group_members", "group_playables", "group_staff"):
        deleted = {key[0] for key, row in place.rows(name).items() if row["deleted_on"]}
        assert deleted == {group}, name


def test_the_guard_refuses_and_the_next_capture_is_made_anew(place: Place) -> None:
    place.night()
    before = place.rows("group_members")
    place.sandbox.faults = Faults(
        hidden_groups=frozenset(place.session.archive.newest_sealed(DAY, "snapshot").manifest["groups"]["listed"])
    )
    with pytest.raises(GuardRefused, match=r"group_members: [\d,]+ of [\d,]+ present rows would be marked deleted"):
        place.next_night()
    assert place.rows("group_members") == before
    place.sandbox.faults = Faults()
    requests = len(place.sandbox.requests)
    place.night()
    assert len(place.sandbox.requests) > requests
    assert place.rows("group_members").keys() == before.keys()


def lose_all_groups(place: Place) -> None:
    listed = place.session.archive.newest_sealed(DAY, "snapshot").manifest["groups"]["listed"]
    place.sandbox.faults = Faults(hidden_groups=frozenset(listed))


def test_the_guard_does_not_give_way_however_many_nights_it_refuses(place: Place) -> None:
    place.night()
    lose_all_groups(place)
    for _ in range(4):
        with pytest.raises(GuardRefused, match="more than 20%"):
            place.next_night()


def test_what_an_operator_has_confirmed_no_backfill_asks_again_in_any_order(place: Place, tmp_path: Path) -> None:
    place.night()
    lose_all_groups(place)
    with pytest.raises(GuardRefused):
        place.next_night()
    place.night(allow_mass_delete=True)
    place.next_night()
    expected = [place.rows(name) for name in ENTITIES]
    for number, order in enumerate([(0, 1, 2), (0, 2, 1)]):
        url = f"sqlite:///{tmp_path}/again{number}.sqlite"
        with PipelineContext(
            settings=place.session.settings.model_copy(update={"warehouse_url": SecretStr(url)})
        ) as session:
            for days in order:
                publish(session, "snapshot", DAY + timedelta(days=days), run_id="again")
            again = Place(place.sandbox, place.folder)
            again.session = session
            loads = {"load_id", "loaded_at"}
            for name, rows in zip(ENTITIES, expected, strict=True):
                found = {key: {c: v for c, v in row.items() if c not in loads} for key, row in again.rows(name).items()}
                assert found == {key: {c: v for c, v in row.items() if c not in loads} for key, row in rows.items()}


def test_a_night_of_which_only_other_tables_were_loaded_still_waits_for_the_rest(place: Place) -> None:
    """What it has lost of them must not be held against the next night."""
    place.night()
    lost = place.next_night(tables=["groups"]).capture.ref
    waiting = unpublished_captures(
        place.session, "snapshot", DAY + timedelta(days=2), ["groups", "accounts", "catalogs"]
    )
    assert waiting == {"groups": [], "accounts": [lost], "catalogs": [lost]}


def test_a_note_of_what_was_confirmed_that_is_damaged_is_asked_for_again(place: Place, tmp_path: Path) -> None:
    place.night()
    lose_all_groups(place)
    confirmed = place.next_night(allow_mass_delete=True).capture
    place.session.archive.storage.write(f"{confirmed.ref.folder}/{CONFIRMED_MARK}", b"{")
    settings = place.session.settings.model_copy(
        update={"warehouse_url": SecretStr(f"sqlite:///{tmp_path}/again.sqlite")}
    )
    with PipelineContext(settings=settings) as session:
        publish(session, "snapshot", DAY, run_id="again")
        with pytest.raises(GuardRefused):
            publish(session, "snapshot", place.day, run_id="again")


def test_a_load_of_selected_tables_is_not_the_newest_night(place: Place) -> None:
    """What a dashboard shows as "data as of", and what makes a warehouse stale, is a night of all tables."""

    def newest() -> set[date]:
        with place.session.warehouse.reading() as (connection, _):
            shown = connection.execute(sa.text("SELECT export_date FROM latest_load")).scalars()
            told = place.session.warehouse.ledger.latest_loads().values()
            return {*map(date.fromisoformat, shown), *(load.export_date for load in told)}

    place.night()
    place.next_night(tables=["groups"])
    assert newest() == {DAY}
    compared = load_quality(place.session, place.night(tables=["groups"])).comparisons
    assert all(each.agrees for each in compared.values())
    place.night()
    assert newest() == {DAY + timedelta(days=1)}


def test_a_load_has_the_time_zone_that_its_capture_was_made_in(place: Place) -> None:
    """A replay does not move the day that was captured, whatever the setting is by then."""
    capture(place.session, "snapshot", DAY)
    settings = place.session.settings.model_copy(update={"timezone": ZoneInfo("Pacific/Tongatapu")})
    with PipelineContext(settings=settings, now=place.session.now) as session:
        publish(session, "snapshot", DAY, run_id="later")
        with session.warehouse.reading() as (connection, _):
            query = "SELECT timezone, date_begins_at, date_ends_at FROM loads"
            (row,) = connection.execute(sa.text(query)).all()
    assert tuple(row) == ("Europe/Amsterdam", "2026-06-07T22:00:00.000000Z", "2026-06-08T22:00:00.000000Z")


def test_a_night_is_complete_only_where_all_that_is_open_was_read(place: Place) -> None:
    """The checks of a night say so too, but a dashboard reads the ledger."""
    assert place.night().report.is_complete
    group = one_group(place.sandbox)
    for failures, is_complete in (
        ((Failure(at=f"group/{group}/staff", statuses=(400,), error="odd"),), False),
        ((Failure(at=PATHS["catalogs"], statuses=(403,)),), False),
        (closed(group), True),
    ):
        place.sandbox.faults = Faults(failures=failures)
        assert place.next_night().report.is_complete is is_complete, failures
    with place.session.warehouse.reading() as (connection, _):
        (row,) = connection.execute(sa.text("SELECT export_date, requests_refused > 0 FROM latest_load"))
    assert tuple(row) == (str(place.day), 1)


@pytest.mark.parametrize(("resource", "field"), [("objectives", "playables"), ("catalogs", "id")])
def test_a_load_of_selected_tables_knows_what_it_could_not_read_of_others(
    place: Place, resource: str, field: str
) -> None:
    place.night()
    place.sandbox.faults = Faults(fields=(FieldFault(resource=resource, field=field, what="value", value=[5]),))
    judged = place.next_night(tables=["playables", "groups"]).validation.tables
    assert not judged["playables"].is_complete, "what a row that cannot be read named, or leads to, may be there"
    assert judged["groups"].is_complete


def test_a_date_without_a_capture_is_refused(place: Place) -> None:
    with pytest.raises(PastDateRefused, match="no sealed snapshot capture of 2026-06-08"):
        publish(place.session, "snapshot", DAY, run_id="run")


def test_a_table_that_could_not_be_read_is_refused_when_it_is_asked_for_alone(place: Place) -> None:
    """An empty load must not stand in the ledger as the newest one."""
    place.sandbox.faults = Faults(failures=(Failure(at="organization", statuses=(403,)),))
    capture(place.session, "snapshot", DAY)
    with pytest.raises(Refused, match="organizations stays as it is, organization: the service account has no perm"):
        publish(place.session, "snapshot", DAY, run_id="run", tables=["organizations"])
    assert place.session.warehouse.ledger.latest_loads() == {}


@pytest.mark.parametrize("name", tables_of("snapshot"))
def test_each_table_alone_fills_an_empty_warehouse_with_what_it_needs(
    unchanged: tuple[Place, dict[str, Any]], tmp_path: Path, name: str
) -> None:
    place, before = unchanged
    settings = place.session.settings.model_copy(
        update={"warehouse_url": SecretStr(f"sqlite:///{tmp_path / 'w.sqlite'}")}
    )
    with PipelineContext(settings=settings, now=place.session.now) as session:
        outcome = publish(session, "snapshot", DAY, run_id="run", tables=[name])
        rows = session.warehouse.row_counts()
    assert not any(report.rows_rejected for report in outcome.report.tables.values())
    assert rows[name] == (len(before[name]) if name in before else outcome.report.tables[name].rows_inserted) > 0


@pytest.mark.parametrize(("then", "now"), [("keep", "pseudonymize"), ("keep", "drop"), ("pseudonymize", "drop")])
def test_a_replay_stores_no_more_of_people_than_the_setting_allows_now(tmp_path: Path, then: str, now: str) -> None:
    settings = {"DRILLSTER_PERSONAL_DATA": now, "DRILLSTER_PSEUDONYM_KEY": "a key of many characters"}
    day = date(2026, 6, 1)
    with session_in(tmp_path, settings) as session:
        writer = session.archive.begin(day, "snapshot", {}, session.now())
        writer.seal({"resources": {}, "personal_data": then})
        with pytest.raises(Refused, match=f"DRILLSTER_PERSONAL_DATA={then}, and it is {now} now"):
            publish(session, "snapshot", day, run_id="replay")


def test_what_was_captured_with_less_of_people_is_replayed_under_any_setting(tmp_path: Path) -> None:
    with Sandbox(accounts=20, seed=3) as sandbox:
        drop = {**sandbox.environment(), "DRILLSTER_PERSONAL_DATA": "drop"}
        with session_in(tmp_path, drop) as session:
            sandbox.now = session.now()
            capture(session, "snapshot", session.newest_complete)
        with session_in(tmp_path) as session:
            report = publish(session, "snapshot", session.newest_complete, run_id="replay").report
    assert report.tables["accounts"].rows_inserted > 10
