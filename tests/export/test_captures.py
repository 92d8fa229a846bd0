"""Which capture a date gets: made, gone on with, kept, replayed or refused."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.archive import Archive, Capture, lease, remote
from drillster_pipeline.dates import events_window
from drillster_pipeline.errors import ArchiveCorrupt, Busy, PastDateRefused, Refused, Unauthorized, Unavailable
from drillster_pipeline.export import How, Session, capture, publish
from drillster_pipeline.export.verdicts import mark_refused
from drillster_pipeline.sandbox import Failure, Faults, PageFault, Sandbox, closed
from drillster_pipeline.settings import Settings, load_settings
from tests.api.test_capture_shapes import TINY
from tests.api.walking import expected, expected_events, held, unit
from tests.archive.object_store import ObjectStore, object_store

NOW = datetime(2026, 3, 1, 1, 30, tzinfo=UTC)
DAY = date(2026, 2, 28)
PAST = DAY - timedelta(days=3)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=TINY, seed=7, now=NOW) as running:
        yield running


@lru_cache
def _settings(environment: tuple[tuple[str, str], ...]) -> Settings:
    return load_settings(dict(environment))  # which checks the key, and that takes longer than a capture


class Nights:
    """Sessions on one archive, at moments of the test's choosing."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.now = NOW
        self.settings: dict[str, str] = {}
        self._open: list[Session] = []

    def session(self, **settings: str) -> Session:
        environment = {
            **self.sandbox.environment(),
            "DRILLSTER_ARCHIVE_URL": str(self.folder / "archive"),
            "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{self.folder}/warehouse.sqlite",
            "DRILLSTER_TIMEZONE": "UTC",
            "DRILLSTER_CONCURRENCY": "4",
            **self.settings,
            **settings,
        }
        self._open.append(Session(settings=_settings(tuple(environment.items())), now=lambda: self.now))
        return self._open[-1]

    def capture(self, kind: str = "snapshot", day: date = DAY, *, again: bool = False, **settings: str) -> Any:
        """The outcome, and how many requests it cost."""
        self.sandbox.clear()
        outcome = capture(self.session(**settings), kind, day, again=again)
        assert outcome.asked == (len(self.sandbox.requests) > 0)
        return outcome

    def interrupt(self, kind: str = "snapshot", day: date = DAY, *, after: int = 15, **settings: str) -> None:
        """A capture that fails after so many requests."""
        faults, self.sandbox.faults = self.sandbox.faults, Faults(failures=(Failure(after=after, statuses=(401,)),))
        with pytest.raises(Unauthorized):
            self.capture(kind, day, **settings)
        self.sandbox.faults = faults

    def close(self) -> None:
        for session in self._open:
            session.close()


@pytest.fixture
def nights(sandbox: Sandbox, tmp_path: Path) -> Iterator[Nights]:
    sandbox.faults, sandbox.now = Faults(), NOW
    found = Nights(sandbox, tmp_path)
    yield found
    found.close()


# -- the newest complete date


def test_a_date_that_has_just_ended_is_captured(nights: Nights) -> None:
    outcome = nights.capture()
    assert outcome.how is How.CAPTURED
    assert held(outcome.capture) == expected(nights.sandbox)
    manifest = outcome.capture.manifest
    assert manifest["export_date"] == str(DAY)
    assert manifest["kind"] == "snapshot"
    assert manifest["window"] == {"from": "2026-02-28T00:00:00.000000Z", "until": "2026-03-01T00:00:00.000000Z"}
    assert manifest["walk"]["requests"] == len(nights.sandbox.requests) - 1
    assert manifest["walk"]["grants"] == nights.sandbox.grants == 1


def test_a_date_that_has_not_ended_is_refused(nights: Nights) -> None:
    with pytest.raises(Refused, match=r"2026-03-01 has not ended yet in UTC"):
        nights.capture(day=DAY + timedelta(days=1))
    assert nights.sandbox.requests == []


def test_a_capture_that_waits_to_be_published_is_kept_and_one_that_was_is_made_anew(nights: Nights) -> None:
    first = nights.capture()
    kept = nights.capture()
    assert kept.how is How.KEPT
    assert kept.capture.ref == first.capture.ref
    publish(nights.session(), "snapshot", DAY, run_id="1")
    second = nights.capture()
    assert second.how is How.CAPTURED
    assert second.capture.ref != first.capture.ref


def test_a_capture_that_waits_can_be_made_anew_on_demand(nights: Nights) -> None:
    nights.capture()
    assert nights.capture(again=True).how is How.CAPTURED


