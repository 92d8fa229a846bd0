"""Evidence for an auditor: who met an objective on a date, by which norm, and where that is known from.

The rows are read twice, from the warehouse and from the archived answers, and must agree. The result is a CSV file and
a provenance file, which names the load, the capture and the checksums of everything that the rows were read from.
:mod:`.evidence_check` reads all of it again.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from drillster_pipeline import __version__
from drillster_pipeline.archive import Capture, utc_moment
from drillster_pipeline.errors import ArchiveCorrupt, Refused
from drillster_pipeline.extract.batches import RANK, Page
from drillster_pipeline.extract.extractor import Extractor
from drillster_pipeline.tables import DATA_TABLES

from .context import PipelineContext

RESOURCES = ("accounts", "groups", "group_members", "objectives", "objective_evaluations")
"""What the rows of evidence and the names in them are read from, in the order of the capture."""
EVALUATION = ("export_date", "objective_id", "group_id", "account_id", "met", "proficiency")
NORM = ("minimum_proficiency", "evaluated_at", "review_at", "captured_at")
NAMES = ("objective_name", "group_name", "account_name", "email_address")
COLUMNS = (*EVALUATION, *NORM, *NAMES)
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
    is_right: bool
    text: str


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
        seal = seal_finding(capture, load["manifest_sha256"])
        damage = [finding.text for finding in (seal, *parts_findings(capture)) if not finding.is_right]
        read = archived(capture, claim) if not damage else []
        if not damage and facts(read) != facts(rows):
            damage = [difference(read, rows, EVALUATION + NORM)]
        if damage:
            raise ArchiveCorrupt(
                "This is no evidence: " + "; ".join(damage) + ". Restore the archive from a backup, or publish the "
                "date again from it"
            )
        if load["manifest_sha256"] != capture.manifest_sha256:
            notes.append(f"Of its archive: {seal.text}.")
        rows = read
    content = csv_of(rows)
    return Evidence(content, len(rows), _provenance(context, claim, load, capture, content, len(rows)), tuple(notes))


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
            .limit(1)
        )
        found = connection.execute(query).mappings().first()
    return None if found is None else dict(found)


def published(context: PipelineContext, claim: Claim) -> list[Row]:
    """The rows as the warehouse has them, with the names of today."""
    with context.warehouse.reading() as (connection, tables):
        evaluations, accounts = tables("objective_evaluations"), tables("accounts")
        groups, objectives = tables("groups"), tables("objectives")
        query = (
            sa.select(
                *(evaluations.c[name] for name in EVALUATION + NORM),
                objectives.c.name.label("objective_name"),
                groups.c.name.label("group_name"),
                accounts.c.name.label("account_name"),
                accounts.c.email_address,
            )
            .outerjoin(accounts, accounts.c.account_id == evaluations.c.account_id)
            .outerjoin(groups, groups.c.group_id == evaluations.c.group_id)
            .outerjoin(objectives, objectives.c.objective_id == evaluations.c.objective_id)
            .where(
                evaluations.c.export_date == claim.export_date,
                evaluations.c.objective_id == claim.objective_id,
                *([evaluations.c.group_id == claim.group_id] if claim.group_id else []),
            )
        )
        return in_order(
            {name: text_of(value) for name, value in row.items()} for row in connection.execute(query).mappings()
        )


def capture_of(context: PipelineContext, claim: Claim, capture_id: str | None) -> Capture | None:
    """A capture of the date, if the archive still has it. Raises ArchiveCorrupt where it is there without a seal."""
    for ref in context.archive.captures(claim.export_date, "snapshot"):
        if ref.capture_id != capture_id:
            continue
        if not ref.sealed:
            raise ArchiveCorrupt(
                f"{ref.folder} in the archive has lost its seal (manifest.json): restore it from a backup"
            )
        return context.archive.open(ref)
    return None


def archived(capture: Capture, claim: Claim) -> list[Row]:
    """The rows as the archived answers have them, with the names of that date."""
    tables = ("accounts", "groups", "objectives", "objective_evaluations")
    extractor = Extractor(export_date=claim.export_date, tables=tables)
    frames: dict[str, list[pd.DataFrame]] = {name: [] for name in tables}
    for batch in extractor.batches(_pages(capture, claim)):
        frames[batch.table.name].append(batch.frame)
    found = {name: _last_of_each(name, some) for name, some in frames.items()}
    named = {
        name: {row[key]: row for row in found[name]}
        for name, key in (("accounts", "account_id"), ("groups", "group_id"), ("objectives", "objective_id"))
    }
    rows = []
    for row in found["objective_evaluations"]:
        if row["objective_id"] != claim.objective_id or claim.group_id not in {None, row["group_id"]}:
            continue
        account = named["accounts"].get(row["account_id"], {})
        rows.append(
            {
                **{name: row[name] for name in EVALUATION + NORM},
                "objective_name": named["objectives"].get(row["objective_id"], {}).get("name", ""),
                "group_name": named["groups"].get(row["group_id"], {}).get("name", ""),
                "account_name": account.get("name", ""),
                "email_address": account.get("email_address", ""),
            }
        )
    return in_order(rows)


def _pages(capture: Capture, claim: Claim) -> Iterator[tuple[str, Page]]:
    for resource in RESOURCES:
        for line in capture.pages(resource):
            if line.unit.get("objective_id", claim.objective_id) == claim.objective_id:
                yield resource, Page(line.unit, line.page, utc_moment(line.captured_at), line.body)


def _last_of_each(name: str, frames: list[pd.DataFrame]) -> list[Row]:
    """Rows as text, the last one of each key by rank."""
    if not frames:
        return []
    frame = pd.concat(frames, ignore_index=True).sort_values(RANK, kind="stable")
    frame = frame.drop_duplicates(list(DATA_TABLES[name].key), keep="last")
    columns = [column.name for column in DATA_TABLES[name].columns]
    lists = [[text_of(value) for value in frame[column]] for column in columns]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


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


def in_order(rows: Iterable[Row]) -> list[Row]:
    """By group and account: a file that was only sorted in another way is the same evidence."""
    return sorted(rows, key=lambda row: (row["group_id"], row["account_id"]))


def facts(rows: list[Row], columns: Sequence[str] = EVALUATION + NORM) -> list[tuple[str, ...]]:
    """Rows as tuples of some columns; by default without names, which change without a new evaluation."""
    return [tuple(row[name] for name in columns) for row in rows]


def difference(expected: list[Row], rows: list[Row], columns: Sequence[str]) -> str:
    """How rows differ: numbers and columns, never a value."""
    left = {(row["group_id"], row["account_id"]): row for row in expected}
    right = {(row["group_id"], row["account_id"]): row for row in rows}
    both = left.keys() & right.keys()
    changed = [name for name in columns if any(left[key][name] != right[key][name] for key in both)]
    differing = sum(any(left[key][name] != right[key][name] for name in changed) for key in both)
    words = []
    if differing:
        words.append(f"{differing:,} rows differ in {', '.join(changed)}")
    if left.keys() - right.keys():
        words.append(f"{len(left.keys() - right.keys()):,} rows are missing")
    if right.keys() - left.keys():
        words.append(f"{len(right.keys() - left.keys()):,} rows were added")
    return "they do not agree: " + (", ".join(words) or "rows are repeated")


def as_written(row: Row) -> Row:
    """A row as the CSV has it: no name in it is a formula."""
    return row | {name: f"'{row[name]}" for name in NAMES if row[name].startswith(_FORMULA)}


def csv_of(rows: list[Row]) -> bytes:
    """The CSV file, such that a spreadsheet reads it as it is."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(as_written(row))
    # The mark is how a spreadsheet knows that it is UTF-8.
    return text.getvalue().encode("utf-8-sig", "replace")


