"""Lists are read whole, or marked, or refused: never cut short in silence, never read for ever."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline import resources as api
from drillster_pipeline.api.completeness import allowed_difference, promised

from .paged import Server, read

counts = st.one_of(st.integers(0, 40), st.integers(0, 350))
clamps = st.integers(10, 120)
sizes = st.sampled_from([100, 50, 10])


@given(counts, clamps, sizes, st.booleans(), st.booleans(), st.booleans())
def test_a_list_by_cursor_is_read_whole(
    count: int, clamp: int, size: int, inclusive: bool, total: bool, more: bool
) -> None:
    server = Server(count, clamp=clamp, inclusive=inclusive, total=total, more=more)
    listing = read(server, size=size)
    assert listing.seen == {item["id"] for item in server.items}
    assert promised(listing.end) is None
    assert listing.passes == 1


@given(counts, clamps, sizes, st.booleans(), st.sampled_from(["unknown", "right", "too low", "too high"]))
def test_a_list_by_index_is_read_whole(count: int, clamp: int, size: int, total: bool, promise: str) -> None:
    server = Server(count, clamp=clamp, by="index", total=total)
    expected = {"unknown": None, "right": count, "too low": count // 2, "too high": count + 2}[promise]
    if promise == "too low" and not total and clamp not in {10, 50} and count > clamp:
        expected = None  # a count that is far too low, and nothing else to go by: that can't be seen through
    listing = read(server, size=size, expected=expected)
    assert listing.seen == {item["id"] for item in server.items}


@pytest.mark.parametrize("count", [101, 150, 250])
def test_where_nothing_is_counted_what_moves_to_a_page_that_was_read_is_found_by_a_second_pass(count: int) -> None:
    server = Server(count, by="index", total=False)

    def answer(query: dict[str, Any]) -> Any:
        if query.get("resultStart") == 100 and len(server.items) == count:
            del server.items[3]
        return server(query)

    listing = read(answer)
    assert {item["id"] for item in server.items} <= listing.seen
    assert listing.passes == 2


def test_a_list_of_one_page_that_counts_nothing_is_read_once() -> None:
    for count in (0, 9, 12, 99):
        assert read(Server(count, by="index", total=False)).passes == 1


@given(counts, clamps)
def test_groups_with_a_top_level_total_are_followed_by_id_where_an_index_is_not_heeded(count: int, clamp: int) -> None:
    server = Server(count, clamp=clamp, name="groups")

    def answer(query: dict[str, Any]) -> Any:
        body = server(query)
        return {"groups": body["groups"], "total": count}

    listing = read(answer, endpoint=api.GROUPS)
    assert listing.seen == {item["id"] for item in server.items}
    assert promised(listing.end) is None


@given(counts, sizes, st.sampled_from(["grouped", "flat"]), st.data())
def test_the_test_results_of_a_group_are_read_whole(count: int, size: int, form: str, data: st.DataObject) -> None:
    attempts = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    clamp, counts_attempts = data.draw(clamps), form == "flat" and data.draw(st.booleans())
    people: list[Any] = [
        {"user": {"id": f"u{number}"}, "testResults": [{"id": f"a{number}-{one}"} for one in range(made)]}
        for number, made in enumerate(attempts)
    ]
    flat = [one | {"user": person["user"]} for person in people for one in person["testResults"]]
    entries = flat if counts_attempts else people

    def answer(query: dict[str, Any]) -> Any:
        start = int(query.get("resultStart", 0))
        page = entries[start : start + min(query["resultSize"], clamp)]
        if form == "flat" and not counts_attempts:
            page = [one | {"user": person["user"]} for person in page for one in person["testResults"]]
        return {"total": len(entries), "memberTestResults": page}

    listing = read(answer, endpoint=api.TEST_RESULTS, size=size)
    wanted = {f"attempt:{one['id']}" for one in flat} if form == "flat" else {one["user"]["id"] for one in people}
    assert listing.seen == wanted
    assert promised(listing.end) is None


@given(st.integers(11, 350), st.integers(2, 9), clamps)
def test_those_who_share_a_moment_are_found_by_a_second_pass_or_missed_aloud(count: int, ties: int, clamp: int) -> None:
    # The cursor is the moment of the last item, and the next page starts after that moment.
    server = Server(count, clamp=clamp, by="moment", ties=ties)
    listing = read(server)
    missed = count - len(listing.seen)
    if missed:
        assert listing.passes == 2
        assert promised(listing.end) is not None or missed <= allowed_difference(count)
    assert listing.total == count


def test_a_second_pass_ends_its_pages_elsewhere() -> None:
    # Accounts 98 to 101 were created in the same millisecond, and page 1 ends in the middle of them.
    server = Server(240, by="moment")
    server.key = lambda index: "moment" if 98 <= index <= 101 else f"{index:06d}"  # type: ignore[method-assign]  # of this server alone
    listing = read(server)
    assert len(listing.seen) == 240
    assert listing.passes == 2
    assert {query["resultSize"] for query in server.asked} == {100, 90}
