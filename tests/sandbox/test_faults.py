"""Which calls, pages and fields go wrong where the faults say so, how often, and with what."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from functools import reduce
from operator import getitem
from typing import Any

import pytest
import requests

from tests.drillster import Failure, Faults, FieldFault, How, PageFault, Shapes, closed

from .caller import Caller, Paths


def failing(**options: Any) -> Faults:
    return Faults(failures=(Failure(**options),))


# -- which calls


@pytest.mark.parametrize(
    ("rule", "statuses"),
    [
        ({"first": 2}, [503, 503, 200, 200]),
        ({"nth": frozenset({2, 4}), "statuses": (401,)}, [200, 401, 200, 401]),
        ({"after": 2, "statuses": (404,)}, [200, 200, 404, 404]),
        ({"at": "gro?ps", "statuses": (500,)}, [500] * 4),
        ({"how": How.REVOKE, "nth": frozenset({2})}, [200, 401, 401, 401]),
    ],
    ids=str,
)
def test_a_rule_fails_the_calls_that_it_is_about(caller: Caller, rule: dict[str, Any], statuses: list[int]) -> None:
    caller.sandbox.faults = failing(**rule)
    assert [caller.call("groups").status_code for _ in statuses] == statuses
    caller.sandbox.change(latency=0.001)  # counts start anew
    caller.fresh_token()
    assert [caller.call("groups").status_code for _ in statuses] == statuses


def test_a_rule_can_be_about_a_page_and_about_a_path(caller: Caller) -> None:
    caller.sandbox.faults = failing(at="groups", query="*resultFrom=*", statuses=(502,), error="some_error")
    first = caller.get("groups", resultSize=2)
    answer = caller.call("groups", resultSize=2, resultFrom=first["pagination"]["lastOnPage"])
    assert (answer.status_code, answer.json()["id"]) == (502, "some_error")
    assert caller.call("organization", resultFrom="x").status_code == 200


def test_a_share_of_the_calls_fails_the_same_ones_every_time(caller: Caller) -> None:
    paths = [f"group/{number}" for number in range(150)]

    def statuses(order: list[str]) -> dict[str, int]:
        caller.sandbox.faults = Faults(failure_rate=0.2)
        return {path: caller.call(path).status_code for path in order}

    first = statuses(paths)
    assert first == statuses(paths[::-1])
    failed = [status for status in first.values() if status != 404]
    assert set(failed) == {500, 502, 503}
    assert 10 < len(failed) < 60
    assert {caller.call("organization").status_code == 200 for _ in range(30)} == {True, False}


@pytest.mark.idle_faults
def test_rules_for_everything_leave_the_token_endpoint_alone(caller: Caller) -> None:
    caller.sandbox.faults = Faults(failures=(Failure(statuses=(500,)),), failure_rate=1.0)
    assert caller.grant().status_code == 200


@pytest.mark.parametrize(
    "fault",
    [
        lambda: Faults(failures=(Failure(at="group/*/memberz"),)),
        lambda: Faults(failures=(Failure(at="groups/*"),)),
        lambda: Faults(pages=(PageFault(resource="member", what="short"),)),
        lambda: Faults(pages=(PageFault(resource="group_drillables", what="total_off"),)),
        lambda: Faults(pages=(PageFault(resource="objectives", what="stuck"),)),
        lambda: Faults(fields=(FieldFault(resource="user_accounts", field="name", what="null"),)),
        lambda: Faults(refused_sizes={"organization": 10}),
        lambda: Faults(clamped_sizes={"account": 10}),
        lambda: Faults(shapes=Shapes(without_total=frozenset({"group_drillables"}))),
        lambda: Faults(shapes=Shapes(inclusive=frozenset({"account"}))),
    ],
)
def test_a_fault_that_can_do_nothing_is_refused(fault: Any) -> None:
    with pytest.raises(ValueError, match=r"No path of the sandbox|is no .* of the sandbox"):
        fault()


def test_a_fault_that_has_done_nothing_is_known_until_it_has(caller: Caller) -> None:
    failure = Failure(at="organization", nth=frozenset({2}))
    page = PageFault(resource="groups", what="more_lies")
    field = FieldFault(resource="catalogs", field="name", what="null")
    caller.sandbox.faults = Faults(failures=(failure,), pages=(page,), fields=(field,))
    caller.get("organization")
    assert caller.sandbox.idle_faults() == [failure, page, field]
    assert {one["name"] for one in caller.get("organization/self/catalogs")["catalogs"]} == {None}
    assert caller.sandbox.idle_faults() == [failure, page]
    caller.get("groups", resultSize=100)
    caller.call("organization")
    assert caller.sandbox.idle_faults() == []


# -- how


@pytest.mark.parametrize("how", [How.CUT, How.CUT_CHUNKED, How.RESET, How.RESET_IN_BODY], ids=lambda how: how.name)
def test_an_answer_can_break_off(caller: Caller, how: How) -> None:
    caller.sandbox.faults = failing(at="groups", how=how)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)) as caught:
        caller.call("groups")
    assert ("reset" in str(caught.value)) == (how in {How.RESET, How.RESET_IN_BODY})
    record = caller.sandbox.requests[-1]
    assert (record.path, record.status) == ("/api/2.1.1/groups", None if how is How.RESET else 200)
    assert caller.call("organization").status_code == 200


@pytest.mark.parametrize("how", [How.DRIP, How.SLOW], ids=lambda how: how.name)
@pytest.mark.parametrize("at", ["groups", "token"])
def test_an_answer_can_be_slow_and_still_complete(caller: Caller, how: How, at: str) -> None:
    expected = caller.get("groups")
    caller.sandbox.faults = failing(at=at, how=how, seconds=0.3)
    started = time.monotonic()
    assert (caller.get("groups") == expected) if at == "groups" else (caller.grant().status_code == 200)
    assert time.monotonic() - started >= 0.28


@pytest.mark.parametrize("at", ["groups", "token"])
@pytest.mark.parametrize("status", [200, 502])
@pytest.mark.parametrize("how", [How.HTML, How.EMPTY], ids=lambda how: how.name)
def test_a_proxy_may_answer(caller: Caller, how: How, status: int, at: str) -> None:
    caller.sandbox.faults = failing(at=at, how=how, statuses=(status,))
    answer = caller.grant() if at == "token" else caller.call("groups")
    assert (answer.status_code, bool(answer.content)) == (status, how is How.HTML)
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_a_call_can_be_sent_elsewhere(caller: Caller) -> None:
    caller.sandbox.faults = failing(how=How.REDIRECT, location="http://elsewhere.example/x")
    answer = caller.call("groups")
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://elsewhere.example/x")


@pytest.mark.parametrize(("given", "sent"), [(3, "3"), ("soon", "soon"), ("", ""), ("-1", "-1"), (None, None)])
def test_retry_after_comes_as_it_is_given(caller: Caller, given: Any, sent: str | None) -> None:
    caller.sandbox.faults = failing(statuses=(429,), retry_after=given)
    assert caller.call("groups").headers.get("Retry-After") == sent


def test_dates_can_be_given_and_be_wrong(caller: Caller) -> None:
    caller.sandbox.faults = failing(statuses=(429,), retry_after="date:30")
    moment = parsedate_to_datetime(caller.call("groups").headers["Retry-After"])
    assert 25 < moment.timestamp() - time.time() < 31
    caller.sandbox.faults = Faults(clock_skew=-600.0)
    date = parsedate_to_datetime(caller.call("version").headers["Date"])
    assert -605 < date.timestamp() - time.time() < -595


def test_latency_delays_each_call_but_not_one_another(caller: Caller) -> None:
    caller.sandbox.faults = Faults(latency=0.2)
    started = time.monotonic()
    url = f"{caller.sandbox.base_url}/api/2.1.1/version"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: requests.get(url, timeout=20).status_code, range(8)))
    assert answers == [200] * 8
    assert time.monotonic() - started >= 0.2
    assert caller.sandbox.recorder.peak > 1
    assert caller.sandbox.count("GET", "/api/*/version") == caller.sandbox.count() == 8


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (Failure(at="token", statuses=(503,), retry_after=1), 503),
        (Failure(at="token", statuses=(400,), error="invalid_grant"), 400),
    ],
    ids=["unavailable", "refused"],
)
def test_the_token_endpoint_can_fail(caller: Caller, failure: Failure, status: int) -> None:
    caller.sandbox.faults = Faults(failures=(failure,))
    answer = caller.grant()
    assert (answer.status_code, set(answer.json())) == (status, {"error", "error_description"})
    assert caller.call("groups").status_code == 200, "the API itself does not"


# -- groups


def test_a_group_can_be_closed_hidden_unlisted_or_empty(caller: Caller) -> None:
    ids = [group["id"] for group in caller.groups()]
    shut, hidden, unlisted, empty = ids[:4]
    caller.sandbox.faults = Faults(
        failures=closed(shut),
        hidden_groups=frozenset({hidden}),
        unlisted_groups=frozenset({unlisted}),
        empty_groups=frozenset({empty}),
    )
    assert [group["id"] for group in caller.groups()] == [shut, *ids[3:]]
    paths = ("", "/members", "/staff", "/drillables", "/objectives")
    found = {
        group: {(answer := caller.call(f"group/{group}{path}")).status_code: answer.json().get("id") for path in paths}
        for group in ids[:4]
    }
    assert found[shut] == {403: "no_group_access"}
    assert found[hidden] == {404: "group_not_found"}
    assert set(found[unlisted]) == set(found[empty]) == {200}
    assert caller.get(f"group/{empty}")["counts"] == {"members": 0, "drillables": 0, "tests": 0}
    for name, path in (("members", "members"), ("drillables", "drillables"), ("objectives", "objectives")):
        assert caller.get(f"group/{empty}/{path}")[name] == []


# -- pages and fields

PAGED = ("accounts", "groups", "group_members", "group_drillables")


@pytest.mark.parametrize("resource", PAGED)
def test_a_page_size_can_be_refused_or_cut_down(caller: Caller, paths: Paths, resource: str) -> None:
    path, key = paths.lists[resource]
    everything = caller.get(path, resultSize=100)[key]
    caller.sandbox.faults = Faults(refused_sizes={"*": 50, resource: 5})
    refused = caller.call(path, resultSize=6)
    assert (refused.status_code, refused.json()["id"]) == (400, "invalid_result_size")
    assert caller.get(path, resultSize=5)[key] == everything[:5]
    caller.sandbox.faults = Faults(clamped_sizes={resource: 2})
    assert caller.get(path, resultSize=100)[key] == everything[:2]


def second_page(caller: Caller, path: str, first: Any, size: int) -> Any:
    page = first.get("pagination")
    where = {"resultStart": size} if page is None else {"resultFrom": page["lastOnPage"]}
    return caller.get(path, resultSize=size, **where)


@pytest.mark.parametrize("resource", PAGED)
@pytest.mark.parametrize("what", ["repeat", "shrink", "empty", "short"])
def test_items_can_be_repeated_removed_or_left_out(caller: Caller, paths: Paths, resource: str, what: Any) -> None:
    path, key = paths.lists[resource]
    everything = caller.get(path, resultSize=100)[key]
    caller.sandbox.faults = Faults(pages=(PageFault(resource=resource, what=what, n=1),))
    first = caller.get(path, resultSize=2)
    second = second_page(caller, path, first, 2)
    expected = {"repeat": everything[1:4], "shrink": everything[3:5], "empty": [], "short": everything[2:4]}
    assert (first[key], second[key]) == (everything[:2], expected[what])
    if what == "short":
        assert caller.get(path, resultSize=100)[key] == everything[:-1]
    if "pagination" in second:
        assert second["pagination"]["total"] == len(everything) - (what == "shrink")


@pytest.mark.parametrize("resource", ["accounts", "groups", "group_members"])
def test_a_list_can_have_no_end(caller: Caller, paths: Paths, resource: str) -> None:
    path, key = paths.lists[resource]
    caller.sandbox.faults = Faults(pages=(PageFault(resource=resource, what="endless"),))
    pages = caller.cursor_pages(path, key, resultSize=100)
    assert sum(len(next(pages)) for _ in range(3)) == 300
    caller.sandbox.faults = Faults(pages=(PageFault(resource=resource, what="stuck"),))
    first = caller.get(path, resultSize=2)
    assert second_page(caller, path, first, 2)["pagination"]["lastOnPage"] == first["pagination"]["lastOnPage"]
    caller.sandbox.faults = Faults(pages=(PageFault(resource=resource, what="more_lies"),))
    assert caller.get(path, resultSize=100)["pagination"]["moreAvailable"] is True


@pytest.mark.parametrize("resource", ["accounts", "groups", "objectives"])
def test_a_total_can_be_wrong(caller: Caller, paths: Paths, resource: str) -> None:
    path, _ = paths.lists[resource]
    totals = []
    for n in (0, 3):
        caller.sandbox.faults = Faults(pages=(PageFault(resource=resource, what="total_off", n=n),))
        body = caller.get(path)
        totals.append(body.get("pagination", body)["total"])
    assert totals[1] == totals[0] + 3


@pytest.mark.parametrize(
    ("fault", "every"),
    [
        ({"resource": "accounts", "field": "account.name", "what": "missing", "every": 2}, 2),
        ({"resource": "groups", "field": "description", "what": "null"}, 1),
        ({"resource": "groups", "field": "counts.members", "what": "value", "value": "many"}, 1),
        ({"resource": "group_members", "field": "member.nickname", "what": "value", "value": {"a": [1]}}, 1),
        ({"resource": "*", "field": "organization_unit", "what": "value", "value": 1}, 1),
    ],
    ids=str,
)
def test_fields_can_be_missing_null_mistyped_or_unknown(
    caller: Caller, paths: Paths, fault: dict[str, Any], every: int
) -> None:
    path, key = paths.lists["groups" if fault["resource"] == "*" else fault["resource"]]
    usual = caller.get(path)[key]
    caller.sandbox.faults = Faults(fields=(FieldFault(**fault),))
    *inside, name = fault["field"].split(".")
    for number, pair in enumerate(zip(caller.get(path)[key], usual, strict=True)):
        item, before = (reduce(getitem, inside, one) for one in pair)
        assert item.get(name) == (before.get(name) if number % every else fault.get("value"))
