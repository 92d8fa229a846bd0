from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from drillster_pipeline.dates import newest_complete
from tests.cli.conftest import Command, Query
from tests.drillster import Failure, Faults, Sandbox
from tests.support.webhooks import Webhook

pytestmark = pytest.mark.slow

NEWEST = newest_complete(datetime.now(UTC), ZoneInfo("Europe/Amsterdam"))
NONSENSE = Faults(failures=(Failure(at="groups", statuses=(400,), error="nonsense"),))


class TestRun:
    @pytest.mark.deep
    def test_it_reports_what_fails_and_brings_the_newest_date_into_the_warehouse(
        self, command: Command, sandbox: Sandbox, query: Query, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Cron calls it, and there is no daemon whose sensor reports."""
        with Webhook() as hook:
            monkeypatch.setenv("DRILLSTER_ALERT_WEBHOOK", hook.url)
            monkeypatch.setenv("DRILLSTER_HEARTBEAT_URL", hook.url)
            monkeypatch.setenv("DRILLSTER_CONCURRENCY", "many")
            hook.status = 500
            assert command("run").code == 2
            hook.status = 200
            monkeypatch.setenv("DRILLSTER_CONCURRENCY", "4")
            sandbox.faults = NONSENSE
            assert command("run").code == 6
            assert hook.pings == 0
            sandbox.faults = Faults()
            sandbox.clear()
            ended = command("run")
            assert hook.pings == 1
        settings, capture, again = (message["text"].removeprefix("drillster-pipeline: ") for message in hook.got)
        assert settings.startswith(f"The run of {NEWEST} failed. One setting is wrong")
        assert capture.startswith(f"The capture of {NEWEST} failed.")
        assert again.startswith("The job nightly works again.")
        assert ended.code == 0, ended.out + ended.err
        assert f"✓ {NEWEST}" in ended.out
        assert sandbox.grants == 1
        loads = query("SELECT kind, export_date FROM loads ORDER BY kind")
        assert loads == [("events", str(NEWEST)), ("snapshot", str(NEWEST))]
        shown = command("status")
        assert shown.code == 0
        assert shown.out.count("snapshot, events") == 2, shown.out
        assert "missing" not in shown.out

    @pytest.mark.deep
    def test_it_then_fetches_missing_events_and_reports_at_once_where_it_can_not(
        self, command: Command, sandbox: Sandbox, query: Query, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        oldest, first, second = (NEWEST - timedelta(days=ago) for ago in (3, 2, 1))
        refused = command("run", "--date", str(oldest))
        assert refused.code == 5
        assert "would forge history" in refused.out
        assert query("SELECT kind, export_date FROM loads") == [("events", str(oldest))]
        assert sandbox.count("GET", "*/member-results/*") == 0
        # Events are requested from the midnight, in Amsterdam, that begins the day before the date.
        requested = f"*{second - timedelta(days=2)}*"
        failure = Failure(at="objectives/*/events", query=requested, statuses=(400,), error="no_such_thing")
        sandbox.faults = Faults(failures=(failure,))
        with Webhook() as hook:
            monkeypatch.setenv("DRILLSTER_ALERT_WEBHOOK", hook.url)
            ended = command("run")
        assert ended.code == 0
        assert re.search(rf"✓ {first}: \d+ missing events?", ended.out)
        dates = query("SELECT export_date FROM loads WHERE kind = 'events' ORDER BY 1")
        assert dates == [(str(day),) for day in (oldest, first, NEWEST)]
        (text,) = (message["text"] for message in hook.got)
        assert text.startswith(f"drillster-pipeline: The capture of {second} failed.")
        assert re.search(rf"{second} +│ never captured +│ not fetched", command("status").out)

    @pytest.mark.parametrize(
        ("failure", "code", "words"),
        [
            (Failure(statuses=(403,), error="not_permitted"), 3, "give it the"),
            (Failure(statuses=(503,)), 4, "later"),
            (Failure(at="token", statuses=(401,), error="invalid_client"), 2, "DRILLSTER_CLIENT_SECRET"),
        ],
        ids=["nothing may be read", "Drillster is down", "a refused grant"],
    )
    def test_the_exit_code_says_what_to_do(
        self,
        command: Command,
        sandbox: Sandbox,
        monkeypatch: pytest.MonkeyPatch,
        failure: Failure,
        code: int,
        words: str,
    ) -> None:
        monkeypatch.setattr("drillster_pipeline.api.retry.RetryState.add_failure", lambda *_, **__: None)
        sandbox.faults = Faults(failures=(failure,))
        ended = command("run")
        assert ended.code == code, ended.out
        assert words in ended.out
        assert sandbox.credentials.client_secret not in ended.out

    @pytest.mark.parametrize(
        ("day", "code", "words"),
        [(str(NEWEST + timedelta(days=2)), 5, "has not ended yet"), ("2025-12-31", 2, "DRILLSTER_FIRST_EXPORT_DATE")],
        ids=["a date that has not ended", "a date before the first"],
    )
    @pytest.mark.usefixtures("sandbox")
    def test_a_date_that_can_not_be_exported_is_refused(
        self, command: Command, day: str, code: int, words: str
    ) -> None:
        ended = command("run", "--date", day)
        assert ended.code == code
        assert words in ended.err
        assert "Traceback" not in ended.out + ended.err


def test_a_run_with_wrong_settings_makes_nothing(command: Command, tmp_path: Path) -> None:
    ended = command("run")
    assert ended.code == 2
    assert "DRILLSTER_CLIENT_ID is missing" in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["status", "check", "run"])
def test_a_file_of_settings_in_another_encoding_ends_a_command_with_code_2(
    command: Command, tmp_path: Path, name: str
) -> None:
    (tmp_path / ".env").write_bytes("DRILLSTER_OWNERS=team:études".encode("latin-1"))
    ended = command(name)
    assert ended.code == 2
    assert re.fullmatch(r"The settings in \S+\.env can't be read .*UTF-8.*\n", ended.err)


@pytest.mark.parametrize("what", [("report",), ("evidence", "--objective=x")])
def test_a_date_that_has_not_ended_is_refused_as_that(command: Command, what: tuple[str, ...]) -> None:
    ended = command(*what, "--date", str(NEWEST + timedelta(days=2)))
    assert ended.code == 5
    assert "has not ended yet" in ended.err


def test_status_only_reads(command: Command, tmp_path: Path) -> None:
    ended = command("status")
    assert ended.code == 0
    assert "Nothing is in the warehouse yet" in ended.out
    assert "The archive is empty" in ended.out
    assert list(tmp_path.iterdir()) == []
    for mistake in ("--nights=0", "--nights=-3", "--nights=all"):
        assert command("status", mistake).code == 2


def test_status_shows_what_it_can(
    command: Command, loaded: Sandbox, query: Query, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A warehouse that is down hides no archive; and a date that is in one of them alone is shown."""
    past = NEWEST - timedelta(days=3)
    columns = "load_id, export_date, kind, started_at, finished_at, is_whole"
    moment = "'2026-01-01T00:00:00.000000Z'"
    query(f"INSERT INTO loads ({columns}) VALUES ('old', '{past}', 'events', {moment}, {moment}, 1)")
    monkeypatch.setenv("COLUMNS", "80")
    shown = command("status")
    assert re.search(rf"{NEWEST} +│ snapshot, events +│ +│ snapshot, events", shown.out), shown.out
    assert re.search(rf"{past} +│ no +│ +│ events", shown.out), shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "1 of 2 dates" in command("status", "--nights", "1").out
    monkeypatch.setenv("DRILLSTER_WAREHOUSE_URL", "postgresql://a:very-secret@127.0.0.1:9/c")
    shown = command("status")
    assert shown.code == 4
    assert "cannot be reached" in " ".join(shown.out.split())
    assert re.search(rf"{NEWEST} +│ snapshot, events +│ +│ not known", shown.out), shown.out
    assert "very-secret" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("form", "word"),
    [("markdown", "# Data dictionary"), ("ddl", "CREATE TABLE"), ("mermaid", "erDiagram"), ("dbt", "sources:")],
)
def test_schema_prints_every_form(command: Command, form: str, word: str) -> None:
    ended = command("schema", "--format", form)
    assert ended.code == 0
    assert word in ended.out


