from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.errors import ArchiveCorrupt, Refused
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.evidence import COLUMNS, INCOMPLETE, Claim, Evidence, collect_evidence
from drillster_pipeline.pipeline.evidence_check import verify
from drillster_pipeline.pipeline.forget import forget
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.settings import load_settings
from tests.drillster import Sandbox

NOW = datetime(2026, 6, 10, 1, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(accounts=40, seed=11, now=NOW) as server:
        yield server


@pytest.fixture
def session(tmp_path: Path, sandbox: Sandbox) -> Iterator[PipelineContext]:
    """A session whose archive and warehouse hold one night."""
    settings = load_settings(
        {
            **sandbox.environment(),
            "DRILLSTER_ARCHIVE_URL": str(tmp_path / "archive"),
            "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{tmp_path}/warehouse.sqlite",
        }
    )
    with PipelineContext(settings=settings, now=lambda: NOW) as opened:
        capture(opened, "snapshot", opened.newest_complete)
        publish(opened, "snapshot", opened.newest_complete, run_id="test")
        yield opened


@pytest.fixture
def claim(session: PipelineContext, tmp_path: Path) -> Claim:
    """Of the objective that most were evaluated on."""
    (found,) = ask(
        tmp_path,
        "SELECT objective_id FROM objective_evaluations GROUP BY 1 ORDER BY COUNT(*) DESC, 1 LIMIT 1",
    )
    return Claim(found[0], session.newest_complete)


def ask(folder: Path, sql: str) -> list[Any]:
    connection = sqlite3.connect(folder / "warehouse.sqlite")
    try:
        with connection:
            return connection.execute(sql).fetchall()
    finally:
        connection.close()


def wrong(session: PipelineContext, evidence: Evidence, content: bytes | None = None) -> dict[str, str]:
    findings = verify(session, evidence.content if content is None else content, evidence.provenance)
    return {finding.what: finding.text for finding in findings if not finding.is_right}


def rows_of(evidence: Evidence) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(evidence.content.decode("utf-8-sig"), newline="")))


def test_everyone_evaluated_is_named_with_the_norm_and_review_date_of_that_day(
    session: PipelineContext, claim: Claim, tmp_path: Path
) -> None:
    evidence = collect_evidence(session, claim)
    rows = rows_of(evidence)
    assert tuple(rows[0]) == COLUMNS
    expected = ask(
        tmp_path,
        "SELECT account_id, CASE met WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE '' END, "
        "COALESCE(CAST(minimum_proficiency AS TEXT), ''), COALESCE(review_at, '') FROM objective_evaluations "
        f"WHERE objective_id = '{claim.objective_id}' ORDER BY group_id, account_id",
    )
    assert [(r["account_id"], r["met"], r["minimum_proficiency"], r["review_at"]) for r in rows] == expected
    names = dict(ask(tmp_path, "SELECT account_id, name FROM accounts"))
    assert all(row["account_name"] == names[row["account_id"]] for row in rows)
    assert wrong(session, evidence) == {}


def test_the_provenance_names_load_capture_parts_and_the_service_account(
    session: PipelineContext, claim: Claim, sandbox: Sandbox, tmp_path: Path
) -> None:
    provenance = collect_evidence(session, claim).provenance
    ((load_id, sealed),) = ask(tmp_path, "SELECT load_id, manifest_sha256 FROM loads")
    assert provenance["load"]["load_id"] == load_id
    assert provenance["capture"]["manifest_sha256"] == sealed
    assert provenance["capture"]["service_account_id"] == sandbox.organization.service_account_id
    assert any(name.startswith("objective_evaluations/part-") for name in provenance["capture"]["parts"])
    assert json.loads(json.dumps(provenance)) == provenance


def test_one_group_can_be_asked_for(session: PipelineContext, claim: Claim) -> None:
    group = rows_of(collect_evidence(session, claim))[0]["group_id"]
    narrow = collect_evidence(session, Claim(claim.objective_id, claim.export_date, group))
    assert {row["group_id"] for row in rows_of(narrow)} == {group}
    assert wrong(session, narrow) == {}
    with pytest.raises(Refused, match="Nobody was evaluated"):
        collect_evidence(session, Claim(claim.objective_id, claim.export_date, "another"))


@pytest.mark.parametrize(
    ("of_load", "of_table", "notes"), [("NULL", 1, ()), (0, 1, ()), (1, 0, (INCOMPLETE,))], ids=["old", "else", "here"]
)
def test_it_is_as_complete_as_the_read_of_the_evaluations_not_as_the_load(
    session: PipelineContext, claim: Claim, tmp_path: Path, of_load: object, of_table: int, notes: tuple[str, ...]
) -> None:
    """Loads of older versions do not say whether they are complete, and a complete load may lack a closed group."""
    before = collect_evidence(session, claim)
    ask(tmp_path, f"UPDATE loads SET is_complete = {of_load}")
    ask(tmp_path, f"UPDATE load_tables SET is_complete = {of_table} WHERE table_name = 'objective_evaluations'")
    evidence = collect_evidence(session, claim)
    assert (evidence.notes, evidence.provenance["load"]["is_complete"]) == (notes, not notes)
    assert ("ledger" in str(wrong(session, before))) == bool(notes)


