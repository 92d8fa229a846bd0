"""Reading a list to its end: the paging styles, and the proof that nothing was left out.

API 2.1.1 pages by cursor (``resultFrom``, the response's ``pagination.lastOnPage`` copied verbatim) or by index
(``resultStart``). Which one an endpoint uses is documented for most and shown by the response for all, so the response
decides. A list that cannot be followed to its end is a ContractError, never an endless loop and never a short read
that looks complete. Where Drillster's own count says that something was missed, the list is read a second time, and
what either pass gave counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from drillster_pipeline.archive.records import UnitFooter
from drillster_pipeline.errors import AnswerError, ContractError
from drillster_pipeline.resources import Resource
from drillster_pipeline.response_shapes import Json, named_total

PAGE_SIZES = (100, 50, 10)
"""Sizes to ask for, in turn, as Drillster refuses them (400 ``invalid_result_size``); 100 is the documented maximum."""
SMALLEST_PAGE = 10
"""Drillster's default for most lists: no page but the last is shorter, whatever size is asked for."""
MOST_IDLE_PAGES = 3
"""Pages in a row that bring nothing new, while more is promised: overlap explains one or two, not more."""

Query = dict[str, str | int]


@dataclass(slots=True)
class _Page:
    """A response that was asked for with ``resultSize=size``."""

    items: list[Json]
    size: int
    total: int | None
    pagination: dict[str, Any] | None
    more: bool | None
    """``pagination.moreAvailable``; older responses lack it."""
    news: int = 0
    """Items that this pass did not have before."""

    @classmethod
    def of(cls, endpoint: Resource, body: Json, size: int) -> _Page:
        """Raises ContractError for a response without a list, or with paging fields of another type."""
        pagination = body.get("pagination") if isinstance(body, dict) else None
        items, total = endpoint.items(body), named_total(body)
        if pagination is not None and not isinstance(pagination, dict):
            raise ContractError(f"'pagination' should be an object, is {type(pagination).__name__}")
        more = pagination.get("moreAvailable") if pagination else None
        if more is not None and not isinstance(more, bool):
            raise ContractError(f"'pagination.moreAvailable' should be true or false, is {type(more).__name__}")
        return cls(items, size, total, pagination, more)


@dataclass(slots=True)
class _Pass:
    """One reading of a list, from its start."""

    ids: set[str] = field(default_factory=set)
    """Identities of its items."""
    pages: int = 0
    pages_with_news: int = 0
    idle_pages: int = 0
    """Pages in a row that brought nothing new."""
    last_page: set[str] = field(default_factory=set)
    """Identities of the items of the page before."""
    repeated: set[str] = field(default_factory=set)
    """Items that came again, and not just at the boundary of two pages, where a cursor may repeat some.

    A list that moves repeats items as well; if both passes get the same ones again, the list has them twice.
    """
    is_moved: bool = False
    """The total changed."""
    is_shifted: bool = False
    """It changed while the list was read by index: what moved across a page boundary was missed or doubled."""
    is_cut: bool = False
    by_index: bool = False
    """Read by index: what is removed from a page that was read moves an item to it, unseen."""
    start: int = 0
    """Index of the next page."""
    cursor: str | None = None
    last_id: str | None = None
    """Identity of the last item of the last page that brought anything new."""
    by_id: bool = False
    """Read by that id, as the responses give no cursor and ``resultStart`` was not heeded."""


