"""Lists are read completely, or marked, or refused: never cut short in silence, never read for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline import resources as api
from drillster_pipeline.api.paging import Listing, allowed_difference, count_if_short
from drillster_pipeline.archive.records import UnitFooter
from drillster_pipeline.errors import AnswerError

MOST = 300
"""Pages after which a test gives up."""

Answering = Callable[[dict[str, Any]], Any]


def read(answer: Answering, *, endpoint: Any = api.CATALOG_CONTENT, size: int = 100, **options: Any) -> Listing:
    """Follow a list as the crawler does, with a second pass where the first is doubtful."""
    listing = Listing(endpoint, **options)
    for _ in range(MOST):
        if (query := listing.query) is None:
            return listing
        requested = min(size, listing.size or size)
        listing.add_page(answer({**query, "resultSize": requested}), requested)
        if listing.query is None and listing.passes == 1 and listing.needs_second_pass:
            listing.restart()
    raise AssertionError("the list is read for ever")


def things(count: int) -> list[dict[str, Any]]:
    return [{"id": f"id{number:04d}"} for number in range(count)]


@dataclass
class Server:
    """A list in pages, in any of the styles."""

    count: int
    clamp: int = 100
    by: str = "id"
    ties: int = 1
    inclusive: bool = False
    total: int | None = None
    more: bool = True

    def __post_init__(self) -> None:
        self.items = things(self.count)
        self.named = self.count if self.total is None else self.total
        self.requests: list[dict[str, Any]] = []

    def key(self, index: int) -> str:
        """The cursor of an item; so many items share one."""
        return f"{index // self.ties:06d}" if self.by == "moment" else self.items[index]["id"]

    def __call__(self, query: dict[str, Any]) -> Any:
        self.requests.append(query)
        size = min(query["resultSize"], self.clamp)
        total = {"total": self.named} if self.named >= 0 else {}
        if self.by == "index":
            start = int(query.get("resultStart", 0))
            return {"playables": self.items[start : start + size], **total}
        start = 0
        if "resultFrom" in query:
            found = [index for index in range(len(self.items)) if self.key(index) == query["resultFrom"]]
            start = found[0] if self.inclusive else found[-1] + 1
        page = self.items[start : start + size]
        pagination: dict[str, Any] = dict(total)
        if page:
            pagination["lastOnPage"] = self.key(start + len(page) - 1)
        if self.more:
            pagination["moreAvailable"] = start + len(page) < len(self.items)
        return {"playables": page, "pagination": pagination}


counts = st.one_of(st.integers(0, 40), st.integers(0, 350))
clamps = st.integers(10, 120)
sizes = st.sampled_from([100, 50, 10])
totals = st.sampled_from([None, -1])
"""Right, or not given."""


@given(counts, clamps, sizes, st.booleans(), totals, st.booleans())
def test_a_list_by_cursor_is_read_completely(
    count: int, clamp: int, size: int, inclusive: bool, total: int | None, more: bool
) -> None:
    server = Server(count, clamp=clamp, inclusive=inclusive, total=total, more=more)
    listing = read(server, size=size)
    assert listing.seen == {item["id"] for item in server.items}
    assert count_if_short(listing.footer) is None
    assert listing.passes == 1


@given(counts, clamps, sizes, totals, st.sampled_from(["unknown", "right", "too low", "too high"]))
def test_a_list_by_index_is_read_completely(count: int, clamp: int, size: int, total: int | None, promise: str) -> None:
    server = Server(count, clamp=clamp, by="index", total=total)
    expected = {"unknown": None, "right": count, "too low": count // 2, "too high": count + 2}[promise]
    if promise == "too low" and total and clamp not in {10, 50} and count > clamp:
        expected = None  # a count that is far too low, and nothing else to go by: that can't be found out
    listing = read(server, size=size, expected=expected)
    assert listing.seen == {item["id"] for item in server.items}
    if promise == "unknown" and count < min(clamp, size) - 1:
        assert listing.passes == 1


@given(counts, clamps)
def test_groups_with_a_top_level_total_are_followed_by_id_where_an_index_is_not_heeded(count: int, clamp: int) -> None:
    server = Server(count, clamp=clamp)
    listing = read(lambda query: {"groups": server(query)["playables"], "total": count}, endpoint=api.GROUPS)
    assert listing.seen == {item["id"] for item in server.items}
    assert count_if_short(listing.footer) is None


@given(counts, sizes, st.sampled_from(["grouped", "flat"]), st.data())
def test_the_test_results_of_a_group_are_read_completely(count: int, size: int, form: str, data: st.DataObject) -> None:
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
    assert count_if_short(listing.footer) is None


@given(st.integers(11, 350), st.integers(2, 9), clamps)
def test_items_that_share_a_moment_are_found_by_a_second_pass_or_counted_as_missing(
    count: int, ties: int, clamp: int
) -> None:
    # The cursor is the moment of the last item, and the next page starts after that moment.
    listing = read(Server(count, clamp=clamp, by="moment", ties=ties))
    missed = count - len(listing.seen)
    if missed:
        assert listing.passes == 2
        assert count_if_short(listing.footer) is not None or missed <= allowed_difference(count)
    assert listing.total == count


def test_a_second_pass_ends_its_pages_elsewhere() -> None:
    # Accounts 98 to 101 were created in the same millisecond, and page 1 ends in the middle of them.
    server = Server(240, by="moment")
    server.key = lambda index: "moment" if 98 <= index <= 101 else f"{index:06d}"  # type: ignore[method-assign]  # of this server alone
    listing = read(server)
    assert (len(listing.seen), listing.passes) == (240, 2)
    assert {query["resultSize"] for query in server.requests} == {100, 90}


@pytest.mark.parametrize(
    ("items", "total", "expected", "moved", "short_of"),
    [
        *((100, total, None, True, total if total > 103 else None) for total in (100, 101, 103, 104)),
        (3000, 3030, None, True, None),
        (3000, 3031, None, True, 3031),
        (12, 10, None, True, None),
        (4, 5, None, True, None),
        (3, 5, None, True, 5),
        (0, 1, None, True, 1),
        (0, None, 1, True, 1),
        (0, 0, 1, True, None),
        (0, 0, 40, True, 40),
        (41, 43, 50, True, 50),
        (41, None, 41, True, None),
        (100, 100, 130, False, 130),
        (100, 101, None, False, 101),
        (3000, 3001, 3001, False, 3001),
        (1, 2, None, False, 2),
        (2, 1, None, False, None),
    ],
)
def test_a_few_items_may_be_missing_only_if_the_total_changed(
    items: int, total: int | None, expected: int | None, moved: bool, short_of: int | None
) -> None:
    assert count_if_short(UnitFooter(items, total, expected, moved=moved)) == short_of


@pytest.mark.parametrize(
    ("named", "short_of"),
    [
        ((151, 151, 151, 151), 151),
        ((152, 151, 152, 151), None),
        ((152, 151, 151, 151), 151),
        ((None, 151, 151, 151), 151),
    ],
)
def test_a_total_explains_that_one_is_missing_only_if_it_changed_in_the_last_pass(
    named: tuple[int | None, ...], short_of: int | None
) -> None:
    server, totals_ = Server(150), iter(named)

    def answer(query: dict[str, Any]) -> Any:
        body = server(query)
        body["pagination"]["total"] = next(totals_)
        return body

    listing = read(answer)
    assert listing.passes == 2
    assert count_if_short(listing.footer) == short_of


@pytest.mark.parametrize("place", [3, 140], ids=["on a page", "on two pages"])
@pytest.mark.parametrize("total", [151, 152])
def test_a_total_may_count_an_item_that_the_list_has_twice_but_no_other(place: int, total: int) -> None:
    server = Server(150, by="index", clamp=40, total=total)
    server.items.insert(place, server.items[3])
    listing = read(server)
    assert len(listing.seen) == 150
    assert count_if_short(listing.footer) == (None if total == 151 else 152)


@pytest.mark.parametrize(
    ("count", "ties", "clamp"),
    [
        pytest.param(150, 1, 40, id="repeated by a cursor, and not by the list"),
        # So many share a moment that the smaller pages of the second pass are no longer than them.
        pytest.param(62, 2, 3, id="a second pass that cannot be followed"),
        pytest.param(120, 60, 61, id="a second pass of one page that cannot be followed"),
    ],
)
def test_a_second_pass_takes_nothing_from_the_first(count: int, ties: int, clamp: int) -> None:
    by = "id" if ties == 1 else "moment"
    listing = read(Server(count, clamp=clamp, by=by, ties=ties, inclusive=True, total=count + 1))
    assert (len(listing.seen), listing.passes, listing.footer.doubled) == (count, 2, 0)
    assert count_if_short(listing.footer) == count + 1


def test_items_of_both_passes_count_and_are_new_only_once() -> None:
    listing = Listing(api.CATALOG_CONTENT)
    assert len(listing.add_page({"playables": things(12), "total": 20}, 100)) == 12
    while listing.query is not None:
        listing.add_page({"playables": [], "total": 20}, 100)
    assert listing.needs_second_pass
    listing.restart()
    fresh = listing.add_page({"playables": things(20)[8:], "total": 20}, 100)
    assert [item["id"] for item in fresh] == [item["id"] for item in things(20)[12:]]
    assert listing.footer == UnitFooter(20, 20)


@pytest.mark.parametrize(("total", "first"), [(None, 0), (-1, 3)], ids=["its total changes", "nothing is counted"])
def test_what_moves_to_a_page_that_was_read_by_index_is_found_by_a_second_pass(total: int | None, first: int) -> None:
    server = Server(150, by="index", clamp=50, total=total)

    def answer(query: dict[str, Any]) -> Any:
        body = server(query)
        if len(server.requests) == 1:
            del server.items[first]
            server.named -= total is None
        return body

    listing = read(answer)
    assert listing.passes == 2
    assert {item["id"] for item in server.items} <= listing.seen


@pytest.mark.parametrize(
    ("body", "options", "pages", "short_of"),
    [
        ({"drillables": things(25)}, {"endpoint": api.GROUP_DRILLABLES}, 2, None),
        # A page of the size that is requested.
        ({"drillables": things(50)}, {"endpoint": api.GROUP_DRILLABLES, "expected": 50}, 2, None),
        ({"playables": things(60), "pagination": {"total": 90, "moreAvailable": False}}, {}, 2, 90),
        ({"playables": things(60), "pagination": {"total": 61, "moreAvailable": False}}, {}, 1, 61),
        *((things(count), {}, 1, None) for count in (0, 99, 101, 250)),
        # Requested again with a smaller size, it is as long.
        (things(100), {}, 3, None),
    ],
)
def test_a_list_that_is_answered_all_at_once_is_read_as_often_as_needed(
    body: Any, options: Any, pages: int, short_of: int | None
) -> None:
    listing = read(lambda _: body, **options)
    assert listing.pages == pages
    assert len(listing.seen) == len(body if isinstance(body, list) else next(iter(body.values())))
    assert count_if_short(listing.footer) == short_of


@pytest.mark.parametrize("wrap", [lambda page: page, lambda page: {"playables": page}], ids=["array", "object"])
def test_a_full_page_that_leads_nowhere_is_marked(wrap: Any) -> None:
    listing = read(lambda query: wrap(things(150)[: query["resultSize"]]))
    assert listing.footer.cut
    assert count_if_short(listing.footer) == len(listing.seen) + 1 == 101


@pytest.mark.parametrize(
    ("pages", "wanted"), [((25, 25, 4, 0), 54), ((10, 0, 0), 10), ((9,), 9)], ids=["short", "just a page", "shorter"]
)
def test_a_short_page_ends_a_list_without_total_only_if_no_server_would_cut_there(
    pages: tuple[int, ...], wanted: int
) -> None:
    rest, given_ = iter(pages), iter(things(1000))
    answer = {"drillables": None}
    listing = read(
        lambda _: answer | {"drillables": [next(given_) for _ in range(next(rest))]}, endpoint=api.GROUP_DRILLABLES
    )
    assert len(listing.seen) == wanted


def by_cursor(*pages: tuple[int, int, Any, bool | None], total: int | None = None) -> Answering:
    """Pages as (first, last, cursor, more), one after the other; the last one for ever."""
    rest = list(pages)

    def answer(_: dict[str, Any]) -> Any:
        first, last, cursor, more = rest.pop(0) if len(rest) > 1 else rest[0]
        pagination = {"lastOnPage": cursor, "moreAvailable": more, "total": total}
        named = {name: value for name, value in pagination.items() if value is not None}
        return {"playables": things(1000)[first:last], "pagination": named}

    return answer


@pytest.mark.parametrize(
    ("pages", "total", "problem"),
    [
        ([(0, 100, "a", True), (100, 200, "a", True)], 300, "stands still"),
        ([(0, 100, "a", True), (100, 200, "a", True)], None, "stands still"),
        ([(0, 100, None, True)], 300, "no lastOnPage"),
        ([(0, 100, {"id": "a"}, True)], 300, "no lastOnPage"),
        ([(0, 100, "a", True), (0, 0, None, True)], None, "no lastOnPage"),
        ([(0, 100, cursor, True) for cursor in "abcd"], None, "without bringing anything new"),
        ([(0, 100, "a", True), *((0, 0, cursor, True) for cursor in "bcd")], 300, "without bringing anything new"),
        ([(start, start + 100, str(start), True) for start in range(0, 500, 100)], 150, "beyond its own total"),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else None,
)
def test_a_list_that_leads_nowhere_is_a_contract_error(pages: Any, total: int | None, problem: str) -> None:
    with pytest.raises(AnswerError, match=problem) as caught:
        read(by_cursor(*pages, total=total))
    assert caught.value.endpoint == "catalog/{catalog_id}/content"
    assert caught.value.exit_code == 6


@pytest.mark.parametrize(
    ("pages", "total", "items"),
    [
        pytest.param([(0, 100, "a", True), (0, 0, None, True)], 100, 100, id="more is promised of a complete list"),
        pytest.param([(0, 100, "a", True), (0, 0, "b", True), (100, 150, "c", False)], 150, 150, id="an empty page"),
        # The first page had a cursor, so what follows is not requested by index.
        pytest.param([(0, 100, "a", None), (0, 0, None, None)], 101, 100, id="no flag and no cursor"),
    ],
)
def test_a_list_with_an_odd_page_is_read_to_its_end(pages: Any, total: int, items: int) -> None:
    assert len(read(by_cursor(*pages, total=total)).seen) == items


@pytest.mark.parametrize(
    "body",
    [
        {"playables": [], "pagination": []},
        {"playables": [], "pagination": {"moreAvailable": "yes"}},
        {"playables": "none"},
        {"playables": [{"name": reduce(lambda inside, _: [inside], range(3_000), [])}]},
    ],
    ids=["pagination", "moreAvailable", "no list", "an item that is too deep"],
)
def test_a_page_that_cannot_be_read_is_a_contract_error(body: Any) -> None:
    with pytest.raises(AnswerError, match=r"endpoint catalog/\{catalog_id\}/content"):
        Listing(api.CATALOG_CONTENT).add_page(body, 100)
