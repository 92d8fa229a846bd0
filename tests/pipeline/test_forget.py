from __future__ import annotations

import gzip
import hashlib
import html
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.archive import Capture, UnitFooter
from drillster_pipeline.archive.redaction import redact
from drillster_pipeline.errors import Busy
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.forget import forget
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.settings import load_settings
from drillster_pipeline.warehouse.engine import LockWait
from tests.drillster import Sandbox

NOW = datetime(2026, 6, 10, 1, 0, tzinfo=UTC)
forget_module = import_module("drillster_pipeline.pipeline.forget")


@pytest.fixture
def session(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[PipelineContext]:
    """A session whose archive and warehouse hold one night; its parameter is what becomes of personal data."""
    with Sandbox(accounts=40, seed=11, now=NOW) as sandbox:
        settings = load_settings(
            {
                **sandbox.environment(),
                "DRILLSTER_ARCHIVE_URL": str(tmp_path / "archive"),
                "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{tmp_path}/warehouse.sqlite",
                "DRILLSTER_REPORTS_FOLDER": str(tmp_path / "reports"),
                "DRILLSTER_PERSONAL_DATA": getattr(request, "param", "keep"),
                "DRILLSTER_PSEUDONYM_KEY": "a key of more than sixteen characters",
            }
        )
        with PipelineContext(settings=settings, now=lambda: NOW) as opened:
            for kind in ("snapshot", "events"):
                capture(opened, kind, opened.newest_complete)
                publish(opened, kind, opened.newest_complete, run_id="test")
            yield opened


def everything(folder: Path) -> str:
    """All bytes of archive and warehouse, decompressed, as text."""
    texts = []
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            texts.append((gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8", "replace"))
    return "\n".join(texts)


def ask(folder: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(folder / "warehouse.sqlite")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def learner(folder: Path) -> tuple[str, str, str]:
    """An account that every kind of table knows."""
    row = ask(
        folder,
        "SELECT account_id, name, email_address FROM accounts WHERE account_id IN (SELECT account_id FROM results) "
        "AND account_id IN (SELECT account_id FROM test_results) AND is_managed ORDER BY account_id LIMIT 1",
    )[0]
    return str(row[0]), str(row[1]), str(row[2])


def test_nothing_of_the_person_is_left_and_everything_of_the_others_is(
    session: PipelineContext, tmp_path: Path
) -> None:
    account, name, email = learner(tmp_path)
    others = f"SELECT * FROM results WHERE account_id <> '{account}' ORDER BY 1, 2, 3, 4"
    before = ask(tmp_path, others)
    outcome = forget(session, account)
    assert outcome.lines > 0
    assert outcome.rows["accounts"] == 1
    assert outcome.rows["results"] > 0
    assert ask(tmp_path, others) == before
    session.close()
    left = everything(tmp_path)
    for trace in (account, email, f'"{name}"'):
        assert trace not in left


def test_the_person_is_taken_out_of_what_is_said_of_others(session: PipelineContext, tmp_path: Path) -> None:
    account, name, email = learner(tmp_path)
    connection = sqlite3.connect(tmp_path / "warehouse.sqlite")
    with connection:
        connection.execute("UPDATE groups SET description = ?", (f"Questions? Ask {name} <{email.upper()}>.",))
        connection.execute("UPDATE organizations SET email_address = ?", (email,))
    connection.close()
    outcome = forget(session, account)
    assert outcome.rows["groups"] > 0
    assert set(ask(tmp_path, "SELECT description FROM groups")) == {("Questions? Ask [forgotten] <[forgotten]>.",)}
    session.close()
    assert email not in everything(tmp_path)


def test_a_person_is_found_in_any_case_and_alphabet_and_in_the_name_of_a_thing(
    session: PipelineContext, tmp_path: Path
) -> None:
    account, *_ = learner(tmp_path)
    name = "Özlem Ångström"
    with closing(sqlite3.connect(tmp_path / "warehouse.sqlite")) as connection, connection:
        other, *_ = connection.execute("SELECT account_id FROM accounts WHERE account_id <> ?", (account,)).fetchone()
        connection.execute("UPDATE accounts SET name = ? WHERE account_id IN (?, ?)", (name, account, other))
        connection.execute("UPDATE groups SET name = ?, description = ?", (name, f"{name}, or ÖZLEM ångström"))
    writer = session.archive.begin(session.newest_complete - timedelta(days=3), "snapshot", {}, NOW)
    groups = {"groups": [{"id": "g", "name": name, "notes": {name: 1, "by": [name]}}], "people": [{"name": name}]}
    writer.append("groups", {}, 1, NOW, json.dumps(groups, ensure_ascii=False).encode(), footer=UnitFooter(1, None))
    writer.seal({"resources": {"groups": {"lost": [], "short": []}}})
    forget(session, account)
    assert ask(tmp_path, "SELECT DISTINCT name, description FROM groups") == [
        ("[forgotten]", "[forgotten], or [forgotten]")
    ]
    assert ask(tmp_path, f"SELECT name FROM accounts WHERE account_id = '{other}'") == [(name,)]
    (archived,) = (gzip.decompress(path.read_bytes()) for path in (tmp_path / "archive/2026-06-06").rglob("*.gz"))
    assert json.loads(archived)["body"] == {
        "groups": [{"id": "g", "name": "[forgotten]", "notes": {name: 1, "by": ["[forgotten]"]}}],
        "people": [{"name": name}],  # somebody else, who has the same one
    }


def test_pages_that_name_the_person_go_and_others_stay(session: PipelineContext, tmp_path: Path) -> None:
    account, name, _ = learner(tmp_path)
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "2026-06-09-names.html").write_text(f"<td>{html.escape(name)}</td>")
    (folder / "2026-06-09.html").write_text("<td>12 people</td>")
    assert forget(session, account).reports == ("2026-06-09-names.html",)
    assert [page.name for page in folder.iterdir()] == ["2026-06-09.html"]


def test_what_only_the_history_knows_of_the_person_goes_too(session: PipelineContext, tmp_path: Path) -> None:
    """A former name and address, in the person's own history, in an old invitation and in what a group once said."""
    account, *_ = learner(tmp_path)
    former = ("Wilhelmina Vandersloot", "wilhelmína@example.org")
    connection = sqlite3.connect(tmp_path / "warehouse.sqlite")
    with connection:
        connection.execute(
            "UPDATE accounts_history SET name = ?, email_address = ? WHERE account_id = ?", (*former, account)
        )
        connection.execute(
            "UPDATE group_members_history SET member_key = 'invitee:x', account_id = NULL, name = ?, email_address = ? "
            "WHERE account_id = ?",
            (former[0], former[1].upper(), account),
        )
        connection.execute("UPDATE groups_history SET description = ?", (f"{former[0]} knows more",))
    connection.close()
    outcome = forget(session, account)
    assert outcome.rows["accounts_history"] == 1
    assert outcome.rows["group_members_history"] > 0
    assert set(ask(tmp_path, "SELECT description FROM groups_history")) == {("[forgotten] knows more",)}
    session.close()
    left = everything(tmp_path)
    for trace in (account, "Vandersloot", former[1], former[1].upper()):
        assert trace not in left


def test_a_person_stays_forgotten_by_a_load_that_waited_for_it(session: PipelineContext, tmp_path: Path) -> None:
    """Its capture was looked up before, and the parts that it names are gone when its turn comes."""
    account, *_ = learner(tmp_path)
    found = session.archive.newest_sealed(session.newest_complete, "snapshot")
    forget(session, account)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(session.archive, "newest_sealed", lambda *_: found)
        publish(session, "snapshot", session.newest_complete, run_id="waited")
    assert ask(tmp_path, f"SELECT COUNT(*) FROM accounts WHERE account_id = '{account}'") == [(0,)]


def test_while_a_capture_is_under_way_nothing_is_changed(session: PipelineContext, tmp_path: Path) -> None:
    account, *_ = learner(tmp_path)
    session.archive.begin(session.newest_complete, "events", {"kind": "events"}, NOW)
    before = sorted((tmp_path / "archive").rglob("*.gz"))
    with session.archive.locked(session.newest_complete, "events"), pytest.raises(Busy):
        forget(session, account)
    assert sorted((tmp_path / "archive").rglob("*.gz")) == before
    assert ask(tmp_path, f"SELECT COUNT(*) FROM accounts WHERE account_id = '{account}'") == [(1,)]


def test_while_a_load_is_under_way_nothing_is_changed(
    session: PipelineContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, *_ = learner(tmp_path)
    monkeypatch.setattr(session.warehouse, "_wait", LockWait(seconds=0))
    with session.warehouse.erasing(), pytest.raises(Busy, match="is being written by forget"):
        forget(session, account)
    assert account in everything(tmp_path)


@pytest.mark.parametrize("session", ["pseudonymize", "drop"], indirect=True)
def test_a_person_whose_name_is_hidden_is_forgotten_too(session: PipelineContext, tmp_path: Path) -> None:
    ((account,),) = ask(
        tmp_path,
        "SELECT account_id FROM accounts WHERE account_id IN (SELECT account_id FROM test_results) LIMIT 1",
    )
    outcome = forget(session, str(account))
    assert outcome.rows["accounts"] == 1
    session.close()
    assert str(account) not in everything(tmp_path)


def test_a_replay_after_it_brings_nobody_back_and_marks_nobody_else_deleted(
    session: PipelineContext, tmp_path: Path
) -> None:
    account, *_ = learner(tmp_path)
    forget(session, account)
    publish(session, "snapshot", session.newest_complete, run_id="replay")
    publish(session, "events", session.newest_complete, run_id="replay")
    assert ask(tmp_path, f"SELECT COUNT(*) FROM accounts WHERE account_id = '{account}'") == [(0,)]
    assert ask(tmp_path, "SELECT COUNT(*) FROM accounts WHERE deleted_on IS NOT NULL") == [(0,)]
    assert ask(tmp_path, "SELECT COUNT(*) FROM rejected_rows") == [(0,)]


def test_it_is_recorded_without_the_account_id(session: PipelineContext, tmp_path: Path) -> None:
    account, *_ = learner(tmp_path)
    forget(session, account)
    ((digest, rows),) = ask(tmp_path, "SELECT account_digest, rows_erased > 0 FROM erasures")
    assert rows
    assert digest == hashlib.sha256(account.encode()).hexdigest()


def test_a_file_that_no_manifest_names_is_swept(session: PipelineContext, tmp_path: Path) -> None:
    account, *_ = learner(tmp_path)
    folder = next((tmp_path / "archive").rglob("accounts"))
    (folder / "part-00001-r00000000.jsonl.gz").write_bytes(b"left by a redaction that was cut short")
    forget(session, account)
    assert len(list(folder.iterdir())) == 1


def test_captures_that_were_never_sealed_go(session: PipelineContext, tmp_path: Path) -> None:
    account, *_ = learner(tmp_path)
    session.archive.begin(session.newest_complete, "events", {"kind": "events"}, NOW)
    assert forget(session, account).unfinished == 1


def test_one_that_is_cut_short_and_begun_again_finds_the_names_that_went_first(
    session: PipelineContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older capture alone knows a former name, which stands in running text of a newer one."""
    account, *_ = learner(tmp_path)
    for days, name, text in ((3, "Wilhelmina Vandersloot", "-"), (2, "W. Jansen", "As Wilhelmina Vandersloot wrote")):
        writer = session.archive.begin(session.newest_complete - timedelta(days=days), "snapshot", {}, NOW)
        body = json.dumps({"accounts": [{"account": {"id": account, "name": name}}], "note": text}).encode()
        writer.append("accounts", {}, 1, NOW, body, footer=UnitFooter(1, None))
        writer.seal({"resources": {"accounts": {"lost": [], "short": []}}})
    redacted: list[str] = []

    def killed_at_the_second(capture: Capture, *arguments: Any, **options: Any) -> int:
        if redacted:
            raise KeyboardInterrupt
        redacted.append(capture.capture_id)
        return redact(capture, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr("drillster_pipeline.pipeline.forget.redact", killed_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            forget(session, account)
    forget(session, account)
    session.close()
    left = everything(tmp_path)
    for trace in (account, "Vandersloot"):
        assert trace not in left
    assert not (tmp_path / "archive" / "forgetting").exists()


def test_a_capture_that_is_sealed_in_the_meantime_is_not_missed(
    session: PipelineContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, *_ = learner(tmp_path)
    writer = session.archive.begin(session.newest_complete, "snapshot", {}, NOW)
    learn = forget_module._learn

    def sealed_after(*arguments: Any) -> Any:
        found = learn(*arguments)
        writer.append("accounts", {}, 1, NOW, json.dumps([{"id": account}]).encode(), footer=UnitFooter(1, None))
        writer.seal({"resources": {"accounts": {"lost": [], "short": []}}})
        return found

    monkeypatch.setattr(forget_module, "_learn", sealed_after)
    forget(session, account)
    session.close()
    assert account not in everything(tmp_path)


def test_while_a_capture_is_made_it_says_so_and_finishes_later(session: PipelineContext, tmp_path: Path) -> None:
    account, *_ = learner(tmp_path)
    with (
        session.archive.locked(session.newest_complete, "snapshot"),
        pytest.raises(Busy, match="Another run is capturing the snapshot"),
    ):
        forget(session, account)
    assert ask(tmp_path, f"SELECT COUNT(*) FROM accounts WHERE account_id = '{account}'") == [(1,)]
    forget(session, account)
    session.close()
    assert account not in everything(tmp_path)


def test_a_reader_that_keeps_the_log_of_sqlite_from_being_emptied_is_told_of(
    session: PipelineContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drillster_pipeline.warehouse.dialects.sqlite.BUSY_SECONDS", 0.2)
    account, *_ = learner(tmp_path)
    session.close()
    del session.warehouse  # so that it is opened anew
    with closing(sqlite3.connect(tmp_path / "warehouse.sqlite", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM loads").fetchall()
        with pytest.raises(Busy, match="write-ahead log, which still has them, can't be emptied"):
            forget(session, account)
        reader.execute("ROLLBACK")
    forget(session, account)
    session.close()
    assert account not in everything(tmp_path)
