"""Archive, warehouse and evidence of an earlier version stay readable.

``written_by_c789a3c.zip`` was made by the program of that commit (by ``tests/compat/make_fixture.py``, which is in the
history of this repository). Its archive has two sealed dates, and a third whose capture was killed. ``expected.json``
is what that commit made of the third date in the end, ``answers.json`` what Drillster answered to it, and
``asked.json`` what had been answered when it was killed.
"""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from drillster_pipeline.pipeline.evidence_check import verify
from drillster_pipeline.pipeline.forget import forget
from drillster_pipeline.warehouse import VIEWS
from tests.drillster import Sandbox
from tests.support.installation import Installation
from tests.support.scripted import Reply, Request, ScriptedServer, json_reply

FIXTURE = Path(__file__).with_name("written_by_c789a3c.zip")
FIRST, SECOND, INTERRUPTED = (date(2026, 3, day) for day in (27, 28, 30))
Columns = dict[str, list[str]]


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Installation]:
    """An installation with the files of the earlier version."""
    with zipfile.ZipFile(FIXTURE) as file:
        file.extractall(tmp_path)
    with Installation(tmp_path, now=datetime(2026, 3, 31, 0, 30, tzinfo=UTC)) as installation:
        yield installation


def page_of(target: str) -> str:
    """A path with its query, but for the requested size of the page."""
    parts = urlsplit(target)
    return f"{parts.path}?{urlencode(sorted(pair for pair in parse_qsl(parts.query) if pair[0] != 'resultSize'))}"


def contents(installation: Installation, columns: Columns, file: str = "warehouse.sqlite") -> dict[str, list[str]]:
    """The rows of each table, in an order of their own."""
    installation.close()
    with closing(sqlite3.connect(installation.folder / file)) as connection:
        return {
            name: sorted(map(repr, connection.execute(f"SELECT {', '.join(some)} FROM {name}")))
            for name, some in columns.items()
        }


@pytest.fixture
def expected(written: Installation) -> tuple[Columns, dict[str, list[str]]]:
    """The columns of each table, and the rows that the earlier version came to in the end."""
    tables = {name: some for name, some in json.loads((written.folder / "expected.json").read_text()).items() if some}
    columns = {name: sorted(some[0]) for name, some in tables.items()}
    return columns, {
        name: sorted(repr(tuple(row[column] for column in columns[name])) for row in some)
        for name, some in tables.items()
    }


def test_its_sealed_captures_make_the_same_warehouse(written: Installation, expected: tuple[Columns, Any]) -> None:
    before = contents(written, expected[0])
    written.set(DRILLSTER_WAREHOUSE_URL=f"sqlite:///{written.folder}/new.sqlite")
    for day in (FIRST, SECOND):  # the mass deletion of the second was allowed when it was first published
        for kind in ("snapshot", "events"):
            written.publish(kind, day)
    assert contents(written, expected[0], "new.sqlite") == before


def test_its_interrupted_capture_is_resumed_and_loaded_into_its_warehouse(
    written: Installation, expected: tuple[Columns, dict[str, list[str]]]
) -> None:
    answers = {
        page_of(name): answer for name, answer in json.loads((written.folder / "answers.json").read_text()).items()
    }
    requested_before = {page_of(target) for target in json.loads((written.folder / "asked.json").read_text())}
    begun = next(written.folder.glob(f"archive/{INTERRUPTED}/*/capture.json"))
    description = json.loads(begun.read_text())

    def answer(request: Request) -> Reply:
        if request.method == "POST":
            return json_reply({"access_token": "a-token", "token_type": "bearer", "expires_in": 3600})
        status, body = answers.get(page_of(request.target), (404, {"id": "not_found"}))
        return json_reply(body, status)

    with ScriptedServer(answer) as server:
        # A capture is resumed from the address that it was begun with.
        description["purpose"]["source"] = server.url
        begun.write_text(json.dumps(description))
        account = description["purpose"]["service_account_id"]
        credentials = {name: value for name, value in Sandbox().environment().items() if "WAREHOUSE" not in name}
        written.set(**credentials | {"DRILLSTER_BASE_URL": server.url, "DRILLSTER_SERVICE_ACCOUNT_ID": account})
        assert written.capture().capture.capture_id == begun.parent.name
        requested = {page_of(request.target) for request in server.requests if request.method == "GET"}
        written.capture("events")
        for kind in ("snapshot", "events"):
            written.publish(kind, allow_mass_delete=True)
    assert len(requested_before & requested) <= 2  # of a list that had not been read to its end
    assert requested_before | requested == {page for page in answers if not page.split("?")[0].endswith("/events")}
    assert len(written.query("SELECT * FROM loads")) == 6
    newest = written.query("SELECT kind, export_date FROM latest_load ORDER BY 1")
    assert newest == [(kind, str(INTERRUPTED)) for kind in ("events", "snapshot")]
    for view in VIEWS:
        written.query(f"SELECT * FROM {view}")
    assert contents(written, expected[0]) == expected[1]


def test_its_evidence_is_proven(written: Installation) -> None:
    content = (written.folder / "evidence.csv").read_bytes()
    provenance = json.loads((written.folder / "evidence.csv.provenance.json").read_text())
    assert all(finding.is_right for finding in verify(written.context, content, provenance))
    changed = content.replace(b"true", b"false", 1)
    assert not all(finding.is_right for finding in verify(written.context, changed, provenance))


def test_a_person_is_erased_from_what_it_wrote(written: Installation) -> None:
    query = "SELECT account_id, email_address FROM objective_evaluations JOIN accounts USING (account_id) LIMIT 1"
    ((person, address),) = written.query(query)
    forget(written.context, person)
    written.close()
    found = written.files_with(person, address)  # the interrupted capture is removed
    assert [name for name in found if name.startswith(("archive", "warehouse"))] == []
