from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from drillster_pipeline.extract.batches import batch_of
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.prune import prune
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.warehouse import LoadPlan, TablePlan
from tests.conftest import examples

from .sessions import NOW, names, put_capture, session_in

NEWEST = date(2026, 6, 9)
DAYS = {"DRILLSTER_ARCHIVE_DAYS": "30"}


def test_captures_of_old_dates_go_and_those_of_young_dates_stay(tmp_path: Path) -> None:
    session = session_in(tmp_path, DAYS)
    newest = put_capture(session, NEWEST)
    old = put_capture(session, NEWEST - timedelta(days=31))
    edge = put_capture(session, NEWEST - timedelta(days=30))
    events = put_capture(session, NEWEST - timedelta(days=31), "events")
    outcome = prune(session)
    assert set(outcome.captures) == {old, events}
    assert names(tmp_path) == {edge.capture_id, newest.capture_id}
    assert session.archive.dates() == [edge.export_date, NEWEST]


def test_a_dry_run_removes_nothing(tmp_path: Path) -> None:
    session = session_in(tmp_path, DAYS)
    newest = put_capture(session, NEWEST)
    old = put_capture(session, NEWEST - timedelta(days=100))
    assert prune(session, dry_run=True).captures == (old,)
    assert names(tmp_path) == {old.capture_id, newest.capture_id}


def test_the_only_capture_of_a_young_date_stays_even_if_it_was_never_sealed(tmp_path: Path) -> None:
    session = session_in(tmp_path, DAYS)
    only = put_capture(session, NEWEST - timedelta(days=5), sealed=False)
    assert prune(session).captures == ()
    assert names(tmp_path) == {only.capture_id}


def test_an_unfinished_capture_beside_a_sealed_one_goes_once_it_cannot_be_resumed(tmp_path: Path) -> None:
    session = session_in(tmp_path, DAYS)
    day = NEWEST - timedelta(days=5)
    left = put_capture(session, day, sealed=False)
    sealed = put_capture(session, day)
    other_kind = put_capture(session, day, "events", sealed=False)
    fresh = put_capture(session, NEWEST, sealed=False, started=NOW - timedelta(hours=1))
    put_capture(session, NEWEST)
    assert prune(session).captures == (left,)
    assert {sealed.capture_id, other_kind.capture_id, fresh.capture_id} <= names(tmp_path)


def test_what_is_being_captured_stays_however_old_it_looks(tmp_path: Path) -> None:
    session = session_in(tmp_path, DAYS)
    newest = put_capture(session, NEWEST)
    day = NEWEST - timedelta(days=100)
    being_made, other = put_capture(session, day, "events", sealed=False), put_capture(session, day)
    with session.archive.locked(day, "events"):
        assert prune(session).captures == (other,)
    assert names(tmp_path) == {being_made.capture_id, newest.capture_id}
    assert prune(session).captures == (being_made,)
    assert session.archive.dates() == [NEWEST]


def test_what_somebody_is_at_work_on_stays_for_a_later_prune(tmp_path: Path) -> None:
    session = session_in(tmp_path, DAYS)
    put_capture(session, NEWEST)
    old = NEWEST - timedelta(days=40)
    snapshot = put_capture(session, old)
    events = put_capture(session, old, "events", sealed=False)
    with session.archive.locked(old, "events"):
        assert prune(session).captures == (snapshot,)
    assert prune(session).captures == (events,)
    assert session.archive.dates() == [NEWEST]


def test_a_prune_that_was_cut_short_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = session_in(tmp_path, DAYS)
    for back in (40, 41):
        put_capture(session, NEWEST - timedelta(days=back))
    young = put_capture(session, NEWEST)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for function in ("archive.local.shutil.rmtree", "archive.Archive.remove_if_empty"):
        with monkeypatch.context() as patched:
            patched.setattr(f"drillster_pipeline.{function}", killed)
            with pytest.raises(KeyboardInterrupt):
                prune(session)
    prune(session)
    assert session.archive.dates() == [NEWEST]
    assert [path.name for path in (tmp_path / "archive").iterdir() if path.name != ".writing"] == [str(NEWEST)]
    assert names(tmp_path) == {young.capture_id}


