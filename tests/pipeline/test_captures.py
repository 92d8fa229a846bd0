"""Which capture counts for a date: one that is made, resumed, replayed or kept, or none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from drillster_pipeline.archive.archive import Archive
from drillster_pipeline.dates import events_window
from drillster_pipeline.errors import ArchiveCorrupt, Busy, PastDateRefused, PermissionDenied, Refused
from drillster_pipeline.pipeline.capture import CaptureOutcome, How
from drillster_pipeline.pipeline.guard import mark_refused
from tests.api.crawling import expected, expected_events, items_in, unit
from tests.drillster import Failure, Faults, PageFault, closed
from tests.support.installation import AMSTERDAM, DAY, NOW, Installation

PAST = DAY - timedelta(days=3)


def capture(installation: Installation, *what: Any, **options: Any) -> CaptureOutcome:
    """A capture, which must have made requests exactly where it says so."""
    installation.sandbox.clear()
    outcome = installation.capture(*what, **options)
    assert outcome.made_requests == bool(installation.sandbox.requests)
    return outcome


def damage(installation: Installation, pattern: str, content: bytes = b"damaged") -> None:
    for path in (installation.folder / "archive").rglob(pattern):
        path.write_bytes(content)


def events_of(installation: Installation, day: date) -> Any:
    return expected_events(installation.sandbox, events_window(day, AMSTERDAM))["objective_events"]


class TestTheNewestDate:
    def test_it_is_captured(self, installation: Installation) -> None:
        outcome = capture(installation)
        assert outcome.how is How.CAPTURED
        assert items_in(outcome.capture) == expected(installation.sandbox)
        manifest = outcome.capture.manifest
        assert (manifest["export_date"], manifest["kind"]) == (str(DAY), "snapshot")
        assert manifest["window"] == {"from": "2026-06-08T22:00:00.000000Z", "until": "2026-06-09T22:00:00.000000Z"}
        assert manifest["walk"]["requests"] == len(installation.sandbox.requests) - 1
        assert manifest["walk"]["grants"] == installation.sandbox.grants == 1

    def test_a_later_one_is_refused(self, installation: Installation) -> None:
        with pytest.raises(Refused, match=r"2026-06-10 has not ended yet in Europe/Amsterdam"):
            installation.capture(day=DAY + timedelta(days=1))
        assert installation.sandbox.requests == []

    def test_its_capture_is_kept_until_it_is_published(self, installation: Installation) -> None:
        first = capture(installation)
        installation.at(NOW - timedelta(hours=1))  # also by a clock that is set back
        kept = capture(installation, "snapshot", DAY)
        assert (kept.how, kept.capture.ref) == (How.KEPT, first.capture.ref)
        installation.publish()
        second = capture(installation)
        assert second.how is How.CAPTURED
        assert installation.context.archive.newest_sealed(DAY, "snapshot").ref == second.capture.ref

    @pytest.mark.parametrize(
        "change",
        [
            lambda installation: mark_refused(installation.context, installation.context.archive.captures(DAY)[0]),
            lambda installation: installation.at(NOW + timedelta(hours=13)),
            lambda installation: damage(installation, "manifest.json"),
        ],
        ids=["its publish was refused", "it is too old", "it is damaged"],
    )
    def test_its_capture_is_made_again_where(
        self, installation: Installation, change: Callable[[Installation], None]
    ) -> None:
        capture(installation)
        change(installation)
        assert capture(installation).how is How.CAPTURED

    def test_its_capture_is_made_again_on_demand(self, installation: Installation) -> None:
        capture(installation)
        assert capture(installation, again=True).how is How.CAPTURED

    def test_a_warehouse_that_does_not_answer_costs_no_capture(self, installation: Installation) -> None:
        installation.set(DRILLSTER_WAREHOUSE_URL="sqlite:////dev/null/warehouse.sqlite")
        assert capture(installation).how is How.CAPTURED
        assert capture(installation).how is How.KEPT

    def test_while_another_process_captures_it_this_one_is_busy(self, installation: Installation) -> None:
        with (
            installation.context.archive.locked(DAY, "snapshot"),
            pytest.raises(Busy, match=f"Another run is capturing the snapshot of {DAY}"),
        ):
            installation.capture()
        assert installation.sandbox.requests == []

    def test_what_another_process_has_sealed_before_the_lock_was_free_is_kept(
        self, installation: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        locked = Archive.locked

        def late(archive: Archive, export_date: date, kind: str) -> Any:
            monkeypatch.setattr(Archive, "locked", locked)
            installation.capture()
            return locked(archive, export_date, kind)

        monkeypatch.setattr(Archive, "locked", late)
        assert installation.capture().how is How.KEPT
        assert len(installation.context.archive.captures(DAY)) == 1


class TestAnInterruptedCapture:
    @pytest.mark.parametrize(("kind", "after"), [("snapshot", 15), ("events", 4)])
    def test_it_is_resumed(self, installation: Installation, kind: str, after: int) -> None:
        installation.interrupt(kind, after=after)
        outcome = capture(installation, kind)
        assert outcome.how is How.RESUMED
        if kind == "snapshot":
            assert items_in(outcome.capture) == expected(installation.sandbox)
        else:
            assert items_in(outcome.capture)["objective_events"] == events_of(installation, DAY)

    @pytest.mark.parametrize(
        "change",
        [
            {"DRILLSTER_PERSONAL_DATA": "drop"},
            {"DRILLSTER_PSEUDONYM_KEY": "another key of some length"},
            {"DRILLSTER_TIMEZONE": "Africa/Tunis"},
            {"DRILLSTER_ORGANIZATION_ID": "own"},
        ],
        ids=lambda change: next(iter(change)).removeprefix("DRILLSTER_").lower(),
    )
    def test_it_is_not_resumed_with_other_settings(self, installation: Installation, change: dict[str, str]) -> None:
        installation.set(DRILLSTER_PERSONAL_DATA="pseudonymize", DRILLSTER_PSEUDONYM_KEY="a key of some length")
        installation.interrupt()
        own = installation.sandbox.credentials.organization_id
        installation.set(**{name: own if value == "own" else value for name, value in change.items()})
        assert capture(installation).how is How.CAPTURED

    def test_it_is_not_resumed_when_it_is_too_old(self, installation: Installation) -> None:
        installation.interrupt()
        installation.at(NOW + timedelta(hours=12, minutes=1))
        assert capture(installation).how is How.CAPTURED

    def test_it_is_not_resumed_when_it_is_damaged(self, installation: Installation) -> None:
        installation.interrupt()
        installation.interrupt(after=3)  # the second attempt closes the parts of the first
        damage(installation, "accounts/part-00001.jsonl.gz")
        outcome = capture(installation)
        assert outcome.how is How.CAPTURED
        assert items_in(outcome.capture) == expected(installation.sandbox)

    def test_it_is_removed_where_nothing_could_be_read(self, installation: Installation) -> None:
        """To resume it would repeat the refusals, even after the permission was given."""
        installation.sandbox.faults = Faults(failures=(Failure(statuses=(403,)),))
        with pytest.raises(PermissionDenied):
            installation.capture()
        assert installation.context.archive.captures(DAY) == []

    def test_of_a_date_that_is_past_it_is_refused(self, installation: Installation) -> None:
        installation.interrupt()
        installation.at(NOW + timedelta(days=1))
        with pytest.raises(PastDateRefused):
            installation.capture(day=DAY)


class TestAPastDate:
    def test_without_an_archive_it_is_refused_with_what_can_be_done(self, installation: Installation) -> None:
        with pytest.raises(PastDateRefused) as caught:
            installation.capture(day=PAST)
        for words in (str(PAST), "forge history", "objective events of that date are fetched", str(DAY), "is replayed"):
            assert words in str(caught.value)
        assert installation.sandbox.requests == []
        assert installation.context.archive.dates() == []

    def test_it_is_replayed_without_a_request_or_a_lock(self, installation: Installation) -> None:
        first = capture(installation)
        installation.at(NOW + timedelta(days=30))
        with installation.context.archive.locked(DAY, "snapshot"):
            for again in (False, True):
                outcome = capture(installation, day=DAY, again=again)
                assert (outcome.how, outcome.capture.ref) == (How.REPLAYED, first.capture.ref)

    def test_a_damaged_capture_of_it_is_an_error(self, installation: Installation) -> None:
        capture(installation)
        damage(installation, "manifest.json")
        installation.at(NOW + timedelta(days=1))
        with pytest.raises(ArchiveCorrupt, match=r"manifest\.json"):
            installation.capture(day=DAY)

    def test_its_events_are_fetched_once_and_then_replayed(self, installation: Installation) -> None:
        outcome = capture(installation, "events", PAST)
        assert outcome.how is How.CAPTURED
        assert items_in(outcome.capture)["objective_events"] == events_of(installation, PAST)
        queries = [record.query for record in installation.sandbox.requests if record.path.endswith("/events")]
        assert all("fromDate=2026-06-04T22%3A00%3A00Z&toDate=2026-06-06T22%3A00%3A00Z" in query for query in queries)
        assert capture(installation, "events", PAST).how is How.REPLAYED
        assert capture(installation, "events", PAST, again=True).how is How.CAPTURED


class TestTheObjectivesOfEvents:
    def test_they_are_those_of_the_snapshot_of_the_date(self, installation: Installation) -> None:
        capture(installation)
        capture(installation, "events")
        assert installation.sandbox.count("GET", "*/groups") == installation.sandbox.count("GET", "*/objectives") == 0

    @pytest.mark.parametrize("damaged", [None, "", "objectives/part-*.gz", "manifest.json"])
    def test_they_are_requested_where_the_snapshot_does_not_have_them(
        self, installation: Installation, damaged: str | None
    ) -> None:
        """None: there is no snapshot; empty: it could not read them."""
        if damaged == "":
            installation.sandbox.faults = Faults(failures=(Failure(at="group/*/objectives", statuses=(404,)),))
        if damaged is not None:
            capture(installation)
            installation.sandbox.faults = Faults()
        if damaged:
            damage(installation, damaged)
        assert items_in(capture(installation, "events").capture)["objective_events"] == events_of(installation, DAY)


class TestAGroupOfAnEarlierCapture:
    """It is closed (403) or gone (404), and never forgotten."""

    @pytest.fixture
    def group(self, installation: Installation) -> str:
        (group,) = expected(installation.sandbox)["groups"][unit()]
        capture(installation)
        return group

    @staticmethod
    def groups_with(installation: Installation, faults: Faults, *, days: int = 1) -> dict[str, list[str]]:
        """The groups of the manifest of a capture so many days later; Drillster is as it was."""
        installation.now += timedelta(days=days)
        installation.sandbox.faults = faults
        return capture(installation, again=not days).capture.manifest["groups"]

    def test_it_is_closed_while_it_answers_403_and_gone_once(self, installation: Installation, group: str) -> None:
        is_closed = Faults(unlisted_groups=frozenset({group}), failures=closed(group))
        is_gone = Faults(hidden_groups=frozenset({group}))
        for days in (0, 1, 1):  # also when it has not been listed for a while
            assert self.groups_with(installation, is_closed, days=days) == {"listed": [], "closed": [group], "gone": []}
        assert self.groups_with(installation, is_gone) == {"listed": [], "closed": [], "gone": [group]}
        assert self.groups_with(installation, is_gone) == {"listed": [], "closed": [], "gone": []}

    @pytest.mark.parametrize(
        "fault",
        [
            Faults(failures=(Failure(at="groups", statuses=(403,)),)),
            Faults(pages=(PageFault(resource="groups", what="short", n=9),)),
            None,
        ],
        ids=["no list", "a short list", "damaged"],
    )
    def test_it_is_remembered_over_captures_that_say_nothing_of_it(
        self, installation: Installation, group: str, fault: Faults | None
    ) -> None:
        for _ in range(2):
            self.groups_with(installation, fault or Faults())
            if fault is None:
                damage(installation, f"{installation.day}/*/manifest.json", b"")
        is_closed = Faults(unlisted_groups=frozenset({group}), failures=closed(group))
        assert self.groups_with(installation, is_closed)["closed"] == [group]
