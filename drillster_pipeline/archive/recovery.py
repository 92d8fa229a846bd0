"""What an unfinished capture holds of one resource, found by reading its parts once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from drillster_pipeline.errors import ArchiveCorrupt, ContractError

from .parts import Part, part_number, read_lines, salvage
from .records import PageRecord, parse_line, unit_key
from .storage import Storage

Attempt = tuple[str, int]
"""A unit (as text) and the how many-th attempt at it."""


@dataclass(slots=True)
class RecoveredState:
    """The state of one resource of an unfinished capture."""

    parts: list[Part] = field(default_factory=list)
    number: int = 0
    """Of the newest part."""
    finished: dict[str, int] = field(default_factory=dict)
    """Units that are finished, with the attempt that finished them."""
    begun: dict[str, int] = field(default_factory=dict)
    """The newest attempt at units that are not."""
    void: set[Attempt] = field(default_factory=set)
    """Attempts whose pages do not count: never finished, or refused after some pages."""


def recovered_state(storage: Storage, folder: str) -> RecoveredState:
    """Salvage what was not finished, then read all parts.

    A unit counts as finished only if the line that ends it is there *and* every page before it: that holds whatever
    was lost, in whichever order. Raises ArchiveCorrupt, Unavailable.
    """
    salvage(storage, folder)
    found = RecoveredState()
    pages: dict[Attempt, int] = {}
    for name in storage.names(folder):
        number = part_number(name)
        if number is None:
            continue
        where = f"{folder}/{name}"
        content = storage.read(where)
        lines = raw_size = 0
        for text in read_lines(content, where):
            lines += 1
            raw_size += len(text) + 1
            _note(found, pages, head(text, where))
        found.parts.append(Part(name, lines, len(content), raw_size, hashlib.sha256(content).hexdigest()))
        found.number = number
    found.void |= set(pages)
    for key, attempt in pages:
        if key not in found.finished:
            found.begun[key] = max(attempt, found.begun.get(key, 0))
    return found


def _note(found: RecoveredState, pages: dict[Attempt, int], line: PageRecord) -> None:
    attempt = (unit_key(line.unit), line.attempt)
    if line.end is None:
        pages[attempt] = pages.get(attempt, 0) + 1
        return
    before = pages.pop(attempt, 0)
    if line.end.status != 200:
        found.finished[attempt[0]] = line.attempt
        if before:
            found.void.add(attempt)
    elif before == line.page - 1:
        found.finished[attempt[0]] = line.attempt
    else:
        pages[attempt] = before + 1


def head(text: bytes, where: str) -> PageRecord:
    """A line without its body. Raises ArchiveCorrupt."""
    try:
        return parse_line(text, body=False)
    except (ValueError, KeyError, TypeError):
        raise ArchiveCorrupt(f"{where} in the archive holds a line that is none: restore it from a backup") from None


def whole(text: bytes, where: str) -> PageRecord:
    """A line with its body. Raises ArchiveCorrupt."""
    try:
        return parse_line(text)
    except (ValueError, KeyError, TypeError):
        raise ArchiveCorrupt(f"{where} in the archive holds a line that is none: restore it from a backup") from None
    except RecursionError:  # how much can be read depends on how deep the caller stands
        too_deep = ContractError(f"{where} in the archive holds an answer nested far deeper than any of Drillster's")
    raise too_deep
