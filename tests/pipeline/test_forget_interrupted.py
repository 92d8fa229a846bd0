"""`forget` that is killed, or stopped by somebody else's work: the next one finishes it, and no name is left behind."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from drillster_pipeline.archive import Capture, UnitFooter
from drillster_pipeline.archive.local import LocalStorage
from drillster_pipeline.errors import Busy, SettingsError
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.forget import forget
from drillster_pipeline.pipeline.publish import publish
from drillster_pipeline.warehouse import Warehouse

from .organizations import DAYS, Organization, put
from .sessions import session_in

PERSON = {"type": "USER", "id": "account-1", "name": "Wilhelmina Vandersloot", "emailAddress": "mina@example.org"}
OTHER = {"type": "USER", "id": "account-2", "name": "Piet Smit"}
forget_module = import_module("drillster_pipeline.pipeline.forget")
TRACES = ("account-1", "Vandersloot", "mina@example.org")
ORGANIZATION = Organization(
    people=[PERSON, OTHER],
    managed=[True, True],
    texts=[["Team Wilhelmina Vandersloot"] * 14, ["Ask mina@example.org"] * 14],
    broken=[False, False],
    lost=[False, True],
    forms=[0, 1],
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with archive, warehouse and reports that know the person."""
    folder = tmp_path_factory.mktemp("template")
    with opened(folder) as session:
        put(session, ORGANIZATION)
        for day in DAYS:
            publish(session, "snapshot", day, run_id="test")
        publish(session, "events", DAYS[-1], run_id="test")
    (folder / "reports").mkdir()
    (folder / "reports" / "2026-06-09-names.html").write_text("<td>Wilhelmina Vandersloot</td>")
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "copy")
    return tmp_path / "copy"


def opened(folder: Path) -> PipelineContext:
    return session_in(folder, {"DRILLSTER_REPORTS_FOLDER": str(folder / "reports")})


def sealed(session: PipelineContext, lines: dict[str, Any], **manifest: Any) -> Capture:
    """A sealed capture with one line per resource: a unit and a body."""
    moment = datetime(2026, 6, 10, 1, tzinfo=UTC)
    writer = session.archive.begin(DAYS[-1], "snapshot", {}, moment)
    for resource, (unit, body) in lines.items():
        writer.append(resource, unit, 1, moment, json.dumps(body).encode(), footer=UnitFooter(1, 1))
    entries = {resource: {"lost": [], "short": []} for resource in lines}
    return writer.seal({"resources": entries} | manifest)


