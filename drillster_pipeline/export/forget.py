"""A person taken out of archive, warehouse and reports, with a record that it was done.

What is known of the person (to find the names in running text) is gathered first and noted in the archive, since it
goes as the work goes on: one that is cut short and begun again finds all that the first would have found. The note is
removed when the erasure is recorded. Captures that were never sealed are removed: nothing can be proven of them. That
comes before all else, since it shows whether a capture is under way; and no load goes on meanwhile.
"""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

from drillster_pipeline.archive import KINDS, Capture, Line
from drillster_pipeline.archive.redaction import redact
from drillster_pipeline.archive.storage import REPORTS, open_storage
from drillster_pipeline.erasure import GONE, Eraser, Person
from drillster_pipeline.errors import PipelineError, Unavailable

from .session import Session

NOTES = "forgetting"
"""The folder of the archive with what is known of people whom `forget` is at work on."""


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
    reports: tuple[str, ...] = ()
    """Pages in DRILLSTER_REPORTS_FOLDER that named the person, and were removed."""


def forget(session: Session, account_id: str) -> ForgetOutcome:
    """Erase a person. Raises Busy while a capture or load is under way, ArchiveCorrupt for a broken archive.

    If Drillster still has the account, the next capture brings it back: it must be removed there first.
    """
    archive = session.archive
    note = f"{NOTES}/{hashlib.sha256(account_id.encode()).hexdigest()[:16]}.json"
    unfinished = _remove_unfinished(session)
    captures = lines = 0
    with session.warehouse.erasing() as erase:
        person = _known(session, account_id, note)
        eraser = Eraser(person)
        change = partial(_change, eraser)
        for day, kind in _made(session):
            with archive.locked(day, kind):
                # As they are now that nobody can seal one: it would be in neither list.
                for ref in archive.captures(day, kind):
                    if not ref.sealed:
                        archive.remove(ref)
                        unfinished += 1
                        continue
                    changed = redact(
                        archive.open(ref), change, mentions=lambda text: account_id in text, now=session.now()
                    )
                    captures += changed > 0
                    lines += changed
        archive.storage.finish_removals()
        rows = erase(
            account_id,
            emails=person.emails,
            texts=eraser.texts,
            erased_text=eraser.without,
            archive_lines=lines,
        )
    _renew_seals(session)
    reports = tuple(_remove_reports(session, eraser))
    archive.storage.remove(note)
    return ForgetOutcome(captures, lines, unfinished, rows, reports)


def _remove_reports(session: Session, eraser: Eraser) -> Iterator[str]:
    """Remove the pages that name the person: any can be written anew, from a warehouse that no longer does."""
    storage = open_storage(session.settings.reports_folder.reveal(), REPORTS)
    try:
        for name in storage.names(""):
            if name.endswith(".html"):
                text = html.unescape(storage.read(name).decode("utf-8", "replace"))
                if eraser.without(text, name_of_a_person=False) != text:
                    storage.remove(name)
                    yield name
    except PipelineError as error:
        raise Unavailable(
            f"The person is out of archive and warehouse, but perhaps not of every page of the reports. {error}; then "
            "erase once more"
        ) from None


def _known(session: Session, account_id: str, note: str) -> Person:
    """The person with the names and addresses that warehouse, archive and an earlier attempt know; they are noted."""
    storage = session.archive.storage
    names, emails = session.warehouse.known_as(account_id)
    if note.rpartition("/")[2] in storage.names(NOTES):
        noted = json.loads(storage.read(note))
        names, emails = names | set(noted["names"]), emails | set(noted["emails"])
    person = Person(account_id, frozenset(emails), frozenset(names))
    for capture in _sealed(session):
        person = _learn(person, capture)
    known = {"names": sorted(person.names), "emails": sorted(person.emails)}
    storage.write(note, json.dumps(known).encode())
    return person


def _change(eraser: Eraser, resource: str, line: Line) -> Line | None:
    """A line of the archive without the person; None if it is about nobody else."""
    del resource
    if eraser.account_id in line.unit.values():
        return None
    body = eraser.erased(line.body)
    if body is line.body:
        return line
    return replace(line, body=None if body is GONE else body)


def _sealed(session: Session) -> Iterator[Capture]:
    for day in session.archive.dates():
        for ref in session.archive.captures(day):
            if ref.sealed:
                yield session.archive.open(ref)


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


def _made(session: Session) -> Iterator[tuple[date, str]]:
    """Dates and kinds of which there are captures."""
    for day in session.archive.dates():
        for kind in KINDS:
            if session.archive.captures(day, kind):
                yield day, kind


def _remove_unfinished(session: Session) -> int:
    """Remove what was never sealed, before anything else is done. Raises Busy while a capture is under way."""
    removed = 0
    for day, kind in _made(session):
        for ref in session.archive.captures(day, kind):
            if not ref.sealed:
                with session.archive.locked(day, kind):
                    session.archive.remove(ref)
                removed += 1
    return removed
