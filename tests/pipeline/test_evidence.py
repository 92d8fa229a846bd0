from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from datetime import date
from typing import Any

import pytest

from drillster_pipeline.errors import ArchiveCorrupt, Refused
from drillster_pipeline.pipeline.evidence import COLUMNS, INCOMPLETE, Claim, Evidence, collect_evidence
from drillster_pipeline.pipeline.evidence_check import verify
from drillster_pipeline.pipeline.forget import forget
from tests.support.installation import DAY, Installation


@pytest.fixture
def claim(loaded: Installation) -> Claim:
    """Of the objective that most were evaluated on."""
    query = "SELECT objective_id FROM objective_evaluations GROUP BY 1 ORDER BY COUNT(*) DESC, 1 LIMIT 1"
    return Claim(loaded.query(query)[0][0], DAY)


@pytest.fixture
def evidence(loaded: Installation, claim: Claim) -> Evidence:
    return collect_evidence(loaded.context, claim)


def wrong(
    loaded: Installation, evidence: Evidence, *, content: bytes | None = None, **provenance: Any
) -> dict[str, str]:
    """What is found to be wrong with evidence, or with a changed file or provenance."""
    findings = verify(
        loaded.context, evidence.content if content is None else content, {**evidence.provenance, **provenance}
    )
    return {finding.what: finding.text for finding in findings if not finding.is_right}


def rows_of(evidence: Evidence) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(evidence.content.decode("utf-8-sig"), newline="")))


def remove_archive(loaded: Installation) -> None:
    for ref in loaded.context.archive.captures(DAY):
        loaded.context.archive.remove(ref)


def test_everyone_evaluated_is_named_with_the_norm_and_review_date_of_that_day(
    loaded: Installation, claim: Claim, evidence: Evidence
) -> None:
    rows = rows_of(evidence)
    assert tuple(rows[0]) == COLUMNS
    expected = loaded.query(
        "SELECT account_id, CASE met WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE '' END, "
        "COALESCE(CAST(minimum_proficiency AS TEXT), ''), COALESCE(review_at, '') FROM objective_evaluations "
        "WHERE objective_id = :objective ORDER BY group_id, account_id",
        objective=claim.objective_id,
    )
    assert [(r["account_id"], r["met"], r["minimum_proficiency"], r["review_at"]) for r in rows] == expected
    names = dict(loaded.query("SELECT account_id, name FROM accounts"))
    assert all(row["account_name"] == names[row["account_id"]] for row in rows)
    assert wrong(loaded, evidence) == {}


def test_the_provenance_names_load_capture_parts_and_the_service_account(
    loaded: Installation, evidence: Evidence
) -> None:
    provenance = evidence.provenance
    sealed = loaded.context.archive.newest_sealed(DAY, "snapshot")
    assert loaded.query(
        "SELECT load_id, manifest_sha256 FROM loads WHERE kind = 'snapshot'"
    ) == [(provenance["load"]["load_id"], provenance["capture"]["manifest_sha256"])]  # fmt: skip
    assert provenance["capture"]["service_account_id"] == sealed.manifest["service_account_id"]
    assert any(name.startswith("objective_evaluations/part-") for name in provenance["capture"]["parts"])
    assert json.loads(json.dumps(provenance)) == provenance


def test_it_can_be_requested_of_one_group(loaded: Installation, claim: Claim, evidence: Evidence) -> None:
    group = rows_of(evidence)[0]["group_id"]
    of_group = collect_evidence(loaded.context, Claim(claim.objective_id, DAY, group))
    assert {row["group_id"] for row in rows_of(of_group)} == {group}
    assert wrong(loaded, of_group) == {}


def test_what_the_warehouse_does_not_have_is_refused(loaded: Installation, claim: Claim) -> None:
    for other, message in (
        (Claim(claim.objective_id, date(2026, 1, 5)), "no evaluations of 2026-01-05"),
        (Claim(claim.objective_id, DAY, "another"), "Nobody was evaluated"),
    ):
        with pytest.raises(Refused, match=message):
            collect_evidence(loaded.context, other)


@pytest.mark.parametrize(
    ("of_load", "of_table", "notes"), [("NULL", 1, ()), (0, 1, ()), (1, 0, (INCOMPLETE,))], ids=["old", "else", "here"]
)
def test_it_is_as_complete_as_the_read_of_the_evaluations_not_as_the_load(
    loaded: Installation, claim: Claim, evidence: Evidence, of_load: object, of_table: int, notes: tuple[str, ...]
) -> None:
    """Loads of older versions do not say whether they are complete, and a complete load may lack a closed group."""
    loaded.query(f"UPDATE loads SET is_complete = {of_load}")
    loaded.query(f"UPDATE load_tables SET is_complete = {of_table} WHERE table_name = 'objective_evaluations'")
    now = collect_evidence(loaded.context, claim)
    assert (now.notes, now.provenance["load"]["is_complete"]) == (notes, not notes)
    assert ("ledger" in str(wrong(loaded, evidence))) == bool(notes)
    with pytest.raises(Refused) as refused:
        collect_evidence(loaded.context, Claim("unknown", DAY))
    assert ("could not be read" in str(refused.value)) == bool(notes)


