"""Seals that an authority stamps, and what the stamps prove afterwards."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from drillster_pipeline.errors import SettingsError
from drillster_pipeline.pipeline.evidence import Claim, Evidence, collect_evidence
from drillster_pipeline.pipeline.evidence_check import verify
from drillster_pipeline.pipeline.forget import forget
from drillster_pipeline.pipeline.prune import prune
from drillster_pipeline.pipeline.timestamps import stamp, stamp_all
from tests.drillster import Sandbox
from tests.support.installation import DAY, Installation
from tests.support.timestamp_authority import Authority, authority

NONE = "the seal has none, so nothing proves when it existed: `prune` requests it of DRILLSTER_TIMESTAMP_URL"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to be a time-stamping authority with"),
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority(tmp_path_factory.mktemp("authority") / "own") as made:
        yield made


@pytest.fixture
def tsa(running: Authority) -> Authority:
    running.status, running.answer, running.requests = 200, None, 0
    running.change, running.headers = bytes, {}
    return running


@pytest.fixture
def stamped(loaded: Installation, tsa: Authority) -> Installation:
    """An archive that is stamped, and the certificate to prove it by."""
    loaded.set(DRILLSTER_TIMESTAMP_URL=tsa.url, DRILLSTER_TIMESTAMP_CERTIFICATE=str(tsa.certificate))
    stamp_all(loaded.context)
    return loaded


def evidence_of(installation: Installation) -> Evidence:
    query = "SELECT objective_id FROM objective_evaluations GROUP BY 1 ORDER BY COUNT(*) DESC, 1 LIMIT 1"
    return collect_evidence(installation.context, Claim(installation.query(query)[0][0], DAY))


def found(installation: Installation, evidence: Evidence) -> list[tuple[str, bool]]:
    """What is found of time stamps."""
    findings = verify(installation.context, evidence.content, evidence.provenance)
    return [(finding.text, finding.is_right) for finding in findings if finding.what == "time stamp"]


def stamps(installation: Installation) -> list[Path]:
    return sorted((installation.folder / "archive").glob(f"{DAY}/*-snapshot-*/*.tsr"))


def test_a_capture_is_stamped_and_proven_offline(
    sandbox: Sandbox, installation: Installation, tsa: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    installation.set(DRILLSTER_TIMESTAMP_URL=tsa.url)
    installation.capture()
    installation.publish()
    assert (len(stamps(installation)), tsa.requests) == (1, 1)
    evidence = evidence_of(installation)
    ((text, is_right),) = found(installation, evidence)
    assert is_right
    assert text.startswith("the seal as it is now has one; name the authority's certificate in DRILLSTER_TIMESTAMP_")
    installation.set(DRILLSTER_TIMESTAMP_URL="", DRILLSTER_TIMESTAMP_CERTIFICATE=str(tsa.certificate))
    ((text, is_right),) = found(installation, evidence)
    assert is_right
    assert text.startswith("the seal as it is now existed at 20")
    assert tsa.requests == 1, "offline"
    assert "secret" not in caplog.text


def with_changes(response: bytes) -> bytes:
    """The response with the status "granted with modifications" (RFC 3161, section 2.4.2)."""
    granted = bytes.fromhex("3003020100")
    assert response.count(granted) >= 1
    return response.replace(granted, granted[:-1] + b"\1", 1)


@pytest.mark.parametrize(
    "failure", ["down", "status", "refusal", "something else", "of another", "cut short", "with changes"]
)
def test_an_authority_that_fails_stops_nothing_and_is_asked_again(
    installation: Installation, tsa: Authority, caplog: pytest.LogCaptureFixture, failure: str
) -> None:
    installation.set(DRILLSTER_TIMESTAMP_URL="http://127.0.0.1:1/?key=secret" if failure == "down" else tsa.url)
    tsa.status = 503 if failure == "status" else 200
    tsa.answer = {"something else": b"<html>", "refusal": bytes.fromhex("30073005020102")}.get(failure)
    if failure == "of another":
        query = tsa.folder / "data"
        query.write_text("another")
        tsa._openssl("ts", "-query", "-data", "data", "-sha256", "-cert", "-out", "other")
        tsa.answer = tsa.stamp((tsa.folder / "other").read_bytes())
    tsa.headers = {"Content-Length": "99999"} if failure == "cut short" else {}
    tsa.change = with_changes if failure == "with changes" else bytes
    installation.capture()
    installation.publish()
    assert stamps(installation) == []
    assert caplog.text.count("has no time stamp yet") == 1
    assert "secret" not in caplog.text
    tsa.status, tsa.answer, tsa.change = 200, None, gzip.compress
    tsa.headers = {"Content-Encoding": "gzip"}
    installation.set(DRILLSTER_TIMESTAMP_URL=tsa.url)
    evidence = evidence_of(installation)
    assert found(installation, evidence) == [(NONE, False)]
    prune(installation.context)
    assert len(stamps(installation)) == 1
    ((_, is_right),) = found(installation, evidence)
    assert is_right


def test_where_certificates_are_not_sorted_the_stamp_has_none_and_the_file_has_the_signers(
    loaded: Installation, tmp_path: Path
) -> None:
    with authority(tmp_path / "unsorted", unsorted=True) as tsa:
        loaded.set(DRILLSTER_TIMESTAMP_URL=tsa.url, DRILLSTER_TIMESTAMP_CERTIFICATE=str(tsa.certificate))
        (capture,) = loaded.context.archive.captures(DAY, "snapshot")
        assert stamp(loaded.context, loaded.context.archive.open(capture))
        assert tsa.requests == 2
    ((_, is_right),) = found(loaded, evidence_of(loaded))
    assert not is_right
    tsa.certificate.write_text(tsa.certificate.read_text() + (tsa.folder / "tsa.pem").read_text())
    ((text, is_right),) = found(loaded, evidence_of(loaded))
    assert is_right
    assert "existed at" in text


def test_after_an_erasure_the_seal_is_stamped_anew_and_both_are_told_apart(stamped: Installation) -> None:
    (earlier,) = stamps(stamped)
    evidence = evidence_of(stamped)
    ((account_id,),) = stamped.query(
        "SELECT account_id FROM accounts WHERE account_id NOT IN (SELECT account_id FROM objective_evaluations) LIMIT 1"
    )
    forget(stamped.context, account_id)
    assert len(stamps(stamped)) == 2
    assert earlier in stamps(stamped)
    now, before = found(stamped, evidence)
    assert now[0].startswith("the seal as it is now existed at 20")
    assert before[0].startswith("the seal before the redaction of 2026-06-10, which no longer applies, existed")
    assert now[1]
    assert before[1]


def test_the_reasons_why_a_stamp_proves_nothing_are_told_apart(stamped: Installation, tmp_path: Path) -> None:
    evidence = evidence_of(stamped)
    (own,) = stamps(stamped)
    content = own.read_bytes()

    def reason() -> str:
        ((text, is_right),) = found(stamped, evidence)
        assert not is_right
        return text.removeprefix("the seal as it is now has one that proves nothing: it is ")

    for changed in (b"", b"<html>", content[: len(content) // 2]):
        own.write_bytes(changed)
        assert reason() == "no time stamp, or was changed"
    not_of_it = "not of an authority of these certificates, or was changed"
    unknown_status = content.replace(bytes.fromhex("3003020100"), bytes.fromhex("3003020143"), 1)
    for changed in (content[:-1] + bytes([content[-1] ^ 1]), unknown_status):
        own.write_bytes(changed)
        assert reason() == not_of_it
    (of_events,) = (stamped.folder / "archive").glob(f"{DAY}/*-events-*/*.tsr")
    own.write_bytes(of_events.read_bytes())
    assert reason() == "of something else"
    own.write_bytes(content)
    other = Authority(tmp_path / "other", "Authority")
    stamped.set(DRILLSTER_TIMESTAMP_CERTIFICATE=str(other.certificate))
    assert reason() == f"{not_of_it} (unable to get local issuer certificate)"
    other.expire()
    query = TimestampRequestBuilder().data((own.parent / "manifest.json").read_bytes())
    query = query.hash_algorithm(HashAlgorithm.SHA256).build()
    own.write_bytes(other.stamp(query.as_bytes()))
    assert reason() == f"{not_of_it} (certificate has expired)"
    own.write_bytes(content)
    for file in (tmp_path / "none.pem", own):
        stamped.set(DRILLSTER_TIMESTAMP_CERTIFICATE=str(file))
        with pytest.raises(SettingsError, match="The file of DRILLSTER_TIMESTAMP_CERTIFICATE can't be read"):
            found(stamped, evidence)


@pytest.mark.parametrize("setting", ["URL", "CERTIFICATE"])
def test_a_stamp_that_is_gone_is_missing_while_either_setting_is_there(stamped: Installation, setting: str) -> None:
    evidence = evidence_of(stamped)
    (own,) = stamps(stamped)
    own.unlink()
    stamped.set(**{f"DRILLSTER_TIMESTAMP_{setting}": ""})
    assert found(stamped, evidence) == [(NONE, False)]
