"""Evidence for an auditor: who met an objective on a date, by which norm, and where that is known from.

The rows are read twice, from the warehouse and from the archived responses, and must agree. The result is a CSV file
and a provenance file, which names the load, the capture and the checksums of everything that the rows were read from.
:mod:`.evidence_check` reads all of it again.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from drillster_pipeline import __version__
from drillster_pipeline.archive.captures import Capture
from drillster_pipeline.errors import ArchiveCorrupt, Refused
from drillster_pipeline.extract.batches import RANK
from drillster_pipeline.extract.extractor import Extractor
from drillster_pipeline.formatting import count
from drillster_pipeline.tables import DATA_TABLES

from .context import PipelineContext
from .publish import pages_of

SOURCES = ("accounts", "groups", "group_members", "objectives", "objective_evaluations")
"""What the rows of evidence and the names in them are read from, in the order of the capture."""
EVALUATION = ("export_date", "objective_id", "group_id", "account_id", "met", "proficiency")
NORM = ("minimum_proficiency", "evaluated_at", "review_at", "captured_at")
_NAMED: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "objectives": ("objective_id", {"name": "objective_name"}),
    "groups": ("group_id", {"name": "group_name"}),
    "accounts": ("account_id", {"name": "account_name", "email_address": "email_address"}),
}
"""Tables with names: the key by which they are found, and their columns as the evidence calls them."""
NAMES = tuple(name for _, names in _NAMED.values() for name in names.values())
COLUMNS = (*EVALUATION, *NORM, *NAMES)
_OF_LOAD = ("load_id", "run_id", "finished_at", "program_version", "capture_id", "archive_url", "manifest_sha256")
_OF_CAPTURE = (
    *("captured_from", "captured_until", "program_version", "source", "organization_id", "service_account_id"),
    *("personal_data", "redacted"),
)
FORMAT = 1
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A text that begins so is a formula to a spreadsheet (the last four, full-width, to some): names are written with an
apostrophe before it."""

