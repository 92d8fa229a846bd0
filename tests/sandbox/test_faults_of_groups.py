"""Groups that are closed, gone, unseen or empty."""

from __future__ import annotations

import pytest

from tests.drillster import Failure, Faults, closed

from .caller import Caller, a_group

GROUP_PATHS = ("", "/members", "/staff", "/drillables", "/objectives")


@pytest.mark.parametrize(
    ("status", "error"), [(403, "no_group_access"), (404, "group_not_found"), (401, "no_permission")]
)
def test_a_group_can_be_closed_or_gone(caller: Caller, status: int, error: str) -> None:
    group, other = (one["id"] for one in caller.groups()[:2])
    caller.sandbox.faults = Faults(failures=closed(group, status=status, error=error))
    for path in GROUP_PATHS:
        answer = caller.call(f"group/{group}{path}")
        assert (answer.status_code, answer.json()["id"]) == (status, error)
        assert caller.call(f"group/{other}{path}").status_code == 200
    assert group in {one["id"] for one in caller.groups()}


def test_a_group_can_be_closed_in_part(caller: Caller) -> None:
    group = a_group(caller)
    caller.sandbox.faults = Faults(failures=closed(group, what="member-results/*"))
    assert {caller.call(f"group/{group}{path}").status_code for path in GROUP_PATHS} == {200}
    member = caller.every(f"group/{group}/members", "members")[0]["member"]["id"]
    assert caller.call(f"group/{group}/member-results/{member}").status_code == 403


def test_a_group_can_vanish_while_it_is_read(caller: Caller) -> None:
    group = a_group(caller)
    caller.sandbox.faults = Faults(failures=closed(group, status=404, error="group_not_found", after=3))
    assert [caller.call(f"group/{group}/members").status_code for _ in range(5)] == [200, 200, 200, 404, 404]


@pytest.mark.parametrize(("status", "error"), [(404, "not_found"), (403, "not_permitted"), (401, "no_permission")])
def test_an_endpoint_can_be_missing_for_all_groups(caller: Caller, status: int, error: str) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(at="group/*/objectives", statuses=(status,), error=error),))
    for group in caller.groups():
        assert caller.call(f"group/{group['id']}/objectives").status_code == status
        assert caller.call(f"group/{group['id']}/staff").status_code == 200


def test_a_group_can_be_hidden_or_just_not_listed(caller: Caller) -> None:
    groups = [group["id"] for group in caller.groups()]
    caller.sandbox.faults = Faults(hidden_groups=frozenset({groups[0]}), unlisted_groups=frozenset({groups[1]}))
    assert [group["id"] for group in caller.groups()] == groups[2:]
    assert caller.get("groups")["pagination"]["total"] == len(groups) - 2
    assert caller.call(f"group/{groups[0]}").json()["id"] == "group_not_found"
    assert caller.call(f"group/{groups[1]}").status_code == 200


def test_a_group_can_be_empty(caller: Caller) -> None:
    group = a_group(caller)
    member = caller.every(f"group/{group}/members", "members")[0]["member"]["id"]
    objective = caller.get(f"group/{group}/objectives")["objectives"][0]["id"]
    staff = caller.get(f"group/{group}/staff")
    assert staff["count"] > 0
    caller.sandbox.faults = Faults(empty_groups=frozenset({group}))
    detail = caller.get(f"group/{group}")
    assert detail["counts"] == {"members": 0, "drillables": 0, "tests": 0}
    assert "tests" not in detail
    members = caller.get(f"group/{group}/members")
    assert (members["members"], members["counts"]) == ([], {"members": 0, "invitees": 0})
    assert members["pagination"] == {"total": 0, "moreAvailable": False}
    assert caller.get(f"group/{group}/drillables")["drillables"] == []
    assert caller.get(f"group/{group}/objectives") == {"total": 0, "objectives": []}
    assert caller.get(f"group/{group}/objective/{objective}/evaluations")["evaluations"] == []
    assert caller.call(f"group/{group}/member-results/{member}").status_code == 404
    assert caller.get(f"group/{group}/staff") == staff
