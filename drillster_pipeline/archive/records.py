"""Lines: one archived answer each, as JSON with the body last, as it came (but for privacy)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from drillster_pipeline.json_decoding import decoded

# No text before the body can hold this: in JSON a quote inside a text has a backslash before it.
_BODY = b',"body":'
# json.dumps makes an encoder anew each time; these are asked several times for every answer.
_encoded = json.JSONEncoder(separators=(",", ":")).encode
_encoded_sorted = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode


@dataclass(frozen=True, slots=True)
class UnitFooter:
    """What the last line of a unit says of it: how many distinct items it gave, and how many Drillster named."""

    items: int
    total: int | None
    expected: int | None = None
    """What the counts of the group promised."""
    status: int = 200
    """HTTP status of the unit: 200; 403 or 404 for one that is closed to us or gone; another that it always gave."""
    cut: bool = False
    """The list ends like one that goes on, and nothing in the answers leads further."""
    moved: bool = False
    """The total changed while the list was read, the last time."""
    doubled: int = 0
    """Items that the list has twice, which the total may count twice."""

    def as_json(self) -> dict[str, Any]:
        """The form in a line."""
        known: dict[str, Any] = {
            "items": self.items,
            "total": self.total,
            "expected": self.expected,
            "status": self.status,
        }
        return known | {name: value for name in _SELDOM if (value := getattr(self, name))}


_SELDOM = ("cut", "moved", "doubled")
_OF_END = {field.name for field in fields(UnitFooter)}


@dataclass(frozen=True, slots=True)
class PageRecord:
    """One archived answer."""

    unit: Mapping[str, str]
    page: int
    captured_at: str
    body: Any
    attempt: int = 1
    end: UnitFooter | None = None


def unit_key(unit: Mapping[str, str]) -> str:
    """A unit as text, the same whatever the order of its parameters."""
    return _encoded_sorted(unit)


def body_bytes(body: Any) -> bytes:
    """An answer as JSON text without line breaks, which is UTF-8 whatever it holds."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half a surrogate pair has no UTF-8, but an escape
        return json.dumps(body, separators=(",", ":")).encode()


def line_bytes(
    unit: Mapping[str, str], page: int, captured_at: str, body: bytes, *, attempt: int, end: UnitFooter | None
) -> bytes:
    """A line as bytes; ``body`` is JSON text without line breaks and goes in as it is."""
    head: dict[str, Any] = {"unit": unit, "page": page, "captured_at": captured_at}
    if attempt != 1:
        head["attempt"] = attempt
    if end is not None:
        head["end"] = end.as_json()
    return _encoded(head).encode()[:-1] + _BODY + body + b"}\n"


def parse_line(text: bytes, *, body: bool = True) -> PageRecord:
    """The inverse of :func:`line_bytes`; without ``body`` that is None, and costs nothing."""
    record = decoded(text if body else text.partition(_BODY)[0] + b"}")
    end = record.get("end")
    return PageRecord(
        record["unit"],
        record["page"],
        record["captured_at"],
        record.get("body"),
        record.get("attempt", 1),
        # A later version may say more.
        UnitFooter(**{name: end[name] for name in _OF_END & end.keys()}) if end else None,
    )
