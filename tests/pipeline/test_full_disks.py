"""A disk that is really full: what is full is named, nothing half-written counts, and the next run resumes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drillster_pipeline.archive.local import LocalStorage
from drillster_pipeline.errors import Unavailable
from tests.support.disks import Disk, small_disk
from tests.support.installation import DAY, Installation

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", "64k") as mounted:
        yield mounted


def requests(installation: Installation) -> list[str]:
    return [f"{record.path}?{record.query}" for record in installation.sandbox.requests if record.method == "GET"]


def test_a_capture_that_fills_its_disk_is_resumed_when_there_is_room(installation: Installation, disk: Disk) -> None:
    archive = disk.path / "archive"
    installation.set(DRILLSTER_ARCHIVE_URL=str(archive))
    for size in ("24k", "36k", None):  # some room is made, and soon is full again; then there is none at all
        if size is None:
            disk.fill()
        else:
            disk.resize(size)
        with pytest.raises(Unavailable, match=r"The archive failed while .*make room, then run again") as caught:
            installation.capture()
        assert caught.value.exit_code == 4
        assert installation.context.archive.newest_sealed(DAY, "snapshot") is None
    before = requests(installation)
    disk.make_room()
    disk.resize("10m")
    assert installation.capture().how == "resumed"
    # What was requested twice was under way when the disk was full: at most one page per connection and failure.
    again = len(requests(installation)) - len(set(requests(installation)))
    assert again <= 3 * 4 < len(before)
    assert [*archive.rglob("*.partial"), *archive.rglob(".writing/*")] == []


def test_a_disk_that_is_full_when_a_capture_is_sealed_costs_no_request(
    installation: Installation, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.resize("10m")
    installation.set(DRILLSTER_ARCHIVE_URL=str(disk.path / "archive"))
    write = LocalStorage.write

    def full(storage: LocalStorage, name: str, content: bytes) -> None:
        if name.endswith("manifest.json"):
            disk.fill()
        write(storage, name, content)

    with monkeypatch.context() as patched:
        patched.setattr(LocalStorage, "write", full)
        with pytest.raises(Unavailable, match="no space is left on the device"):
            installation.capture()
    assert installation.context.archive.newest_sealed(DAY, "snapshot") is None
    assert list(disk.path.rglob(".writing/*")) == []
    disk.make_room()
    installation.sandbox.clear()
    assert installation.capture().how == "resumed"
    assert requests(installation) == ["/api/2.1.1/organization?"], "whose data it is, and nothing of it"


def test_a_warehouse_that_fills_its_disk_shows_nothing_until_there_is_room(loaded: Installation, disk: Disk) -> None:
    loaded.set(DRILLSTER_WAREHOUSE_URL=f"sqlite:///{disk.path}/w.sqlite")
    for size in ("4k", "16k", "32k", "128k", "400k"):  # for the file, its log, its tables, and the first of their rows
        disk.resize(size)
        with pytest.raises(Unavailable, match=r"disk of the warehouse, or of temporary files .* full") as caught:
            loaded.publish()
        assert caught.value.exit_code == 4
        loaded.close()
    disk.resize("10m")
    assert loaded.context.warehouse.ledger.latest_loads() == {}
    report = loaded.publish().report
    assert loaded.context.warehouse.row_counts(["accounts"]) == {"accounts": report.tables["accounts"].rows_inserted}