def test_month_ends_can_be_kept_for_ever(tmp_path: Path) -> None:
    session = session_in(tmp_path, DAYS)
    for day in (date(2026, 1, 30), date(2026, 1, 31), date(2026, 2, 27), date(2026, 3, 1)):
        put_capture(session, day)
    put_capture(session, NEWEST)
    outcome = prune(session, keep_month_ends=True)
    assert outcome.kept_month_ends == (date(2026, 1, 31), date(2026, 2, 27), date(2026, 3, 1))
    assert session.archive.dates() == [*outcome.kept_month_ends, NEWEST]


def test_a_setting_keeps_month_ends_whoever_prunes(tmp_path: Path) -> None:
    session = session_in(tmp_path, {**DAYS, "DRILLSTER_KEEP_MONTH_ENDS": "yes"})
    for day in (date(2026, 1, 30), date(2026, 1, 31), NEWEST):
        put_capture(session, day)
    assert prune(session).kept_month_ends == (date(2026, 1, 31),)
    assert session.archive.dates() == [date(2026, 1, 31), NEWEST]


def test_a_clock_that_is_years_ahead_takes_nothing_away(tmp_path: Path) -> None:
    session = session_in(tmp_path, DAYS, now=NOW + timedelta(days=3_000))
    old, newest = put_capture(session, NEWEST - timedelta(days=31)), put_capture(session, NEWEST)
    put_capture(session, NEWEST + timedelta(days=2_999), sealed=False)
    outcome = prune(session)
    assert (outcome.captures, outcome.before) == ((old,), NEWEST - timedelta(days=30))
    assert newest.capture_id in names(tmp_path)


@settings(max_examples=examples(25))
@given(
    captures=st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from(["snapshot", "events"]), st.booleans()), max_size=12
    ),
    keep=st.booleans(),
)
def test_pruning_never_takes_the_last_sealed_capture_of_a_young_date(
    tmp_path_factory: pytest.TempPathFactory, captures: list[tuple[int, str, bool]], keep: bool
) -> None:
    session = session_in(tmp_path_factory.mktemp("prune"), DAYS)
    for back, kind, sealed in captures:
        put_capture(session, NEWEST - timedelta(days=back), kind, sealed=sealed)
    young = {(back, kind, sealed) for back, kind, sealed in captures if back <= 30}
    prune(session, keep_month_ends=keep)
    for back, kind, sealed in young:
        refs = session.archive.captures(NEWEST - timedelta(days=back), kind)
        assert refs
        assert any(ref.sealed for ref in refs) or not sealed


def test_snapshots_are_kept_for_ever_unless_a_setting_says_how_long(tmp_path: Path) -> None:
    session = session_in(tmp_path, DAYS)
    with_snapshots(session, NEWEST - timedelta(days=100), NEWEST)
    outcome = prune(session)
    assert (outcome.snapshot_rows, outcome.snapshots_before) == ({}, None)
    assert snapshot_dates(session) == [NEWEST - timedelta(days=100), NEWEST]


def test_old_snapshots_go_counted_from_the_newest_that_is_there(tmp_path: Path) -> None:
    session = session_in(tmp_path, {"DRILLSTER_SNAPSHOT_DAYS": "10"})
    assert prune(session).snapshot_rows == {}
    stopped = NEWEST - timedelta(days=50)
    dates = [stopped - timedelta(days=days) for days in (11, 10, 0)]
    with_snapshots(session, *dates)
    dry = prune(session, dry_run=True)
    assert (dry.snapshot_rows, dry.snapshots_before) == ({}, dates[1])
    assert snapshot_dates(session) == dates
    assert prune(session).snapshot_rows == {"results": 1}
    assert snapshot_dates(session) == dates[1:]


def with_snapshots(session: PipelineContext, *dates: date) -> None:
    for day in dates:
        names = ("accounts", "groups", "playables", "results")
        plan = LoadPlan(
            export_date=day,
            kind="snapshot",
            run_id="r",
            tables={name: TablePlan() for name in names},
            archive_url="",
            program_version="",
        )
        told = {"account_id": "a", "group_id": "g", "playable_id": "p", "export_date": day, "captured_at": NOW}
        with session.warehouse.loading(plan) as load:
            for name in names:
                table = DATA_TABLES[name]
                load.stage(batch_of(table, [tuple(told.get(column.name) for column in table.columns)]))
            load.merge()


def snapshot_dates(session: PipelineContext) -> list[date]:
    with session.warehouse.reading() as (connection, tables):
        return list(connection.scalars(sa.select(tables("results").c.export_date).order_by("export_date")))
