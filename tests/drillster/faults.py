"""What can go wrong, as data. All of it is off by default; what could never do anything is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Literal

from drillster_pipeline.sandbox.endpoints import LISTS, PATHS

from .shapes import NONE, Shapes

TOTALS = LISTS.keys() - {"group_drillables"}
"""Lists that name a total."""
CURSOR_LISTS = TOTALS - {"group_staff", "objectives", "test_results"}


class How(StrEnum):
    """The way in which a call fails."""

    STATUS = "an error answer"
    HTML = "the page of a proxy, with the status"
    CUT = "a body that is shorter than its Content-Length"
    RESET = "the connection is reset instead of an answer"
    SLOW = "the answer comes so many seconds later"
    REDIRECT = "a redirect to another host"
    REVOKE = "401, and the token is not valid any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A rule: which calls fail, and how. All conditions must hold; calls count from when the faults are set.

    ``at`` is a pattern (``*`` and ``?``) for the path behind ``/api/{version}/``, or ``token`` for the token
    endpoint: ``group/*/members``, ``groups``, ``*``. ``query`` is one for the query string.
    """

    at: str = "*"
    query: str = "*"
    how: How = How.STATUS
    statuses: tuple[int, ...] = (503,)
    """One is drawn for each call that fails."""
    error: str = ""
    """The id of the error object; empty: what goes with the status."""
    rate: float = 1.0
    """Which share of the calls fails. Drawn from the seed, the path and how often it was called: not from timing."""
    first: int | None = None
    """Only the first so many calls of each path and query."""
    nth: frozenset[int] = frozenset()
    """Only these calls, counted from 1 over all that match."""
    after: int = 0
    """Only after so many calls that match: what is listed first and gone later."""
    retry_after: str | int | None = None
    """Seconds, or text as it stands."""
    seconds: float = 1.0
    """Of SLOW."""
    location: str = "http://elsewhere.example/api/2.1.1/version"
    """Of REDIRECT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFault:
    """Pages of a resource that do not add up."""

    resource: str
    what: Literal["stuck", "endless", "shrink", "empty", "short", "total_off"]
    """``stuck``: the cursor never moves. ``endless``: the list starts over at its end. ``shrink``: the first ``n``
    items are gone once paging has begun. ``short``: the last ``n`` items are never given, though the total counts them.
    ``empty``: every page but the first is empty, and says that there is more. ``total_off``: the total is ``n`` too
    high."""
    n: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldFault:
    """A field of a resource's items that is not what it should be. ``field`` may be a path: ``account.name``."""

    resource: str
    field: str
    what: Literal["missing", "null", "value"]
    value: Any = None
    """Of ``value``: what the field has instead (also for fields that nobody knows)."""
    every: int = 1
    """Which items of a page: the first, and every so many after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How the sandbox misbehaves. Set ``sandbox.faults`` to another one at any time; counts then start anew."""

    shapes: Shapes = field(default_factory=Shapes)
    stated_lifetime: int | float | str | None = "real"
    """What ``expires_in`` says of that: ``real`` (in seconds), None (left out), or any other value as it stands."""
    clock_skew: float = 0.0
    """Seconds that the server's clock (Date header, assertions, tokens) is ahead of ours."""
    latency: float = 0.0
    """Seconds that each answer takes longer."""
    failures: tuple[Failure, ...] = ()
    """Rules; the first that applies counts."""
    hidden_groups: frozenset[str] = NONE
    """Groups that are not listed, and answer 404."""
    unlisted_groups: frozenset[str] = NONE
    """Groups that are not listed, but can be requested."""
    empty_groups: frozenset[str] = NONE
    """Groups without members, drills, objectives and tests."""
    refused_sizes: Mapping[str, int] = field(default_factory=dict)
    """Resource -> the largest page: more is 400 ``invalid_result_size``. ``*``: all resources."""
    clamped_sizes: Mapping[str, int] = field(default_factory=dict)
    """Resource -> the largest page: more is silently cut down to it. ``*``: all resources."""
    pages: tuple[PageFault, ...] = ()
    fields: tuple[FieldFault, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for an unknown resource or path, and for a page fault that its list has no place for."""
        for rule in self.failures:
            if rule.at != "token" and not any(_may_match(rule.at, path.partition("/")[2]) for path in PATHS):
                raise ValueError(f"No path of the sandbox matches {rule.at!r}.")
        lists_of = {"total_off": TOTALS, "stuck": CURSOR_LISTS}
        for fault in self.pages:
            _require(lists_of.get(fault.what, LISTS.keys()), [fault.resource], f"list that can be {fault.what!r}")
        _require({*PATHS.values()}, [fault.resource for fault in self.fields], "resource")
        _require(LISTS.keys(), [*self.refused_sizes, *self.clamped_sizes, *self.shapes.inclusive], "list")
        _require(TOTALS, self.shapes.without_total, "list with a total")
        cursors = [*self.shapes.without_more_available, *self.shapes.without_pagination]
        _require(CURSOR_LISTS, cursors, "cursor list")


def closed(
    group_id: str, *, what: str = "*", status: int = 403, error: str = "no_group_access", after: int = 0
) -> tuple[Failure, ...]:
    """A group that answers 403 (or 404: it has vanished), on all of its resources or on ``what`` (``members``)."""
    at = f"group/{group_id}*" if what == "*" else f"group/{group_id}/{what}"
    return (Failure(at=at, statuses=(status,), error=error, after=after),)


def _require(known: Collection[str], names: Iterable[str], what: str) -> None:
    for name in names:
        if name not in known and name != "*":
            raise ValueError(f"{name!r} is no {what} of the sandbox: {', '.join(sorted(known))}.")


def _may_match(pattern: str, path: str) -> bool:
    """Whether a pattern can match a path with parameters (``{id}``).

    A ``*`` at either end of the pattern reaches over slashes; one in the middle stands for a parameter here.
    """
    words, parts = pattern.split("/"), path.split("/")
    missing = len(parts) - len(words)
    if missing > 0 and "*" in words[-1]:
        words += ["*"] * missing
    elif missing > 0 and "*" in words[0]:
        words = ["*"] * missing + words
    return len(words) == len(parts) and all(
        part.startswith("{") or fnmatchcase(part, word) for word, part in zip(words, parts, strict=True)
    )
