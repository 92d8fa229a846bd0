"""Prove evidence: a change to the file, its provenance, the archive or the warehouse shows.

Nothing in the provenance file is taken at its word: what it says of load and capture is compared with ledger and
archive, and every cell of the CSV, names too, with the archived answers.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from drillster_pipeline.archive import Capture
from drillster_pipeline.errors import ArchiveCorrupt, Refused

from .context import PipelineContext
from .evidence import (
    COLUMNS,
    EVALUATION,
    FORMAT,
    NORM,
    Claim,
    Row,
    archived,
    as_written,
    capture_of,
    captured,
    difference,
    facts,
    in_order,
    load_of,
    published,
    recorded,
)
from .seals import Finding, erased, is_seal_of, parts_findings, seal_finding

_ERASURE_CHANGES = frozenset({"manifest_sha256", "redacted", "parts"})


def verify(session: PipelineContext, content: bytes, provenance: Mapping[str, Any]) -> list[Finding]:
    """Prove a CSV against its provenance, the archive and the warehouse. Raises Refused for another format."""
    if provenance.get("format") != FORMAT:
        raise Refused("This is not the provenance file of evidence that this program wrote (its format is unknown)")
    try:
        asked = provenance["claim"]
        claim = Claim(str(asked["objective_id"]), date.fromisoformat(asked["export_date"]), asked["group_id"])
        promised, load = (provenance["csv"]["sha256"], provenance["csv"]["rows"]), dict(provenance["load"])
        was = None if provenance["capture"] is None else dict(provenance["capture"])
        load_id, capture_id = str(load["load_id"]), load["capture_id"]
        timezone = asked["timezone"]
    except (KeyError, TypeError, ValueError):
        raise Refused(
            "The provenance file lacks what this program wrote into it: it was changed after it was written"
        ) from None
    rows, trouble = _rows(content)
    if (hashlib.sha256(content).hexdigest(), len(rows)) != promised:
        trouble = "was changed after it was written"
    findings = [Finding("file", not trouble, trouble or "is as it was written")]
    findings += _ledger(session, claim, load_id, load)
    try:
        capture = capture_of(session, claim, capture_id)
        if capture is None:
            told = "the capture that it was loaded from is gone from the archive: nothing to prove by"
            findings.append(Finding("archive", is_right=False, told=told))
        else:
            findings += parts_findings(capture)
            findings.append(_provenance(capture, was, timezone))
            findings.append(_archived(capture, claim, rows, with_names=was is not None))
            findings.append(_seal(session, claim, load_id, load, capture))
    except ArchiveCorrupt as error:
        if all(finding.is_right for finding in findings if finding.what == "parts"):
            findings.append(Finding("archive", is_right=False, told=str(error)))
    findings.append(_compared("rows and the warehouse", rows, published(session, claim), EVALUATION + NORM))
    return findings


def _ledger(session: PipelineContext, claim: Claim, load_id: str, was: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether the load is still as the provenance has it. In a warehouse that was built anew it has another id."""
    load, last = load_of(session, claim, load_id), load_of(session, claim)
    if load is None:
        if last is not None and last["capture_id"] == was["capture_id"]:
            told = f"load {load_id} is not in this warehouse; it has the same capture, of load {last['load_id']}"
            yield Finding("load", is_right=True, told=told)
            return
        told = f"load {load_id} is not in the warehouse any more, nor any other of the same capture"
        yield Finding("load", is_right=False, told=told)
        return
    now = recorded(load)
    # Erasing a person renews the checksum: the archive tells whether that is what happened (see _seal).
    changed = [name for name in now if name != "manifest_sha256" and now[name] != was.get(name)]
    if changed:
        told = f"the ledger and the provenance do not agree in {', '.join(changed)}: one of them was changed"
    elif last is not None and last["load_id"] != load_id:
        told = f"is in the ledger as it was; the date was published again since, by load {last['load_id']}"
    else:
        told = "is in the ledger as it was"
    yield Finding("load", is_right=not changed, told=told)


def _seal(session: PipelineContext, claim: Claim, load_id: str, was: Mapping[str, Any], capture: Capture) -> Finding:
    """Whether the ledger still names the seal of the capture."""
    load = load_of(session, claim, load_id) or load_of(session, claim)
    if load is None or load["capture_id"] != capture.capture_id:
        return Finding("seal", is_right=False, told="the ledger has no load of this capture to compare its seal with")
    if load["manifest_sha256"] is None and was.get("manifest_sha256") is not None:
        told = "the ledger no longer has the seal that it had: the table loads was changed"
        return Finding("seal", is_right=False, told=told)
    return seal_finding(capture, load["manifest_sha256"])


def _provenance(capture: Capture, was: Mapping[str, Any] | None, timezone: Any) -> Finding:
    """Whether the capture is as the provenance has it."""
    if was is None:
        told = "it was written when the archive was gone: the names in it are of another day, and not proven"
        return Finding("provenance", is_right=False, told=told)
    now = {**captured(capture), "timezone": capture.manifest.get("timezone")}
    then = {**was, "timezone": timezone}
    changed = sorted(name for name in now if now[name] != then.get(name))
    if not changed:
        return Finding("provenance", is_right=True, told="the archive is as it was when this was written")
    if "manifest_sha256" not in changed:
        told = f"the provenance file was changed after it was written: {', '.join(changed)}"
        return Finding("provenance", is_right=False, told=told)
    if _ERASURE_CHANGES.issuperset(changed) and is_seal_of(capture, then.get("manifest_sha256")):
        return Finding(
            "provenance", is_right=True, told=f"a person was erased from the archive since ({erased(capture)})"
        )
    return Finding("provenance", is_right=False, told="the archive or the provenance file was changed since")


def _archived(capture: Capture, claim: Claim, rows: list[Row], *, with_names: bool) -> Finding:
    read = [as_written(row) for row in archived(capture, claim)]
    return _compared("rows and the archived answers", rows, read, COLUMNS if with_names else EVALUATION + NORM)


def _compared(what: str, rows: list[Row], expected: list[Row], columns: tuple[str, ...]) -> Finding:
    if facts(rows, columns) == facts(expected, columns):
        return Finding(what, is_right=True, told=f"agree, all {len(rows):,}")
    return Finding(what, is_right=False, told=difference(expected, rows, columns))


def _rows(content: bytes) -> tuple[list[Row], str]:
    """The rows of a CSV that may have been changed in any way, and what is wrong with its form."""
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig", "replace"), newline=""))
    try:
        read = list(reader)
    except csv.Error:
        return [], "is no CSV file any more"
    rows = in_order({name: row.get(name) or "" for name in COLUMNS} for row in read)
    if tuple(reader.fieldnames or ()) != COLUMNS or any(None in row for row in read):
        return rows, "does not have the columns that it was written with"
    return rows, ""
