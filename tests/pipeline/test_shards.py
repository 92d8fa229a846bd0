"""A capture in shards reads, stores and loads what one in a single process does, however its processes end."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from drillster_pipeline.api import shards as plans
from drillster_pipeline.api.shards import distributed, too_large
from drillster_pipeline.archive.captures import Capture
from drillster_pipeline.errors import ArchiveCorrupt, Busy, Interrupted, PastDateRefused, Refused, Unauthorized
from drillster_pipeline.pipeline.capture import How, capture
from drillster_pipeline.pipeline.shards import capture_shard, plan_capture, seal_capture
from tests.drillster import Failure, Faults, PageFault, Sandbox, Shapes, Size
from tests.support.installation import DAY, NOW, Installation

from .processes import read_shard, start

SHARDS = 3
IN_SHARDS = {"DRILLSTER_EXECUTOR": "k8s", "DRILLSTER_CAPTURE_SHARDS": str(SHARDS)}
MANIFEST = {"captured_from", "captured_until", "capture_id", "run_id", "walk", "resources"}
"""What differs from one capture to the next, besides how the lines are spread over parts."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=Size(accounts=30, groups=5), seed=81, now=NOW) as running:
        yield running


@pytest.fixture
def sharded(sandbox: Sandbox, tmp_path: Path) -> Iterator[Installation]:
    sandbox.faults = Faults()
    with Installation(tmp_path / "sharded", sandbox, **IN_SHARDS) as made:
        yield made


def requests(sandbox: Sandbox) -> Counter[tuple[str, str]]:
    """The requests for data since the last time."""
    found = Counter((each.path, each.query) for each in sandbox.requests if each.method == "GET")
    sandbox.clear()
    return found


def content(capture: Capture) -> tuple[dict[str, Counter[str]], dict[str, object]]:
    """What is archived of each resource, but for when it came; and what the manifest says."""
    resources = capture.manifest["resources"]
    lines = {
        name: Counter(str((sorted(line.unit.items()), line.page, line.body)) for line in capture.pages(name))
        for name in resources
    }
    said = {name: value for name, value in capture.manifest.items() if name not in MANIFEST}
    counted = {
        name: {
            key: sorted(map(str, entry[key])) if isinstance(entry[key], list) else entry[key]
            for key in entry.keys() - {"parts", "superseded"}
        }
        for name, entry in resources.items()
    }
    return lines, said | counted


