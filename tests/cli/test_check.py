"""The output of `check`: on a screen of any width, as JSON, and in the bundle."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.drillster import Failure, How, Sandbox

TOP = Path(__file__).parents[2]


def test_it_tries_everything_and_says_that_all_is_ready(command: Command, sandbox: Sandbox, tmp_path: Path) -> None:
    ended = command("check")
    assert ended.code == 0, ended.out
    for words in ("settings", "access token", "member-results", "test-results", "requests", "warehouse", "archive"):
        assert words in ended.out
    assert ended.out.endswith("Ready: drillster-pipeline run\n")
    assert sandbox.credentials.client_secret not in ended.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("columns", ["80", "200", None])
def test_no_line_is_longer_than_the_screen_or_120_columns_of_a_pipe_and_nothing_is_cut_off(
    command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, columns: str | None
) -> None:
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    else:
        monkeypatch.delenv("COLUMNS")
    lines = command("check").out.splitlines()
    assert max(map(len, lines)) <= int(columns or 120)
    assert columns or max(map(len, lines)) > 100
    assert not any("\x1b" in line for line in lines)
    assert "group/…/objective/…/evaluations" in "".join(lines)


def test_for_programs_it_is_json_as_documented(command: Command, sandbox: Sandbox) -> None:
    ended = command("check", "--format", "json")
    report = json.loads(ended.out)
    assert {item["status"] for item in report["items"]} == {"ok"}
    assert (report["verdict"], report["exit_code"], report["is_complete"]) == ("ok", 0, True)
    assert "@" not in ended.out
    assert sandbox.credentials.client_secret not in ended.out
    documented = set(re.findall(r"`([a-z_]+)`", (TOP / "docs/check.md").read_text()))
    named = {*report, *report["items"][0], *report["estimate"]}
    assert named <= documented, named - documented


def test_wrong_settings_end_with_code_2_and_the_rest_is_tried(command: Command, sandbox: Sandbox) -> None:
    os.environ["DRILLSTER_CLIENT_SECRET"] = ""
    ended = command("check")
    assert ended.code == 2
    assert re.search(r"✗ DRILLSTER_CLIENT_SECRET +is missing", ended.out)
    assert re.search(r"✓ warehouse ", ended.out)
    assert "15 endpoints" in ended.out


def test_the_bundle_is_written_also_when_something_fails(command: Command, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.change(failures=(Failure(at="token", statuses=(401,), error="invalid_client"),))
    ended = command("check", "--bundle", "question.zip", "--format", "json")
    assert ended.code == 2
    assert json.loads(ended.out)["exit_code"] == 2
    assert "question.zip" in ended.err
    with zipfile.ZipFile(tmp_path / "question.zip") as archive:
        assert json.loads(archive.read("report.json"))["exit_code"] == 2
        assert json.loads(archive.read("dagster.json")) == {"home": "default", "exists": False, "silent_seconds": None}
    ended = command("check", "--bundle", "no/such/folder/question.zip")
    assert "can't be written" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.slow
def test_a_check_that_is_interrupted_prints_what_it_found(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.change(failures=(Failure(at="groups", how=How.SLOW, seconds=60.0),))
    process = subprocess.Popen(
        [sys.executable, "-c", "from drillster_pipeline.cli.main import main; main()", "check"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TOP)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not sandbox.count("GET", "*/groups") and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert re.search("✓ access token", out)
    assert "Interrupted" in out