def test_a_capture_whose_publish_was_refused_is_made_anew(nights: Nights) -> None:
    first = nights.capture()
    mark_refused(nights.session(), first.capture.ref)
    assert nights.capture().how is How.CAPTURED


def test_a_capture_that_waits_too_long_is_made_anew(nights: Nights) -> None:
    nights.capture()
    nights.now = NOW + timedelta(hours=13)
    assert nights.capture().how is How.CAPTURED


def test_a_clock_that_is_set_back_does_not_cost_a_capture(nights: Nights) -> None:
    first = nights.capture()
    nights.now = NOW - timedelta(hours=1)
    assert nights.capture().capture.ref == first.capture.ref
    publish(nights.session(), "snapshot", DAY, run_id="1")
    second = nights.capture()
    assert second.how is How.CAPTURED
    found = nights.session().archive.newest_sealed(DAY, "snapshot")
    assert found is not None
    assert found.ref == second.capture.ref


def test_a_warehouse_that_does_not_answer_costs_no_capture(nights: Nights) -> None:
    nights.settings["DRILLSTER_WAREHOUSE_URL"] = "sqlite:////dev/null/warehouse.sqlite"
    assert nights.capture().how is How.CAPTURED
    assert nights.capture().how is How.KEPT


def test_a_newest_capture_that_is_damaged_is_made_anew(nights: Nights) -> None:
    first = nights.capture()
    (nights.folder / "archive" / first.capture.ref.folder / "manifest.json").write_bytes(b"{")
    assert nights.capture().how is How.CAPTURED


# -- interrupted


