from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from drillster_pipeline.dates import newest_complete
from tests.cli.conftest import Command
from tests.drillster import Failure, Sandbox
from tests.support.webhooks import running_webhook

NEWEST = newest_complete(datetime.now(UTC), ZoneInfo("Europe/Amsterdam"))
Query = Callable[[str], list[tuple[object, ...]]]


def test_wrong_settings_end_a_command_with_code_2_and_all_mistakes(command: Command) -> None:
    ended = command("run")
    assert ended.code == 2
    assert "DRILLSTER_CLIENT_ID is missing" in ended.err
    assert "DRILLSTER_PRIVATE_KEY is missing" in ended.err
    assert "Traceback" not in ended.err


def test_run_reports_wrong_settings_and_what_waits_and_that_it_works_again(
    command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cron calls it, and no daemon runs that would look."""
    with running_webhook() as hook:
        monkeypatch.setenv("DRILLSTER_ALERT_WEBHOOK", hook.url)
        monkeypatch.setenv("DRILLSTER_CONCURRENCY", "many")
        hook.status = 500
        assert command("run").code == 2
        hook.status = 200
        monkeypatch.setenv("DRILLSTER_CONCURRENCY", "4")
        assert command("run").code == 0
        assert command("run").code == 0
    del sandbox
    failed, again = (message["text"] for message in hook.got)
    assert failed.startswith(f"drillster-pipeline: The run of {NEWEST} failed. One setting is wrong")
    assert again.startswith("drillster-pipeline: The job nightly works again.")


def test_run_reports_its_own_failure_and_beats_when_it_succeeds(
    command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_webhook() as hook:
        monkeypatch.setenv("DRILLSTER_ALERT_WEBHOOK", hook.url)
        monkeypatch.setenv("DRILLSTER_HEARTBEAT_URL", hook.url)
        sandbox.change(failures=(Failure(at="groups", statuses=(400,), error="nonsense"),))
        assert command("run").code == 6
        assert (len(hook.got), hook.pings) == (1, 0)
        assert hook.got[0]["text"].startswith(f"drillster-pipeline: The capture of {NEWEST} failed.")
        sandbox.change(failures=())
        assert command("run").code == 0
        assert (len(hook.got), hook.pings) == (2, 1)


def test_run_reports_at_once_that_events_of_past_dates_could_not_be_fetched(
    command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("run").code == 0
    with closing(sqlite3.connect("data/warehouse.sqlite")) as connection, connection:
        connection.execute(
            "INSERT INTO loads (load_id, export_date, kind, started_at, finished_at)"
            " VALUES ('old', ?, 'snapshot', '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z')",
            (str(NEWEST - timedelta(days=1)),),
        )
    # Events are asked for from the midnight, in Amsterdam, that begins the day before the date.
    asked = f"*{NEWEST - timedelta(days=3)}*"
    sandbox.change(failures=(Failure(at="objectives/*/events", query=asked, statuses=(400,), error="no_such_thing"),))
    with running_webhook() as hook:
        monkeypatch.setenv("DRILLSTER_ALERT_WEBHOOK", hook.url)
        assert command("run").code == 0
    (text,) = (message["text"] for message in hook.got)
    assert text.startswith(f"drillster-pipeline: The capture of {NEWEST - timedelta(days=1)} failed.")


def test_run_brings_the_newest_day_into_the_warehouse(command: Command, sandbox: Sandbox, query: Query) -> None:
    ended = command("run")
    assert ended.code == 0, ended.out + ended.err
    assert f"✓ {NEWEST}" in ended.out
    assert query("SELECT kind, export_date FROM loads ORDER BY kind") == [
        ("events", str(NEWEST)),
        ("snapshot", str(NEWEST)),
    ]
    assert query("SELECT COUNT(*) FROM results") > [(0,)]
    assert sandbox.grants == 1

    told = command("status")
    assert told.code == 0
    assert str(NEWEST) in told.out
    assert told.out.count("snapshot, events") == 2, told.out
    assert "missing" not in told.out


def test_run_then_fetches_the_events_that_dates_in_between_lack(
    command: Command, sandbox: Sandbox, query: Query
) -> None:
    oldest, *between = (NEWEST - timedelta(days=ago) for ago in (3, 2, 1))
    assert command("run", "--date", str(oldest)).code == 5
    ended = command("run")
    assert ended.code == 0
    assert [day for day in between if re.search(rf"✓ {day}: \d+ events that were missing", ended.out)] == between
    assert query("SELECT export_date FROM loads WHERE kind = 'events' ORDER BY 1") == [
        (str(day),) for day in (oldest, *between, NEWEST)
    ]
    assert re.search(rf"{oldest} to {between[-1]} +│ never captured +│ yes", command("status").out)
    sandbox.clear()
    assert "were missing" not in command("run").out


def test_a_past_day_that_was_never_captured_is_refused_with_code_5_and_its_events_are_published(
    command: Command, sandbox: Sandbox, query: Query
) -> None:
    past = NEWEST - timedelta(days=3)
    ended = command("run", "--date", str(past))
    assert ended.code == 5
    assert "would forge history" in ended.out
    assert query("SELECT kind, export_date FROM loads") == [("events", str(past))]
    assert sandbox.count("GET", "*/member-results/*") == 0


def test_status_only_looks(command: Command, tmp_path: Path) -> None:
    told = command("status")
    assert told.code == 0
    assert "Nothing is in the warehouse yet" in told.out
    assert "The archive is empty" in told.out
    assert list(tmp_path.iterdir()) == []
    for mistake in ("--nights=0", "--nights=-3", "--nights=all"):
        assert command("status", mistake).code == 2


def test_status_shows_what_it_can(
    command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A warehouse that is down hides no archive; and a date that is in one of them alone is shown."""
    past = NEWEST - timedelta(days=3)
    assert command("run").code == 0
    assert command("run", "--date", str(past)).code == 5
    del sandbox
    shutil.rmtree(tmp_path / "data/archive" / str(past))
    monkeypatch.setenv("COLUMNS", "80")
    told = command("status")
    assert re.search(rf"{NEWEST} +│ snapshot, events +│ +│ snapshot, events", told.out), told.out
    assert re.search(rf"{past} +│ no +│ +│ events", told.out), told.out
    assert max(map(len, told.out.splitlines())) <= 80
    assert "1 of 2 dates" in command("status", "--nights", "1").out
    monkeypatch.setenv("DRILLSTER_WAREHOUSE_URL", "postgresql://a:very-secret@127.0.0.1:9/c")
    told = command("status")
    assert told.code == 4
    assert "cannot be reached" in " ".join(told.out.split())
    assert re.search(rf"{NEWEST} +│ snapshot, events +│ +│ not known", told.out), told.out
    assert "very-secret" not in told.out + told.err


@pytest.mark.parametrize("what", [("report",), ("evidence", "--objective=x")])
def test_a_date_that_has_not_ended_is_refused_as_that(command: Command, what: tuple[str, ...]) -> None:
    told = command(*what, "--date", str(NEWEST + timedelta(days=2)))
    assert told.code == 5
    assert "has not ended yet" in told.err


def test_a_day_that_has_not_ended_is_refused(command: Command, sandbox: Sandbox) -> None:
    del sandbox
    ended = command("run", "--date", str(NEWEST + timedelta(days=2)))
    assert ended.code != 0
    assert "Traceback" not in ended.out + ended.err


def test_a_day_before_the_first_export_date_is_a_mistake_of_use(command: Command, sandbox: Sandbox) -> None:
    del sandbox
    ended = command("run", "--date", "2025-12-31")
    assert ended.code == 2
    assert "DRILLSTER_FIRST_EXPORT_DATE" in ended.err


def test_a_service_account_that_may_see_nothing_ends_with_code_3(command: Command, sandbox: Sandbox) -> None:
    sandbox.change(failures=(Failure(statuses=(403,), error="not_permitted"),))
    ended = command("run")
    assert ended.code == 3, ended.out
    assert "give it the" in ended.out

    sandbox.change(failures=())  # the right was given: the next run asks anew
    assert command("run").code == 0


def test_a_drillster_that_is_down_ends_with_code_4(
    command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drillster_pipeline.api.retry.RetryState.add_failure", lambda *_, **__: None)
    sandbox.stop()
    ended = command("run")
    assert ended.code == 4, ended.out
    assert "later" in ended.out


def test_a_refused_grant_ends_with_code_2_and_says_what_to_check(
    command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    del sandbox
    monkeypatch.setenv("DRILLSTER_CLIENT_SECRET", "f" * 32)
    ended = command("run")
    assert ended.code == 2
    assert "DRILLSTER_CLIENT_SECRET" in ended.out
    assert "f" * 32 not in ended.out


@pytest.mark.parametrize(
    ("form", "word"),
    [("markdown", "# Data dictionary"), ("ddl", "CREATE TABLE"), ("mermaid", "erDiagram"), ("dbt", "sources:")],
)
def test_schema_prints_every_form(command: Command, form: str, word: str) -> None:
    ended = command("schema", "--format", form)
    assert ended.code == 0
    assert word in ended.out


def test_schema_puts_the_tables_where_it_is_told(command: Command) -> None:
    assert "CREATE TABLE elsewhere.accounts" in command("schema", "--format", "ddl", "--schema", "elsewhere").out
    sources = command("schema", "--format", "dbt", "--schema", "elsewhere", "--database", "lake").out
    assert "database: lake\n  schema: elsewhere\n" in sources


def test_demo_exports_its_nights_and_shows_them(command: Command, query: Query) -> None:
    del query
    ended = command("demo", "--nights", "2", "--accounts", "20")
    assert ended.code == 0, ended.out + ended.err
    for words in ("Rows in the warehouse", "Compliance on", "Average proficiency", "Try next", "make ui"):
        assert words in ended.out
    assert ended.out.count("✓") == 2


def test_an_id_that_begins_with_a_dash_is_no_option(command: Command, sandbox: Sandbox) -> None:
    ended = command("forget", "--yes", "-GVxE9s2TjKq0aZb3cYdWw")
    assert ended.code == 2
    assert "Neither the warehouse nor the archive knows an account of that id" in ended.err
    del sandbox


def test_an_id_that_is_no_account_is_a_wrong_argument_and_nothing_is_changed(
    command: Command, sandbox: Sandbox, query: Query, tmp_path: Path
) -> None:
    del sandbox
    command("run")
    ((group,),) = query("SELECT group_id FROM groups LIMIT 1")
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.suffix in {".gz", ".json"}}
    for unknown in ("2026", "a", "id", "ACTIVE", str(group)):
        ended = command("forget", "--yes", unknown)
        assert ended.code == 2, ended.out
        assert "nothing was changed" in ended.err
        assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.suffix in {".gz", ".json"}} == files
    assert query("SELECT COUNT(*) FROM erasures") == [(0,)]


def test_evidence_is_written_and_proven_later(command: Command, sandbox: Sandbox, query: Query, tmp_path: Path) -> None:
    del sandbox
    command("run")
    ((objective,),) = query("SELECT objective_id FROM objective_evaluations LIMIT 1")
    ended = command("evidence", f"--objective={objective}", "--date", str(NEWEST), "--output", "proof.csv")
    assert ended.code == 0, ended.err
    assert "--verify proof.csv" in ended.out
    assert (tmp_path / "proof.csv").stat().st_mode & 0o077 == 0
    assert command("evidence", "--verify", "proof.csv").code == 0
    (tmp_path / "proof.csv").write_bytes((tmp_path / "proof.csv").read_bytes().replace(b",true,", b",false,"))
    changed = command("evidence", "--verify", "proof.csv")
    assert changed.code == 6
    assert "was changed" in changed.out
    for option in (f"--objective={objective}", "--group=g", "--output=x.csv"):
        assert command("evidence", "--verify", "proof.csv", option).code == 2
    provenance = tmp_path / "proof.csv.provenance.json"
    whole = json.loads(provenance.read_text())
    for change in ({"claim": None}, {"claim": {**whole["claim"], "export_date": "soon"}}, {"csv": {}}, {"load": []}):
        provenance.write_text(json.dumps({**whole, **change}))
        damaged = command("evidence", "--verify", "proof.csv")
        assert damaged.code == 5, damaged.err
        assert "was changed" in damaged.err
    provenance.unlink()
    assert command("evidence", "--verify", "proof.csv").code == 5
    assert command("evidence", f"--objective={objective}").code == 2
    assert command("evidence", "--objective=", "--date", str(NEWEST)).code == 2
    (tmp_path / "a-file").touch()
    nowhere = command("evidence", f"--objective={objective}", "--date", str(NEWEST), "--output", "a-file/proof.csv")
    assert nowhere.code == 4
    assert "a-file/proof.csv could not be written" in nowhere.err