def _provenance(
    context: PipelineContext,
    claim: Claim,
    load: Mapping[str, Any],
    capture: Capture | None,
    content: bytes,
    rows: int,
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "written_at": text_of(context.now()),
        "program_version": __version__,
        "claim": {
            "objective_id": claim.objective_id,
            "export_date": str(claim.export_date),
            "group_id": claim.group_id,
            "timezone": context.settings.timezone.key if capture is None else capture.manifest.get("timezone"),
        },
        "csv": {"rows": rows, "sha256": hashlib.sha256(content).hexdigest()},
        "load": recorded(load),
        "capture": None if capture is None else captured(capture),
    }


def recorded(load: Mapping[str, Any]) -> dict[str, Any]:
    """What the ledger says of the load."""
    names = ("load_id", "run_id", "finished_at", "program_version", "capture_id", "archive_url", "manifest_sha256")
    return {
        **{name: text_of(load[name]) or None for name in names},
        "is_complete": bool(load["was_read_completely"]),
        "rows_rejected": int(load["rows_rejected"]),
    }


def captured(capture: Capture) -> dict[str, Any]:
    """What the archive says of the capture."""
    manifest = capture.manifest
    return {
        "capture_id": capture.capture_id,
        "manifest_sha256": capture.manifest_sha256,
        **{
            name: manifest.get(name)
            for name in (
                "captured_from",
                "captured_until",
                "program_version",
                "source",
                "organization_id",
                "service_account_id",
                "personal_data",
                "redacted",
            )
        },
        "parts": {
            f"{resource}/{part['name']}": part["sha256"]
            for resource in RESOURCES
            for part in manifest["resources"].get(resource, {"parts": ()})["parts"]
        },
    }


def is_seal_of(capture: Capture, sha256: Any) -> bool:
    """Whether a manifest of this checksum is, or was before a person was erased, that of the capture."""
    redacted = capture.manifest.get("redacted") or []
    return sha256 in [capture.manifest_sha256, *(entry.get("was_sha256") for entry in redacted)]


def erased(capture: Capture) -> str:
    """What is said of a capture that has another seal because persons were erased from it."""
    return f"{len(capture.manifest['redacted'])} redactions, see the table erasures"


def seal_finding(capture: Capture, sealed: str | None) -> Finding:
    """Whether the capture has the seal that the ledger names."""
    if sealed is None:
        text = "the load did not record the seal of its archive: publish the date again to have it recorded"
    elif sealed == capture.manifest_sha256:
        text = "the archive is sealed as it was when it was loaded"
    elif is_seal_of(capture, sealed):
        text = f"a person was erased from it after it was loaded ({erased(capture)})"
    else:
        text = f"the seal of capture {capture.capture_id} is not the one that was loaded: its manifest was changed"
        return Finding("seal", is_right=False, text=text)
    return Finding("seal", is_right=True, text=text)


def parts_findings(capture: Capture) -> Iterator[Finding]:
    """Whether all parts that evidence is read from have the checksums of the seal."""
    parts = 0
    try:
        for resource in RESOURCES:
            for _ in capture.pages(resource):
                pass
            parts += len(capture.manifest["resources"].get(resource, {"parts": ()})["parts"])
    except ArchiveCorrupt as error:
        yield Finding("parts", is_right=False, text=str(error))
    else:
        yield Finding("parts", is_right=True, text=f"all {parts} have the checksums of the seal")