INCOMPLETE = "Some evaluations of that date could not be read: see `drillster-pipeline status`."

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """What evidence is requested for."""

    objective_id: str
    export_date: date
    group_id: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was verified."""

    what: str
    text: str
    is_right: bool = True


@dataclass(frozen=True, slots=True)
class Evidence:
    """The CSV, and where its rows come from (see ``collect_evidence``)."""

    content: bytes
    rows: int
    provenance: dict[str, Any]
    notes: tuple[str, ...] = ()
    """What its reader must know: that it is not complete, or not proven."""


def collect_evidence(context: PipelineContext, claim: Claim) -> Evidence:
    """The evidence for a claim.

    Raises Refused where the warehouse has nothing of that date and objective, ArchiveCorrupt where archive and
    warehouse do not agree. Where the archive of the date is gone, the provenance says so, and the rows are those of
    the warehouse, with the names of today.
    """
    load = load_of(context, claim)
    if load is None:
        raise Refused(
            f"The warehouse has no evaluations of {claim.export_date}: `drillster-pipeline status` lists the dates "
            "that it has; one that is in the archive can be published by a backfill"
        )
    rows = published(context, claim)
    if not rows:
        raise Refused(
            f"Nobody was evaluated on objective {claim.objective_id} on {claim.export_date}"
            + (f" in group {claim.group_id}" if claim.group_id else "")
            + ": its id is in the table objectives, its dates are in the view group_compliance"
            + ("" if load["was_read_completely"] else f". {INCOMPLETE}")
        )
    notes = [] if load["was_read_completely"] else [INCOMPLETE]
    capture = capture_of(context, claim, load["capture_id"])
    if capture is None:
        notes.append(
            "The capture that it was loaded from is gone from the archive, so nothing can be proven by it: the rows "
            "are those of the warehouse, the names those of today."
        )
    else:
        rows, seal = _proven(capture, claim, rows, load["manifest_sha256"])
        if load["manifest_sha256"] != capture.manifest_sha256:
            notes.append(f"Of its archive: {seal.text}.")
    content = csv_of(rows)
    provenance = {
        "format": FORMAT,
        "written_at": text_of(context.now()),
        "program_version": __version__,
        "claim": {
            "objective_id": claim.objective_id,
            "export_date": str(claim.export_date),
            "group_id": claim.group_id,
            "timezone": context.settings.timezone.key if capture is None else capture.manifest.get("timezone"),
        },
        "csv": {"rows": len(rows), "sha256": hashlib.sha256(content).hexdigest()},
        "load": recorded(load),
        "capture": None if capture is None else captured(capture),
    }
    return Evidence(content, len(rows), provenance, tuple(notes))


def _proven(capture: Capture, claim: Claim, rows: list[Row], manifest_sha256: str | None) -> tuple[list[Row], Finding]:
    """The rows of a claim from its archive, which must be those of the warehouse; and what its seal is worth."""
    seal = seal_finding(capture, manifest_sha256)
    damage, read = [] if seal.is_right else [seal.text], rows
    try:
        read = archived(capture, claim)
    except ArchiveCorrupt as error:
        damage.append(str(error))
    if not damage and (words := difference(read, rows)):
        damage.append(words)
    if damage:
        raise ArchiveCorrupt(
            "This is no evidence: " + "; ".join(damage) + ". Restore the archive from a backup, or publish the "
            "date again from it"
        )
    return read, seal


def load_of(context: PipelineContext, claim: Claim, load_id: str | None = None) -> Mapping[str, Any] | None:
    """The load that last published the evaluations of the date, or the one that is named."""
    with context.warehouse.reading() as (connection, tables):
        loads, load_tables = tables("loads"), tables("load_tables")
        query = (
            sa.select(loads, load_tables.c.is_complete.label("was_read_completely"), load_tables.c.rows_rejected)
            .join(load_tables, load_tables.c.load_id == loads.c.load_id)
            .where(
                loads.c.kind == "snapshot",
                loads.c.export_date == claim.export_date,
                load_tables.c.table_name == "objective_evaluations",
                *([loads.c.load_id == load_id] if load_id is not None else []),
            )
            .order_by(loads.c.finished_at.desc())
        )
        found = connection.execute(query).mappings().first()
    return None if found is None else dict(found)


def published(context: PipelineContext, claim: Claim) -> list[Row]:
    """The rows as the warehouse has them, with the names of today."""
    with context.warehouse.reading() as (connection, tables):
        evaluations = tables("objective_evaluations")
        columns: list[Any] = [evaluations.c[name] for name in EVALUATION + NORM]
        joined: sa.FromClause = evaluations
        for table, (key, names) in _NAMED.items():
            parent = tables(table)
            columns += [parent.c[column].label(name) for column, name in names.items()]
            joined = joined.outerjoin(parent, parent.c[key] == evaluations.c[key])
        query = (
            sa.select(*columns)
            .select_from(joined)
            .where(
                evaluations.c.export_date == claim.export_date,
                evaluations.c.objective_id == claim.objective_id,
                *([evaluations.c.group_id == claim.group_id] if claim.group_id else []),
            )
        )
        return in_order(connection.execute(query))


def capture_of(context: PipelineContext, claim: Claim, capture_id: str | None) -> Capture | None:
    """A capture of the date, if the archive still has it. Raises ArchiveCorrupt where it is there without a seal."""
    refs = context.archive.captures(claim.export_date, "snapshot")
    ref = next((ref for ref in refs if ref.capture_id == capture_id), None)
    if ref is None:
        return None
    if not ref.sealed:
        raise ArchiveCorrupt(f"{ref.folder} in the archive has lost its seal (manifest.json): restore it from a backup")
    return context.archive.open(ref)


def archived(capture: Capture, claim: Claim) -> list[Row]:
    """The rows as the archived pages have them, with the names of that date.

    Raises ArchiveCorrupt where a part that evidence is read from does not have its checksum.
    """
    frames: dict[str, list[pd.DataFrame]] = {name: [] for name in ("objective_evaluations", *_NAMED)}
    extractor = Extractor(export_date=claim.export_date, tables=tuple(frames))
    pages = (
        (resource, page)
        for resource, page in pages_of(capture, SOURCES)
        if page.unit.get("objective_id", claim.objective_id) == claim.objective_id
    )
    for batch in extractor.batches(pages):
        frames[batch.table.name].append(batch.frame)
    rows = _last_of_each("objective_evaluations", frames)
    rows = rows[rows["objective_id"] == claim.objective_id]
    if claim.group_id:
        rows = rows[rows["group_id"] == claim.group_id]
    for table, (key, names) in _NAMED.items():
        named = _last_of_each(table, frames)[[key, *names]].rename(columns=names)
        rows = rows.merge(named, on=key, how="left")
    return in_order(zip(*(rows[name] for name in COLUMNS), strict=True))


def _last_of_each(name: str, frames: Mapping[str, list[pd.DataFrame]]) -> pd.DataFrame:
    """The rows of a table, the last one of each key by rank."""
    empty = pd.DataFrame(columns=[column.name for column in DATA_TABLES[name].columns] + [RANK])
    frame = pd.concat(frames[name] or [empty], ignore_index=True).sort_values(RANK, kind="stable")
    return frame.drop_duplicates(list(DATA_TABLES[name].key), keep="last")


def text_of(value: Any) -> str:
    """A value as the CSV has it: ISO 8601 in UTC, true and false, nothing for NULL."""
    if pd.isna(value):
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return str(value)


def in_order(rows: Iterable[Iterable[Any]]) -> list[Row]:
    """Values of COLUMNS as text, by group and account: a file that was only sorted in another way is the same."""
    found = [dict(zip(COLUMNS, map(text_of, row), strict=True)) for row in rows]
    return sorted(found, key=lambda row: (row["group_id"], row["account_id"]))


def difference(expected: list[Row], rows: list[Row], columns: Sequence[str] = EVALUATION + NORM) -> str:
    """How rows differ, by default but for names, which change without a new evaluation: empty where they do not.

    In numbers and columns, never a value.
    """
    left, right = ({(row["group_id"], row["account_id"]): row for row in some} for some in (expected, rows))
    both = left.keys() & right.keys()
    changed = [name for name in columns if any(left[key][name] != right[key][name] for key in both)]
    differing = sum(any(left[key][name] != right[key][name] for name in changed) for key in both)
    missing, added = len(left.keys() - right.keys()), len(right.keys() - left.keys())
    words = [
        *([f"{count(differing, 'row')} with other values in {', '.join(changed)}"] if differing else []),
        *([f"{count(missing, 'row')} missing"] if missing else []),
        *([f"{count(added, 'row')} added"] if added else []),
        *(["repeated rows"] if len(expected) != len(rows) and not missing and not added else []),
    ]
    return f"they do not agree: {', '.join(words)}" if words else ""


def as_written(row: Row) -> Row:
    """A row as the CSV has it: no name in it is a formula."""
    return row | {name: f"'{row[name]}" for name in NAMES if row[name].startswith(_FORMULA)}


def csv_of(rows: list[Row]) -> bytes:
    """The CSV file, such that a spreadsheet reads it as it is."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(map(as_written, rows))
    # The mark is how a spreadsheet knows that it is UTF-8.
    return text.getvalue().encode("utf-8-sig", "replace")


