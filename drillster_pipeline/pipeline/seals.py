"""Whether a capture is still what was loaded: its seal is the one that the ledger knows, its parts are those of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from drillster_pipeline.archive import Capture
from drillster_pipeline.errors import ArchiveCorrupt

RESOURCES = ("accounts", "groups", "group_members", "objectives", "objective_evaluations")
"""What the rows of evidence and the names in them are read from, in the order of the walk."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was verified."""

    what: str
    is_right: bool
    told: str


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
        told = "the load did not record the seal of its archive: publish the date again to have it recorded"
    elif sealed == capture.manifest_sha256:
        told = "the archive is sealed as it was when it was loaded"
    elif is_seal_of(capture, sealed):
        told = f"a person was erased from it after it was loaded ({erased(capture)})"
    else:
        told = f"the seal of capture {capture.capture_id} is not the one that was loaded: its manifest was changed"
        return Finding("seal", is_right=False, told=told)
    return Finding("seal", is_right=True, told=told)


def parts_findings(capture: Capture) -> Iterator[Finding]:
    """Whether all parts that evidence is read from have the checksums of the seal."""
    parts = 0
    try:
        for resource in RESOURCES:
            for _ in capture.pages(resource):
                pass
            parts += len(capture.manifest["resources"].get(resource, {"parts": ()})["parts"])
    except ArchiveCorrupt as error:
        yield Finding("parts", is_right=False, told=str(error))
    else:
        yield Finding("parts", is_right=True, told=f"all {parts} have the checksums of the seal")