class Listing:
    """How far a list has been read.

    ``expected`` is how many items Drillster's counts of the group promise, where they do.
    """

    def __init__(self, endpoint: Resource, expected: int | None = None) -> None:
        self.endpoint = endpoint
        self.expected = expected
        self.total: int | None = None
        """Drillster's total as last named; None if it never named one."""
        self.pages = 0
        self.passes = 1
        self.seen: set[str] = set()
        """Identities of all items, over both passes."""
        self.query: Query | None = {}
        """The query of the next page, but for ``resultSize``; None once the list is read."""
        self._pass = _Pass(self.seen)
        self._longest = 0
        """Items on the longest page so far."""
        self._doubled: set[str] = set()
        """Items that a page had twice."""
        self._repeated_before: set[str] = set()
        self._has_ended = False
        """An earlier pass came to the end of the list."""
        self._counts_items = endpoint.attempt_by is None
        """Whether ``total`` can be compared with the number of items."""

    @property
    def size(self) -> int | None:
        """The size to ask for in a second pass, so that pages end elsewhere; None where any will do."""
        return self._longest - max(1, self._longest // 10) if self.passes > 1 and self._longest > 1 else None

    @property
    def footer(self) -> UnitFooter:
        """What the archive keeps of the reading."""
        doubled = len(self._doubled | (self._pass.repeated & self._repeated_before))
        total = self.total if self._counts_items else None
        return UnitFooter(
            len(self.seen), total, self.expected, cut=self._pass.is_cut, moved=self._pass.is_moved, doubled=doubled
        )

    @property
    def needs_second_pass(self) -> bool:
        """Whether another pass may find what this one has missed.

        Where a list has several pages, that is so for any difference: a cursor that is a moment skips those who share
        the moment with the last one on the page, and the same ones in every run. So it is where nothing is counted and
        the pages go by index: no response says what changed between two of them.
        """
        this = self._pass
        counted = self.expected if self.total is None else self.total
        gap = this.pages > 1 and counted is not None and len(this.ids) < counted and self._counts_items
        full = self._longest in PAGE_SIZES or this.pages_with_news > 1
        uncounted = counted is None and this.by_index and this.pages > 1 and full
        # Of one page a few less than counted are marked at once: to read it again costs as much as all of it did.
        return this.is_shifted or gap or uncounted or count_if_short(replace(self.footer, moved=True)) is not None

    def restart(self) -> None:
        """Read from the start once more; everything that was seen stays so."""
        self._has_ended = self.query is None
        self.passes += 1
        self._repeated_before = self._pass.repeated
        self.query, self._pass = {}, _Pass()

    def add_page(self, body: Json, size: int) -> list[Json]:
        """Account for a page that was asked for with ``resultSize=size``; returns its items that are new.

        Raises AnswerError where the page has no list, or the list can't be followed further.
        """
        path, this = self.endpoint.path, self._pass
        try:
            page = _Page.of(self.endpoint, body, size)
            fresh = self._add_items(page)
        except ContractError as problem:
            raise AnswerError(f"{problem} (endpoint {path})", endpoint=path) from None
        self.pages += 1
        this.pages += 1
        this.idle_pages = 0 if page.news else this.idle_pages + 1
        this.pages_with_news += page.news > 0
        self._longest = max(self._longest, len(page.items))
        before, self.total = self.total, self.total if page.total is None else page.total
        is_changed = this.pages > 1 and before != self.total
        this.is_moved |= is_changed and before is not None
        pagination = page.pagination
        if pagination is not None and (page.more is not None or "lastOnPage" in pagination or this.cursor is not None):
            this.is_shifted |= is_changed and self._cursor_is_an_index
            self.query = self._by_cursor(page, pagination.get("lastOnPage"))
        elif isinstance(body, list) and this.pages == 1 and len(page.items) != size:
            self.query = None  # a bare array is a list without pages; only one of just the size asked for may go on
        else:
            this.is_shifted |= is_changed
            this.by_index = True
            self.query = self._by_index(page)
        return fresh

    def _add_items(self, page: _Page) -> list[Json]:
        """Count the items of a page; returns those that neither pass has seen."""
        identity, attempt_by, this = self.endpoint.identity, self.endpoint.attempt_by, self._pass
        fresh = []
        on_page: set[str] = set()
        for item in page.items:
            key = identity(item)
            if key in on_page:
                self._doubled.add(key)
            elif key in this.ids and key not in this.last_page:
                this.repeated.add(key)
            on_page.add(key)
            if attempt_by is not None and attempt_by(item) is None:
                self._counts_items = True
            if key not in this.ids:
                page.news += 1
                if key not in self.seen:
                    fresh.append(item)
                    self.seen.add(key)
                this.ids.add(key)
        this.last_page = on_page
        return fresh

    @property
    def _is_reached(self) -> bool:
        """Whether this pass has as many items as Drillster counts."""
        return self.total is not None and len(self._pass.ids) >= self.total

    @property
    def _cursor_is_an_index(self) -> bool:
        """Whether the cursor that led to this page is how many items come before it (members may page so)."""
        cursor = self._pass.cursor
        return cursor is not None and cursor.isdecimal() and len(cursor) < 10 and int(cursor) <= len(self._pass.ids)

    def _ends_with(self, page: _Page) -> bool:
        """Whether a page is so short that it must be the last, where neither a total nor a flag says so."""
        count = len(page.items)
        if self.expected is not None:
            return count < page.size and count not in PAGE_SIZES and len(self._pass.ids) >= self.expected
        return count < min(page.size, SMALLEST_PAGE)

    def _by_cursor(self, page: _Page, cursor: Any) -> Query | None:
        """The next query of a list whose responses name a cursor."""
        this, count, more = self._pass, len(page.items), page.more
        if more is None and self.total is not None:
            more = not self._is_reached and count > 0 and cursor is not None
        elif more is None:
            more = count > 0 and cursor is not None and not this.idle_pages and not self._ends_with(page)
        elif count == 0 and cursor is None and self._is_reached:
            more = False  # whatever the response promises: all that it counts is here
        if not more:
            return None
        if problem := self._problem_with(cursor, page.size):
            if not self._has_ended:
                self._raise_stuck(problem)
            # What the other pass gave is good all the same. It may be incomplete: only a count can say that it is all.
            this.is_cut = self.total is None or len(self.seen) < self.total
            return None
        this.cursor = str(cursor)
        return {"resultFrom": this.cursor}

    def _problem_with(self, cursor: Any, size: int) -> str | None:
        if cursor is None or isinstance(cursor, (dict, list, bool)):
            return "promises more, but gives no lastOnPage to go on from"
        if str(cursor) == self._pass.cursor:
            return "has a cursor that stands still"
        if self._pass.idle_pages >= MOST_IDLE_PAGES:
            return "goes on without bringing anything new"
        if self.total is not None and len(self._pass.ids) - self.total > max(size, allowed_difference(self.total)):
            return "goes on beyond its own total"
        return None

    def _by_index(self, page: _Page) -> Query | None:
        """The next query of a list whose responses name no cursor."""
        this, count, smallest = self._pass, len(page.items), min(page.size, SMALLEST_PAGE)
        attempt_by = self.endpoint.attempt_by
        if attempt_by is not None and not self._counts_items:
            # Neither items nor people say how many entries of the server's list this page was. It was at least as
            # many as there are people in it, and as many as the smallest page has: no step may be larger.
            this.start += max(smallest, len({attempt_by(item) for item in page.items}))
            is_done = this.start >= self.total if self.total is not None else not count or this.idle_pages > 1
        elif self.total is None:
            # An endpoint that ignores resultStart gives everything each time: then a page brings nothing new.
            this.start += count
            is_done = not page.news or self._ends_with(page)
            is_repeated = count > 0 and not page.news and this.pages > 1
            is_expected = self.expected is not None and len(this.ids) >= self.expected
            this.is_cut = is_repeated and (count == page.size or count in PAGE_SIZES) and not is_expected
        else:
            this.start += page.news if count else smallest
            is_done = self._is_reached or this.start >= self.total
            # Asked for what follows and got the same, or nothing, again and again: the total says if that matters.
            is_stuck = (count > 0 and not page.news) or this.idle_pages >= MOST_IDLE_PAGES
            if not is_done and (query := self._by_last_id(page, is_stuck=is_stuck)):
                return query
            is_done = is_done or is_stuck
        return None if is_done else {"resultStart": this.start}

    def _by_last_id(self, page: _Page, *, is_stuck: bool) -> Query | None:
        """The query that goes on after the last item's id: there is a total, but ``resultStart`` is not heeded.

        ``GET groups`` documents ``resultFrom`` as the id of the last element of the page before.
        """
        this = self._pass
        if page.news:
            this.last_id = self.endpoint.identity(page.items[-1])
        is_due = page.news > 0 if this.by_id else is_stuck
        if not is_due or not self.endpoint.pages_by_id or this.last_id is None:
            return None
        this.by_id = True
        return {"resultFrom": this.last_id}

    def _raise_stuck(self, problem: str) -> NoReturn:
        path = self.endpoint.path
        raise AnswerError(
            f"The list at {path} {problem} (page {self.pages}, {len(self.seen)} items so far). "
            "Nothing of it is used. Report it to Drillster; the next run tries again",
            endpoint=path,
        )


def allowed_difference(total: int) -> int:
    """By how many items a list may fall short of Drillster's own total: what people do during a long crawl."""
    return min(max(3, total // 100), max(1, total // 10))


def count_if_short(footer: UnitFooter) -> int | None:
    """How many items Drillster counts, where a list of this footer has fewer than may be explained; else None.

    Absence is not deletion until the read is proven complete: of what is short, absence means nothing. A total that
    never changed while the list was read leaves no room for changes: then a single missing item is too many.
    """
    if footer.cut:
        return footer.items + 1
    if footer.total is not None:
        items = footer.items + footer.doubled
        if _is_short(items, footer.total, may_be_empty=False) or (items < footer.total and not footer.moved):
            return footer.total
    # The list's own total is newer than the group's counts, and more to the point.
    may_be_empty = footer.total is not None
    if footer.expected is not None and _is_short(footer.items, footer.expected, may_be_empty=may_be_empty):
        return footer.expected
    return None


def _is_short(items: int, total: int, *, may_be_empty: bool) -> bool:
    """Of what is counted as one or two, nothing at all is no small difference."""
    return total - items > allowed_difference(total) or (items == 0 < total and not may_be_empty)