def test_a_changed_file_is_found(session: PipelineContext, claim: Claim) -> None:
    evidence = collect_evidence(session, claim)
    changed = evidence.content.replace(b"false", b"true", 1)
    assert changed != evidence.content
    found = wrong(session, evidence, changed)
    assert "changed" in found["file"]
    assert found["rows and the warehouse"] == "they do not agree: 1 rows differ in met"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a,b\r\n1\r\n", b'"'])
def test_a_file_that_is_none_any_more_is_found(session: PipelineContext, claim: Claim, content: bytes) -> None:
    assert "file" in wrong(session, collect_evidence(session, claim), content)


def test_a_changed_warehouse_is_found(session: PipelineContext, claim: Claim, tmp_path: Path) -> None:
    evidence = collect_evidence(session, claim)
    ask(tmp_path, f"UPDATE objective_evaluations SET met = 1 - met WHERE objective_id = '{claim.objective_id}'")
    assert set(wrong(session, evidence)) == {"rows and the warehouse"}
    with pytest.raises(ArchiveCorrupt, match="rows differ in met"):
        collect_evidence(session, claim)


def test_a_changed_part_of_the_archive_is_found(session: PipelineContext, claim: Claim, tmp_path: Path) -> None:
    evidence = collect_evidence(session, claim)
    part = next((tmp_path / "archive").rglob("objective_evaluations/part-*"))
    part.write_bytes(gzip.compress(gzip.decompress(part.read_bytes()).replace(b'"met":false', b'"met":true')))
    assert "parts" in wrong(session, evidence)
    with pytest.raises(ArchiveCorrupt, match="no evidence"):
        collect_evidence(session, claim)


def test_an_archive_that_was_sealed_anew_after_a_change_is_found(
    session: PipelineContext, claim: Claim, tmp_path: Path
) -> None:
    evidence = collect_evidence(session, claim)
    part = next((tmp_path / "archive").rglob("objective_evaluations/part-*"))
    was = hashlib.sha256(part.read_bytes()).hexdigest()
    part.write_bytes(gzip.compress(gzip.decompress(part.read_bytes()).replace(b'"met":false', b'"met":true')))
    manifest = part.parent.parent / "manifest.json"
    manifest.write_text(manifest.read_text().replace(was, hashlib.sha256(part.read_bytes()).hexdigest()))
    found = wrong(session, evidence)
    assert {"seal", "provenance", "rows and the archived answers"} <= set(found)
    with pytest.raises(ArchiveCorrupt, match="not the one that was loaded"):
        collect_evidence(session, claim)


def test_erasing_a_person_is_no_tampering_but_takes_the_person_out_of_the_proof(
    session: PipelineContext, claim: Claim
) -> None:
    evidence = collect_evidence(session, claim)
    forget(session, rows_of(evidence)[0]["account_id"])
    after = collect_evidence(session, claim)
    assert after.rows == evidence.rows - 1
    assert wrong(session, after) == {}
    assert set(wrong(session, evidence)) == {"rows and the archived answers", "rows and the warehouse"}


def test_without_its_archive_the_warehouse_is_told_and_said_to_be_unproven(
    session: PipelineContext, claim: Claim
) -> None:
    for ref in session.archive.captures(claim.export_date):
        session.archive.remove(ref)
    evidence = collect_evidence(session, claim)
    assert evidence.provenance["capture"] is None
    assert set(wrong(session, evidence)) == {"archive"}


def test_a_name_that_a_spreadsheet_would_run_is_made_harmless(
    session: PipelineContext, claim: Claim, tmp_path: Path
) -> None:
    for ref in session.archive.captures(claim.export_date):
        session.archive.remove(ref)  # so that the names of the warehouse are shown
    ask(tmp_path, "UPDATE accounts SET name = '=HYPERLINK(1)'")
    assert {row["account_name"] for row in rows_of(collect_evidence(session, claim))} == {"'=HYPERLINK(1)"}


def test_a_date_that_was_never_loaded_is_refused(session: PipelineContext) -> None:
    with pytest.raises(Refused, match="no evaluations of 2026-01-05"):
        collect_evidence(session, Claim("x", datetime(2026, 1, 5, tzinfo=UTC).date()))