def test_a_changed_file_is_found(loaded: Installation, evidence: Evidence) -> None:
    changed = evidence.content.replace(b"false", b"true", 1)
    assert changed != evidence.content
    found = wrong(loaded, evidence, content=changed)
    assert "changed" in found["file"]
    assert found["rows and the warehouse"] == "they do not agree: 1 row with other values in met"
    for content in (b"", b"\xff\xfe", b"a,b\r\n1\r\n", b'"'):
        assert "file" in wrong(loaded, evidence, content=content)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda rows: [{**rows[0], "account_name": rows[1]["account_name"]}, *rows[1:]],
            {"rows and the archived responses": "they do not agree: 1 row with other values in account_name"},
        ),
        (
            lambda rows: [{**row, "verdict": "fine"} for row in rows],
            {"file": "does not have the columns that it was written with"},
        ),
    ],
    ids=["another name", "another column"],
)
def test_a_changed_file_is_found_though_the_provenance_has_its_checksum(
    loaded: Installation, evidence: Evidence, change: Any, expected: dict[str, str]
) -> None:
    rows, text = change(rows_of(evidence)), io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode("utf-8-sig")
    promised = {"rows": len(rows), "sha256": hashlib.sha256(content).hexdigest()}
    assert wrong(loaded, evidence, content=content, csv=promised) == expected


def test_a_changed_provenance_file_is_found(loaded: Installation, evidence: Evidence) -> None:
    for part, name, forged, finding in (
        ("capture", "service_account_id", "somebody else", "provenance"),
        ("capture", "captured_from", "2020-01-01T00:00:00.000000Z", "provenance"),
        ("capture", "manifest_sha256", ["no text"], "provenance"),
        ("claim", "timezone", "Asia/Tokyo", "provenance"),
        ("load", "run_id", "another", "load"),
        ("load", "program_version", "9.9", "load"),
        ("load", "is_complete", False, "load"),
        ("csv", "rows", 1, "file"),
    ):
        changed = {part: {**evidence.provenance[part], name: forged}}
        assert finding in wrong(loaded, evidence, **changed), (part, name)


def test_a_changed_warehouse_is_found(loaded: Installation, claim: Claim, evidence: Evidence) -> None:
    loaded.query("UPDATE objective_evaluations SET met = 1 - met")
    assert set(wrong(loaded, evidence)) == {"rows and the warehouse"}
    with pytest.raises(ArchiveCorrupt, match="other values in met"):
        collect_evidence(loaded.context, claim)


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ("UPDATE loads SET manifest_sha256 = NULL", "seal"),
        ("UPDATE loads SET capture_id = '20260610T010000Z-snapshot-00000000'", "load"),
        ("UPDATE loads SET run_id = 'another', finished_at = '2026-06-10T00:00:00.000000Z'", "load"),
        ("DELETE FROM loads", "load"),
    ],
)
def test_a_changed_ledger_is_found(loaded: Installation, evidence: Evidence, change: str, finding: str) -> None:
    loaded.query(change)
    assert finding in wrong(loaded, evidence)


@pytest.mark.parametrize("sealed_anew", [False, True])
def test_a_changed_archive_is_found(loaded: Installation, claim: Claim, evidence: Evidence, sealed_anew: bool) -> None:
    part = next(loaded.folder.rglob("objective_evaluations/part-*"))
    was = hashlib.sha256(part.read_bytes()).hexdigest()
    part.write_bytes(gzip.compress(gzip.decompress(part.read_bytes()).replace(b'"met":false', b'"met":true')))
    if sealed_anew:
        manifest = part.parent.parent / "manifest.json"
        manifest.write_text(manifest.read_text().replace(was, hashlib.sha256(part.read_bytes()).hexdigest()))
    expected = {"seal", "provenance", "rows and the archived responses"} if sealed_anew else {"parts"}
    assert expected <= set(wrong(loaded, evidence))
    with pytest.raises(ArchiveCorrupt, match="not the one that was loaded" if sealed_anew else "This is no evidence"):
        collect_evidence(loaded.context, claim)


def test_an_archive_without_its_seal_is_no_archive_that_is_gone(
    loaded: Installation, claim: Claim, evidence: Evidence
) -> None:
    (manifest,) = loaded.folder.rglob("*-snapshot-*/manifest.json")
    sealed = manifest.read_text()
    manifest.unlink()
    with pytest.raises(ArchiveCorrupt, match="lost its seal"):
        collect_evidence(loaded.context, claim)
    assert "lost its seal" in wrong(loaded, evidence)["archive"]
    manifest.write_text('{"format": 1}')
    assert "names no resources" in wrong(loaded, evidence)["archive"]
    manifest.write_text(sealed.replace(str(DAY), "2026-06-01"))
    assert "another date" in wrong(loaded, evidence)["archive"]


def test_without_the_archive_the_rows_are_those_of_the_warehouse_and_not_proven(
    loaded: Installation, claim: Claim
) -> None:
    """A name that a spreadsheet would run is made harmless."""
    remove_archive(loaded)
    loaded.query("UPDATE accounts SET name = '=HYPERLINK(1)'")
    evidence = collect_evidence(loaded.context, claim)
    assert {row["account_name"] for row in rows_of(evidence)} == {"'=HYPERLINK(1)"}
    assert evidence.provenance["capture"] is None
    assert "is gone from the archive" in evidence.notes[0]
    assert set(wrong(loaded, evidence)) == {"archive"}


def test_erasing_a_person_is_no_tampering_but_takes_the_person_out_of_the_proof(
    loaded: Installation, claim: Claim, evidence: Evidence
) -> None:
    forget(loaded.context, rows_of(evidence)[0]["account_id"])
    after = collect_evidence(loaded.context, claim)
    assert after.rows == evidence.rows - 1
    assert wrong(loaded, after) == {}
    assert set(wrong(loaded, evidence)) == {"rows and the archived responses", "rows and the warehouse"}


def test_it_is_proven_in_a_warehouse_that_was_built_anew(loaded: Installation, evidence: Evidence) -> None:
    loaded.set(DRILLSTER_WAREHOUSE_URL=f"sqlite:///{loaded.folder}/2.sqlite")
    loaded.publish()
    assert wrong(loaded, evidence) == {}
