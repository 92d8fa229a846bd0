"""Which calls fail where the sandbox is told to fail them, how often, and with what.

Every other way in which it can be told to misbehave is in ``test_faults_of_*.py``, each at least once.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.drillster import Failure, Faults, FieldFault, PageFault, Shapes

from .caller import Caller


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 502, 503, 504])
def test_a_call_can_fail_with_any_status(caller: Caller, status: int) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(at="groups", statuses=(status,), error="some_error"),))
    answer = caller.call("groups")
    assert (answer.status_code, answer.json()["id"]) == (status, "some_error")
    assert caller.call("organization").status_code == 200


def test_a_share_of_the_calls_fails_the_same_ones_every_time(caller: Caller) -> None:
    paths = [f"user/{number}" for number in range(200)]

    def statuses(order: list[str]) -> dict[str, int]:
        caller.sandbox.faults = Faults(failure_rate=0.2, failure_statuses=(500, 503))
        return {path: caller.call(path).status_code for path in order}

    first, second = statuses(paths), statuses(paths[::-1])
    assert first == second
    failed = [status for status in first.values() if status != 404]
    assert set(failed) == {500, 503}
    assert 15 < len(failed) < 70


def test_the_same_call_may_succeed_the_next_time(caller: Caller) -> None:
    caller.sandbox.faults = Faults(failure_rate=0.5)
    assert {caller.call("organization").status_code == 200 for _ in range(30)} == {True, False}


def test_the_first_calls_of_each_path_fail(caller: Caller) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(first=2, statuses=(503,)),))
    for path in ("organization", "groups"):
        assert [caller.call(path).status_code for _ in range(4)] == [503, 503, 200, 200]
    assert caller.call("groups", resultSize=5).status_code == 503


def test_a_chosen_call_fails(caller: Caller) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(nth=frozenset({3, 5}), statuses=(401,)),))
    assert [caller.call("groups").status_code for _ in range(6)] == [200, 200, 401, 200, 401, 200]


def test_setting_the_faults_counts_anew(caller: Caller) -> None:
    faults = Faults(failures=(Failure(first=1),))
    for _ in range(2):
        caller.sandbox.faults = faults
        assert [caller.call("groups").status_code for _ in range(2)] == [503, 200]
    caller.sandbox.change(latency=0.01)
    assert caller.sandbox.faults.failures == faults.failures
    assert caller.call("groups").status_code == 503


def test_a_rule_can_be_about_a_page(caller: Caller) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(at="groups", query="*resultFrom=*", statuses=(502,)),))
    first = caller.get("groups", resultSize=2)
    assert caller.call("groups", resultSize=2, resultFrom=first["pagination"]["lastOnPage"]).status_code == 502


@pytest.mark.parametrize(("given", "sent"), [(3, "3"), ("soon", "soon"), ("", ""), ("-1", "-1"), (None, None)])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_comes_as_it_is_given(caller: Caller, status: int, given: Any, sent: str | None) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(statuses=(status,), retry_after=given),))
    assert caller.call("groups").headers.get("Retry-After") == sent


def test_retry_after_can_be_a_date(caller: Caller) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(statuses=(429,), retry_after="date:30"),))
    moment = parsedate_to_datetime(caller.call("groups").headers["Retry-After"])
    assert 25 < moment.timestamp() - time.time() < 31


@pytest.mark.parametrize(
    "faults",
    [
        Faults(failures=(Failure(at="group/*/memberz"),)),
        Faults(failures=(Failure(at="groups/*"),)),
        Faults(pages=(PageFault(resource="member", what="short"),)),
        Faults(pages=(PageFault(resource="group_drillables", what="total_off"),)),
        Faults(pages=(PageFault(resource="objectives", what="stuck"),)),
        Faults(fields=(FieldFault(resource="user_accounts", field="name", what="null"),)),
        Faults(refused_sizes={"organization": 10}),
        Faults(clamped_sizes={"account": 10}),
        Faults(shapes=Shapes(without_total=frozenset({"group_drillables"}))),
        Faults(shapes=Shapes(inclusive=frozenset({"account"}))),
    ],
)
def test_a_fault_that_can_do_nothing_is_refused(caller: Caller, faults: Faults) -> None:
    before = caller.sandbox.faults
    with pytest.raises(ValueError, match=r"No path of the sandbox|is no .* of the sandbox"):
        caller.sandbox.faults = faults
    assert caller.sandbox.faults is before


def test_a_fault_that_has_done_nothing_is_known_until_it_has(caller: Caller) -> None:
    failure = Failure(at="organization", nth=frozenset({2}))
    page = PageFault(resource="groups", what="more_lies")
    field = FieldFault(resource="organization_staff", field="name", what="null")
    caller.sandbox.faults = Faults(failures=(failure,), pages=(page,), fields=(field,))
    caller.get("organization")
    caller.get("organization/self/catalogs")
    assert caller.sandbox.idle_faults() == [failure, page, field]
    assert {user["name"] for user in caller.get("organization/self/staff")["users"]} == {None}
    assert caller.sandbox.idle_faults() == [failure, page]
    caller.get("groups", resultSize=100)
    caller.call("organization")
    assert caller.sandbox.idle_faults() == []