def rewritten(evidence: Evidence, rows: list[dict[str, str]]) -> tuple[bytes, dict[str, Any]]:
    """A file of other rows, and a provenance that promises just that file."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode("utf-8-sig")
    promised = {"rows": len(rows), "sha256": hashlib.sha256(content).hexdigest()}
    return content, {**evidence.provenance, "csv": promised}


def test_names_that_changed_places_are_found_though_the_checksum_was_made_anew(
    session: PipelineContext, claim: Claim
) -> None:
    evidence = collect_evidence(session, claim)
    rows = rows_of(evidence)
    rows[0]["account_name"], rows[1]["account_name"] = rows[1]["account_name"], rows[0]["account_name"]
    content, provenance = rewritten(evidence, rows)
    found = {each.what: each.text for each in verify(session, content, provenance) if not each.is_right}
    assert found == {"rows and the archived answers": "they do not agree: 2 rows differ in account_name"}


def test_a_column_that_was_added_is_found_though_the_checksum_was_made_anew(
    session: PipelineContext, claim: Claim
) -> None:
    evidence = collect_evidence(session, claim)
    content, provenance = rewritten(evidence, [{**row, "verdict": "fine"} for row in rows_of(evidence)])
    assert [each.what for each in verify(session, content, provenance) if not each.is_right] == ["file"]


@pytest.mark.parametrize(
    ("part", "name", "forged", "finding"),
    [
        ("capture", "service_account_id", "somebody else", "provenance"),
        ("capture", "captured_from", "2020-01-01T00:00:00.000000Z", "provenance"),
        ("capture", "manifest_sha256", ["no text"], "provenance"),
        ("claim", "timezone", "Asia/Tokyo", "provenance"),
        ("load", "run_id", "another", "load"),
        ("load", "program_version", "9.9", "load"),
        ("load", "is_complete", False, "load"),
        ("csv", "rows", 1, "file"),
    ],
)
def test_a_changed_provenance_file_is_found(
    session: PipelineContext, claim: Claim, part: str, name: str, forged: object, finding: str
) -> None:
    evidence = collect_evidence(session, claim)
    provenance = {**evidence.provenance, part: {**evidence.provenance[part], name: forged}}
    assert finding in [each.what for each in verify(session, evidence.content, provenance) if not each.is_right]


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ("UPDATE loads SET manifest_sha256 = NULL", "seal"),
        ("UPDATE loads SET capture_id = '20260610T010000Z-snapshot-00000000'", "load"),
        ("UPDATE loads SET run_id = 'another', finished_at = '2026-06-10T00:00:00.000000Z'", "load"),
        ("DELETE FROM loads", "load"),
    ],
)
def test_a_changed_ledger_is_found(
    session: PipelineContext, claim: Claim, tmp_path: Path, change: str, finding: str
) -> None:
    evidence = collect_evidence(session, claim)
    ask(tmp_path, change)
    assert finding in wrong(session, evidence)


def test_evidence_is_proven_in_a_warehouse_that_was_built_anew(
    session: PipelineContext, claim: Claim, tmp_path: Path
) -> None:
    evidence = collect_evidence(session, claim)
    settings = {
        "DRILLSTER_ARCHIVE_URL": str(tmp_path / "archive"),
        "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{tmp_path}/2",
    }
    with PipelineContext(settings=load_settings(settings, needs_api=False), now=lambda: NOW) as other:
        publish(other, "snapshot", claim.export_date, run_id="another")
        assert wrong(other, evidence) == {}


def test_an_archive_without_its_seal_is_no_archive_that_is_gone(
    session: PipelineContext, claim: Claim, tmp_path: Path
) -> None:
    evidence = collect_evidence(session, claim)
    manifest = next((tmp_path / "archive").rglob("manifest.json"))
    sealed = manifest.read_text()
    manifest.unlink()
    with pytest.raises(ArchiveCorrupt, match="lost its seal"):
        collect_evidence(session, claim)
    assert "lost its seal" in wrong(session, evidence)["archive"]
    manifest.write_text('{"format": 1}')
    assert "names no resources" in wrong(session, evidence)["archive"]
    manifest.write_text(sealed.replace(str(claim.export_date), "2026-06-01"))
    assert "another date" in wrong(session, evidence)["archive"]


def test_a_night_that_did_not_see_everything_is_said_to(session: PipelineContext, claim: Claim, tmp_path: Path) -> None:
    assert collect_evidence(session, claim).notes == ()
    ask(tmp_path, "UPDATE load_tables SET is_complete = 0")
    evidence = collect_evidence(session, claim)
    assert "could not be read" in evidence.notes[0]
    assert evidence.provenance["load"]["is_complete"] is False
    with pytest.raises(Refused, match="could not be read"):
        collect_evidence(session, Claim("unknown", claim.export_date))
