"""Archive, warehouse and evidence of an earlier version stay readable: see make_fixture.py for how they were made."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from drillster_pipeline.cli.main import main
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.settings import load_settings

FIXTURE = Path(__file__).with_name("written_by_c789a3c.zip")
FIRST, SECOND, INTERRUPTED = (date(2026, 3, day) for day in (27, 28, 30))
NOW = datetime(2026, 3, 31, 0, 30, tzinfo=UTC)
VIEWS = ("current_results", "learner_progress", "group_compliance", "overdue_objectives", "proficiency_trend")


@dataclass
class Drillster:
    """Answers as the Drillster of the fixture did, and remembers what it was asked."""

    answers: dict[str, Any]
    asked: list[str] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[str]:
        drillster = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(200, {"access_token": "a-token", "token_type": "bearer", "expires_in": 3600})

            def do_GET(self) -> None:
                drillster.asked.append(page_of(self.path))
                self._answer(*drillster.answers.get(page_of(self.path), (404, {"id": "not_found"})))

            def _answer(self, status: int, body: Any) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                return

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()
            thread.join()


def page_of(target: str) -> str:
    """A path with its query, but for the size of the page that was asked for."""
    parts = urlsplit(target)
    return f"{parts.path}?{urlencode(sorted(pair for pair in parse_qsl(parts.query) if pair[0] != 'resultSize'))}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the earlier version, and the settings that lead to them."""
    with zipfile.ZipFile(FIXTURE) as file:
        file.extractall(tmp_path)
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    begun = json.loads(next(tmp_path.glob(f"archive/{INTERRUPTED}/*/capture.json")).read_text())["purpose"]
    values = {
        "ARCHIVE_URL": str(tmp_path / "archive"),
        "WAREHOUSE_URL": f"sqlite:///{tmp_path}/warehouse.sqlite",
        "REPORTS_FOLDER": str(tmp_path / "reports"),
        "CLIENT_ID": "0" * 32,
        "CLIENT_SECRET": "1" * 32,
        "SERVICE_ACCOUNT_ID": begun["service_account_id"],
        "PRIVATE_KEY": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    }
    for name, value in values.items():
        monkeypatch.setenv(f"DRILLSTER_{name}", value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def opened() -> PipelineContext:
    return PipelineContext(settings=load_settings(), now=lambda: NOW)


def rows(file: Path, name: str, columns: list[str]) -> list[str]:
    """The rows of a table, in an order of their own."""
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute(f"SELECT {', '.join(columns)} FROM {name}").fetchall()
    return sorted(map(repr, found))


def contents(file: Path, names_and_columns: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: rows(file, name, columns) for name, columns in names_and_columns.items()}


def expected(folder: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The columns of each table, and the rows that the earlier version came to in the end."""
    tables = {name: some for name, some in json.loads((folder / "expected.json").read_text()).items() if some}
    columns = {name: sorted(some[0]) for name, some in tables.items()}
    found = {
        name: sorted(repr(tuple(row[column] for column in columns[name])) for row in some)
        for name, some in tables.items()
    }
    return columns, found


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["drillster-pipeline", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(str(end.value.code or 0))


def test_its_sealed_captures_make_the_same_warehouse(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns, _ = expected(folder)
    before = contents(folder / "warehouse.sqlite", columns)
    monkeypatch.setenv("DRILLSTER_WAREHOUSE_URL", f"sqlite:///{folder}/new.sqlite")
    with opened() as context:
        for day in (FIRST, SECOND):  # the mass deletion of the second was allowed when it was first published
            for kind in ("snapshot", "events"):
                publish(context, kind, day, run_id="replay")
    assert contents(folder / "new.sqlite", columns) == before


def test_its_interrupted_capture_is_resumed_and_loaded_into_its_warehouse(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {page_of(target): answer for target, answer in json.loads((folder / "answers.json").read_text()).items()}
    asked_before = {page_of(target) for target in json.loads((folder / "asked.json").read_text())}
    begun = next(folder.glob(f"archive/{INTERRUPTED}/*/capture.json"))
    drillster = Drillster(answers)
    with drillster.running() as url:
        # A capture is resumed from the address that it was begun with.
        description = json.loads(begun.read_text())
        description["purpose"]["source"] = url
        begun.write_text(json.dumps(description))
        monkeypatch.setenv("DRILLSTER_BASE_URL", url)
        with opened() as context:
            assert capture(context, "snapshot", INTERRUPTED).capture.capture_id == begun.parent.name
            asked = list(drillster.asked)
            capture(context, "events", INTERRUPTED)
            for kind in ("snapshot", "events"):
                publish(context, kind, INTERRUPTED, run_id="new", allow_mass_delete=True)
    assert len(asked_before.intersection(asked)) <= 2  # of a list that had not been read to its end
    assert asked_before.union(asked) == {page for page in answers if not page.split("?")[0].endswith("/events")}
    columns, after = expected(folder)
    assert contents(folder / "warehouse.sqlite", columns) == after
    assert len(rows(folder / "warehouse.sqlite", "loads", ["load_id"])) == 6
    newest = rows(folder / "warehouse.sqlite", "latest_load", ["kind", "export_date"])
    assert newest == [repr((kind, str(INTERRUPTED))) for kind in ("events", "snapshot")]
    for view in VIEWS:
        rows(folder / "warehouse.sqlite", view, ["*"])


def test_its_evidence_is_proven(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command(monkeypatch, "evidence", "--verify", "evidence.csv") == 0
    text = (folder / "evidence.csv").read_bytes()
    (folder / "evidence.csv").write_bytes(text.replace(b"true", b"false", 1))
    assert command(monkeypatch, "evidence", "--verify", "evidence.csv") == 6


def test_a_person_is_erased_from_what_it_wrote(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(folder / "warehouse.sqlite")) as connection:
        query = "SELECT account_id, email_address FROM objective_evaluations JOIN accounts USING (account_id) LIMIT 1"
        person, address = connection.execute(query).fetchone()
    assert command(monkeypatch, "forget", person, "--yes") == 0
    columns, _ = expected(folder)
    assert not any(
        person in row or address in row
        for table in contents(folder / "warehouse.sqlite", columns).values()
        for row in table
    )
    with opened() as context:
        for day in (FIRST, SECOND):
            sealed = context.archive.newest_sealed(day, "snapshot")
            assert sealed is not None
            for resource in sealed.manifest["resources"]:
                assert not any(person in str(line) or address in str(line) for line in sealed.lines(resource))
