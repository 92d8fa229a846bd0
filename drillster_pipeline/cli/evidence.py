"""`evidence`: an auditor's file, and whether it is still true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from drillster_pipeline.errors import ArchiveCorrupt, Refused
from drillster_pipeline.formatting import count

from .rendering import write_private

if TYPE_CHECKING:
    from drillster_pipeline.pipeline.context import PipelineContext
    from drillster_pipeline.pipeline.evidence import Claim


def write_evidence(console: Console, context: PipelineContext, claim: Claim, output: Path | None) -> None:
    """Write the CSV and its provenance."""
    from drillster_pipeline.pipeline.evidence import collect_evidence

    evidence = collect_evidence(context, claim)
    path = output or Path(f"evidence-{_plain(claim.objective_id)}-{claim.export_date}.csv")
    provenance = _provenance_of(path)
    described = json.dumps(evidence.provenance, indent=1).encode()
    for where, content in ((path, evidence.content), (provenance, described)):
        write_private(where, content)
    lines = [
        f"{count(evidence.rows, 'evaluation')} of {claim.export_date} in {path}",
        f"Their provenance: {provenance}",
    ]
    lines += [f"[yellow]{note}[/]" for note in evidence.notes]
    load, capture = evidence.provenance["load"], evidence.provenance["capture"]
    if capture is not None:
        lines.append(
            f"Load {load['load_id']} of capture {capture['capture_id']}, made {capture['captured_from']} to "
            f"{capture['captured_until']} by service account {capture['service_account_id']}."
        )
    lines += [
        f"Its checksum (SHA-256): {evidence.provenance['csv']['sha256']}",
        "It has names: keep it as you keep the warehouse. To verify it later:",
        f"  drillster-pipeline evidence --verify {path}",
    ]
    console.print("\n".join(lines), soft_wrap=True)


def verify_evidence(console: Console, context: PipelineContext, path: Path) -> int:
    """Verify a file, and print what was found; returns the exit code."""
    from drillster_pipeline.pipeline.evidence_check import verify

    findings = verify(context, path.read_bytes(), _read_provenance(path))
    table = Table(show_edge=False, pad_edge=False, show_header=False)
    for finding in findings:
        table.add_row(finding.what, "[green]✓[/]" if finding.is_right else "[red]✗[/]", finding.text)
    console.print(table)
    if all(finding.is_right for finding in findings):
        console.print("\nThe evidence is true: file, archive and warehouse say the same.")
        return 0
    console.print("\n[red]The evidence is not proven: see above what was changed or is missing.[/]")
    return ArchiveCorrupt.exit_code


def _read_provenance(path: Path) -> dict[str, Any]:
    where = _provenance_of(path)
    try:
        found = json.loads(where.read_bytes())
    except FileNotFoundError:
        raise Refused(f"{where} is missing: evidence is verified with the file that was written with it") from None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused(f"{where} is no valid JSON: it was changed after it was written")
    return found


def _provenance_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.provenance.json")


def _plain(id_: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in id_)
