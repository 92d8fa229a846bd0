"""A group that an earlier night knew is closed or gone, and never just forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.api.walking import expected, unit
from tests.drillster import Failure, Faults, PageFault, closed

from .captured import NOW, Nights


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
