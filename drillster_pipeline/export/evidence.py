"""Evidence for an auditor: who met an objective on a date, by which norm, and where that is known from.

The rows are read twice, from the warehouse and from the archived answers, and must agree. What is written is a CSV
file and beside it a provenance file, which names the load, the capture and the checksums of everything that the rows
were read from. Verifying reads all of it again: a change to the file, to the archive or to the warehouse shows.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from drillster_pipeline import __version__
from drillster_pipeline.archive import Capture, utc_moment
from drillster_pipeline.errors import ArchiveCorrupt, Refused
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.tables.extract import Extractor, Page

from .session import Session

EVALUATION = ("export_date", "objective_id", "group_id", "account_id", "met", "proficiency")
NORM = ("minimum_proficiency", "evaluated_at", "review_at", "captured_at")
NAMES = ("objective_name", "group_name", "account_name", "email_address")
COLUMNS = (*EVALUATION, *NORM, *NAMES)
FORMAT = 1
_RESOURCES = ("accounts", "groups", "group_members", "objectives", "objective_evaluations")
"""What the rows and the names in them are read from, in the order of the walk."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins so is a formula to a spreadsheet: names are written with an apostrophe before it."""

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """What evidence is asked for."""

    objective_id: str
    export_date: date
    group_id: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """The CSV, and where its rows are known from (see ``gather``)."""

    content: bytes
    rows: int
    provenance: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was verified."""

    what: str
    is_right: bool
    told: str


def gather(session: Session, claim: Claim) -> Evidence:
    """The evidence for a claim.

    Raises Refused where the warehouse has nothing of that date and objective, ArchiveCorrupt where archive and
    warehouse do not agree. Where the archive of the date is gone, the provenance says so, and the rows are those of
    the warehouse, with the names of today.
    """
    load = _load(session, claim)
    published = _published(session, claim)
    if not published:
        raise Refused(
            f"Nobody was evaluated on objective {claim.objective_id} on {claim.export_date}"
            + (f" in group {claim.group_id}" if claim.group_id else "")
            + ": look for its id in the table objectives, and for the date in the view group_compliance"
        )
    capture = _capture(session, claim, load)
    if capture is not None:
        damage = [finding for finding in _archive_findings(capture, load) if not finding.is_right]
        archived = _archived(capture, claim) if not damage else []
        if not damage and _facts(archived) != _facts(published):
            damage = [Finding("rows", is_right=False, told=_difference(archived, published))]
        if damage:
            raise ArchiveCorrupt(
                "This is no evidence: " + "; ".join(finding.told for finding in damage) + ". Restore the archive from "
                "a backup, or publish the date again from it"
            )
        published = archived
    content = _csv(published)
    return Evidence(content, len(published), _provenance(session, claim, load, capture, content, len(published)))


def verify(session: Session, content: bytes, provenance: Mapping[str, Any]) -> list[Finding]:
    """Prove a CSV against its provenance, the archive and the warehouse. Raises Refused for another format."""
    if provenance.get("format") != FORMAT:
        raise Refused("This is not the provenance file of evidence that this program wrote (its format is unknown)")
    try:
        asked = provenance["claim"]
        claim = Claim(str(asked["objective_id"]), date.fromisoformat(asked["export_date"]), asked["group_id"])
        promised, capture_id = provenance["csv"]["sha256"], provenance["load"]["capture_id"]
        dict(provenance["capture"] or {})
    except (KeyError, TypeError, ValueError):
        raise Refused(
            "The provenance file lacks what this program wrote into it: it was changed after it was written"
        ) from None
    is_same = hashlib.sha256(content).hexdigest() == promised
    findings = [Finding("file", is_same, "is as it was written" if is_same else "was changed after it was written")]
    load = _load(session, claim)
    capture = _capture(session, claim, load, capture_id=capture_id)
    rows = _rows(content)
    if capture is None:
        findings.append(
            Finding("archive", is_right=False, told="the archive of that date is gone: nothing to prove by")
        )
    else:
        findings += _archive_findings(capture, load, provenance)
        try:
            archived = _archived(capture, claim)
            findings.append(_compared("rows and the archived answers", rows, archived))
        except ArchiveCorrupt as error:
            findings.append(Finding("archive", is_right=False, told=str(error)))
    findings.append(_compared("rows and the warehouse", rows, _published(session, claim)))
    return findings


def _load(session: Session, claim: Claim) -> Mapping[str, Any]:
    """The load that last published the evaluations of the date."""
    with session.warehouse.reading() as (connection, tables):
        loads, load_tables = tables("loads"), tables("load_tables")
        query = (
            sa.select(loads)
            .join(load_tables, load_tables.c.load_id == loads.c.load_id)
            .where(
                loads.c.kind == "snapshot",
                loads.c.export_date == claim.export_date,
                load_tables.c.table_name == "objective_evaluations",
            )
            .order_by(loads.c.finished_at.desc())
            .limit(1)
        )
        found = connection.execute(query).mappings().first()
    if found is None:
        raise Refused(
            f"The warehouse has no evaluations of {claim.export_date}: `drillster-pipeline status` lists the dates "
            "that it has; one that is in the archive can be published by a backfill"
        )
    return dict(found)


def _published(session: Session, claim: Claim) -> list[Row]:
    """The rows as the warehouse has them, with the names of today."""
    with session.warehouse.reading() as (connection, tables):
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
        return _sorted(
            {name: _text(value) for name, value in row.items()} for row in connection.execute(query).mappings()
        )


def _capture(
    session: Session, claim: Claim, load: Mapping[str, Any], *, capture_id: str | None = None
) -> Capture | None:
    """The capture that the load was made of, if the archive still has it."""
    wanted = capture_id or load["capture_id"]
    for ref in session.archive.captures(claim.export_date, "snapshot"):
        if ref.capture_id == wanted and ref.sealed:
            return session.archive.open(ref)
    return None


def _archived(capture: Capture, claim: Claim) -> list[Row]:
    """The rows as the archived answers have them, with the names of that date."""
    tables = ("accounts", "groups", "objectives", "objective_evaluations")
    extractor = Extractor(export_date=claim.export_date, kind="snapshot", tables=tables)
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
    return _sorted(rows)


def _pages(capture: Capture, claim: Claim) -> Iterator[tuple[str, Page]]:
    for resource in _RESOURCES:
        for line in capture.pages(resource):
            if line.unit.get("objective_id", claim.objective_id) == claim.objective_id:
                yield resource, Page(line.unit, line.page, utc_moment(line.captured_at), line.body)


def _last_of_each(name: str, frames: list[pd.DataFrame]) -> list[Row]:
    """Rows as text, the last one of each key."""
    if not frames:
        return []
    frame = pd.concat(frames, ignore_index=True).drop_duplicates(list(DATA_TABLES[name].key), keep="last")
    columns = [column.name for column in DATA_TABLES[name].columns]
    lists = [[_text(value) for value in frame[column]] for column in columns]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def _text(value: Any) -> str:
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


def _sorted(rows: Any) -> list[Row]:
    return sorted(rows, key=lambda row: (row["group_id"], row["account_id"]))


def _facts(rows: list[Row]) -> list[tuple[str, ...]]:
    """Rows without names, which change without anything having been evaluated anew."""
    return [tuple(row[name] for name in EVALUATION + NORM) for row in rows]


def _compared(what: str, rows: list[Row], others: list[Row]) -> Finding:
    if _facts(rows) == _facts(others):
        return Finding(what, is_right=True, told=f"agree, all {len(rows):,}")
    return Finding(what, is_right=False, told=_difference(others, rows))


def _difference(expected: list[Row], rows: list[Row]) -> str:
    """How rows differ: numbers and columns, never a value."""
    left = {(row["group_id"], row["account_id"]): row for row in expected}
    right = {(row["group_id"], row["account_id"]): row for row in rows}
    both = left.keys() & right.keys()
    changed = [name for name in EVALUATION + NORM if any(left[key][name] != right[key][name] for key in both)]
    differing = sum(any(left[key][name] != right[key][name] for name in changed) for key in both)
    told = []
    if differing:
        told.append(f"{differing:,} rows differ in {', '.join(changed)}")
    if left.keys() - right.keys():
        told.append(f"{len(left.keys() - right.keys()):,} rows are missing")
    if right.keys() - left.keys():
        told.append(f"{len(right.keys() - left.keys()):,} rows were added")
    return "they do not agree: " + (", ".join(told) or "rows are repeated")


def _archive_findings(
    capture: Capture, load: Mapping[str, Any], provenance: Mapping[str, Any] | None = None
) -> list[Finding]:
    """Whether the capture is what was loaded, and its parts what its manifest names."""
    findings = []
    sealed = load["manifest_sha256"] if load["capture_id"] == capture.capture_id else None
    redacted = capture.manifest.get("redacted", [])
    known = {entry.get("was_sha256") for entry in redacted} | {capture.manifest_sha256}
    if sealed is None:
        told = "the load was made by a version that did not record it: publish the date again to have it recorded"
        findings.append(Finding("seal", is_right=True, told=told))
    elif sealed == capture.manifest_sha256:
        findings.append(Finding("seal", is_right=True, told="the archive is sealed as it was when it was loaded"))
    elif sealed in known:
        told = f"a person was erased from it after it was loaded ({len(redacted)} redactions, see the table erasures)"
        findings.append(Finding("seal", is_right=True, told=told))
    else:
        told = f"the seal of capture {capture.capture_id} is not the one that was loaded: its manifest was changed"
        findings.append(Finding("seal", is_right=False, told=told))
    if provenance is not None and provenance["capture"] is not None:
        was = provenance["capture"]["manifest_sha256"]
        told = "the archive is sealed as it was when this was written"
        if was != capture.manifest_sha256:
            told = (
                f"a person was erased from it since ({len(redacted)} redactions, see the table erasures)"
                if was in known
                else "the archive was changed after this was written"
            )
        findings.append(Finding("provenance", is_right=was in known, told=told))
    parts = 0
    for resource in _RESOURCES:
        try:
            for _ in capture.pages(resource):
                pass
        except ArchiveCorrupt as error:
            findings.append(Finding("parts", is_right=False, told=str(error)))
        parts += len(capture.manifest["resources"].get(resource, {"parts": ()})["parts"])
    if all(finding.what != "parts" for finding in findings):
        findings.append(Finding("parts", is_right=True, told=f"all {parts} have the checksums of the seal"))
    return findings


def _csv(rows: list[Row]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        names = {name: f"'{row[name]}" for name in NAMES if row[name].startswith(_FORMULA)}
        writer.writerow({**row, **names})
    # The mark is how a spreadsheet knows that it is UTF-8.
    return text.getvalue().encode("utf-8-sig", "replace")


def _rows(content: bytes) -> list[Row]:
    """The rows of a CSV that may have been changed in any way."""
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig", "replace"), newline=""))
    return _sorted({name: row.get(name) or "" for name in COLUMNS} for row in reader)


def _provenance(
    session: Session,
    claim: Claim,
    load: Mapping[str, Any],
    capture: Capture | None,
    content: bytes,
    rows: int,
) -> dict[str, Any]:
    settings = session.settings
    return {
        "format": FORMAT,
        "written_at": _text(session.now()),
        "program_version": __version__,
        "claim": {
            "objective_id": claim.objective_id,
            "export_date": str(claim.export_date),
            "group_id": claim.group_id,
            "timezone": settings.timezone.key,
        },
        "csv": {"rows": rows, "sha256": hashlib.sha256(content).hexdigest()},
        "load": {
            name: _text(load[name]) or None
            for name in ("load_id", "run_id", "finished_at", "program_version", "capture_id", "archive_url")
        },
        "capture": None if capture is None else _captured(capture),
    }


def _captured(capture: Capture) -> dict[str, Any]:
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
            for resource in _RESOURCES
            for part in manifest["resources"].get(resource, {"parts": ()})["parts"]
        },
    }