def test_schema_names_the_schema_and_the_database_of_its_options(command: Command) -> None:
    assert "CREATE TABLE elsewhere.accounts" in command("schema", "--format", "ddl", "--schema", "elsewhere").out
    sources = command("schema", "--format", "dbt", "--schema", "elsewhere", "--database", "lake").out
    assert "database: lake\n  schema: elsewhere\n" in sources


@pytest.mark.deep
def test_demo_exports_its_dates_and_shows_them(command: Command) -> None:
    ended = command("demo", "--nights", "2", "--accounts", "20")
    assert ended.code == 0, ended.out + ended.err
    for words in ("Rows in the warehouse", "Compliance on", "Try next", "make ui"):
        assert words in ended.out
    assert ended.out.count("✓") == 2


def test_an_id_that_is_no_account_is_a_wrong_argument_and_nothing_is_changed(
    command: Command, loaded: Sandbox, query: Query
) -> None:
    for unknown in ("ACTIVE", "-GVxE9s2TjKq0aZb3cYdWw"):  # which is no option
        ended = command("forget", "--yes", unknown)
        assert ended.code == 2, ended.out
        assert "nothing was changed" in ended.err
    assert query("SELECT COUNT(*) FROM erasures") == [(0,)]


def test_who_is_not_sure_erases_nothing(
    command: Command, loaded: Sandbox, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((account,),) = query("SELECT account_id FROM accounts LIMIT 1")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    ended = command("forget", str(account))
    assert (ended.code, ended.err.strip()) == (130, "Nothing was erased.")
    assert query("SELECT COUNT(*) FROM erasures") == [(0,)]


def test_evidence_is_written_and_verified_later(
    command: Command, loaded: Sandbox, query: Query, tmp_path: Path
) -> None:
    ((objective,),) = query("SELECT objective_id FROM objective_evaluations LIMIT 1")
    options = (f"--objective={objective}", "--date", str(NEWEST), "--output")
    ended = command("evidence", *options, "proof.csv")
    assert ended.code == 0, ended.err
    assert "--verify proof.csv" in ended.out
    file, provenance = tmp_path / "proof.csv", tmp_path / "proof.csv.provenance.json"
    assert file.stat().st_mode & 0o077 == 0
    assert command("evidence", "--verify", "proof.csv").code == 0
    file.write_bytes(file.read_bytes().replace(b",true,", b",false,"))
    changed = command("evidence", "--verify", "proof.csv")
    assert changed.code == 6
    assert "was changed" in changed.out
    for option in (f"--objective={objective}", "--group=g", "--output=x.csv"):
        assert command("evidence", "--verify", "proof.csv", option).code == 2
    complete = json.loads(provenance.read_text())
    for change in ({"claim": {**complete["claim"], "export_date": "soon"}}, {"csv": {}}, {"load": []}):
        provenance.write_text(json.dumps({**complete, **change}))
        damaged = command("evidence", "--verify", "proof.csv")
        assert damaged.code == 5, damaged.err
        assert "was changed" in damaged.err
    provenance.unlink()
    assert command("evidence", "--verify", "proof.csv").code == 5
    assert command("evidence", f"--objective={objective}").code == 2
    assert command("evidence", "--objective=", "--date", str(NEWEST)).code == 2
    (tmp_path / "a-file").touch()
    nowhere = command("evidence", *options, "a-file/proof.csv")
    assert nowhere.code == 4
    assert "a-file/proof.csv could not be written" in nowhere.err
