"""A disk that is really full: what is full is told, nothing half-written counts, and the next run goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drillster_pipeline.archive.local import LocalStorage
from drillster_pipeline.errors import Unavailable
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.settings import load_settings
from tests.drillster import Sandbox
from tests.support.disks import Disk, small_disk

NOW = datetime(2026, 6, 10, 1, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(accounts=30, seed=5, now=NOW) as running:
        yield running


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", "64k") as mounted:
        yield mounted


def session(sandbox: Sandbox, archive: Path, warehouse: Path) -> PipelineContext:
    settings = {
        **sandbox.environment(),
        "DRILLSTER_ARCHIVE_URL": str(archive),
        "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{warehouse}",
    }
    return PipelineContext(settings=load_settings(settings), now=lambda: NOW)


def asked(sandbox: Sandbox) -> list[str]:
    return [f"{record.path}?{record.query}" for record in sandbox.requests if record.method == "GET"]


def test_a_capture_that_fills_its_disk_is_gone_on_with_when_there_is_room(
    sandbox: Sandbox, disk: Disk, tmp_path: Path
) -> None:
    sandbox.clear()
    archive, warehouse = disk.path / "archive", tmp_path / "w.sqlite"
    for size in ("48k", "64k", None):  # some room is made, and soon is full again; then there is none at all
        if size is None:
            disk.fill()
        else:
            disk.resize(size)
        with session(sandbox, archive, warehouse) as opened:
            with pytest.raises(Unavailable, match=r"The archive failed while .*make room, then run again") as caught:
                capture(opened, "snapshot", opened.newest_complete)
            assert caught.value.exit_code == 4
            assert opened.archive.newest_sealed(opened.newest_complete, "snapshot") is None
    before = asked(sandbox)
    disk.make_room()
    disk.resize("10m")
    with session(sandbox, archive, warehouse) as opened:
        outcome = capture(opened, "snapshot", opened.newest_complete)
    assert outcome.how == "resumed"
    # What was asked twice is what was under way when the disk was full: at most one answer per connection and failure.
    again = len(asked(sandbox)) - len(set(asked(sandbox)))
    assert again <= 3 * 8 < len(before)
    assert [*archive.rglob("*.partial"), *archive.rglob(".writing/*")] == []


def test_a_disk_that_is_full_when_a_capture_is_sealed_costs_no_request(
    sandbox: Sandbox, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.resize("10m")
    write = LocalStorage.write

    def full(storage: LocalStorage, name: str, content: bytes) -> None:
        if name.endswith("manifest.json"):
            disk.fill()
        write(storage, name, content)

    with session(sandbox, disk.path / "archive", tmp_path / "w.sqlite") as opened:
        with monkeypatch.context() as patched:
            patched.setattr(LocalStorage, "write", full)
            with pytest.raises(Unavailable, match="no space is left on the device"):
                capture(opened, "snapshot", opened.newest_complete)
        assert opened.archive.newest_sealed(opened.newest_complete, "snapshot") is None
        assert list(disk.path.rglob(".writing/*")) == []
        disk.make_room()
        sandbox.clear()
        assert capture(opened, "snapshot", opened.newest_complete).how == "resumed"
        assert asked(sandbox) == []


def test_a_warehouse_that_fills_its_disk_shows_nothing_until_there_is_room(
    sandbox: Sandbox, disk: Disk, tmp_path: Path
) -> None:
    warehouse = disk.path / "w.sqlite"
    with session(sandbox, tmp_path / "archive", tmp_path / "elsewhere.sqlite") as opened:
        capture(opened, "snapshot", opened.newest_complete)
    sandbox.clear()
    for size in ("4k", "16k", "32k", "128k", "400k"):  # for the file, its log, its tables, and the first of their rows
        disk.resize(size)
        with session(sandbox, tmp_path / "archive", warehouse) as opened:
            with pytest.raises(Unavailable, match=r"disk of the warehouse, or of temporary files .* full") as caught:
                publish(opened, "snapshot", opened.newest_complete, run_id="full")
            assert caught.value.exit_code == 4
    disk.resize("10m")
    with session(sandbox, tmp_path / "archive", warehouse) as opened:
        assert opened.warehouse.ledger.latest_loads() == {}
        assert capture(opened, "snapshot", opened.newest_complete).how == "kept"
        report = publish(opened, "snapshot", opened.newest_complete, run_id="room").report
        assert opened.warehouse.row_counts(["accounts"]) == {"accounts": report.tables["accounts"].rows_inserted}
    assert asked(sandbox) == []
