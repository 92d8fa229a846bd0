from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drillster_pipeline.archive.captures import CaptureRef
from drillster_pipeline.pipeline.prune import PruneOutcome, prune
from tests.conftest import examples
from tests.support.installation import DAY, NOW, Installation, put_capture

KEPT_DAYS = {"DRILLSTER_ARCHIVE_DAYS": "30"}


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with Installation(tmp_path, **KEPT_DAYS) as made:
        yield made


def put(installation: Installation, back: int, kind: str = "snapshot", **options: object) -> CaptureRef:
    """Put a capture into the archive, of so many days before the newest export date."""
    return put_capture(installation.context, DAY - timedelta(days=back), kind, **options)


def pruned(installation: Installation, **options: bool) -> PruneOutcome:
    return prune(installation.context, **options)


def captures(installation: Installation) -> set[str]:
    """Every folder of a capture in the archive."""
    return {path.name for path in (installation.folder / "archive").glob("*/*") if path.is_dir()}


def test_captures_of_old_dates_go_and_those_of_young_dates_stay(installation: Installation) -> None:
    newest, edge, old = (put(installation, back) for back in (0, 30, 31))
    events = put(installation, 31, "events")
    assert set(pruned(installation, dry_run=True).captures) == {old, events}
    assert captures(installation) == {ref.capture_id for ref in (newest, edge, old, events)}
    assert set(pruned(installation).captures) == {old, events}
    assert captures(installation) == {edge.capture_id, newest.capture_id}
    assert installation.context.archive.dates() == [edge.export_date, DAY]


def test_an_unfinished_capture_beside_a_sealed_one_goes_once_it_cannot_be_resumed(installation: Installation) -> None:
    left = put(installation, 5, sealed=False)
    sealed = put(installation, 5)
    other_kind = put(installation, 5, "events", sealed=False)
    fresh = put(installation, 0, sealed=False, started=NOW - timedelta(hours=1))
    put(installation, 0)
    assert pruned(installation).captures == (left,)
    assert {sealed.capture_id, other_kind.capture_id, fresh.capture_id} <= captures(installation)


def test_a_capture_that_is_being_made_stays_for_a_later_prune(installation: Installation) -> None:
    put(installation, 0)
    being_made, other = put(installation, 100, "events", sealed=False), put(installation, 100)
    with installation.context.archive.locked(being_made.export_date, "events"):
        assert pruned(installation).captures == (other,)
    assert pruned(installation).captures == (being_made,)
    assert installation.context.archive.dates() == [DAY]


def test_a_capture_that_is_sealed_in_the_meantime_stays(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(installation, 5)
    archive, day = installation.context.archive, DAY - timedelta(days=5)
    writer = archive.begin(day, "snapshot", {}, NOW - timedelta(days=4))
    locked = archive.locked

    def sealed_before(*what: Any) -> Any:
        writer.seal({"resources": {}})
        return locked(*what)

    monkeypatch.setattr(archive, "locked", sealed_before)
    assert pruned(installation).captures == ()
    assert archive.newest_sealed(day, "snapshot").ref.capture_id == writer.ref.capture_id


def test_a_prune_that_was_cut_short_is_finished_by_the_next(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    young, *_ = (put(installation, back) for back in (0, 40, 41))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for function in ("archive.local.shutil.rmtree", "archive.archive.Archive.remove_if_empty"):
        with monkeypatch.context() as patched:
            patched.setattr(f"drillster_pipeline.{function}", killed)
            with pytest.raises(KeyboardInterrupt):
                pruned(installation)
        archive = installation.context.archive
        assert sum(len(archive.captures(day)) for day in archive.dates()) < 3, "what is removed is gone at once"
    pruned(installation)
    assert [path.name for path in (installation.folder / "archive").iterdir() if path.name != ".writing"] == [str(DAY)]
    assert captures(installation) == {young.capture_id}


@pytest.mark.parametrize("by_setting", [False, True])
def test_month_ends_can_be_kept_for_ever(installation: Installation, by_setting: bool) -> None:
    for day in (date(2026, 1, 30), date(2026, 1, 31), date(2026, 2, 27), date(2026, 3, 1), DAY):
        put_capture(installation.context, day)
    if by_setting:
        installation.set(DRILLSTER_KEEP_MONTH_ENDS="yes")
    outcome = pruned(installation, keep_month_ends=not by_setting)
    assert outcome.kept_month_ends == (date(2026, 1, 31), date(2026, 2, 27), date(2026, 3, 1))
    assert installation.context.archive.dates() == [*outcome.kept_month_ends, DAY]


def test_a_clock_that_is_years_ahead_removes_nothing_more(installation: Installation) -> None:
    installation.at(NOW + timedelta(days=3_000))
    old, newest = put(installation, 31), put(installation, 0)
    put(installation, -2_999, sealed=False)
    outcome = pruned(installation)
    assert (outcome.captures, outcome.before) == ((old,), DAY - timedelta(days=30))
    assert newest.capture_id in captures(installation)


@settings(max_examples=examples(25))
@given(
    archived=st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from(["snapshot", "events"]), st.booleans()), max_size=12
    ),
    keep=st.booleans(),
)
def test_the_last_capture_of_a_young_date_stays_sealed_if_one_was(
    tmp_path_factory: pytest.TempPathFactory, archived: list[tuple[int, str, bool]], keep: bool
) -> None:
    with Installation(tmp_path_factory.mktemp("prune"), **KEPT_DAYS) as installation:
        for back, kind, sealed in archived:
            put(installation, back, kind, sealed=sealed)
        pruned(installation, keep_month_ends=keep)
        for back, kind, sealed in archived:
            refs = installation.context.archive.captures(DAY - timedelta(days=back), kind)
            assert back > 30 or any(ref.sealed or not sealed for ref in refs)


def test_old_snapshots_go_by_a_setting_alone_counted_from_the_newest_that_is_there(loaded: Installation) -> None:
    stopped = DAY - timedelta(days=50)
    days = [str(stopped - timedelta(days=back)) for back in (11, 10, 0)]
    for table in ("loads", "organization_daily", "group_daily"):
        loaded.query(f"UPDATE {table} SET export_date = :day", day=days[2])
    loaded.query("UPDATE results SET export_date = CASE rowid % 3 WHEN 0 THEN :a WHEN 1 THEN :b ELSE :c END",
                 **dict(zip("abc", days, strict=True)))  # fmt: skip
    dates = "SELECT export_date, COUNT(*) FROM results GROUP BY 1 ORDER BY 1"
    rows, figures = loaded.query(dates), loaded.query("SELECT * FROM group_daily ORDER BY 1, 2")
    assert [day for day, _ in rows] == days
    outcome = pruned(loaded)
    assert (outcome.snapshot_rows, outcome.snapshots_before) == ({}, None)
    loaded.set(DRILLSTER_SNAPSHOT_DAYS="10")
    outcome = pruned(loaded, dry_run=True)
    assert (outcome.snapshot_rows, str(outcome.snapshots_before)) == ({}, days[1])
    assert loaded.query(dates) == rows
    assert pruned(loaded).snapshot_rows == {"results": rows[0][1]}
    assert loaded.query(dates) == rows[1:]
    assert figures
    assert loaded.query("SELECT * FROM group_daily ORDER BY 1, 2") == figures
