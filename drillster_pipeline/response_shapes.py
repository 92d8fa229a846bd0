"""Where the items of an answer are, and whether more follow: the shapes of Drillster's lists, as plain functions.

Both the walk (which must know whether a page is the last) and the tables (which read archived pages) need this,
so it stands beside them and imports neither. Drillster's documentation leaves several shapes open; every form
named there is read here, and anything else is a :class:`ContractError` that names what was met.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .errors import ContractError

Json: TypeAlias = Any
"""A decoded JSON value, exactly as ``json.loads`` gives it."""


@dataclass(frozen=True, slots=True)
class ListShape:
    """Where a resource keeps its list: documented names first, then whatever single list there is."""

    names: tuple[str, ...]
    other_lists: frozenset[str] = frozenset()
    """Lists that the same object may hold for another reason, and that are never the one looked for."""
    may_be_absent: bool = False
    """Drillster leaves out optional fields: an object without the list then means that it is empty."""


SHAPES: Mapping[str, ListShape] = {
    "accounts": ListShape(("accounts", "organizationAccounts")),
    "groups": ListShape(("groups",)),
    "group_members": ListShape(("members",)),
    "group_staff": ListShape(("groupStaffUsers",)),
    # The answer is a Group object, which may carry its tests and members as well.
    "group_drillables": ListShape(
        ("drillables",), frozenset({"tests", "members", "affordances", "catalogs"}), may_be_absent=True
    ),
    "objectives": ListShape(("objectives",)),
    "objective_evaluations": ListShape(("evaluations", "objectiveEvaluations")),
    "objective_events": ListShape(("events",)),
    "results": ListShape(("groupDrillableMemberResults",)),
    "test_results": ListShape(("memberTestResults", "testResults", "groupTestResults")),
    "catalogs": ListShape(("catalogs",)),
    "catalog_content": ListShape(("playables", "content")),
}


def items(resource: str, body: Json) -> list[Json]:
    """The list that an answer of ``resource`` carries.

    Raises ContractError, naming the members that were met, where the answer has no list or several.
    """
    if isinstance(body, list):
        return body
    if not isinstance(body, dict):
        raise ContractError(f"{resource}: expected an object or a list, met {type(body).__name__}")
    shape = SHAPES[resource]
    for name in shape.names:
        if body.get(name) is not None:
            found = body[name]
            if not isinstance(found, list):
                raise ContractError(f"{resource}: '{name}' should be a list, is {type(found).__name__}")
            return found
    candidates = {
        name: value
        for name, value in body.items()
        if isinstance(value, list) and name not in shape.other_lists and all(isinstance(item, dict) for item in value)
    }
    filled = {name: value for name, value in candidates.items() if value}
    if len(filled) > 1:
        raise ContractError(f"{resource}: expected one list under {_names(shape)}, met several: {shown(filled)}")
    if filled or len(candidates) == 1:
        return next(iter((filled or candidates).values()))
    if candidates or shape.may_be_absent or _says_that_it_is_empty(body):
        return []
    raise ContractError(f"{resource}: expected a list under {_names(shape)}, met {shown(body)}")


def _names(shape: ListShape) -> str:
    return " or ".join(f"'{name}'" for name in shape.names)


def _says_that_it_is_empty(body: Mapping[str, Json]) -> bool:
    """Optional fields are left out, so perhaps an empty list is: believed only where the answer itself says so."""
    total = named_total(body)
    if total is not None:
        return total == 0
    pagination = body.get("pagination")
    return (
        isinstance(pagination, dict)
        and pagination.get("moreAvailable") is False
        and pagination.get("lastOnPage") is None
    )


_FIELD_NAME = re.compile(r"[a-z][A-Za-z_]{0,39}[0-9]{0,2}", re.ASCII)
_MOST_NAMES = 10


def field_name(name: str) -> str:
    """The name of a field as it may be shown; ``*`` where it looks like data (an object used as a map)."""
    return name if _FIELD_NAME.fullmatch(name) else "*"


def shown(names: Collection[str]) -> str:
    """The names of an object's fields, for a message."""
    known = sorted({field_name(name) for name in names})
    more = f" and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
    return ", ".join(known[:_MOST_NAMES]) + more or "an empty object"


_SHOWN_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}", re.ASCII)


def shown_id(key: str) -> str:
    """An id as it may be shown; ``*`` where it may be an address or a name."""
    return key if _SHOWN_ID.fullmatch(key) else "*"


def shown_unit(unit: Mapping[str, str]) -> str:
    """Path parameters for a message, such as ``group …, account …``."""
    return ", ".join(f"{name.removesuffix('_id')} {shown_id(value)}" for name, value in unit.items())


MOST_ITEMS = 1 << 63
"""More than any list has and any database counts: a larger total is as wrong as this one, and harder to reckon with."""
_MOST_DIGITS = len(str(MOST_ITEMS))


def named_total(body: Json) -> int | None:
    """How many items the query matches, as Drillster says in this answer; None where it does not say.

    Read from ``pagination.total``, else from a top-level ``total`` or ``count`` (API 2.1.1, "Pagination"); at most
    ``MOST_ITEMS``, since a text may hold more digits than Python reads.
    """
    if not isinstance(body, dict):
        return None
    pagination = body.get("pagination")
    places = (pagination.get("total") if isinstance(pagination, dict) else None, body.get("total"), body.get("count"))
    for value in places:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return min(value, MOST_ITEMS)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            digits = value.lstrip("0") or "0"
            return MOST_ITEMS if len(digits) > _MOST_DIGITS else min(int(digits), MOST_ITEMS)
    return None


def id_text(value: Json) -> str | None:
    """An id as text: a whole number is taken as its digits; None where it is left out, empty or no id at all."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return str(value)
    return None
