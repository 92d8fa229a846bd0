"""The short form of ``benchmarks/soak.py``: a history in random order holds what an oracle works out beforehand."""

from __future__ import annotations

import random

import pytest
from pydantic import SecretStr

from benchmarks.soak import History, capture_history
from benchmarks.soak_shown import KEYS
from drillster_pipeline.settings import Settings, load_settings
from tests.drillster import Sandbox, Size
from tests.support.databases import Place

pytestmark = pytest.mark.deep

SIZE = Size(accounts=13, groups=3, objectives_per_group=4, catalogs=2, playables_per_catalog=6, pace=9)
NIGHTS, SEED = 10, 32


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[History, Settings]:
    """A history that was loaded night by night already."""
    folder = tmp_path_factory.mktemp("soak")
    with Sandbox(size=SIZE, seed=SEED) as sandbox:
        settings = load_settings(
            {
                **sandbox.environment(),
                "DRILLSTER_ARCHIVE_URL": str(folder / "archive"),
                "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{folder}/in-order.sqlite",
            }
        )
        captured = capture_history(sandbox, settings, NIGHTS, random.Random(SEED))
    history = History(captured, folder / "archive", folder / "first")
    history.load_in_order(settings)
    return history, settings


def test_a_history_in_random_order_holds_what_the_organization_was(
    made: tuple[History, Settings], place: Place
) -> None:
    history, settings = made
    settings = settings.model_copy(update={"warehouse_url": SecretStr(place.url), "warehouse_schema": place.schema})
    counts = history.load_in_random_order(settings, random.Random(place.url.split(":")[0]))
    assert all(counts[name] for name in KEYS), counts
