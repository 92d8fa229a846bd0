"""Every way in which the sandbox can be told to misbehave, each at least once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from drillster_pipeline.sandbox import Failure, Faults, FieldFault, How, PageFault, closed, wire

from .caller import Caller, Start


def a_group(caller: Caller) -> str:
    """The id of the group with the most members."""
    return str(max(caller.groups(), key=lambda group: group["counts"]["members"])["id"])


# -- whole calls


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


@pytest.mark.parametrize("how", [How.CUT, How.CUT_CHUNKED, How.RESET, How.RESET_IN_BODY], ids=lambda how: how.name)
def test_an_answer_can_break_off(caller: Caller, how: How) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(at="groups", how=how),))
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        caller.call("groups")
    record = caller.sandbox.requests[-1]
    assert (record.path, record.status) == ("/api/2.1.1/groups", None if how is How.RESET else 200)
    assert caller.call("organization").status_code == 200


@pytest.mark.parametrize("protocol", [H11Protocol, HttpToolsProtocol], ids=["h11", "httptools"])
def test_answers_break_off_whatever_reads_the_requests(
    start: Start, monkeypatch: pytest.MonkeyPatch, protocol: type
) -> None:
    monkeypatch.setattr(wire, "AutoHTTPProtocol", protocol)
    caller = start()
    caller.fresh_token()
    for how in (How.CUT, How.CUT_CHUNKED, How.RESET, How.RESET_IN_BODY):
        caller.sandbox.faults = Faults(failures=(Failure(how=how),))
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            caller.call("groups")
    caller.sandbox.faults = Faults(failures=(Failure(how=How.DRIP, seconds=0.05),))
    assert caller.groups()


def test_a_reset_is_a_reset_and_not_an_end(caller: Caller) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(at="groups", how=How.RESET),))
    with pytest.raises(requests.ConnectionError, match="reset"):
        caller.call("groups")


@pytest.mark.parametrize("how", [How.DRIP, How.SLOW], ids=lambda how: how.name)
def test_an_answer_can_be_slow_and_still_be_whole(caller: Caller, how: How) -> None:
    expected = caller.get("groups")
    caller.sandbox.faults = Faults(failures=(Failure(at="groups", how=how, seconds=0.3),))
    started = time.monotonic()
    assert caller.get("groups") == expected
    assert time.monotonic() - started >= 0.28


@pytest.mark.parametrize("status", [200, 502])
def test_a_proxy_may_answer_with_a_page(caller: Caller, status: int) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(how=How.HTML, statuses=(status,)),))
    answer = caller.call("groups")
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_can_be_empty(caller: Caller, status: int) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(how=How.EMPTY, statuses=(status,)),))
    answer = caller.call("groups")
    assert (answer.status_code, answer.content) == (status, b"")


def test_a_call_can_be_sent_elsewhere(caller: Caller) -> None:
    elsewhere = "http://elsewhere.example/x"
    caller.sandbox.faults = Faults(failures=(Failure(how=How.REDIRECT, location=elsewhere),))
    answer = caller.call("groups")
    assert (answer.status_code, answer.headers["Location"]) == (302, elsewhere)


def test_a_token_can_be_revoked_in_the_middle(caller: Caller) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(how=How.REVOKE, nth=frozenset({2})),))
    assert [caller.call("groups").status_code for _ in range(4)] == [200, 401, 401, 401]
    caller.fresh_token()
    assert caller.call("groups").status_code == 200


def test_latency_holds_each_call_up_but_not_one_another(caller: Caller) -> None:
    caller.sandbox.faults = Faults(latency=0.2, latency_jitter=0.05)
    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: requests.get(version_url(caller), timeout=20).status_code, range(8)))
    elapsed = time.monotonic() - started
    assert answers == [200] * 8
    assert elapsed >= 0.2
    assert caller.sandbox.recorder.peak > 1


def version_url(caller: Caller) -> str:
    return f"{caller.sandbox.base_url}/api/2.1.1/version"


def test_the_date_header_can_be_wrong(caller: Caller) -> None:
    caller.sandbox.faults = Faults(clock_skew=-600.0)
    date = parsedate_to_datetime(requests.get(version_url(caller), timeout=20).headers["Date"])
    assert -605 < date.timestamp() - time.time() < -595


TOKEN_FAILURES = {
    "unavailable": (Failure(at="token", statuses=(503,), retry_after=1), 503),
    "refused": (Failure(at="token", statuses=(400,), error="invalid_grant"), 400),
    "a page": (Failure(at="token", how=How.HTML, statuses=(502,)), 502),
    "empty": (Failure(at="token", how=How.EMPTY, statuses=(200,)), 200),
}


@pytest.mark.parametrize(("failure", "status"), TOKEN_FAILURES.values(), ids=TOKEN_FAILURES)
def test_the_token_endpoint_can_fail(caller: Caller, failure: Failure, status: int) -> None:
    caller.sandbox.faults = Faults(failures=(failure,))
    assert caller.grant().status_code == status
    assert caller.call("groups").status_code == 200, "the API itself does not"


def test_rules_for_everything_leave_the_token_endpoint_alone(caller: Caller) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(statuses=(500,)),), failure_rate=1.0)
    assert caller.grant().status_code == 200


def test_the_token_endpoint_can_be_slow_or_break_off(caller: Caller) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(at="token", how=How.SLOW, seconds=0.2),))
    started = time.monotonic()
    assert caller.grant().status_code == 200
    assert time.monotonic() - started >= 0.2
    caller.sandbox.faults = Faults(failures=(Failure(at="token", how=How.RESET),))
    with pytest.raises(requests.ConnectionError):
        caller.grant()


# -- groups that are closed, gone, unseen or empty

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
    assert caller.get(f"group/{group}/staff")["count"] >= 0


# -- pages

LISTS = {
    "accounts": ("organizations/self/accounts", "accounts"),
    "groups": ("groups", "groups"),
    "group_members": ("group/{group}/members", "members"),
    "group_drillables": ("group/{group}/drillables", "drillables"),
}


@pytest.fixture
def lists(caller: Caller) -> dict[str, tuple[str, str]]:
    group = a_group(caller)
    return {name: (path.format(group=group), key) for name, (path, key) in LISTS.items()}


@pytest.mark.parametrize("resource", LISTS)
def test_a_page_size_can_be_refused(caller: Caller, lists: dict, resource: str) -> None:
    path, key = lists[resource]
    caller.sandbox.faults = Faults(refused_sizes={resource: 5})
    refused = caller.call(path, resultSize=6)
    assert (refused.status_code, refused.json()["id"]) == (400, "invalid_result_size")
    assert len(caller.get(path, resultSize=5)[key]) <= 5


def test_page_sizes_can_be_refused_everywhere(caller: Caller, lists: dict) -> None:
    caller.sandbox.faults = Faults(refused_sizes={"*": 50, "groups": 20})
    assert {caller.call(path, resultSize=51).status_code for path, _ in lists.values()} == {400}
    assert caller.call("groups", resultSize=21).status_code == 400
    assert caller.call("organizations/self/accounts", resultSize=50).status_code == 200


@pytest.mark.parametrize("resource", LISTS)
def test_a_page_can_be_smaller_than_asked_for(caller: Caller, lists: dict, resource: str) -> None:
    path, key = lists[resource]
    whole = caller.get(path, resultSize=100)[key]
    caller.sandbox.faults = Faults(clamped_sizes={resource: 2})
    assert caller.get(path, resultSize=100)[key] == whole[:2]


def page_fault(resource: str, what: Any, n: int = 1) -> Faults:
    return Faults(pages=(PageFault(resource=resource, what=what, n=n),))


def test_a_cursor_can_stand_still(caller: Caller) -> None:
    caller.sandbox.faults = page_fault("accounts", "stuck")
    first = caller.get("organizations/self/accounts")
    cursor = first["pagination"]["lastOnPage"]
    second = caller.get("organizations/self/accounts", resultFrom=cursor)
    assert second["pagination"]["lastOnPage"] == cursor
    assert second["pagination"]["moreAvailable"] is True


@pytest.mark.parametrize("resource", ["accounts", "groups", "group_members"])
def test_a_list_can_be_endless(caller: Caller, lists: dict, resource: str) -> None:
    path, key = lists[resource]
    total = caller.get(path)["pagination"]["total"]
    caller.sandbox.faults = page_fault(resource, "endless")
    pages = caller.cursor_pages(path, key, resultSize=100)
    found = sum(len(next(pages)) for _ in range(3))
    assert found == 300 > 2 * total
    assert caller.get(path)["pagination"]["total"] == total


def test_a_list_by_index_can_be_endless(caller: Caller, lists: dict) -> None:
    path, key = lists["group_drillables"]
    caller.sandbox.faults = page_fault("group_drillables", "endless")
    assert len(caller.get(path, resultStart=1000, resultSize=100)[key]) == 100


@pytest.mark.parametrize("resource", LISTS)
def test_items_can_be_repeated_across_pages(caller: Caller, lists: dict, resource: str) -> None:
    path, key = lists[resource]
    whole = caller.get(path, resultSize=100)[key]
    caller.sandbox.faults = page_fault(resource, "repeat", 2)
    first = caller.get(path, resultSize=3)
    where = {"resultStart": 3} if "pagination" not in first else {"resultFrom": first["pagination"]["lastOnPage"]}
    second = caller.get(path, resultSize=3, **where)
    assert first[key] == whole[:3]
    assert second[key] == whole[1:6]


@pytest.mark.parametrize("resource", LISTS)
def test_items_can_be_removed_while_paging(caller: Caller, lists: dict, resource: str) -> None:
    path, key = lists[resource]
    whole = caller.get(path, resultSize=100)[key]
    caller.sandbox.faults = page_fault(resource, "shrink", 1)
    first = caller.get(path, resultSize=2)
    where = {"resultStart": 2} if "pagination" not in first else {"resultFrom": first["pagination"]["lastOnPage"]}
    second = caller.get(path, resultSize=2, **where)
    assert second[key] == whole[3:5]
    if "pagination" in second:
        assert second["pagination"]["total"] == len(whole) - 1


def test_a_page_in_the_middle_can_be_empty(caller: Caller) -> None:
    caller.sandbox.faults = page_fault("groups", "empty")
    first = caller.get("groups", resultSize=2)
    second = caller.get("groups", resultSize=2, resultFrom=first["pagination"]["lastOnPage"])
    assert second["groups"] == []
    assert second["pagination"]["moreAvailable"] is True
    assert "lastOnPage" not in second["pagination"]


@pytest.mark.parametrize("n", [3, -2])
@pytest.mark.parametrize("resource", ["accounts", "groups", "objectives"])
def test_a_total_can_be_wrong(caller: Caller, resource: str, n: int) -> None:
    path = {"objectives": f"group/{a_group(caller)}/objectives"}.get(resource) or LISTS[resource][0]

    def total() -> int:
        body = caller.get(path)
        return int(body.get("pagination", body)["total"])

    right = total()
    caller.sandbox.faults = page_fault(resource, "total_off", n)
    assert total() == right + n


@pytest.mark.parametrize("n", [2, 1000])
@pytest.mark.parametrize("resource", ["groups", "objectives"])
def test_a_list_can_lack_its_last_items_and_count_them_all_the_same(caller: Caller, resource: str, n: int) -> None:
    path = {"objectives": f"group/{a_group(caller)}/objectives"}.get(resource, resource)
    whole = caller.get(path, resultSize=100)
    caller.sandbox.faults = page_fault(resource, "short", n)
    short = caller.get(path, resultSize=100)
    assert short[resource] == whole[resource][: max(0, len(whole[resource]) - n)]
    assert short.get("pagination", short)["total"] == len(whole[resource])


def test_the_last_page_can_say_that_there_is_more(caller: Caller) -> None:
    caller.sandbox.faults = page_fault("groups", "more_lies")
    body = caller.get("groups", resultSize=100)
    assert len(body["groups"]) == body["pagination"]["total"]
    assert body["pagination"]["moreAvailable"] is True


# -- fields


def field_fault(**options: Any) -> Faults:
    return Faults(fields=(FieldFault(**options),))


def test_fields_can_be_missing_from_every_second_item(caller: Caller) -> None:
    caller.sandbox.faults = field_fault(resource="accounts", field="account.name", what="missing", every=2)
    items = caller.get("organizations/self/accounts")["accounts"]
    assert ["name" in item["account"] for item in items] == [False, True] * 5


def test_fields_can_be_null_mistyped_or_unknown(caller: Caller) -> None:
    group = a_group(caller)
    caller.sandbox.faults = field_fault(resource="groups", field="description", what="null")
    assert {one["description"] for one in caller.groups()} == {None}
    caller.sandbox.faults = field_fault(resource="groups", field="counts.members", what="value", value="many")
    assert {one["counts"]["members"] for one in caller.groups()} == {"many"}
    caller.sandbox.faults = field_fault(
        resource="group_members", field="member.nickname", what="value", value={"a": [1]}
    )
    members = caller.get(f"group/{group}/members")["members"]
    assert all(one["member"]["nickname"] == {"a": [1]} for one in members)


def test_fields_of_a_single_object_and_of_lists_within_can_be_wrong(caller: Caller) -> None:
    caller.sandbox.faults = field_fault(resource="organization", field="contract", what="missing")
    assert "contract" not in caller.get("organization")
    caller.sandbox.faults = field_fault(resource="objectives", field="playables.id", what="missing")
    objectives = caller.get(f"group/{a_group(caller)}/objectives")["objectives"]
    assert all("id" not in one["playables"][0] for one in objectives)
    caller.sandbox.faults = field_fault(resource="*", field="somethingNew", what="value", value=1)
    assert caller.get("organization")["somethingNew"] == 1
    assert all(one["somethingNew"] == 1 for one in caller.groups())


def test_without_faults_everything_is_as_before(caller: Caller) -> None:
    before = caller.groups()
    caller.sandbox.faults = field_fault(resource="groups", field="name", what="missing")
    caller.groups()
    caller.sandbox.faults = Faults()
    assert caller.groups() == before
