"""`status` of all organizations of a project, for people and for programs."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from drillster_pipeline.dates import midnight, newest_complete
from drillster_pipeline.organization import Organization
from drillster_pipeline.pipeline.status import read_all
from tests.drillster import Sandbox
from tests.organizations.projects import Project

from .conftest import Command, Query

pytestmark = pytest.mark.slow

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
NEWEST = newest_complete(datetime.now(UTC), AMSTERDAM)
DOWN = "postgresql://someone:very-secret@127.0.0.1:9/c"


@pytest.fixture
def organizations(command: Command, first_load: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One that is loaded, one without data, one whose server is down, one with a wrong setting."""
    del command
    shutil.copytree(first_load, tmp_path / "data")
    monkeypatch.setenv("ELSEWHERE", "Mars")
    project = Project(tmp_path, monkeypatch)
    names = ["acme", "beta", "down", "wrong"]
    archive = f"{tmp_path}/data/archive"
    project.add(names[0], warehouse_url=f"sqlite:///{tmp_path}/data/warehouse.sqlite", archive_url=archive)
    project.add(names[1])
    project.add(names[2], warehouse_url=DOWN)
    project.add(names[3], timezone="{{ env.ELSEWHERE }}")
    return names


@pytest.mark.usefixtures("organizations")
def test_it_lists_all_and_none_that_is_broken_hides_another(command: Command, tmp_path: Path) -> None:
    shown = command("status")
    assert shown.code == 2, "that of the gravest"
    assert re.search(rf"acme +│ {NEWEST} +│ .* │ yes +│ +0 │ +\n", shown.out), shown.out
    assert re.search(r"beta +│ - +│ - +│ no +│ +0 │ +\n", shown.out), shown.out
    assert re.search(r"down .*│ warehouse", shown.out)
    assert re.search(r"wrong .*│ settings", shown.out)
    assert "✗ wrong: One setting is wrong" in shown.out
    assert "very-secret" not in shown.out
    assert not (tmp_path / "beta.sqlite").exists(), "it only reads"
    assert command("--organization", "beta", "status").out.startswith("Nothing is in the warehouse yet")


@pytest.mark.usefixtures("organizations")
def test_other_commands_name_the_organizations_where_the_environment_has_no_settings(command: Command) -> None:
    for arguments, is_named in ((["run"], True), (["--organization", "wrong", "run"], False)):
        ended = command(*arguments)
        assert ended.code == 2
        assert ("Or choose an organization: --organization acme, beta, down, wrong" in ended.err) == is_named


def test_for_programs_as_json(command: Command, organizations: list[str]) -> None:
    shown = command("status", "--format", "json")
    answer = json.loads(shown.out)
    assert answer["exit_code"] == shown.code == 2
    found = {each["name"]: each for each in answer["organizations"]}
    assert list(found) == organizations
    acme = found["acme"]
    assert (acme["newest_ended_date"], acme["is_complete"], acme["missing_dates"]) == (str(NEWEST), True, {})
    assert acme["loads"]["snapshot"]["export_date"] == str(NEWEST)
    assert 0 <= acme["loads"]["events"]["age_seconds"] < 3600
    assert found["beta"]["loads"] == {"snapshot": None, "events": None}
    assert {name: list(each["failures"]) for name, each in found.items()} == {
        "acme": [],
        "beta": [],
        "down": ["warehouse"],
        "wrong": ["settings"],
    }
    (only,) = json.loads(command("--organization", "acme", "status", "--format", "json").out)["organizations"]
    assert only["loads"] == acme["loads"] | {
        kind: load | {"age_seconds": only["loads"][kind]["age_seconds"]} for kind, load in acme["loads"].items()
    }


@pytest.mark.usefixtures("organizations")
def test_for_the_textfile_collector(command: Command) -> None:
    shown = command("status", "--format", "prometheus")
    assert shown.code == 2
    begins = midnight(NEWEST, AMSTERDAM).timestamp()
    for line in (
        'drillster_up{organization="acme"} 1',
        'drillster_up{organization="down"} 0',
        'drillster_up{organization="wrong"} 0',
        f'drillster_newest_export_date_timestamp_seconds{{organization="acme",kind="snapshot"}} {begins:.15g}',
        'drillster_load_complete{organization="acme",kind="events"} 1',
        'drillster_load_complete{organization="beta",kind="events"} 0',
        'drillster_missing_dates{organization="acme"} 0',
    ):
        assert line in shown.out.splitlines()
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed (Debian's package prometheus): its check of the metrics is left out")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=shown.out, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_dates_without_data_are_counted(
    command: Command, loaded: Sandbox, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of the only organization, of the environment."""
    past = NEWEST - timedelta(days=3)
    query(f"UPDATE loads SET export_date = '{past}' WHERE kind = 'events'")
    assert 'drillster_missing_dates{organization=""} 3' in command("status", "--format", "prometheus").out


def test_a_server_that_never_answers_does_not_hold_up_the_others(first_load: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql://a@127.0.0.1:{server.getsockname()[1]}/b"
        names = {
            "silent": {"DRILLSTER_WAREHOUSE_URL": url, "DRILLSTER_ARCHIVE_URL": str(tmp_path / "silent")},
            "well": {
                "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{first_load}/warehouse.sqlite",
                "DRILLSTER_ARCHIVE_URL": str(first_load / "archive"),
            },
        }
        started = time.monotonic()
        silent, well = read_all([Organization(name=name, values=each) for name, each in names.items()], seconds=5)
        assert time.monotonic() - started < 14, "connecting is given up after 15 s"
    assert "did not answer within 5 s" in str(silent.failures["warehouse"])
    assert well.is_complete
