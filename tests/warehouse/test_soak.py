"""The short form of ``benchmarks/soak.py``: a history in random order holds what an oracle works out beforehand."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from benchmarks.soak import Captured, capture_history, soak
from benchmarks.soak_shown import KEYS
from drillster_pipeline.sandbox import Sandbox, Size
from drillster_pipeline.settings import Secret, Settings, load_settings

from .place import Place

SIZE = Size(accounts=13, groups=3, objectives_per_group=4, catalogs=2, playables_per_catalog=6, pace=9)
NIGHTS, SEED = 10, 32


@dataclass(frozen=True)
class History:
    captured: list[Captured]
    settings: Settings
    folder: Path


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    folder = tmp_path_factory.mktemp("soak")
    with Sandbox(size=SIZE, seed=SEED) as sandbox:
        settings = load_settings({**sandbox.environment(), "DRILLSTER_ARCHIVE_URL": str(folder / "archive")})
        captured = capture_history(sandbox, settings, NIGHTS, random.Random(SEED))
    return History(captured, settings, folder)


def test_a_history_in_random_order_holds_what_the_organization_was(history: History, place: Place) -> None:
    settings = replace(history.settings, warehouse_url=Secret(place.url), warehouse_schema=place.schema)
    chance = random.Random(place.url.split(":")[0])
    counts = soak(settings, history.captured, history.folder / "archive", chance, history.folder / "first")
    assert all(counts[name] for name in KEYS), counts