def recorded(load: Mapping[str, Any]) -> dict[str, Any]:
    """What the ledger says of the load."""
    return {
        **{name: text_of(load[name]) or None for name in _OF_LOAD},
        "is_complete": bool(load["was_read_completely"]),
        "rows_rejected": int(load["rows_rejected"]),
    }


def captured(capture: Capture) -> dict[str, Any]:
    """What the archive says of the capture."""
    manifest, resources = capture.manifest, capture.manifest["resources"]
    return {
        "capture_id": capture.capture_id,
        "manifest_sha256": capture.manifest_sha256,
        **{name: manifest.get(name) for name in _OF_CAPTURE},
        "parts": {
            f"{resource}/{part['name']}": part["sha256"]
            for resource in SOURCES
            for part in resources.get(resource, {"parts": ()})["parts"]
        },
    }


def erased_since(capture: Capture, sha256: Any) -> str:
    """What is said of a capture from which persons were erased since its manifest had a checksum; empty: none were."""
    redacted = capture.manifest.get("redacted") or []
    if sha256 not in [entry.get("was_sha256") for entry in redacted]:
        return ""
    return f"({len(redacted)} redactions, see the table erasures)"


def seal_finding(capture: Capture, sealed: str | None) -> Finding:
    """Whether the capture has the seal that the ledger names."""
    if sealed is None:
        text = "the load did not record the seal of its archive: publish the date again to have it recorded"
        return Finding("seal", text)
    if sealed == capture.manifest_sha256:
        return Finding("seal", "the archive is sealed as it was when it was loaded")
    if erased := erased_since(capture, sealed):
        return Finding("seal", f"a person was erased from it after it was loaded {erased}")
    text = f"the seal of capture {capture.capture_id} is not the one that was loaded: its manifest was changed"
    return Finding("seal", text, is_right=False)
