"""A list that leads nowhere is refused, unless all of it is there or it just ends."""

from __future__ import annotations

from typing import Any

import pytest

from drillster_pipeline import resources as api
from drillster_pipeline.api.paging import Listing
from drillster_pipeline.errors import AnswerError

from .paged import Answering, read, things


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