@pytest.mark.parametrize("least", [200, 3], ids=["each group in one shard", "results of groups in all shards"])
def test_shards_read_together_what_one_process_reads(
    installation: Installation, sharded: Installation, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    monkeypatch.setattr(plans, "_LEAST_TO_SPREAD", least)
    for kind in ("snapshot", "events"):
        sandbox.clear()
        alone = installation.capture(kind)
        expected = requests(sandbox)
        assert plan_capture(sharded.context, kind, DAY) == SHARDS
        read = [requests(sandbox)]
        for shard in reversed(range(SHARDS)):
            with sharded.new_context() as context:
                capture_shard(context, kind, DAY, shard)
            read.append(requests(sandbox))
        assert sum(map(bool, read)) > 2, "more than one shard had something to read"
        outcome = seal_capture(sharded.context, kind, DAY)
        assert requests(sandbox) == Counter(), "the seal had nothing left to read"
        assert sum(read, Counter()) == expected
        assert outcome.how is How.CAPTURED
        assert content(outcome.capture) == content(alone.capture)
        assert outcome.capture.manifest["walk"]["requests"] == expected.total()
        assert plan_capture(sharded.context, kind, DAY) == 0, "it is kept until it is published"
        tables = [made.publish(kind).report.tables for made in (installation, sharded)]
        assert tables[0] == tables[1]


TWICE = {
    "where Drillster counts more than it gives": Faults(pages=(PageFault(resource="group_members", what="short"),)),
    "where pages overlap": Faults(shapes=Shapes(inclusive=frozenset({"group_members"}))),
}
"""Faults with which the archive has members twice."""


@pytest.mark.parametrize("faults", TWICE.values(), ids=TWICE)
def test_what_follows_from_an_item_that_the_archive_has_twice_is_read_once(
    installation: Installation, sharded: Installation, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, faults: Faults
) -> None:
    monkeypatch.setattr(plans, "_LEAST_TO_SPREAD", 3)
    faults = replace(faults, clamped_sizes={"group_members": 4})
    sandbox.faults = faults
    alone = installation.capture()
    expected = requests(sandbox)
    read_all(sharded)
    outcome = seal_capture(sharded.context, "snapshot", DAY)
    assert requests(sandbox) == expected
    assert content(outcome.capture) == content(alone.capture)
    # The same where one process resumes.
    with installation.new_context(now=lambda: NOW + timedelta(minutes=1)) as context:
        sandbox.faults = replace(faults, failures=(Failure(after=expected.total() // 2, statuses=(401,)),))
        with pytest.raises(Unauthorized):
            capture(context, "snapshot", DAY, again=True)
        sandbox.faults = faults
        sandbox.clear()
        outcome = capture(context, "snapshot", DAY, again=True)
    assert requests(sandbox) <= expected
    assert content(outcome.capture) == content(alone.capture)


def test_groups_are_given_out_so_that_shards_end_together() -> None:
    drawn = random.Random(7)
    sizes = {f"g{number}": int(drawn.paretovariate(0.8) * 10) for number in range(500)}
    spread = too_large(sizes, 8)
    assert spread
    assert min(sizes[group] for group in spread) > max(sizes[group] for group in sizes.keys() - spread)
    left = {group: 0 if group in spread else size for group, size in sizes.items()}
    groups = distributed(left, 8)
    assert sorted(group for own in groups for group in own) == sorted(sizes)
    loads = [sum(left[group] for group in own) for own in groups]
    assert max(loads) < 1.02 * min(loads)


def in_processes(installation: Installation, kind: str, shards: list[int]) -> list[object]:
    """What becomes of shards that are read at once."""
    processes = [start(installation, read_shard, kind, DAY, shard) for shard in shards]
    return [process.result() for process in processes]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["folder", pytest.param("object store", marks=pytest.mark.deep)])
def test_shards_at_once_and_delivered_twice_end_as_one_process(
    installation: Installation, sharded: Installation, sandbox: Sandbox, where: str, request: pytest.FixtureRequest
) -> None:
    if where == "object store":
        bucket = request.getfixturevalue("store").bucket()
        sharded.set(DRILLSTER_ARCHIVE_URL=f"s3://{bucket}/archive")
    sandbox.clear()
    alone = installation.capture()
    expected = requests(sandbox)
    plan_capture(sharded.context, "snapshot", DAY)
    sandbox.faults = Faults(latency=0.01)
    assert in_processes(sharded, "snapshot", [0, 1, 2, 1, 0]) == ["done"] * 5
    outcome = seal_capture(sharded.context, "snapshot", DAY)
    assert requests(sandbox) == expected
    assert content(outcome.capture) == content(alone.capture)


@pytest.mark.slow
def test_a_shard_that_is_killed_is_resumed_and_reads_nothing_twice_that_was_stored(
    installation: Installation, sharded: Installation, sandbox: Sandbox
) -> None:
    alone = installation.capture()
    sandbox.clear()
    plan_capture(sharded.context, "snapshot", DAY)
    kills = 0
    for step in (4, 9, 20, 21, 33):
        kills += start(sharded, read_shard, "snapshot", DAY, 0, step).result() is None
    assert kills > 2
    assert in_processes(sharded, "snapshot", [0, 1, 2]) == ["done"] * 3
    outcome = seal_capture(sharded.context, "snapshot", DAY)
    assert content(outcome.capture) == content(alone.capture)
    repeated = {path: count for (path, _), count in requests(sandbox).items() if count > 1}
    # What was in flight when a process was killed, and what it had not yet finished.
    assert sum(repeated.values()) - len(repeated) <= kills * 8


@pytest.mark.parametrize("shards", ["1", "2", "4"])
def test_another_number_of_shards_goes_on_with_what_the_first_have_read(
    installation: Installation, sharded: Installation, sandbox: Sandbox, shards: str
) -> None:
    alone = installation.capture()
    sandbox.clear()
    plan_capture(sharded.context, "snapshot", DAY)
    capture_shard(sharded.context, "snapshot", DAY, 1)
    sharded.set(DRILLSTER_CAPTURE_SHARDS=shards)
    if shards != "1":
        for shard in range(plan_capture(sharded.context, "snapshot", DAY)):
            capture_shard(sharded.context, "snapshot", DAY, shard)
        outcome = seal_capture(sharded.context, "snapshot", DAY)
    else:
        outcome = sharded.capture()
    repeated = {path for (path, _), count in requests(sandbox).items() if count > 1}
    assert repeated <= {"/api/2.1.1/organization"}, "whose data it is, each plan asks"
    assert content(outcome.capture) == content(alone.capture)


def test_what_no_shard_has_read_is_read_before_the_seal(
    installation: Installation, sharded: Installation, sandbox: Sandbox
) -> None:
    alone = installation.capture()
    plan_capture(sharded.context, "snapshot", DAY)
    capture_shard(sharded.context, "snapshot", DAY, 2)
    assert content(seal_capture(sharded.context, "snapshot", DAY).capture) == content(alone.capture)


def read_all(installation: Installation, kind: str = "snapshot", day: date = DAY, **options: bool) -> None:
    """Plan a capture, and read its shards."""
    for shard in range(plan_capture(installation.context, kind, day, **options)):
        capture_shard(installation.context, kind, day, shard)


@pytest.mark.parametrize("kind", ["snapshot", "events"])
def test_what_shards_have_read_again_is_sealed_where_an_earlier_capture_would_do(
    sharded: Installation, kind: str
) -> None:
    before = sharded.capture(kind)
    sharded.at(NOW + (timedelta(days=1) if kind == "events" else timedelta(minutes=1)))
    assert plan_capture(sharded.context, kind, DAY) == 0
    assert seal_capture(sharded.context, kind, DAY).capture.capture_id == before.capture.capture_id
    read_all(sharded, kind, again=True)
    made = seal_capture(sharded.context, kind, DAY)
    assert made.how is How.CAPTURED
    assert made.capture.capture_id > before.capture.capture_id


def test_what_was_planned_before_is_divided_even_where_an_earlier_capture_would_do(
    sharded: Installation, sandbox: Sandbox
) -> None:
    """Else the seal alone would read all of it."""
    sharded.capture()
    sharded.at(NOW + timedelta(minutes=1))
    assert plan_capture(sharded.context, "snapshot", DAY, again=True) == SHARDS  # and its run fails
    read_all(sharded)
    sandbox.clear()
    seal_capture(sharded.context, "snapshot", DAY)
    assert requests(sandbox) == Counter()


def test_shards_may_take_as_long_as_the_day(sharded: Installation, sandbox: Sandbox) -> None:
    plan_capture(sharded.context, "snapshot", DAY)
    sharded.at(NOW + timedelta(hours=20))
    for shard in range(SHARDS):
        capture_shard(sharded.context, "snapshot", DAY, shard)
    sandbox.clear()
    assert seal_capture(sharded.context, "snapshot", DAY).made_requests
    assert requests(sandbox) == Counter()


def test_a_seal_that_finds_a_damaged_part_begins_nothing_and_the_next_plan_does(
    installation: Installation, sharded: Installation, sandbox: Sandbox
) -> None:
    alone = installation.capture()
    read_all(sharded)
    part = min(sharded.folder.rglob("part-*-s01*"))
    part.write_bytes(part.read_bytes()[:-5])
    sandbox.clear()
    with pytest.raises(ArchiveCorrupt):
        seal_capture(sharded.context, "snapshot", DAY)
    assert requests(sandbox) == Counter()
    sharded.at(NOW + timedelta(minutes=1))
    read_all(sharded)
    assert content(seal_capture(sharded.context, "snapshot", DAY).capture) == content(alone.capture)


def test_shards_that_were_read_before_midnight_are_sealed_after_it_and_others_are_not(
    installation: Installation, sharded: Installation, sandbox: Sandbox
) -> None:
    late = NOW + timedelta(hours=21)
    for made in (installation, sharded):
        made.at(late)
    alone = installation.capture()
    plan_capture(sharded.context, "snapshot", DAY)
    for shard in range(SHARDS):
        refused = pytest.raises(PastDateRefused, match="did not end on the day after it")
        with sharded.new_context(now=lambda: late + timedelta(hours=1)) as context, refused:
            seal_capture(context, "snapshot", DAY)
        capture_shard(sharded.context, "snapshot", DAY, shard)
    sandbox.clear()
    with sharded.new_context(now=lambda: late + timedelta(hours=1)) as context:
        assert content(seal_capture(context, "snapshot", DAY).capture) == content(alone.capture)
    assert requests(sandbox) == Counter()


@pytest.mark.parametrize("damaged", [b"", b'{"of a later version": 1}'])
def test_a_plan_that_can_not_be_read_is_made_anew(
    installation: Installation, sharded: Installation, sandbox: Sandbox, damaged: bytes
) -> None:
    alone = installation.capture()
    read_all(sharded)
    sandbox.clear()
    (ref,) = sharded.context.archive.captures(DAY)
    sharded.context.archive.storage.write(f"{ref.folder}/plan.json", damaged)
    read_all(sharded)
    assert content(seal_capture(sharded.context, "snapshot", DAY).capture) == content(alone.capture)
    assert {path for path, _ in requests(sandbox)} == {"/api/2.1.1/organization"}


def test_a_shard_of_an_earlier_plan_with_more_of_them_reads_nothing(sharded: Installation, sandbox: Sandbox) -> None:
    plan_capture(sharded.context, "snapshot", DAY)
    sharded.set(DRILLSTER_CAPTURE_SHARDS=str(SHARDS - 1))
    plan_capture(sharded.context, "snapshot", DAY)
    sandbox.clear()
    capture_shard(sharded.context, "snapshot", DAY, SHARDS - 1)
    assert requests(sandbox) == Counter()


def test_the_seal_says_what_all_processes_have_requested_also_where_a_shard_is_read_twice(
    sharded: Installation, sandbox: Sandbox
) -> None:
    sharded.set(DRILLSTER_PERSONAL_DATA="drop")  # so that each of them requests the accounts
    sandbox.clear()
    plan_capture(sharded.context, "snapshot", DAY)
    for shard in (0, 0, 1, 2):
        with sharded.new_context() as context:
            capture_shard(context, "snapshot", DAY, shard)
    walk = seal_capture(sharded.context, "snapshot", DAY).capture.manifest["walk"]
    assert walk["requests"] == requests(sandbox).total()


@pytest.mark.parametrize("limit", ["CONCURRENCY", "REQUESTS_PER_SECOND"])
def test_a_shard_keeps_its_part_of_the_requests_in_flight_and_of_the_rate(
    sharded: Installation, sandbox: Sandbox, limit: str
) -> None:
    sharded.set(**{"DRILLSTER_CONCURRENCY": "7"} | {f"DRILLSTER_{limit}": "7" if limit == "CONCURRENCY" else "150"})
    plan_capture(sharded.context, "snapshot", DAY)
    sharded.set(DRILLSTER_EXECUTOR="in_process", DRILLSTER_CAPTURE_SHARDS="1")  # of a worker that lacks them
    for shard, most in enumerate((3, 2, 2)):
        sandbox.faults = Faults(latency=0.05 if limit == "CONCURRENCY" else 0.0)
        sandbox.clear()
        capture_shard(sharded.context, "snapshot", DAY, shard)
        sent = [each.at for each in sandbox.requests if each.method == "GET"]
        if limit == "CONCURRENCY":
            assert sandbox.recorder.peak == most
        else:
            assert sent[-1] - sent[0] > 0.9 * (len(sent) - 1) / 50


def test_nobody_else_captures_a_date_while_a_shard_is_read(sharded: Installation) -> None:
    plan_capture(sharded.context, "snapshot", DAY)
    archive = sharded.context.archive
    with archive.locked(DAY, "snapshot", shard=1), archive.locked(DAY, "snapshot", shard=2):
        with pytest.raises(Busy, match="Another run is capturing the snapshot"):
            sharded.capture()
        with pytest.raises(Busy), archive.locked(DAY, "snapshot", shard=2):
            pass
    sharded.capture()


def test_a_shard_of_what_is_sealed_is_done_and_of_what_is_gone_or_past_is_refused(
    sharded: Installation, sandbox: Sandbox
) -> None:
    with pytest.raises(Interrupted, match="removed while its shards were read: run again"):
        capture_shard(sharded.context, "snapshot", DAY, 0)
    with pytest.raises(Interrupted, match="or another run has captured that date meanwhile: run again"):
        seal_capture(sharded.context, "snapshot", DAY)
    plan_capture(sharded.context, "snapshot", DAY)
    sharded.at(NOW + timedelta(days=1))
    for step in (
        lambda context: capture_shard(context, "snapshot", DAY, 0),
        lambda context: seal_capture(context, "snapshot", DAY),
    ):
        with sharded.new_context() as context, pytest.raises(PastDateRefused):
            step(context)
    sharded.at(NOW)
    with sharded.new_context() as context:
        capture_shard(context, "snapshot", DAY, 0)
        seal_capture(context, "snapshot", DAY)
        sandbox.clear()
        capture_shard(context, "snapshot", DAY, 1)
    assert requests(sandbox) == Counter()


def test_a_plan_of_another_organization_begins_nothing(sharded: Installation, sandbox: Sandbox) -> None:
    sharded.load()
    with Sandbox(size=Size(accounts=5, groups=1), seed=3, now=NOW + timedelta(days=1)) as elsewhere:
        sharded.set(**elsewhere.environment())
        sharded.at(NOW + timedelta(days=1))
        with pytest.raises(Refused, match="nothing was captured"):
            plan_capture(sharded.context, "snapshot", DAY + timedelta(days=1))
    assert sharded.context.archive.captures(DAY + timedelta(days=1)) == []
