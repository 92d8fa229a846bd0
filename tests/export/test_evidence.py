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
from drillster_pipeline.export import Session, capture, publish
from drillster_pipeline.export.evidence import COLUMNS, Claim, Evidence, gather, verify
from drillster_pipeline.export.forget import forget
from drillster_pipeline.sandbox import Sandbox
from drillster_pipeline.settings import load_settings

NOW = datetime(2026, 6, 10, 1, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(accounts=40, seed=11, now=NOW) as server:
        yield server


@pytest.fixture
def session(tmp_path: Path, sandbox: Sandbox) -> Iterator[Session]:
    """A session whose archive and warehouse hold one night."""
    settings = load_settings(
        {
            **sandbox.environment(),
            "DRILLSTER_ARCHIVE_URL": str(tmp_path / "archive"),
            "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{tmp_path}/warehouse.sqlite",
        }
    )
    with Session(settings=settings, now=lambda: NOW) as opened:
        capture(opened, "snapshot", opened.newest_complete)
        publish(opened, "snapshot", opened.newest_complete, run_id="test")
        yield opened


@pytest.fixture
def claim(session: Session, tmp_path: Path) -> Claim:
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


def wrong(session: Session, evidence: Evidence, content: bytes | None = None) -> dict[str, str]:
    findings = verify(session, evidence.content if content is None else content, evidence.provenance)
    return {finding.what: finding.told for finding in findings if not finding.is_right}


def rows_of(evidence: Evidence) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(evidence.content.decode("utf-8-sig"), newline="")))


def test_everyone_evaluated_is_named_with_the_norm_and_review_date_of_that_day(
    session: Session, claim: Claim, tmp_path: Path
) -> None:
    evidence = gather(session, claim)
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
    session: Session, claim: Claim, sandbox: Sandbox, tmp_path: Path
) -> None:
    provenance = gather(session, claim).provenance
    ((load_id, sealed),) = ask(tmp_path, "SELECT load_id, manifest_sha256 FROM loads")
    assert provenance["load"]["load_id"] == load_id
    assert provenance["capture"]["manifest_sha256"] == sealed
    assert provenance["capture"]["service_account_id"] == sandbox.organization.service_account_id
    assert any(name.startswith("objective_evaluations/part-") for name in provenance["capture"]["parts"])
    assert json.loads(json.dumps(provenance)) == provenance


def test_one_group_can_be_asked_for(session: Session, claim: Claim) -> None:
    group = rows_of(gather(session, claim))[0]["group_id"]
    narrow = gather(session, Claim(claim.objective_id, claim.export_date, group))
    assert {row["group_id"] for row in rows_of(narrow)} == {group}
    assert wrong(session, narrow) == {}
    with pytest.raises(Refused, match="Nobody was evaluated"):
        gather(session, Claim(claim.objective_id, claim.export_date, "another"))


def test_a_changed_file_is_found(session: Session, claim: Claim) -> None:
    evidence = gather(session, claim)
    changed = evidence.content.replace(b"false", b"true", 1)
    assert changed != evidence.content
    found = wrong(session, evidence, changed)
    assert "changed" in found["file"]
    assert found["rows and the warehouse"] == "they do not agree: 1 rows differ in met"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a,b\r\n1\r\n", b'"'])
def test_a_file_that_is_none_any_more_is_found(session: Session, claim: Claim, content: bytes) -> None:
    assert "file" in wrong(session, gather(session, claim), content)


def test_a_changed_warehouse_is_found(session: Session, claim: Claim, tmp_path: Path) -> None:
    evidence = gather(session, claim)
    ask(tmp_path, f"UPDATE objective_evaluations SET met = 1 - met WHERE objective_id = '{claim.objective_id}'")
    assert set(wrong(session, evidence)) == {"rows and the warehouse"}
    with pytest.raises(ArchiveCorrupt, match="rows differ in met"):
        gather(session, claim)


def test_a_changed_part_of_the_archive_is_found(session: Session, claim: Claim, tmp_path: Path) -> None:
    evidence = gather(session, claim)
    part = next((tmp_path / "archive").rglob("objective_evaluations/part-*"))
    part.write_bytes(gzip.compress(gzip.decompress(part.read_bytes()).replace(b'"met":false', b'"met":true')))
    assert "parts" in wrong(session, evidence)
    with pytest.raises(ArchiveCorrupt, match="no evidence"):
        gather(session, claim)


def test_an_archive_that_was_sealed_anew_after_a_change_is_found(
    session: Session, claim: Claim, tmp_path: Path
) -> None:
    evidence = gather(session, claim)
    part = next((tmp_path / "archive").rglob("objective_evaluations/part-*"))
    was = hashlib.sha256(part.read_bytes()).hexdigest()
    part.write_bytes(gzip.compress(gzip.decompress(part.read_bytes()).replace(b'"met":false', b'"met":true')))
    manifest = part.parent.parent / "manifest.json"
    manifest.write_text(manifest.read_text().replace(was, hashlib.sha256(part.read_bytes()).hexdigest()))
    found = wrong(session, evidence)
    assert {"seal", "provenance", "rows and the archived answers"} <= set(found)
    with pytest.raises(ArchiveCorrupt, match="not the one that was loaded"):
        gather(session, claim)


def test_erasing_a_person_is_no_tampering_but_takes_the_person_out_of_the_proof(session: Session, claim: Claim) -> None:
    evidence = gather(session, claim)
    forget(session, rows_of(evidence)[0]["account_id"])
    after = gather(session, claim)
    assert after.rows == evidence.rows - 1
    assert wrong(session, after) == {}
    assert set(wrong(session, evidence)) == {"rows and the archived answers", "rows and the warehouse"}


def test_without_its_archive_the_warehouse_is_told_and_said_to_be_unproven(session: Session, claim: Claim) -> None:
    for ref in session.archive.captures(claim.export_date):
        session.archive.remove(ref)
    evidence = gather(session, claim)
    assert evidence.provenance["capture"] is None
    assert set(wrong(session, evidence)) == {"archive"}


def test_a_name_that_a_spreadsheet_would_run_is_made_harmless(session: Session, claim: Claim, tmp_path: Path) -> None:
    for ref in session.archive.captures(claim.export_date):
        session.archive.remove(ref)  # so that the names of the warehouse are shown
    ask(tmp_path, "UPDATE accounts SET name = '=HYPERLINK(1)'")
    assert {row["account_name"] for row in rows_of(gather(session, claim))} == {"'=HYPERLINK(1)"}


def test_a_date_that_was_never_loaded_is_refused(session: Session) -> None:
    with pytest.raises(Refused, match="no evaluations of 2026-01-05"):
        gather(session, Claim("x", datetime(2026, 1, 5, tzinfo=UTC).date()))