def left_of_the_person(folder: Path) -> list[str]:
    """Files that still hold a trace."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8", "replace")
            found += [f"{path.relative_to(folder)}: {trace}" for trace in TRACES if trace in text]
    return found


def erasures(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "warehouse.sqlite")) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM erasures").fetchone()[0])


class Killed(BaseException):
    """What SIGKILL does to a process: nothing else of it is done."""


def killing(monkeypatch: pytest.MonkeyPatch, at: int) -> Callable[[], int]:
    """Count all that is written, and end the process before that which has the number; gives the count."""
    count = 0

    def counted(owner: Any, name: str) -> None:
        work = getattr(owner, name)

        def done(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == at:
                raise Killed
            return work(*arguments, **options)

        monkeypatch.setattr(owner, name, done)

    for owner, names in {
        LocalStorage: ("write", "remove", "finish_removals"),
        Warehouse: ("_erase_person", "renew_seal"),
        forget_module: ("_remove_reports",),
    }.items():
        for name in names:
            counted(owner, name)
    return lambda: count


def test_one_that_is_killed_anywhere_is_finished_by_the_next(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Warehouse, "prepare", lambda _: None)  # it is, and that takes most of the time
    shutil.rmtree(folder / "archive")
    with opened(folder) as session:
        bodies = {"accounts": [{"account": PERSON}, OTHER], "groups": {"groups": [{"id": "g", "name": PERSON["name"]}]}}
        sealed(session, {name: ({}, body) for name, body in bodies.items()})
    at = unknown = 0
    while True:
        at += 1
        copy = tmp_path / str(at)
        shutil.copytree(folder, copy)
        with monkeypatch.context() as patched, opened(copy) as session:
            count = killing(patched, at)
            with suppress(Killed):
                forget(session, "account-1")
        if count() < at:
            break
        with opened(copy) as session:
            try:
                forget(session, "account-1")
            except SettingsError:
                unknown += 1
        assert left_of_the_person(copy) == [], at
        assert not (copy / "archive" / "forgetting").exists()
        assert erasures(copy) in {1, 2}
        shutil.rmtree(copy)
    assert at > 12
    assert unknown <= 1  # the note was moved to what is being removed: all else was done


def test_the_next_one_finishes_where_only_the_note_knows_the_person(folder: Path) -> None:
    with opened(folder) as session:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(
                "drillster_pipeline.pipeline.forget._remove_reports", lambda *_: (_ for _ in ()).throw(Killed)
            )
            with pytest.raises(Killed):
                forget(session, "account-1")
        assert (folder / "archive" / "forgetting").exists()
        assert forget(session, "account-1").reports == ("2026-06-09-names.html",)
        assert left_of_the_person(folder) == []
        assert not (folder / "archive" / "forgetting").exists()
        with pytest.raises(SettingsError, match="nothing was changed"):
            forget(session, "account-1")


@pytest.mark.parametrize(
    "unfinished",
    [
        f"archive/.writing/0123456789abcdef.{hashlib.sha256(b'account-1').hexdigest()[:16]}.json",
        "archive/.writing/0123456789abcdef.part-00001-r01234567.jsonl.gz",
        "reports/.writing/0123456789abcdef.2026-06-09.html",
    ],
)
def test_what_a_killed_process_left_of_writing_a_file_goes_too(folder: Path, unfinished: str) -> None:
    content = b"<td>Wilhelmina Vandersloot</td>"
    (folder / unfinished).parent.mkdir(exist_ok=True)
    (folder / unfinished).write_bytes(gzip.compress(content) if unfinished.endswith(".gz") else content)
    with opened(folder) as session:
        forget(session, "account-1")
    assert left_of_the_person(folder) == []


@pytest.mark.parametrize("kind", ["snapshot", "events"])
def test_one_that_a_capture_stops_leaves_no_name_and_changes_nothing(folder: Path, kind: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*.gz")}
    with opened(folder) as session:
        with session.archive.locked(DAYS[-1], kind), pytest.raises(Busy):
            forget(session, "account-1")
        assert not (folder / "archive" / "forgetting").exists()
        assert {path: path.read_bytes() for path in folder.rglob("*.gz")} == before
        assert erasures(folder) == 0
        forget(session, "account-1")
    assert left_of_the_person(folder) == []


def test_the_note_of_one_that_was_killed_outlives_one_that_a_capture_stops(folder: Path) -> None:
    with opened(folder) as session:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Warehouse, "renew_seal", lambda *_, **__: (_ for _ in ()).throw(Killed))
            with pytest.raises(Killed):
                forget(session, "account-1")
        with session.archive.locked(DAYS[-1], "snapshot"), pytest.raises(Busy):
            forget(session, "account-1")
        assert list((folder / "archive" / "forgetting").iterdir())
        forget(session, "account-1")
    assert left_of_the_person(folder) == []


@pytest.mark.parametrize(
    "unknown", ["2026", "Wilhelmina Vandersloot", "mina@example.org", "g1", "o1", "USER", "ccount-1", "\udcff"]
)
def test_an_id_that_nobody_knows_changes_nothing(folder: Path, unknown: str) -> None:
    archive = {path: path.read_bytes() for path in (folder / "archive").rglob("*") if path.is_file()}
    with opened(folder) as session:
        with pytest.raises(SettingsError, match="nothing was changed") as refused:
            forget(session, unknown)
        assert refused.value.exit_code == 2
        assert unknown not in str(refused.value)
    assert {path: path.read_bytes() for path in archive} == archive
    assert not (folder / "archive" / "forgetting").exists()
    assert erasures(folder) == 0
    assert (folder / "reports" / "2026-06-09-names.html").exists()


def test_who_is_only_a_parameter_of_a_unit_is_known_and_goes_from_the_manifest(tmp_path: Path) -> None:
    """A unit that was lost stays a loss, and all else of the manifest is as it was."""
    unit, other = {"group_id": "account-1", "account_id": "account-1"}, {"group_id": "g", "account_id": "account-2"}
    with opened(tmp_path) as session:
        moment = datetime(2026, 6, 10, 1, tzinfo=UTC)
        writer = session.archive.begin(DAYS[-1], "snapshot", {}, moment)
        for attempt, one in ((1, unit), (2, unit), (1, other)):
            writer.append("results", one, 1, moment, b"{}", attempt=attempt)
        lost = [
            {"unit": unit, "status": 500},
            {"unit": other, "status": 403},
            {"unit": {"group_id": "g"}, "status": 404},
        ]
        short = [{"unit": unit, "items": 1, "expected": 9}, {"unit": other, "items": 2, "expected": 9}]
        resources = {"results": {"lost": lost, "short": short, "items": 3}}
        groups = {"listed": ["account-1", "g"], "closed": [], "gone": []}
        before = writer.seal({"resources": resources, "groups": groups}).manifest
        forget(session, "account-1")
        (ref,) = session.archive.captures(DAYS[-1])
        after = session.archive.open(ref)
        assert [line.unit for line in after.lines("results")] == [other]
    erased = {"group_id": "account-1", "account_id": "[forgotten]"}
    now, then = after.manifest["resources"]["results"], before["resources"]["results"]
    assert now["lost"] == [{"unit": erased, "status": 500}, *then["lost"][1:]]
    assert now["short"] == [{"unit": erased, "items": 1, "expected": 9}, then["short"][1]]
    assert [json.loads(key) for key, _ in then["superseded"]] == [unit, unit, other]
    assert [json.loads(key) for key, _ in now["superseded"]] == [erased, erased, other]
    told = {"resources", "redacted"}
    assert {name: value for name, value in after.manifest.items() if name not in told} == {
        name: value for name, value in before.items() if name not in told
    }


def test_a_unit_in_a_manifest_alone_makes_a_person_known(tmp_path: Path) -> None:
    entry = {"lost": [{"unit": {"group_id": "g", "account_id": "account-1"}, "status": 500}], "short": []}
    with opened(tmp_path) as session:
        sealed(session, {"results": ({"group_id": "g"}, [])}, resources={"results": entry})
        forget(session, "account-1")
    assert left_of_the_person(tmp_path) == []
