"""Reading a list to its end: both paging styles, and the proof that nothing was left out.

API 2.1.1 pages by cursor (``resultFrom``, the answer's ``pagination.lastOnPage`` copied verbatim) or by index
(``resultStart``). Which one an endpoint uses is documented for most and shown by the answer for all, so the answer
decides. A list that cannot be followed to its end is a ContractError, never an endless loop and never a short read
that looks whole. Where Drillster's own count says that something was missed, the list is read a second time, and what
either pass gave counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from drillster_pipeline import response_shapes as answers
from drillster_pipeline.archive import UnitFooter
from drillster_pipeline.errors import AnswerError, ContractError
from drillster_pipeline.resources import Resource

from .completeness import allowed_difference, promised

PAGE_SIZES = (100, 50, 10)
"""Sizes to ask for, in turn, as Drillster refuses them (400 ``invalid_result_size``); 100 is the documented maximum."""
SMALLEST_PAGE = 10
"""Drillster's default for most lists: no page but the last is shorter, whatever size is asked for."""
MOST_PAGES_WITHOUT_NEWS = 3
"""Pages in a row that bring nothing new, while more is promised: overlap explains one or two, not more."""


@dataclass(slots=True)
class Listing:
    """How far a list has been read."""

    endpoint: Resource
    expected: int | None = None
    """How many items Drillster's counts of the group promise, where they do."""
    total: int | None = None
    """Drillster's total as last named; None if it never named one."""
    pages: int = 0
    passes: int = 1
    seen: set[str] = field(default_factory=set)
    """Identities of all items, over both passes."""
    _query: dict[str, str | int] | None = field(default_factory=dict)
    _now: set[str] = field(default_factory=set)
    """Identities of the items of this pass; the same set as ``seen`` in the first."""
    _start: int = 0
    _cursor: str | None = None
    _idle_pages: int = 0
    _longest: int = 0
    """Items on the longest page so far."""
    _pages_now: int = 0
    _shifted: bool = False
    """The total changed while the list was read by places: what moved across a page boundary was missed or doubled."""
    _pages_with_news: int = 0
    _by_place: bool = False
    """The list is followed by places: what is removed from a page that was read moves an item to it, unseen."""
    _cut: bool = False
    _last_id: str | None = None
    """Identity of the last item of the last page that brought anything new."""
    _by_id: bool = False
    """The list is followed by that id, as its answers give no cursor and ``resultStart`` was not heeded."""
    _moved: bool = False
    """The total changed in this pass."""
    _whole_before: bool = False
    """An earlier pass came to the end of the list."""
    _page_before: set[str] = field(default_factory=set)
    _doubled: set[str] = field(default_factory=set)
    """Items that a page had twice."""
    _repeated: set[str] = field(default_factory=set)
    """Items that this pass has met again, and not just at the boundary of two pages, where a cursor may repeat some.

    A list that moves repeats items as well; if both passes meet the same ones again, the list has them twice.
    """
    _repeated_before: set[str] = field(default_factory=set)
    _counts_people: bool = True
    """Whether ``total`` can be compared with the number of items."""

    def __post_init__(self) -> None:
        self._now = self.seen
        self._counts_people = self.endpoint.attempt_by is None

    @property
    def query(self) -> dict[str, str | int] | None:
        """The query of the next page, but for ``resultSize``; None once the list is read."""
        return self._query

    @property
    def needs_second_pass(self) -> bool:
        """Whether another pass may find what this one has missed.

        Where a list has several pages, that is so for any difference: a cursor that is a moment skips those who share
        the moment with the last one on the page, and the same ones every night. So it is where nothing is counted and
        the pages go by places: whatever changed between two of them, no answer tells.
        """
        counted = self.expected if self.total is None else self.total
        gap = self._pages_now > 1 and counted is not None and len(self._now) < counted and self._counts_people
        full = self._longest in PAGE_SIZES or self._pages_with_news > 1
        blind = counted is None and self._by_place and self._pages_now > 1 and full
        # Of one page a few less than counted are marked at once: to read it again costs as much as all of it did.
        return self._shifted or gap or blind or promised(replace(self.end, moved=True)) is not None

    @property
    def size(self) -> int | None:
        """The size to ask for in a second pass, so that pages end elsewhere; None where any will do."""
        return self._longest - max(1, self._longest // 10) if self.passes > 1 and self._longest > 1 else None

    @property
    def end(self) -> UnitFooter:
        """What the archive keeps of the reading."""
        total = self.total if self._counts_people else None
        doubled = len(self._doubled | (self._repeated & self._repeated_before))
        return UnitFooter(len(self.seen), total, self.expected, cut=self._cut, moved=self._moved, doubled=doubled)

    def restart(self) -> None:
        """Read from the start once more; everything that was seen stays so."""
        self._whole_before = self._query is None
        self.passes += 1
        self._query, self._now, self._page_before = {}, set(), set()
        self._repeated_before, self._repeated, self._moved = self._repeated, set(), False
        self._start, self._cursor, self._idle_pages, self._pages_now, self._pages_with_news = 0, None, 0, 0, 0
        self._shifted = self._cut = self._by_id = self._by_place = False

    def add_page(self, body: Any, size: int) -> list[Any]:
        """Account for a page that was asked for with ``resultSize=size``; returns its items that are new.

        Raises AnswerError where the page has no list, or the list can't be followed further.
        """
        path = self.endpoint.path
        try:
            items = self.endpoint.items(body)
            named = answers.named_total(body)
            pagination = _pagination(body)
            more = _more(pagination)
            fresh, news = self._account(items)
        except ContractError as problem:
            raise AnswerError(f"{problem} (endpoint {path})", endpoint=path) from None
        self.pages += 1
        self._pages_now += 1
        self._longest = max(self._longest, len(items))
        before, self.total = self.total, self.total if named is None else named
        changed = self._pages_now > 1 and before != self.total
        self._moved = self._moved or (changed and before is not None)
        self._idle_pages = 0 if news else self._idle_pages + 1
        self._pages_with_news += news > 0
        if pagination is not None and (more is not None or "lastOnPage" in pagination or self._cursor is not None):
            self._shifted = self._shifted or (changed and self._cursor_is_a_place)
            self._follow_cursor(pagination, more, len(items), size)
        elif isinstance(body, list) and self._pages_now == 1 and len(items) != size:
            self._query = None  # a bare array is a list without pages; only one of just the size asked for may go on
        else:
            self._shifted, self._by_place = self._shifted or changed, True
            self._follow_index(items, news, size)
        return fresh

    def _account(self, items: list[Any]) -> tuple[list[Any], int]:
        """The items that neither pass has seen, and how many this one had not."""
        fresh, news = [], 0
        on_page: set[str] = set()
        for item in items:
            key = self.endpoint.identity(item)
            if key in on_page:
                self._doubled.add(key)
            elif key in self._now and key not in self._page_before:
                self._repeated.add(key)
            on_page.add(key)
            if self.endpoint.attempt_by is not None and self.endpoint.attempt_by(item) is None:
                self._counts_people = True
            if key not in self._now:
                news += 1
                if key not in self.seen:
                    fresh.append(item)
                    self.seen.add(key)
                self._now.add(key)
        self._page_before = on_page
        return fresh, news

    def _ends(self, count: int, size: int) -> bool:
        """Whether a page is so short that it must be the last, where neither a total nor a flag says so."""
        if self.expected is not None:
            return count < size and count not in PAGE_SIZES and len(self._now) >= self.expected
        return count < min(size, SMALLEST_PAGE)

    @property
    def _cursor_is_a_place(self) -> bool:
        """Whether the cursor that led to this page is how many items come before it (members may page so)."""
        cursor = self._cursor
        return cursor is not None and cursor.isdecimal() and len(cursor) < 10 and int(cursor) <= len(self._now)

    def _follow_cursor(self, pagination: dict[str, Any], more: bool | None, count: int, size: int) -> None:
        cursor = pagination.get("lastOnPage")
        reached = self.total is not None and len(self._now) >= self.total
        if more is None:  # older answers lack it
            if self.total is not None:
                more = not reached and count > 0 and cursor is not None
            else:
                more = count > 0 and cursor is not None and not self._idle_pages and not self._ends(count, size)
        elif count == 0 and cursor is None and reached:
            more = False  # whatever the answer promises: all that it counts is here
        if not more:
            self._query = None
            return
        if how := self._why_stuck(cursor, size):
            if not self._whole_before:
                self._stuck(how)
            # What the other pass gave is good all the same. It was doubtful: only a count can say that it is all.
            self._cut, self._query = self.total is None or len(self.seen) < self.total, None
            return
        self._cursor = str(cursor)
        self._query = {"resultFrom": self._cursor}

    def _why_stuck(self, cursor: Any, size: int) -> str | None:
        if cursor is None or isinstance(cursor, (dict, list, bool)):
            return "promises more, but gives no lastOnPage to go on from"
        if str(cursor) == self._cursor:
            return "has a cursor that stands still"
        if self._idle_pages >= MOST_PAGES_WITHOUT_NEWS:
            return "goes on without bringing anything new"
        if self.total is not None and len(self._now) - self.total > max(size, allowed_difference(self.total)):
            return "goes on beyond its own total"
        return None

    def _follow_index(self, items: list[Any], news: int, size: int) -> None:
        count, smallest = len(items), min(size, SMALLEST_PAGE)
        takers = self._takers(items)
        if takers is not None:
            # Neither items nor people tell how many entries of the server's list this page was. It was at least as
            # many as there are people in it, and as many as the smallest page has: no step may be larger.
            self._start += max(smallest, takers)
            done = self._start >= self.total if self.total is not None else not count or self._idle_pages > 1
        elif self.total is None:
            # An endpoint that ignores resultStart gives everything each time: then a page brings nothing new.
            self._start += count
            done = not news or self._ends(count, size)
            repeated = count > 0 and not news and self._pages_now > 1
            counted = self.expected is not None and len(self._now) >= self.expected
            self._cut = repeated and (count == size or count in PAGE_SIZES) and not counted
        else:
            self._start += news if count else smallest
            done = len(self._now) >= self.total or self._start >= self.total
            # Asked for what follows and got the same, or nothing, again and again: the total tells if that matters.
            stuck = not done and ((count > 0 and not news) or self._idle_pages >= MOST_PAGES_WITHOUT_NEWS)
            if not done and self._goes_on_by_id(items, news, stuck=stuck):
                return
            done = done or stuck
        self._query = None if done else {"resultStart": self._start}

    def _goes_on_by_id(self, items: list[Any], news: int, *, stuck: bool) -> bool:
        """Whether to go on after the last item's id: a top-level total, but ``resultStart`` is not heeded.

        ``GET groups`` documents ``resultFrom`` as the id of the last element of the page before.
        """
        if news:
            self._last_id = self.endpoint.identity(items[-1])
        if not (stuck and not self._by_id) and not (self._by_id and news):
            return False
        if not self.endpoint.pages_by_id or self._last_id is None:
            return False
        self._by_id = True
        self._query = {"resultFrom": self._last_id}
        return True

    def _takers(self, items: list[Any]) -> int | None:
        """How many people's deeds the items are; None where an item is one person, or whatever is counted."""
        if self.endpoint.attempt_by is None or self._counts_people:
            return None
        return len({self.endpoint.attempt_by(item) for item in items})

    def _stuck(self, how: str) -> NoReturn:
        path = self.endpoint.path
        raise AnswerError(
            f"The list at {path} {how} (page {self.pages}, {len(self.seen)} items so far). "
            "Nothing of it is used. Report it to Drillster; the next run tries again",
            endpoint=path,
        )


def _pagination(body: Any) -> dict[str, Any] | None:
    found = body.get("pagination") if isinstance(body, dict) else None
    if found is not None and not isinstance(found, dict):
        raise ContractError(f"'pagination' should be an object, is {type(found).__name__}")
    return found


def _more(pagination: dict[str, Any] | None) -> bool | None:
    more = pagination.get("moreAvailable") if pagination else None
    if more is not None and not isinstance(more, bool):
        raise ContractError(f"'pagination.moreAvailable' should be true or false, is {type(more).__name__}")
    return more
