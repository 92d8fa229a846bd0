"""Refuses faults that could never do anything: a test that sets one would pass without it."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from .faults import Faults
from .routes import PATHS

CURSOR_LISTS = frozenset({
    "accounts", "catalogs", "catalog_content", "groups", "group_members", "objective_evaluations", "objective_events",
    "results",
})  # fmt: skip
TOTALS = CURSOR_LISTS | {"organization_staff", "group_staff", "objectives", "test_results", "user_test_results"}
"""Lists that name a total."""
LISTS = TOTALS | {"group_drillables"}
RESOURCES = LISTS | {
    "organization", "license", "user", "third_party_ids", "catalog", "group", "own_objectives", "own_tests",
}  # fmt: skip
_LISTS_OF = {"total_off": TOTALS, "stuck": CURSOR_LISTS, "more_lies": CURSOR_LISTS}


def validate(faults: Faults) -> None:
    """Raises ValueError for an unknown resource or path, and for a page fault that its list has no place for."""
    for rule in faults.failures:
        if rule.at != "token" and not any(_may_match(rule.at, path) for path in ("version", *PATHS)):
            raise ValueError(f"No path of the sandbox matches {rule.at!r}.")
    for fault in faults.pages:
        _require(_LISTS_OF.get(fault.what, LISTS), [fault.resource], f"list that can be {fault.what!r}")
    _require(RESOURCES, [fault.resource for fault in faults.fields], "resource")
    _require(LISTS, [*faults.refused_sizes, *faults.clamped_sizes, *faults.shapes.inclusive], "list")
    _require(TOTALS, faults.shapes.without_total, "list with a total")
    _require(CURSOR_LISTS, [*faults.shapes.without_more_available, *faults.shapes.without_pagination], "cursor list")


def _require(known: frozenset[str], names: Iterable[str], what: str) -> None:
    for name in names:
        if name not in known and name != "*":
            raise ValueError(f"{name!r} is no {what} of the sandbox: {', '.join(sorted(known))}.")


def _may_match(pattern: str, path: str) -> bool:
    """Whether a pattern can match a path with parameters (``*``).

    A ``*`` at either end of the pattern reaches over slashes; one in the middle stands for a parameter here.
    """
    words, parts = pattern.split("/"), path.split("/")
    missing = len(parts) - len(words)
    if missing > 0 and "*" in words[-1]:
        words += ["*"] * missing
    elif missing > 0 and "*" in words[0]:
        words = ["*"] * missing + words
    return len(words) == len(parts) and all(
        part == "*" or fnmatchcase(part, word) for word, part in zip(words, parts, strict=True)
    )