@pytest.mark.parametrize("kind", ["snapshot", "events"])
def test_an_interrupted_capture_is_gone_on_with(nights: Nights, kind: str) -> None:
    nights.interrupt(kind, after=15 if kind == "snapshot" else 4)
    outcome = nights.capture(kind)
    assert outcome.how is How.RESUMED
    wanted = (
        expected(nights.sandbox)
        if kind == "snapshot"
        else expected_events(nights.sandbox, events_window(DAY, nights.session().settings.timezone))
    )
    found = held(outcome.capture)
    assert {name: found[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    "settings",
    [
        {"DRILLSTER_PERSONAL_DATA": "drop"},
        {"DRILLSTER_PERSONAL_DATA": "pseudonymize", "DRILLSTER_PSEUDONYM_KEY": "a key of some length"},
        {"DRILLSTER_TIMEZONE": "Atlantic/Reykjavik"},
    ],
    ids=["drop", "pseudonymize", "time zone"],
)
def test_an_interrupted_capture_of_another_purpose_is_not_gone_on_with(
    nights: Nights, settings: dict[str, str]
) -> None:
    nights.interrupt()
    assert nights.capture(**settings).how is How.CAPTURED


def test_an_interrupted_capture_of_another_organization_is_not_gone_on_with(nights: Nights) -> None:
    nights.interrupt()
    own = nights.sandbox.credentials.organization_id
    assert nights.capture(DRILLSTER_ORGANIZATION_ID=own).how is How.CAPTURED


def test_another_pseudonym_key_is_another_purpose(nights: Nights) -> None:
    nights.settings = {"DRILLSTER_PERSONAL_DATA": "pseudonymize"}
    nights.interrupt(DRILLSTER_PSEUDONYM_KEY="a key of some length")
    assert nights.capture(DRILLSTER_PSEUDONYM_KEY="another key of some length").how is How.CAPTURED


def test_an_interrupted_capture_that_is_too_old_is_not_gone_on_with(nights: Nights) -> None:
    nights.interrupt()
    nights.now = NOW + timedelta(hours=12, minutes=1)
    assert nights.capture().how is How.CAPTURED


def test_an_interrupted_capture_that_is_damaged_is_begun_anew(nights: Nights) -> None:
    nights.interrupt()
    nights.interrupt(after=3)  # the second attempt closes the parts of the first
    (part, *_) = (nights.folder / "archive").rglob("accounts/part-00001.jsonl.gz")
    part.write_bytes(b"damaged")
    outcome = nights.capture()
    assert outcome.how is How.CAPTURED
    assert held(outcome.capture) == expected(nights.sandbox)


# -- dates that are past


def test_a_past_snapshot_without_archive_is_refused_and_says_what_can_be_done(nights: Nights) -> None:
    with pytest.raises(PastDateRefused) as caught:
        nights.capture(day=PAST)
    for words in (str(PAST), "forge history", "objective events of that date are fetched", str(DAY), "is replayed"):
        assert words in str(caught.value)
    assert nights.sandbox.requests == []
    assert nights.session().archive.dates() == []


def test_a_past_date_is_replayed_without_a_request(nights: Nights) -> None:
    first = nights.capture()
    nights.now = NOW + timedelta(days=30)
    for again in (False, True):
        outcome = nights.capture(again=again)
        assert outcome.how is How.REPLAYED
        assert outcome.capture.ref == first.capture.ref
    assert nights.sandbox.requests == []


def test_an_interrupted_snapshot_of_a_date_that_is_past_now_is_refused(nights: Nights) -> None:
    nights.interrupt()
    nights.now = NOW + timedelta(hours=23)
    with pytest.raises(PastDateRefused):
        nights.capture()


def test_a_past_capture_that_is_damaged_is_not_passed_over(nights: Nights) -> None:
    first = nights.capture()
    (nights.folder / "archive" / first.capture.ref.folder / "manifest.json").write_bytes(b"{")
    nights.now = NOW + timedelta(days=1)
    with pytest.raises(ArchiveCorrupt, match=r"manifest\.json"):
        nights.capture()


def test_the_events_of_a_past_date_are_fetched_once_and_replayed_from_then_on(nights: Nights) -> None:
    outcome = nights.capture("events", PAST)
    assert outcome.how is How.CAPTURED
    window = events_window(PAST, nights.session().settings.timezone)
    assert held(outcome.capture)["objective_events"] == expected_events(nights.sandbox, window)["objective_events"]
    asked = [record.query for record in nights.sandbox.requests if record.path.endswith("/events")]
    assert all("fromDate=2026-02-24T00%3A00%3A00Z&toDate=2026-02-26T00%3A00%3A00Z" in query for query in asked)
    assert nights.capture("events", PAST).how is How.REPLAYED
    assert nights.capture("events", PAST, again=True).how is How.CAPTURED


def test_events_are_asked_for_the_objectives_of_the_snapshot_of_the_date(nights: Nights) -> None:
    nights.capture()
    nights.capture("events")
    assert nights.sandbox.count("GET", "*/groups") == nights.sandbox.count("GET", "*/objectives") == 0


@pytest.mark.parametrize("trouble", ["no snapshot", "objectives unavailable", "a damaged part", "a damaged manifest"])
def test_events_find_their_objectives_by_themselves_where_the_snapshot_cannot_tell(
    nights: Nights, trouble: str
) -> None:
    if trouble == "objectives unavailable":
        nights.sandbox.faults = Faults(failures=(Failure(at="group/*/objectives", statuses=(404,)),))
    if trouble != "no snapshot":
        nights.capture()
        nights.sandbox.faults = Faults()
    pattern = {"a damaged part": "objectives/part-*.gz", "a damaged manifest": "manifest.json"}.get(trouble, "nothing")
    for path in (nights.folder / "archive").rglob(pattern):
        path.write_bytes(b"damaged")
    outcome = nights.capture("events")
    window = events_window(DAY, nights.session().settings.timezone)
    assert held(outcome.capture)["objective_events"] == expected_events(nights.sandbox, window)["objective_events"]


# -- groups of earlier nights


def test_a_group_that_was_taken_from_the_service_account_is_closed_and_not_gone(nights: Nights) -> None:
    (group,) = expected(nights.sandbox)["groups"][unit()]
    nights.capture()
    nights.now = nights.sandbox.now = NOW + timedelta(days=1)
    nights.sandbox.faults = Faults(unlisted_groups=frozenset({group}), failures=closed(group))
    for _ in range(2):  # also on the night after that, when it has not been listed for a while
        outcome = nights.capture(day=nights.session().newest_complete)
        assert outcome.capture.manifest["groups"] == {"listed": [], "closed": [group], "gone": []}
        nights.now += timedelta(days=1)
    nights.sandbox.faults = Faults(hidden_groups=frozenset({group}))
    outcome = nights.capture(day=nights.session().newest_complete)
    assert outcome.capture.manifest["groups"] == {"listed": [], "closed": [], "gone": [group]}
    nights.now += timedelta(days=1)
    outcome = nights.capture(day=nights.session().newest_complete)
    assert outcome.capture.manifest["groups"] == {"listed": [], "closed": [], "gone": []}


def test_a_group_that_was_closed_since_an_earlier_capture_of_the_same_date_is_closed(nights: Nights) -> None:
    (group,) = expected(nights.sandbox)["groups"][unit()]
    nights.capture()
    nights.sandbox.faults = Faults(unlisted_groups=frozenset({group}), failures=closed(group))
    assert nights.capture(again=True).capture.manifest["groups"]["closed"] == [group]


def test_an_earlier_capture_that_is_damaged_does_not_cost_this_night(nights: Nights) -> None:
    (group,) = expected(nights.sandbox)["groups"][unit()]
    nights.capture()
    damaged = []
    for _ in range(2):
        nights.now += timedelta(days=1)
        damaged.append(nights.capture(day=nights.session().newest_complete).capture)
    for capture_ in damaged:
        (nights.folder / "archive" / capture_.ref.folder / "manifest.json").write_bytes(b"")
    nights.now += timedelta(days=1)
    nights.sandbox.faults = Faults(unlisted_groups=frozenset({group}), failures=closed(group))
    outcome = nights.capture(day=nights.session().newest_complete)
    assert outcome.capture.manifest["groups"]["closed"] == [group]


@pytest.mark.parametrize(
    "fault",
    [
        Faults(failures=(Failure(at="groups", statuses=(403,)),)),
        Faults(pages=(PageFault(resource="groups", what="short", n=9),)),
    ],
    ids=["no list", "a short list"],
)
def test_a_night_that_could_not_list_all_groups_does_not_make_the_next_one_forget_any(
    nights: Nights, fault: Faults
) -> None:
    (group,) = expected(nights.sandbox)["groups"][unit()]
    nights.capture()
    for _ in range(2):
        nights.now += timedelta(days=1)
        nights.sandbox.faults = fault
        nights.capture(day=nights.session().newest_complete)
    nights.now += timedelta(days=1)
    nights.sandbox.faults = Faults(unlisted_groups=frozenset({group}), failures=closed(group))
    outcome = nights.capture(day=nights.session().newest_complete)
    assert outcome.capture.manifest["groups"]["closed"] == [group]


# -- two at once


def test_a_second_process_is_told_to_wait_and_does_nothing(nights: Nights) -> None:
    with (
        nights.session().archive.locked(DAY, "snapshot"),
        pytest.raises(Busy, match=f"capturing the snapshot of {DAY}"),
    ):
        nights.capture()
    assert nights.sandbox.requests == []


def test_what_another_process_sealed_in_between_is_taken(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = Archive.locked

    def late(archive: Archive, export_date: date, kind: str) -> Any:
        monkeypatch.setattr(Archive, "locked", locked)
        capture(nights.session(), kind, export_date)  # by another process, which ends before we have the lock
        return locked(archive, export_date, kind)

    monkeypatch.setattr(Archive, "locked", late)
    outcome = capture(nights.session(), "snapshot", DAY)
    assert outcome.how is How.KEPT
    assert len(nights.session().archive.captures(DAY)) == 1


def test_a_replay_needs_no_lock(nights: Nights) -> None:
    nights.capture()
    nights.now = NOW + timedelta(days=1)
    with nights.session().archive.locked(DAY, "snapshot"):
        assert nights.capture().how is How.REPLAYED


# -- nothing personal before privacy has seen it


@pytest.mark.parametrize("mode", ["pseudonymize", "drop"])
def test_no_name_and_no_address_ever_reaches_the_archive(nights: Nights, mode: str) -> None:
    seen = nights.sandbox.organization.at(NOW)
    people = {
        text
        for item in [*(one["account"] for one in seen.accounts().all()), *members(seen)]
        for text in (item.get("name"), item.get("realName"), item.get("emailAddress"))
        if text and item.get("id") != seen.model.service_account_id
    }
    assert len(people) > 20
    nights.settings = {"DRILLSTER_PERSONAL_DATA": mode, "DRILLSTER_PSEUDONYM_KEY": "a key of some length"}
    nights.interrupt()
    assert leaks(nights.folder / "archive", people) == set()
    outcome = nights.capture()
    assert outcome.how is How.RESUMED
    nights.capture("events")
    assert leaks(nights.folder / "archive", people) == set()
    assert set(held(outcome.capture)["results"]) == set(expected(nights.sandbox)["results"])


def test_in_mode_keep_they_are_there(nights: Nights) -> None:
    people = {item["account"]["name"] for item in nights.sandbox.organization.at(NOW).accounts().all()}
    nights.capture()
    assert leaks(nights.folder / "archive", people) == people


def members(seen: Any) -> list[Any]:
    return [item["member"] for group in seen.present_groups() for item in seen.members(group).all()]


def leaks(folder: Path, texts: set[str]) -> set[str]:
    found = set()
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.name.endswith(".partial"):
                import zlib

                content = zlib.decompressobj(31).decompress(content)
            elif path.suffix == ".gz":
                content = gzip.decompress(content)
            plain = content.decode("utf-8", "surrogateescape") + json.dumps(path.parts)
            found |= {text for text in texts if text in plain or json.dumps(text)[1:-1] in plain}
    return found


# -- in an object store


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store() as running:
        yield running


@pytest.fixture
def in_s3(nights: Nights, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Nights:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(lease, "PATIENCE_SECONDS", 0.4)
    nights.settings = {"DRILLSTER_ARCHIVE_URL": f"s3://{store.bucket()}/archive"}
    return nights


def test_an_archive_in_an_object_store_does_all_of_it(in_s3: Nights) -> None:
    in_s3.interrupt()
    outcome = in_s3.capture()
    assert outcome.how is How.RESUMED
    assert held(outcome.capture) == expected(in_s3.sandbox)
    assert in_s3.capture().how is How.KEPT
    in_s3.now = NOW + timedelta(days=1)
    assert in_s3.capture().how is How.REPLAYED
    assert in_s3.capture("events").how is How.CAPTURED
    # Nothing is left of the leases.
    storage = in_s3.session().archive.storage
    assert all(storage.names(f"{DAY}/{name}") == [] for name in storage.names(str(DAY)) if name.endswith(".lease"))


KILLED = """
import json, os, sys
from datetime import date, datetime
from drillster_pipeline.archive import lease, remote
from drillster_pipeline.export import Session, capture
from drillster_pipeline.settings import Settings, load_settings

lease.HEARTBEAT_SECONDS, remote.PART_SECONDS = 0.05, 0.0
order = json.loads(sys.stdin.readline())
now = datetime.fromisoformat(order["now"])
with Session(settings=load_settings(order["environment"]), now=lambda: now) as session:
    session.on_progress = lambda progress: print(progress.requests, flush=True)
    capture(session, "snapshot", date.fromisoformat(order["date"]))
"""


def test_a_process_that_lives_keeps_its_capture_and_one_that_was_killed_leaves_it(
    in_s3: Nights, store: ObjectStore
) -> None:
    in_s3.sandbox.change(latency=0.08)
    session = in_s3.session()
    order = {
        "now": NOW.isoformat(),
        "date": str(DAY),
        "environment": {
            **in_s3.sandbox.environment(),
            **in_s3.settings,
            "DRILLSTER_TIMEZONE": "UTC",
            "DRILLSTER_CONCURRENCY": "2",
        },
    }
    with subprocess.Popen(
        [sys.executable, "-c", KILLED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **store.environment},
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        while int(process.stdout.readline()) < 8:
            pass
        with pytest.raises(Busy, match="Another run is capturing the snapshot"):
            capture(session, "snapshot", DAY)
        assert process.poll() is None
        process.kill()
    in_s3.sandbox.change(latency=0.0)
    before = {record.path for record in in_s3.sandbox.requests if record.status == 200}
    outcome = in_s3.capture()
    assert outcome.how is How.RESUMED
    assert held(outcome.capture) == expected(in_s3.sandbox)
    # What had gone up is not asked for again; that is nearly all, since each part goes up after a second here.
    again = {record.path for record in in_s3.sandbox.requests} & before
    assert len(again) < len(before) / 2
    assert len(in_s3.session().archive.captures(DAY)) == 1


def test_a_run_that_was_taken_for_dead_stops_and_spoils_nothing(in_s3: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PART_SECONDS", 0.0)
    session = in_s3.session()
    storage = session.archive.storage
    with session.archive.locked(DAY, "snapshot") as still_ours:
        writer = session.archive.begin(DAY, "snapshot", {}, NOW, still_ours=still_ours)
        for name in storage.names(f"{DAY}/.snapshot.lease"):
            lease.take_for_dead(storage, f"{DAY}/.snapshot.lease", name)  # as a run does that has watched in vain
        with pytest.raises(Busy, match="took this one for dead"):
            writer.append("accounts", {}, 1, NOW, b"{}", end=None)
    assert storage.names(f"{writer.ref.folder}/accounts") == []


def test_a_store_that_gives_out_is_told_and_the_capture_is_gone_on_with(
    in_s3: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = remote.RemoteStorage.write

    def failing(storage: Any, name: str, content: bytes) -> None:
        if "part-" in name and "results" in name:
            raise Unavailable("The archive's storage failed while writing")
        write(storage, name, content)

    with monkeypatch.context() as patched:
        patched.setattr(remote.RemoteStorage, "write", failing)
        with pytest.raises(Unavailable, match="failed while writing"):
            in_s3.capture()
    outcome = in_s3.capture()
    assert outcome.how is How.RESUMED
    assert isinstance(outcome.capture, Capture)
    assert held(outcome.capture) == expected(in_s3.sandbox)
