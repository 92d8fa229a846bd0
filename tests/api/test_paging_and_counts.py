"""What Drillster's own counts say of a list, and what is known where it counts nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from drillster_pipeline import resources as api
from drillster_pipeline.api.completeness import promised
from drillster_pipeline.api.paging import Listing
from drillster_pipeline.archive import UnitFooter

from .paged import Server, read, things


@pytest.mark.parametrize(
    ("items", "total", "expected", "says"),
    [
        (100, 100, None, None),
        (100, 101, None, None),
        (100, 103, None, None),
        (100, 104, None, 104),
        (3000, 3030, None, None),
        (3000, 3031, None, 3031),
        (12, 10, None, None),
        (4, 5, None, None),
        (3, 5, None, 5),
        (0, 1, None, 1),
        (0, 0, None, None),
        (0, None, 1, 1),
        (0, 0, 1, None),
        (0, 0, 40, 40),
        (41, 43, 50, 50),
        (41, None, 41, None),
    ],
)
def test_a_few_missing_are_life_and_many_are_a_hole(
    items: int, total: int | None, expected: int | None, says: int | None
) -> None:
    assert promised(UnitFooter(items, total, expected, moved=True)) == says


@pytest.mark.parametrize(
    ("items", "total", "expected", "says"),
    [(100, 100, 130, 130), (100, 101, None, 101), (3000, 3001, 3001, 3001), (1, 2, None, 2), (2, 1, None, None)],
)
def test_of_a_total_that_stood_still_not_one_may_be_missing(
    items: int, total: int, expected: int | None, says: int | None
) -> None:
    assert promised(UnitFooter(items, total, expected)) == says


def test_a_list_that_is_far_shorter_than_its_total_is_read_twice_and_marked() -> None:
    asked = []

    def answer(query: dict[str, Any]) -> Any:
        asked.append(query)
        return {"playables": things(60), "pagination": {"total": 90, "moreAvailable": False}}

    listing = read(answer)
    assert len(asked) == 2
    assert promised(listing.end) == 90


def test_a_list_of_one_page_that_is_one_short_is_marked_and_not_read_again() -> None:
    asked = []

    def answer(query: dict[str, Any]) -> Any:
        asked.append(query)
        return {"playables": things(60), "pagination": {"total": 61, "moreAvailable": False}}

    assert promised(read(answer).end) == 61
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("totals", "says"), [((151, 151, 151, 151), 151), ((152, 151, 152, 151), None), ((152, 151, 151, 151), 151)]
)
def test_a_total_explains_that_one_is_missing_only_if_it_changed_in_the_last_pass(
    totals: tuple[int, ...], says: int | None
) -> None:
    server, named = Server(150), iter(totals)

    def answer(query: dict[str, Any]) -> Any:
        body = server(query)
        body["pagination"]["total"] = next(named)
        return body

    listing = read(answer)
    assert listing.passes == 2
    assert promised(listing.end) == says


@pytest.mark.parametrize("places", [(3, 3), (3, 140)], ids=["on a page", "on two pages"])
@pytest.mark.parametrize("total", [151, 152])
def test_a_total_may_count_an_item_that_the_list_has_twice_but_no_other(places: tuple[int, int], total: int) -> None:
    items = things(150)
    items.insert(places[1], items[places[0]])

    def answer(query: dict[str, Any]) -> Any:
        start = int(query.get("resultStart", 0))
        return {"playables": items[start : start + 40], "total": total}

    listing = read(answer)
    assert len(listing.seen) == 150
    assert promised(listing.end) == (None if total == 151 else 152)


def test_an_item_that_a_cursor_repeats_is_not_one_that_the_list_has_twice() -> None:
    server = Server(150, clamp=40, inclusive=True)
    listing = read(lambda query: within(server(query), total=151))
    assert listing.passes == 2
    assert listing.end.doubled == 0
    assert promised(listing.end) == 151


def within(body: dict[str, Any], *, total: int) -> dict[str, Any]:
    body["pagination"]["total"] = total
    return body


@pytest.mark.parametrize("ties", [2, 60])
def test_a_second_pass_that_gets_stuck_costs_nothing_that_the_first_one_gave(ties: int) -> None:
    """So many share a moment that the smaller pages of the second pass are no longer than them."""
    server = Server(60 + ties, clamp=ties + 1, by="moment", ties=ties, inclusive=True)
    listing = read(lambda query: within(server(query), total=61 + ties))
    assert len(listing.seen) == 60 + ties
    assert promised(listing.end) == 61 + ties


def test_what_either_pass_gave_counts_and_is_new_only_once() -> None:
    listing = Listing(api.CATALOG_CONTENT)
    page = {"total": 20}
    assert len(listing.add_page({"playables": things(12), **page}, 100)) == 12
    listing.add_page({"playables": [], **page}, 100)
    while listing.query is not None:
        listing.add_page({"playables": [], **page}, 100)
    assert listing.needs_second_pass
    listing.restart()
    fresh = listing.add_page({"playables": things(20)[8:], **page}, 100)
    assert [item["id"] for item in fresh] == [item["id"] for item in things(20)[12:]]
    assert listing.end == UnitFooter(20, 20)


def test_a_total_that_changes_while_a_list_is_read_by_index_is_a_reason_to_read_it_again() -> None:
    first = Server(150, by="index", clamp=50)

    def answer(query: dict[str, Any]) -> Any:
        body = first(query)
        if len(first.asked) == 1:
            del first.items[0]  # whoever pages by index now misses one
        return body

    listing = read(answer)
    assert listing.passes == 2
    assert len(listing.seen) == 150


def test_an_endpoint_that_ignores_where_to_start_gives_everything_once() -> None:
    listing = read(lambda _: {"drillables": things(25)}, endpoint=api.GROUP_DRILLABLES)
    assert len(listing.seen) == 25
    assert listing.pages == 2
    assert promised(listing.end) is None


@pytest.mark.parametrize("name", [None, "playables"])
def test_a_full_page_that_leads_nowhere_is_marked(name: str | None) -> None:
    def answer(query: dict[str, Any]) -> Any:
        page = things(150)[: query["resultSize"]]
        return page if name is None else {name: page}

    listing = read(answer)
    assert listing.end.cut
    assert promised(listing.end) == len(listing.seen) + 1 == 101


def test_an_array_that_stays_as_long_when_less_is_asked_for_is_whole() -> None:
    listing = read(lambda _: things(100))
    assert listing.passes == 2
    assert promised(listing.end) is None


def test_a_full_page_that_leads_nowhere_is_no_trouble_if_it_is_all_that_is_counted() -> None:
    listing = read(lambda _: {"drillables": things(50)}, endpoint=api.GROUP_DRILLABLES, expected=50)
    assert promised(listing.end) is None


def test_a_bare_array_that_is_not_just_a_page_is_all_there_is() -> None:
    for count in (0, 99, 101, 250):
        listing = read(lambda _, count=count: things(count))
        assert listing.pages == 1
        assert len(listing.seen) == count


def test_a_short_page_ends_a_list_without_total_only_if_no_server_would_cut_there() -> None:
    def pages(*counts: int) -> Iterator[int]:
        yield from counts

    # The last 0 is for a second pass: without a total nobody knows what moved between two pages.
    for given_, wanted in (((25, 25, 4, 0), 54), ((10, 0, 0), 10), ((9,), 9)):
        counts = pages(*given_)
        done = 0

        def answer(_: dict[str, Any], counts: Iterator[int] = counts) -> Any:
            nonlocal done
            count = next(counts)
            page = things(1000)[done : done + count]
            done += count
            return {"drillables": page}

        assert len(read(answer, endpoint=api.GROUP_DRILLABLES).seen) == wanted
