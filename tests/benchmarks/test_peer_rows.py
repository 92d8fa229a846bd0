"""The benchmarks are fair only while the peer fills the same tables with the same rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peer import TABLES_OF, items_of
from benchmarks.peer_rows import READERS
from benchmarks.places import EXPORT_DATE, MOMENT, settings_of
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.settings import load_settings
from drillster_pipeline.tables import DATA_TABLES
from tests.drillster import Sandbox, Size

SIZE = Size(accounts=62, groups=3, members_per_group=20, tests_per_group=1, stable=True)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, int], dict[str, Counter[tuple[Any, ...]]]]:
    """How many rows we publish, and how often the peer has each key."""
    folder: Path = tmp_path_factory.mktemp("night")
    found: dict[str, Counter[tuple[Any, ...]]] = {name: Counter() for name in DATA_TABLES}
    with Sandbox(size=SIZE, now=MOMENT) as sandbox:
        settings = load_settings(settings_of(sandbox.environment(), folder / "archive", f"sqlite:///{folder}/w.sqlite"))
        with PipelineContext(settings=settings, now=lambda: MOMENT) as session:
            for kind in ("snapshot", "events"):
                pages = capture(session, kind, EXPORT_DATE).capture
                publish(session, kind, EXPORT_DATE, run_id="peer")
                for resource in READERS:
                    for line in pages.pages(resource):
                        items = items_of(resource, line.unit, line.body)
                        for name, rows in READERS[resource](line.unit, line.captured_at, items, str(EXPORT_DATE)):
                            assert name in TABLES_OF[resource]
                            found[name].update(tuple(row[part] for part in DATA_TABLES[name].key) for row in rows)
            return session.warehouse.row_counts(), found


def test_the_peer_has_a_row_for_each_of_ours(
    both: tuple[dict[str, int], dict[str, Counter[tuple[Any, ...]]]],
) -> None:
    ours, theirs = both
    assert {name: len(keys) for name, keys in theirs.items()} == ours
    assert all(ours.values())


def test_only_playables_are_met_more_than_once(
    both: tuple[dict[str, int], dict[str, Counter[tuple[Any, ...]]]],
) -> None:
    _, theirs = both
    assert {name for name, keys in theirs.items() if keys.total() > len(keys)} <= {"playables"}
