"""A person taken out of archive, warehouse and reports, with a record that it was done.

The names and addresses of the person are gathered first and noted in the archive, since they are removed on the way: an
erasure that was interrupted is finished by the next one of the same id, from the note. The note is removed when all is
done. Captures that were never sealed are removed: nothing can be proven of them. No load runs meanwhile, and where a
capture runs nothing is changed.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from drillster_pipeline.archive.archive import KINDS, open_storage
from drillster_pipeline.archive.captures import Capture, CaptureRef
from drillster_pipeline.archive.local import WRITING
from drillster_pipeline.archive.records import PageRecord
from drillster_pipeline.archive.redaction import redact
from drillster_pipeline.archive.storage import REPORTS, Storage
from drillster_pipeline.errors import Busy, PipelineError, SettingsError, Unavailable
from drillster_pipeline.privacy.erase import GONE, Eraser, Person

from .context import PipelineContext
from .timestamps import stamp_all

NOTES = "forgetting"
"""The folder of the archive with the names of people whose erasure is not finished."""


@dataclass(slots=True)
class ForgetOutcome:
    """What was erased."""

    captures: int = 0
    """Sealed captures that were changed."""
    lines: int = 0
    unfinished: int = 0
    """Captures that were never sealed, and were removed."""
    rows: dict[str, int] = field(default_factory=dict)
    """Rows per table of the warehouse."""
    reports: tuple[str, ...] = ()
    """Pages in DRILLSTER_REPORTS_FOLDER that named the person, and were removed."""


def forget(context: PipelineContext, account_id: str) -> ForgetOutcome:
    """Erase a person.

    Raises SettingsError where nothing has an account of that id, Busy while a capture or load is under way (nothing
    is changed then), ArchiveCorrupt for a broken archive. If Drillster still has the account, the next capture brings
    it back: it must be removed there first.
    """
    storage, note = context.archive.storage, _note_of(account_id)
    with context.warehouse.erasing() as erase:
        storage.finish_removals()
        _require_idle(context)
        _remove_unfinished(storage)
        is_begun = note in storage.names(NOTES)
        person = known_person(context, account_id)
        known = {"names": sorted(person.names), "emails": sorted(person.emails)}
        storage.write(f"{NOTES}/{note}", json.dumps(known).encode())
        eraser = Eraser(person)
        outcome = ForgetOutcome()
        try:
            _redact(context, eraser, outcome)
        except Busy:
            if not (outcome.captures or is_begun):
                _remove_note(context, note)  # all is as it was
            raise
        storage.finish_removals()
        outcome.rows = erase(person, erased_text=eraser.text, archive_lines=outcome.lines)
        _renew_seals(context)
        outcome.reports = tuple(_remove_reports(context, eraser))
        _remove_note(context, note)
    stamp_all(context)  # loads need not wait for the authority
    return outcome


def known_person(
    context: PipelineContext, account_id: str, on_other: Callable[[Mapping[str, Any]], object] = lambda _: None
) -> Person:
    """The person with all names and addresses that warehouse and archive have.

    ``on_other`` is given each other person of the archive. Raises SettingsError where nothing has an account of that
    id.
    """
    person = Person(account_id)
    is_begun = _recall(context, person, _note_of(account_id))
    # What is no valid text (an argument in another encoding) is no id that a database can store or find.
    is_known = account_id.isprintable() and context.warehouse.has_account(person)
    if not (_learn(context, person, on_other) or is_known or is_begun):
        raise SettingsError(
            "Neither the warehouse nor the archive has an account of that id (nor an erasure that was "
            "interrupted), and nothing was changed. Give the id as accounts.account_id has it"
        )
    if "@" in account_id:
        person.emails.add(account_id.lower())
    return person


def _note_of(account_id: str) -> str:
    return f"{hashlib.sha256(account_id.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}.json"


def _require_idle(context: PipelineContext) -> None:
    """Raise Busy while a capture is under way: it has written something, and has its lock."""
    for ref in captures(context):
        if not ref.sealed:
            with context.archive.locked(ref.export_date, ref.kind):
                continue


def _remove_unfinished(storage: Storage) -> None:
    """Remove what processes that were killed have left of writing notes and parts: none that runs writes any."""
    for name in storage.names(WRITING):
        if re.search(r"\.([0-9a-f]{16}\.json|jsonl\.gz)$", name):
            storage.remove(f"{WRITING}/{name}")


def _recall(context: PipelineContext, person: Person, note: str) -> bool:
    """Whether an erasure of the person was interrupted, which has noted names and addresses."""
    storage = context.archive.storage
    if note not in storage.names(NOTES):
        return False
    noted = json.loads(storage.read(f"{NOTES}/{note}"))
    person.names.update(noted["names"])
    person.emails.update(noted["emails"])
    return True


def _remove_note(context: PipelineContext, note: str) -> None:
    """Remove a note; with the last one goes the folder."""
    storage = context.archive.storage
    others = [name for name in storage.names(NOTES) if name != note]
    storage.remove(f"{NOTES}/{note}" if others else NOTES)


def _learn(context: PipelineContext, person: Person, on_other: Callable[[Mapping[str, Any]], object]) -> bool:
    """Add the names and addresses that sealed captures have of the person; whether any has the account id."""
    eraser = Eraser(Person(person.account_id), on_other=on_other)
    is_known = False
    for capture in sealed_captures(context):
        for resource, entry in capture.manifest["resources"].items():
            is_known |= any(eraser.unit(named["unit"]) is not named["unit"] for named in entry["lost"] + entry["short"])
            for line in capture.lines(resource):
                is_known |= without(eraser, resource, line) is not line
    person.names |= eraser.person.names
    person.emails |= eraser.person.emails
    return is_known


def without(eraser: Eraser, resource: str, line: PageRecord) -> PageRecord | None:
    """A line of the archive without the person: the same where nothing changes, None if it is about nobody else."""
    body = eraser.body(resource, line.body)
    if eraser.unit(line.unit) is not line.unit:
        return None
    return line if body is line.body else replace(line, body=None if body is GONE else body)


def _redact(context: PipelineContext, eraser: Eraser, outcome: ForgetOutcome) -> None:
    """Take the person out of sealed captures, and remove all others; the newest first, where a capture may begin.

    Raises Busy where one has begun.
    """
    archive = context.archive
    for day in reversed(archive.dates()):
        with ExitStack() as locks:
            for kind in KINDS:
                if archive.captures(day, kind):
                    locks.enter_context(archive.locked(day, kind))
            # As they are now that nobody can seal one: it would be in neither list.
            for ref in archive.captures(day):
                if not ref.sealed:
                    archive.remove(ref)
                    outcome.unfinished += 1
                    continue
                changed = redact(archive.open(ref), partial(without, eraser), unit=eraser.unit, now=context.now())
                outcome.captures += changed > 0
                outcome.lines += changed


def captures(context: PipelineContext) -> Iterator[CaptureRef]:
    """All captures of the archive."""
    return (ref for day in context.archive.dates() for ref in context.archive.captures(day))


def sealed_captures(context: PipelineContext) -> Iterator[Capture]:
    """Those that are sealed, each opened."""
    return (context.archive.open(ref) for ref in captures(context) if ref.sealed)


def _renew_seals(context: PipelineContext) -> None:
    """Let the ledger know captures by what they are now; only those that were, before, what the ledger says."""
    for capture in sealed_captures(context):
        redacted = capture.manifest.get("redacted", [])
        earlier = [entry["was_sha256"] for entry in redacted if "was_sha256" in entry]
        if earlier:
            context.warehouse.renew_seal(capture.capture_id, earlier=earlier, now=capture.manifest_sha256)


def _remove_reports(context: PipelineContext, eraser: Eraser) -> Iterator[str]:
    """Remove the pages that name the person: any can be written again, from a warehouse that no longer does."""
    try:
        storage = open_storage(context.settings.reports_folder.get_secret_value(), REPORTS)
        for name in reports_naming(storage, eraser):
            storage.remove(name)
            yield name
    except PipelineError as error:
        raise Unavailable(
            f"The person is out of archive and warehouse, but perhaps not of every page of the reports. {error}; then "
            "erase once more"
        ) from None


def reports_naming(storage: Storage, eraser: Eraser) -> Iterator[str]:
    """The pages that name the person, also those that a process which was killed has not finished."""
    unfinished = [f"{WRITING}/{name}" for name in storage.names(WRITING)]
    for name in [*storage.names(""), *unfinished]:
        if name.endswith(".html") and _is_named_in(storage.read(name).decode("utf-8", "replace"), eraser):
            yield name


def _is_named_in(page: str, eraser: Eraser) -> bool:
    """Whether a text of an HTML page is a name of the person, the account id, or mentions the person."""
    own = eraser.person.names | {eraser.person.account_id}
    texts = {html.unescape(text).strip() for text in re.split("<[^>]*>", page)}
    return not texts.isdisjoint(own) or any(eraser.text(text) != text for text in texts)
