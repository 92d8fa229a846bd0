"""Lists are read completely, or marked, or refused: never cut short in silence, never read for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillster_pipeline import resources as api
from drillster_pipeline.api.paging import Listing, allowed_difference, count_if_short
from drillster_pipeline.archive import UnitFooter
from drillster_pipeline.errors import AnswerError

MOST = 300
"""Pages after which a test gives up."""

Answering = Callable[[dict[str, Any]], Any]


def read(answer: Answering, *, endpoint: Any = api.CATALOG_CONTENT, size: int = 100, **options: Any) -> Listing:
    """Follow a list as the walk does, with a second pass where the first is doubtful."""
    listing = Listing(endpoint, **options)
    for _ in range(MOST):
        if (query := listing.query) is None:
            return listing
        asked = min(size, listing.size or size)
        listing.add_page(answer({**query, "resultSize": asked}), asked)
        if listing.query is None and listing.passes == 1 and listing.needs_second_pass:
            listing.restart()
    raise AssertionError("the list is read for ever")


def things(count: int) -> list[dict[str, Any]]:
    return [{"id": f"id{number:04d}"} for number in range(count)]


class Server:
    """A list in pages, in any of the styles."""

    def __init__(
        self,
        count: int,
        *,
        clamp: int = 100,
        by: str = "id",
        ties: int = 1,
        inclusive: bool = False,
        total: bool = True,
        more: bool = True,
        name: str = "playables",
    ) -> None:
        self.items = things(count)
        self.clamp, self.by, self.ties, self.inclusive = clamp, by, ties, inclusive
        self.total, self.more, self.name = total, more, name
        self.asked: list[dict[str, Any]] = []

    def key(self, index: int) -> str:
        """What the cursor of an item is; so many items share one."""
        return f"{index // self.ties:06d}" if self.by == "moment" else self.items[index]["id"]

    def __call__(self, query: dict[str, Any]) -> Any:
        self.asked.append(query)
        size = min(query["resultSize"], self.clamp)
        if self.by == "index":
            start = int(query.get("resultStart", 0))
            body = {self.name: self.items[start : start + size]}
            return body | ({"total": len(self.items)} if self.total else {})
        start = 0
        if "resultFrom" in query:
            keys = [self.key(index) for index in range(len(self.items))]
            found = [index for index, key in enumerate(keys) if key == query["resultFrom"]]
            start = found[0] if self.inclusive else found[-1] + 1
        page = self.items[start : start + size]
        pagination: dict[str, Any] = {"total": len(self.items)} if self.total else {}
        if page:
            pagination["lastOnPage"] = self.key(start + len(page) - 1)
        if self.more:
            pagination["moreAvailable"] = start + len(page) < len(self.items)
        return {self.name: page, "pagination": pagination}


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
    assert count_if_short(listing.footer) is None
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
    assert count_if_short(listing.footer) is None


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
    assert count_if_short(listing.footer) is None


@given(st.integers(11, 350), st.integers(2, 9), clamps)
def test_those_who_share_a_moment_are_found_by_a_second_pass_or_missed_aloud(count: int, ties: int, clamp: int) -> None:
    # The cursor is the moment of the last item, and the next page starts after that moment.
    server = Server(count, clamp=clamp, by="moment", ties=ties)
    listing = read(server)
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
    assert len(listing.seen) == 240
    assert listing.passes == 2
    assert {query["resultSize"] for query in server.asked} == {100, 90}


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
    assert count_if_short(UnitFooter(items, total, expected, moved=True)) == says


@pytest.mark.parametrize(
    ("items", "total", "expected", "says"),
    [(100, 100, 130, 130), (100, 101, None, 101), (3000, 3001, 3001, 3001), (1, 2, None, 2), (2, 1, None, None)],
)
def test_of_a_total_that_stood_still_not_one_may_be_missing(
    items: int, total: int, expected: int | None, says: int | None
) -> None:
    assert count_if_short(UnitFooter(items, total, expected)) == says


def test_a_list_that_is_far_shorter_than_its_total_is_read_twice_and_marked() -> None:
    asked = []

    def answer(query: dict[str, Any]) -> Any:
        asked.append(query)
        return {"playables": things(60), "pagination": {"total": 90, "moreAvailable": False}}

    listing = read(answer)
    assert len(asked) == 2
    assert count_if_short(listing.footer) == 90


def test_a_list_of_one_page_that_is_one_short_is_marked_and_not_read_again() -> None:
    asked = []

    def answer(query: dict[str, Any]) -> Any:
        asked.append(query)
        return {"playables": things(60), "pagination": {"total": 61, "moreAvailable": False}}

    assert count_if_short(read(answer).footer) == 61
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
    assert count_if_short(listing.footer) == says


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
    assert count_if_short(listing.footer) == (None if total == 151 else 152)


def test_an_item_that_a_cursor_repeats_is_not_one_that_the_list_has_twice() -> None:
    server = Server(150, clamp=40, inclusive=True)
    listing = read(lambda query: within(server(query), total=151))
    assert listing.passes == 2
    assert listing.footer.doubled == 0
    assert count_if_short(listing.footer) == 151


def within(body: dict[str, Any], *, total: int) -> dict[str, Any]:
    body["pagination"]["total"] = total
    return body


@pytest.mark.parametrize("ties", [2, 60])
def test_a_second_pass_that_gets_stuck_costs_nothing_that_the_first_one_gave(ties: int) -> None:
    """So many share a moment that the smaller pages of the second pass are no longer than them."""
    server = Server(60 + ties, clamp=ties + 1, by="moment", ties=ties, inclusive=True)
    listing = read(lambda query: within(server(query), total=61 + ties))
    assert len(listing.seen) == 60 + ties
    assert count_if_short(listing.footer) == 61 + ties


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
    assert listing.footer == UnitFooter(20, 20)


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
    assert count_if_short(listing.footer) is None


@pytest.mark.parametrize("name", [None, "playables"])
def test_a_full_page_that_leads_nowhere_is_marked(name: str | None) -> None:
    def answer(query: dict[str, Any]) -> Any:
        page = things(150)[: query["resultSize"]]
        return page if name is None else {name: page}

    listing = read(answer)
    assert listing.footer.cut
    assert count_if_short(listing.footer) == len(listing.seen) + 1 == 101


def test_an_array_that_stays_as_long_when_less_is_asked_for_is_whole() -> None:
    listing = read(lambda _: things(100))
    assert listing.passes == 2
    assert count_if_short(listing.footer) is None


def test_a_full_page_that_leads_nowhere_is_no_trouble_if_it_is_all_that_is_counted() -> None:
    listing = read(lambda _: {"drillables": things(50)}, endpoint=api.GROUP_DRILLABLES, expected=50)
    assert count_if_short(listing.footer) is None


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


def by_cursor(*pages: tuple[int, int, Any, bool | None], total: int | None = None) -> Answering:
    """Pages as (first, last, cursor, more), one after the other; the last one for ever."""
    given = iter(pages)
    state = {"page": pages[0]}

    def answer(query: dict[str, Any]) -> Any:
        state["page"] = next(given, state["page"])
        first, last, cursor, more = state["page"]
        pagination = {"lastOnPage": cursor, "moreAvailable": more, "total": total}
        return {
            "playables": things(1000)[first:last],
            "pagination": {name: value for name, value in pagination.items() if value is not None},
        }

    return answer


@pytest.mark.parametrize(
    ("pages", "total", "says"),
    [
        ([(0, 100, "a", True), (100, 200, "a", True)], 300, "stands still"),
        ([(0, 100, "a", True), (100, 200, "a", True)], None, "stands still"),
        ([(0, 100, None, True)], 300, "no lastOnPage"),
        ([(0, 100, {"id": "a"}, True)], 300, "no lastOnPage"),
        ([(0, 100, "a", True), (0, 0, None, True)], 300, "no lastOnPage"),
        ([(0, 100, "a", True), (0, 0, None, True)], None, "no lastOnPage"),
        (
            [(0, 100, "a", True), (0, 100, "b", True), (0, 100, "c", True), (0, 100, "d", True)],
            None,
            "without bringing anything new",
        ),
        (
            [(0, 100, "a", True), (0, 0, "b", True), (0, 0, "c", True), (0, 0, "d", True)],
            300,
            "without bringing anything new",
        ),
        (
            [(number, number + 100, str(number), True) for number in range(0, 500, 100)],
            150,
            "beyond its own total",
        ),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else None,
)
def test_a_list_that_leads_nowhere_is_a_contract_error(pages: Any, total: int | None, says: str) -> None:
    with pytest.raises(AnswerError, match=says) as caught:
        read(by_cursor(*pages, total=total))
    assert caught.value.endpoint == "catalog/{catalog_id}/content"
    assert caught.value.exit_code == 6


def test_a_list_of_which_all_is_there_may_promise_what_it_likes() -> None:
    # The last page is empty and says that there is more, but the total has been reached.
    listing = read(by_cursor((0, 100, "a", True), (0, 0, None, True), total=100))
    assert len(listing.seen) == 100


def test_an_empty_page_between_full_ones_is_followed() -> None:
    listing = read(by_cursor((0, 100, "a", True), (0, 0, "b", True), (100, 150, "c", False), total=150))
    assert len(listing.seen) == 150


def test_a_last_page_without_flag_and_cursor_ends_a_list_by_cursor() -> None:
    # The first page had a cursor, so what follows is not asked for by index.
    listing = read(by_cursor((0, 100, "a", None), (0, 0, None, None), total=101))
    assert listing.query is None
    assert len(listing.seen) == 100


@pytest.mark.parametrize(
    "body",
    [
        {"playables": [], "pagination": []},
        {"playables": [], "pagination": {"moreAvailable": "yes"}},
        {"playables": "none"},
        {"a": [{"id": "1"}], "b": [{"id": "2"}]},
        "text",
        None,
    ],
    ids=repr,
)
def test_an_answer_without_a_readable_list_is_a_contract_error(body: Any) -> None:
    with pytest.raises(AnswerError, match=r"endpoint catalog/\{catalog_id\}/content"):
        Listing(api.CATALOG_CONTENT).add_page(body, 100)


@pytest.mark.parametrize(
    ("identify", "same", "other"),
    [
        (
            api.GROUP_MEMBERS.identity,
            [{"member": {"emailAddress": "a@x.example"}}, {"member": {"emailAddress": "A@X.example"}, "status": "x"}],
            {"member": {"emailAddress": "b@x.example"}},
        ),
        (
            api.GROUP_MEMBERS.identity,
            [{"member": {"id": "1", "name": "a"}}, {"member": {"id": "1"}, "joined": "2024-01-01T00:00:00Z"}],
            {"member": {"emailAddress": "1"}},
        ),
        (
            api.GROUP_MEMBERS.identity,
            [{"member": {"inviteeKey": "9"}}, {"user": {"inviteeKey": "9"}}],
            {"member": {"name": "somebody"}},
        ),
        (
            api.OBJECTIVE_EVENTS.identity,
            [{"eventId": "1", "type": "a"}, {"eventId": "1", "type": "b"}],
            {"type": "a", "user": {"id": "1"}},
        ),
        (
            api.TEST_RESULTS.identity,
            [{"user": {"id": "1"}, "testResults": []}, {"user": {"id": "1"}, "testResults": [{"id": "2"}]}],
            {"user": {"id": "1"}, "id": "1", "started": "2024-01-01T00:00:00Z"},
        ),
        (api.ACCOUNTS.identity, [{"account": {"id": "1"}}, {"id": "1"}], {"account": {"name": "1"}}),
    ],
    ids=["invitee", "member", "masked invitee", "event", "test result", "account"],
)
def test_items_are_told_apart(identify: Any, same: list[Any], other: Any) -> None:
    assert len({identify(item) for item in same}) == 1
    assert identify(other) not in {identify(item) for item in same}


@pytest.mark.parametrize("item", [None, "text", 7, [], {}, {"id": 5}, {"id": ""}, {"member": None}], ids=repr)
def test_an_item_that_says_nothing_of_itself_is_told_apart_by_all_that_it_says(item: Any) -> None:
    for endpoint in (api.ACCOUNTS, api.GROUP_MEMBERS, api.TEST_RESULTS, api.OBJECTIVE_EVENTS, api.RESULTS):
        assert endpoint.identity(item) == endpoint.identity(item)
        assert endpoint.identity(item) != endpoint.identity({"id": "something else", "user": {"id": "x"}})
