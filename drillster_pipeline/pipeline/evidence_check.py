"""Prove evidence: a change to the file, its provenance, the archive or the warehouse shows.

Nothing in the provenance file is trusted: its load and its capture are compared with ledger and archive, and every
cell of the CSV, names too, with the archived responses.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from drillster_pipeline.archive.captures import Capture
from drillster_pipeline.errors import ArchiveCorrupt, Refused

from .context import PipelineContext
from .evidence import (
    COLUMNS,
    EVALUATION,
    FORMAT,
    NORM,
    Claim,
    Finding,
    Row,
    archived,
    as_written,
    capture_of,
    captured,
    difference,
    erased_since,
    in_order,
    load_of,
    published,
    recorded,
    seal_finding,
)
from .timestamps import timestamp_findings

_ERASURE_CHANGES = frozenset({"manifest_sha256", "redacted", "parts"})


def verify(context: PipelineContext, content: bytes, provenance: Mapping[str, Any]) -> list[Finding]:
    """Prove a CSV against its provenance, the archive and the warehouse. Raises Refused for another format."""
    if provenance.get("format") != FORMAT:
        raise Refused("This is not the provenance file of evidence that this program wrote (its format is unknown)")
    try:
        stated = provenance["claim"]
        claim = Claim(str(stated["objective_id"]), date.fromisoformat(stated["export_date"]), stated["group_id"])
        promised, load = (provenance["csv"]["sha256"], provenance["csv"]["rows"]), dict(provenance["load"])
        was = None if provenance["capture"] is None else dict(provenance["capture"])
        load_id, capture_id = str(load["load_id"]), load["capture_id"]
        timezone = stated["timezone"]
    except (KeyError, TypeError, ValueError):
        raise Refused(
            "The provenance file lacks what this program wrote into it: it was changed after it was written"
        ) from None
    rows, problem = _rows(content)
    if (hashlib.sha256(content).hexdigest(), len(rows)) != promised:
        problem = "was changed after it was written"
    findings = [
        Finding("file", problem or "is as it was written", is_right=not problem),
        _ledger(context, claim, load_id, load),
    ]
    try:
        capture = capture_of(context, claim, capture_id)
        if capture is None:
            text = "the capture that it was loaded from is gone from the archive: nothing to prove by"
            findings.append(Finding("archive", text, is_right=False))
        else:
            findings += _archive(capture, claim, rows, was, timezone)
            findings.append(_seal(context, claim, load_id, load, capture))
            findings += timestamp_findings(context, capture)
    except ArchiveCorrupt as error:
        findings.append(Finding("archive", str(error), is_right=False))
    findings.append(_compared("rows and the warehouse", rows, published(context, claim), EVALUATION + NORM))
    return findings


def _archive(
    capture: Capture, claim: Claim, rows: list[Row], was: Mapping[str, Any] | None, timezone: Any
) -> Iterator[Finding]:
    """Whether the capture is as the provenance has it, and the file as the archived pages have it."""
    read = None
    try:
        read = [as_written(row) for row in archived(capture, claim)]
        yield Finding("parts", f"all {len(captured(capture)['parts'])} have the checksums of the seal")
    except ArchiveCorrupt as error:
        yield Finding("parts", str(error), is_right=False)
    yield _provenance(capture, was, timezone)
    if read is not None:
        columns = EVALUATION + NORM if was is None else COLUMNS
        yield _compared("rows and the archived responses", rows, read, columns)


def _ledger(context: PipelineContext, claim: Claim, load_id: str, was: Mapping[str, Any]) -> Finding:
    """Whether the load is still as the provenance has it. In a warehouse that was built again it has another id."""
    load, last = load_of(context, claim, load_id), load_of(context, claim)
    if load is None:
        if last is not None and last["capture_id"] == was["capture_id"]:
            text = f"load {load_id} is not in this warehouse; it has the same capture, of load {last['load_id']}"
            return Finding("load", text)
        text = f"load {load_id} is not in the warehouse any more, nor any other of the same capture"
        return Finding("load", text, is_right=False)
    now = recorded(load)
    # Erasing a person renews the checksum: the archive shows whether that happened (see _seal).
    changed = [name for name in now if name != "manifest_sha256" and now[name] != was.get(name)]
    if changed:
        text = f"the ledger and the provenance do not agree in {', '.join(changed)}: one of them was changed"
    elif last is not None and last["load_id"] != load_id:
        text = f"is in the ledger as it was; the date was published again since, by load {last['load_id']}"
    else:
        text = "is in the ledger as it was"
    return Finding("load", text, is_right=not changed)


def _seal(context: PipelineContext, claim: Claim, load_id: str, was: Mapping[str, Any], capture: Capture) -> Finding:
    """Whether the ledger still names the seal of the capture."""
    load = load_of(context, claim, load_id) or load_of(context, claim)
    if load is None or load["capture_id"] != capture.capture_id:
        return Finding("seal", "the ledger has no load of this capture to compare its seal with", is_right=False)
    if load["manifest_sha256"] is None and was.get("manifest_sha256") is not None:
        text = "the ledger no longer has the seal that it had: the table loads was changed"
        return Finding("seal", text, is_right=False)
    return seal_finding(capture, load["manifest_sha256"])


def _provenance(capture: Capture, was: Mapping[str, Any] | None, timezone: Any) -> Finding:
    """Whether the capture is as the provenance has it."""
    if was is None:
        text = "it was written when the archive was gone: the names in it are of another day, and not proven"
        return Finding("provenance", text, is_right=False)
    now = {**captured(capture), "timezone": capture.manifest.get("timezone")}
    then = {**was, "timezone": timezone}
    changed = sorted(name for name in now if now[name] != then.get(name))
    if not changed:
        return Finding("provenance", "the archive is as it was when this was written")
    if "manifest_sha256" not in changed:
        text = f"the provenance file was changed after it was written: {', '.join(changed)}"
        return Finding("provenance", text, is_right=False)
    erased = erased_since(capture, then.get("manifest_sha256"))
    if erased and _ERASURE_CHANGES.issuperset(changed):
        return Finding("provenance", f"a person was erased from the archive since {erased}")
    return Finding("provenance", "the archive or the provenance file was changed since", is_right=False)


def _compared(what: str, rows: list[Row], expected: list[Row], columns: tuple[str, ...]) -> Finding:
    words = difference(expected, rows, columns)
    return Finding(what, words or f"agree, all {len(rows):,}", is_right=not words)


def _rows(content: bytes) -> tuple[list[Row], str]:
    """The rows of a CSV that may have been changed in any way, and what is wrong with its form."""
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig", "replace"), newline=""))
    try:
        read = list(reader)
    except csv.Error:
        return [], "is no CSV file any more"
    rows = in_order([row.get(name) or "" for name in COLUMNS] for row in read)
    if tuple(reader.fieldnames or ()) != COLUMNS or any(None in row for row in read):
        return rows, "does not have the columns that it was written with"
    return rows, ""
