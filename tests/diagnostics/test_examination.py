"""A first connection, on real sockets: every step says what it found, none hides another, and nothing is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from drillster_pipeline.diagnostics import Examination, Status
from drillster_pipeline.diagnostics.probing import MOST_REQUESTS, ORDER
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import load_settings
from drillster_pipeline.warehouse import CONTRACT
from tests.drillster import Failure, Sandbox

from .examined import Examine, step


def test_all_is_well(examine: Examine) -> None:
    report = examine()
    assert {finding.status for finding in report.findings} == {Status.OK}, report.findings
    assert report.exit_code == 0
    assert report.is_complete
    assert [probed.outcome for probed in report.endpoints] == ["answers"] * len(ORDER)
    assert "MANAGE" in step(report, "groups").found


def test_nothing_is_left_behind(examine: Examine, tmp_path: Path) -> None:
    for warehouse in ("sqlite:///data/deeper/warehouse.sqlite", "sqlite:///warehouse.sqlite"):
        examine(DRILLSTER_WAREHOUSE_URL=warehouse, DRILLSTER_ARCHIVE_URL="a/b/archive")
    assert list(tmp_path.rglob("*")) == []


def test_a_warehouse_and_an_archive_that_are_there_stay_as_they_are(
    examine: Examine, sandbox: Sandbox, tmp_path: Path
) -> None:
    with PipelineContext(settings=load_settings(sandbox.environment())) as session:
        day = session.newest_complete
        capture(session, "events", day)
        assert session.warehouse.ledger.latest_loads() == {}
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    report = examine()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert f"all {len(CONTRACT)} are there" in step(report, "tables").found
    assert str(day) in step(report, "archive").found


def test_it_asks_for_one_page_of_each_endpoint_and_for_little_else(examine: Examine, sandbox: Sandbox) -> None:
    report = examine()
    assert report.requests <= 45
    assert sandbox.count("GET", "*/accounts") == 1
    assert sandbox.count("GET", "*/member-results/*") == 1
    assert sandbox.grants == 1


def test_where_nothing_is_to_be_found_it_ends_all_the_same(examine: Examine, sandbox: Sandbox) -> None:
    sandbox.change(failures=(Failure(at="group/*/*", statuses=(404,), error="not_found"),))
    report = examine()
    assert report.requests <= MOST_REQUESTS
    assert step(report, "GET group/{group_id}/members").status is Status.WARNING


def test_an_examination_that_is_broken_off_keeps_what_it_found(sandbox: Sandbox) -> None:
    def breaks_off(what: str) -> None:
        if what.endswith("/staff"):
            raise KeyboardInterrupt

    examination = Examination(environ=sandbox.environment())
    with pytest.raises(KeyboardInterrupt):
        examination.run(breaks_off)
    report = examination.report
    assert not report.is_complete
    assert step(report, "access token").status is Status.OK
    assert len(report.endpoints) == 8
    assert report.as_json()["is_complete"] is False


def test_a_mistake_of_ours_in_one_step_does_not_hide_the_others(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a value of somebody")

    monkeypatch.setattr("drillster_pipeline.diagnostics.storage._try_storage", broken)
    report = examine()
    assert step(report, "archive").status is Status.FAILED
    assert "KeyError at test_examination.py" in step(report, "archive").found
    assert "somebody" not in repr(report.findings)
    assert step(report, "reports").status is Status.OK
    assert report.exit_code == 1
