"""The benchmarks are fair only while the peer fills the same tables with the same rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peer import TABLES_OF, items_of
from benchmarks.peer_rows import READERS
from drillster_pipeline.tables import DATA_TABLES
from tests.drillster import Sandbox, Size
from tests.support.installation import DAY, NOW, Installation

SIZE = Size(accounts=62, groups=3, members_per_group=20, tests_per_group=1, stable=True)


@pytest.mark.slow
def test_the_peer_has_the_same_rows_and_only_playables_more_than_once(tmp_path: Path) -> None:
    theirs: dict[str, Counter[tuple[Any, ...]]] = {name: Counter() for name in DATA_TABLES}
    with Sandbox(size=SIZE, now=NOW) as sandbox, Installation(tmp_path, sandbox) as installation:
        for kind in ("snapshot", "events"):
            installation.load(kind)
            capture = installation.context.archive.newest_sealed(DAY, kind)
            assert capture
            for resource in READERS:
                for record in capture.pages(resource):
                    items = items_of(resource, record.unit, record.body)
                    for name, rows in READERS[resource](record.unit, record.captured_at, items, str(DAY)):
                        assert name in TABLES_OF[resource]
                        theirs[name].update(tuple(row[part] for part in DATA_TABLES[name].key) for row in rows)
        ours = installation.context.warehouse.row_counts()
    assert {name: len(keys) for name, keys in theirs.items()} == ours
    assert all(ours.values())
    assert {name for name, keys in theirs.items() if keys.total() > len(keys)} <= {"playables"}
