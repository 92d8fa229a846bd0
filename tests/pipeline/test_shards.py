"""A capture in shards reads, stores and loads what one in a single process does, however its processes end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from drillster_pipeline.api import shards as plans
from drillster_pipeline.archive.captures import Capture
from drillster_pipeline.pipeline.capture import How
from drillster_pipeline.pipeline.shards import capture_shard, plan_capture
from tests.drillster import Sandbox
from tests.support.installation import DAY, Installation

SHARDS = 3


@pytest.fixture
def sharded(sandbox: Sandbox, tmp_path: Path) -> Iterator[Installation]:
    with Installation(
        tmp_path / "sharded", sandbox, DRILLSTER_EXECUTOR="k8s", DRILLSTER_CAPTURE_SHARDS=str(SHARDS)
    ) as made:
        yield made


def requests(sandbox: Sandbox) -> Counter[tuple[str, str]]:
    """The requests for data since the last time."""
    found = Counter((each.path, each.query) for each in sandbox.requests if each.method == "GET")
    sandbox.clear()
    return found


def responses(capture: Capture) -> dict[str, Counter[str]]:
    """What is archived of each resource, but for when it came."""
    return {
        resource: Counter(str((sorted(line.unit.items()), line.page, line.body)) for line in capture.pages(resource))
        for resource in capture.manifest["resources"]
    }


@pytest.mark.parametrize("least", [200, 3], ids=["groups apart", "large groups spread"])
def test_the_shards_read_together_what_one_process_reads(
    installation: Installation, sharded: Installation, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    monkeypatch.setattr(plans, "_LEAST_TO_SPREAD", least)
    for kind in ("snapshot", "events"):
        sandbox.clear()
        alone = installation.capture(kind)
        asked = requests(sandbox)
        shards = plan_capture(sharded.context, kind, DAY)
        assert shards == SHARDS
        for shard in reversed(range(shards)):
            capture_shard(sharded.new_context(), kind, DAY, shard)
        outcome = sharded.capture(kind)
        assert outcome.how is How.CAPTURED
        assert requests(sandbox) == asked
        assert responses(outcome.capture) == responses(alone.capture)
        different = {"walk", "captured_from", "captured_until", "run_id", "capture_id", "resources"}
        assert {name: value for name, value in outcome.capture.manifest.items() if name not in different} == {
            name: value for name, value in alone.capture.manifest.items() if name not in different
        }
        print(outcome.capture.manifest["walk"], alone.capture.manifest["walk"])
