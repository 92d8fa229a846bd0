"""A person taken out of archive and warehouse, with a record that it was done.

The archive goes first, so that what is known of the person (to find the name in running text) is still there if the
work is cut short and begun again. Captures that were never sealed are removed: nothing can be proven of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from drillster_pipeline.archive import Capture, Line
from drillster_pipeline.archive.redaction import redact
from drillster_pipeline.erasure import GONE, Eraser, Person

from .session import Session


@dataclass(frozen=True, slots=True)
class ForgetOutcome:
    """What was erased."""

    captures: int
    """Sealed captures that were changed."""
    lines: int
    unfinished: int
    """Captures that were never sealed, and were removed."""
    rows: dict[str, int]
    """Rows per table of the warehouse."""


def forget(session: Session, account_id: str) -> ForgetOutcome:
    """Erase a person. Raises Busy while a capture or load is under way, ArchiveCorrupt for a broken archive.

    If Drillster still has the account, the next capture brings it back: it must be removed there first.
    """
    names, emails = session.warehouse.known_as(account_id)
    person = Person(account_id, frozenset(emails), frozenset(names))
    for capture in _sealed(session):
        person = _learn(person, capture)
    eraser = Eraser(person)

    def change(resource: str, line: Line) -> Line | None:
        del resource
        if account_id in line.unit.values():
            return None
        body = eraser.erased(line.body)
        if body is line.body:
            return line
        return replace(line, body=None if body is GONE else body)

    captures = lines = 0
    for capture in _sealed(session):
        with session.archive.locked(capture.ref.export_date, capture.ref.kind):
            changed = redact(capture, change, mentions=lambda text: account_id in text, now=session.now())
        captures += changed > 0
        lines += changed
    unfinished = _remove_unfinished(session)
    rows = session.warehouse.erase_person(account_id, emails=person.emails, archive_lines=lines)
    _renew_seals(session)
    return ForgetOutcome(captures, lines, unfinished, rows)


def _sealed(session: Session) -> Iterator[Capture]:
    for day in session.archive.dates():
        for ref in session.archive.captures(day):
            if ref.sealed:
                yield Capture(session.archive.storage, ref)


def _renew_seals(session: Session) -> None:
    """Let the ledger know captures by what they are now; only those that were, before, what the ledger says."""
    for capture in _sealed(session):
        redacted = capture.manifest.get("redacted", [])
        earlier = [entry["was_sha256"] for entry in redacted if "was_sha256" in entry]
        if earlier:
            session.warehouse.renew_seal(capture.capture_id, earlier=earlier, now=capture.manifest_sha256)


def _learn(person: Person, capture: Capture) -> Person:
    """The person with what a capture says of names and addresses."""
    for resource in capture.manifest["resources"]:
        for line in capture.pages(resource):
            person = person.met_in(line.body)
    return person


def _remove_unfinished(session: Session) -> int:
    removed = 0
    for day in session.archive.dates():
        for ref in session.archive.captures(day):
            if not ref.sealed:
                with session.archive.locked(day, ref.kind):
                    session.archive.remove(ref)
                removed += 1
    return removed
