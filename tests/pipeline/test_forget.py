"""`forget` takes a person out of everything, also after it was interrupted, and changes nothing for anybody else."""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from drillster_pipeline.archive.captures import Capture, CaptureWriter
from drillster_pipeline.archive.local import LocalStorage
from drillster_pipeline.archive.records import UnitFooter
from drillster_pipeline.errors import Busy, SettingsError
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.pipeline.forget import ForgetOutcome, forget
from drillster_pipeline.warehouse import Warehouse
from drillster_pipeline.warehouse.engine import LockWait
from tests.support.installation import DAY, NOW, Installation

forget_module = import_module("drillster_pipeline.pipeline.forget")
REPORT = "2026-06-09-names.html"


class Person(NamedTuple):
    account_id: str
    name: str
    email: str


@pytest.fixture
def person(loaded: Installation) -> Person:
    """An account that every kind of table has; a report shows the name."""
    (found,) = loaded.query(
        "SELECT account_id, name, email_address FROM accounts WHERE account_id IN (SELECT account_id FROM results) "
        "AND account_id IN (SELECT account_id FROM test_results) AND is_managed ORDER BY account_id LIMIT 1"
    )
    (loaded.folder / "reports").mkdir()
    (loaded.folder / "reports" / REPORT).write_text(f"<td>{html.escape(found[1])}</td>")
    return Person(*found)


def run(installation: Installation, person: Person) -> ForgetOutcome:
    return forget(installation.context, person.account_id)


def traces(installation: Installation, person: Person, *more: str) -> list[str]:
    """Where something of the person is left; the warehouse is closed for that."""
    installation.close()
    named = html.escape(person.name)
    return installation.files_with(person.account_id, person.email, f'"{person.name}"', f">{named}<", *more)


def erasures(installation: Installation) -> int:
    return len(installation.query("SELECT 1 FROM erasures"))


def notes(installation: Installation) -> Path:
    return installation.folder / "archive" / "forgetting"


def begin(installation: Installation, days: int = 0, kind: str = "snapshot") -> CaptureWriter:
    return installation.context.archive.begin(DAY - timedelta(days=days), kind, {"kind": kind}, NOW)


def seal(writer: CaptureWriter, lines: dict[str, Any]) -> Capture:
    """Give a capture one page per resource, and seal it."""
    for resource, body in lines.items():
        content = json.dumps(body, ensure_ascii=False).encode()
        writer.append(resource, {}, 1, NOW, content, footer=UnitFooter(1, None))
    return writer.seal({"resources": {resource: {"lost": [], "short": []} for resource in lines}})


def test_nothing_of_the_person_is_left_and_everything_of_others_is(loaded: Installation, person: Person) -> None:
    (loaded.folder / "reports" / "2026-06-09.html").write_text("<td>12 people</td>")
    of_others = "SELECT * FROM results WHERE account_id <> :account ORDER BY 1, 2, 3, 4"
    before = loaded.query(of_others, account=person.account_id)
    learners = "SELECT learner_count, average_proficiency FROM organization_daily ORDER BY export_date"
    counted = loaded.query(learners)
    for login in (person.account_id, "another"):
        loaded.query("INSERT INTO reader_logins VALUES (:login, :login, 0)", login=login)
    outcome = run(loaded, person)
    assert outcome.lines > 0
    assert outcome.rows["accounts"] == outcome.rows["reader_logins"] == 1
    assert loaded.query("SELECT login FROM reader_logins") == [("another",)]
    assert outcome.rows["results"] > 0
    assert outcome.reports == (REPORT,)
    assert loaded.query(of_others, account=person.account_id) == before
    rest = "SELECT COUNT(DISTINCT account_id), AVG(proficiency) FROM results GROUP BY export_date ORDER BY export_date"
    assert [number + 1 for number, _ in loaded.query(rest)] == [number for number, _ in counted]
    assert loaded.query(learners) == loaded.query(rest)
    digest = hashlib.sha256(person.account_id.encode()).hexdigest()
    assert loaded.query("SELECT account_digest, rows_erased > 0 FROM erasures") == [(digest, 1)]
    assert traces(loaded, person) == []
    assert [page.name for page in (loaded.folder / "reports").iterdir()] == ["2026-06-09.html"]


def test_the_person_is_found_in_texts_about_others_in_any_case_and_alphabet(
    loaded: Installation, person: Person
) -> None:
    name, mail = "Özlem Ångström", "wilhelmína@example.org"
    ((other,),) = loaded.query("SELECT account_id FROM accounts WHERE account_id <> :id LIMIT 1", id=person.account_id)
    loaded.query("UPDATE accounts SET name = :name WHERE account_id IN (:id, :other)",
                 name=name, id=person.account_id, other=other)  # fmt: skip
    loaded.query("UPDATE groups SET name = :name, description = :text",
                 name=name, text=f"{name}, or ÖZLEM ångström <{person.email.upper()}>.")  # fmt: skip
    loaded.query("UPDATE organizations SET email_address = :email", email=person.email)
    # A former name and address, in the person's own history, in an old invitation and in what a group once said.
    former = {"name": "Wilhelmina Vandersloot", "email": mail, "id": person.account_id}
    loaded.query("UPDATE accounts_history SET name = :name, email_address = :email WHERE account_id = :id", **former)
    loaded.query(
        "UPDATE group_members_history SET member_key = 'invitee:x', account_id = NULL, name = :name, "
        "email_address = upper(:email) WHERE account_id = :id",
        **former,
    )
    loaded.query("UPDATE groups_history SET description = 'Wilhelmina Vandersloot knows more'")
    group = {"id": "g", "name": name, "notes": {name: 1, "by": [name]}}
    archived = seal(begin(loaded, days=3), {"groups": {"groups": [group], "people": [{"name": name}]}})
    run(loaded, person)
    assert loaded.query("SELECT DISTINCT name, description FROM groups") == [
        ("[forgotten]", "[forgotten], or [forgotten] <[forgotten]>.")
    ]
    assert loaded.query("SELECT DISTINCT description FROM groups_history") == [("[forgotten] knows more",)]
    assert loaded.query("SELECT name FROM accounts WHERE account_id = :other", other=other) == [(name,)]
    (line,) = loaded.context.archive.open(archived.ref).pages("groups")
    assert line.body == {
        "groups": [{"id": "g", "name": "[forgotten]", "notes": {name: 1, "by": ["[forgotten]"]}}],
        "people": [{"name": name}],  # somebody else, who has the same one
    }
    assert traces(loaded, person, "Vandersloot", mail, mail.upper()) == []


def test_the_person_stays_forgotten_by_a_load_that_waited_for_it(
    loaded: Installation, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its capture was found before, and the parts that it names are gone when its turn comes."""
    found = loaded.context.archive.newest_sealed(DAY, "snapshot")
    run(loaded, person)
    monkeypatch.setattr(loaded.context.archive, "newest_sealed", lambda *_: found)
    loaded.publish()
    assert traces(loaded, person) == []


@pytest.mark.parametrize(("kind", "days"), [("snapshot", 0), ("events", 3)])
def test_while_a_capture_is_made_nothing_is_changed(loaded: Installation, person: Person, kind: str, days: int) -> None:
    day = begin(loaded, days, kind).ref.export_date
    before = {path: path.read_bytes() for path in loaded.folder.rglob("*.gz")}
    with loaded.context.archive.locked(day, kind), pytest.raises(Busy, match=f"Another run is capturing the {kind}"):
        run(loaded, person)
    assert {path: path.read_bytes() for path in loaded.folder.rglob("*.gz")} == before
    assert (erasures(loaded), notes(loaded).exists()) == (0, False)
    assert run(loaded, person).unfinished == 1
    assert traces(loaded, person) == []


def test_while_a_load_is_made_nothing_is_changed(
    loaded: Installation, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded.context.warehouse, "_wait", LockWait(seconds=0))
    with loaded.context.warehouse.erasing(), pytest.raises(Busy, match="is being written by forget"):
        run(loaded, person)
    assert {found.split("/")[0] for found in traces(loaded, person)} >= {"archive", "reports"}


def test_loads_do_not_wait_for_the_authority_that_stamps_the_new_seals(
    loaded: Installation, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stamp_all(context: PipelineContext) -> None:
        assert notes(loaded).exists() is False
        with context.warehouse.erasing():
            stamped.append(context)

    stamped: list[PipelineContext] = []
    monkeypatch.setattr(loaded.context.warehouse, "_wait", LockWait(seconds=0))
    monkeypatch.setattr(forget_module, "stamp_all", stamp_all)
    run(loaded, person)
    assert stamped == [loaded.context]


def test_where_a_reader_keeps_traces_in_the_log_of_sqlite_it_is_busy(
    loaded: Installation, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drillster_pipeline.warehouse.dialects.sqlite.BUSY_SECONDS", 0.2)
    loaded.close()
    with closing(sqlite3.connect(loaded.folder / "warehouse.sqlite", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM loads").fetchall()
        with pytest.raises(Busy, match="write-ahead log, which still has them, can't be emptied"):
            run(loaded, person)
        reader.execute("ROLLBACK")
    run(loaded, person)
    assert traces(loaded, person) == []


def test_a_capture_that_is_sealed_in_the_meantime_is_changed_too(
    loaded: Installation, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, learn = begin(loaded), forget_module._learn

    def sealed_after(*arguments: Any) -> Any:
        found = learn(*arguments)
        seal(writer, {"accounts": [{"id": person.account_id}]})
        return found

    monkeypatch.setattr(forget_module, "_learn", sealed_after)
    run(loaded, person)
    assert traces(loaded, person) == []


class Killed(BaseException):
    """What SIGKILL does to a process: nothing else of it is done."""


@contextmanager
def killed_before(owner: Any, name: str, *, number: int = 1) -> Iterator[None]:
    """End the work before the call of a function that has this number."""
    work, left = getattr(owner, name), [number]

    def call(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise Killed
        return work(*arguments, **options)

    with pytest.MonkeyPatch.context() as patched, suppress(Killed):
        patched.setattr(owner, name, call)
        yield
    assert left[0] <= 0, "it was not killed"


@pytest.mark.parametrize(
    ("owner", "name", "number"),
    [
        *((LocalStorage, "write", number) for number in range(1, 6)),
        *((LocalStorage, "remove", number) for number in range(1, 5)),
        *((LocalStorage, "finish_removals", number) for number in (1, 2)),
        (Warehouse, "_erase_person", 1),
        *((Warehouse, "renew_seal", number) for number in (1, 2)),
        (forget_module, "_remove_reports", 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_that_is_killed_is_finished_by_the_next(
    loaded: Installation, person: Person, owner: Any, name: str, number: int
) -> None:
    """The capture that is changed first has a former name, which stands in the text of another one."""
    shutil.rmtree(loaded.folder / "archive")
    account = {"id": person.account_id, "name": "Wilhelmina Vandersloot"}
    seal(begin(loaded, days=2), {"accounts": {"accounts": [{"account": account}]}})
    seal(begin(loaded, days=3), {"groups": {"groups": [{"id": "g", "name": "As Wilhelmina Vandersloot wrote"}]}})
    with killed_before(owner, name, number=number):
        run(loaded, person)
    run(loaded, person)
    assert traces(loaded, person, "Vandersloot") == []
    assert not notes(loaded).exists()
    assert erasures(loaded) in {1, 2}


def test_the_note_of_one_that_was_killed_outlives_one_that_a_capture_stops(
    loaded: Installation, person: Person
) -> None:
    with killed_before(Warehouse, "renew_seal"):
        run(loaded, person)
    with loaded.context.archive.locked(DAY, "snapshot"), pytest.raises(Busy):
        run(loaded, person)
    assert list(notes(loaded).iterdir())
    run(loaded, person)
    assert traces(loaded, person) == []


def test_what_killed_processes_left_of_writing_files_goes_too(loaded: Installation, person: Person) -> None:
    note = f"{hashlib.sha256(person.account_id.encode()).hexdigest()[:16]}.json"
    content = f"<td>{html.escape(person.name)}</td>{person.email}".encode()
    for name, left in (
        (f"archive/.writing/0123456789abcdef.{note}", content),
        ("archive/.writing/0123456789abcdef.part-00001-r01234567.jsonl.gz", gzip.compress(content)),
        ("reports/.writing/0123456789abcdef.2026-06-09.html", content),
    ):
        (loaded.folder / name).parent.mkdir(exist_ok=True)
        (loaded.folder / name).write_bytes(left)
    parts = next((loaded.folder / "archive").rglob("accounts"))
    (parts / "part-00001-r00000000.jsonl.gz").write_bytes(gzip.compress(content))  # that no manifest names
    run(loaded, person)
    assert traces(loaded, person) == []


def test_an_id_that_nobody_has_changes_nothing(loaded: Installation, person: Person) -> None:
    archive = {path: path.read_bytes() for path in (loaded.folder / "archive").rglob("*") if path.is_file()}
    ((group,),) = loaded.query("SELECT group_id FROM groups LIMIT 1")
    for unknown in ("2026", "USER", group, person.name, person.email, person.account_id[1:], "\udcff"):
        with pytest.raises(SettingsError, match="nothing was changed") as refused:
            forget(loaded.context, unknown)
        assert refused.value.exit_code == 2
        assert unknown not in str(refused.value)
    assert {path: path.read_bytes() for path in archive} == archive
    assert (erasures(loaded), notes(loaded).exists()) == (0, False)
    assert (loaded.folder / "reports" / REPORT).exists()


def test_a_person_in_the_parameters_of_a_unit_goes_from_pages_and_manifest(loaded: Installation) -> None:
    """A unit that was lost remains a loss, and all else of the manifest is as it was."""
    unit, other = {"group_id": "account-1", "account_id": "account-1"}, {"group_id": "g", "account_id": "account-2"}
    writer = begin(loaded, days=3)
    for attempt, one in ((1, unit), (2, unit), (1, other)):
        writer.append("results", one, 1, NOW, b"{}", attempt=attempt)
    lost = [{"unit": unit, "status": 500}, {"unit": other, "status": 403}, {"unit": {"group_id": "g"}, "status": 404}]
    short = [{"unit": unit, "items": 1, "expected": 9}, {"unit": other, "items": 2, "expected": 9}]
    resources = {"results": {"lost": lost, "short": short, "items": 3}}
    groups = {"listed": ["account-1", "g"], "closed": [], "gone": []}
    before = writer.seal({"resources": resources, "groups": groups}).manifest
    forget(loaded.context, "account-1")
    after = loaded.context.archive.open(writer.ref)
    assert [line.unit for line in after.lines("results")] == [other]
    erased = {"group_id": "account-1", "account_id": "[forgotten]"}
    now, then = after.manifest["resources"]["results"], before["resources"]["results"]
    assert now["lost"] == [{"unit": erased, "status": 500}, *then["lost"][1:]]
    assert now["short"] == [{"unit": erased, "items": 1, "expected": 9}, then["short"][1]]
    assert [json.loads(key) for key, _ in then["superseded"]] == [unit, unit, other]
    assert [json.loads(key) for key, _ in now["superseded"]] == [erased, erased, other]
    assert {**after.manifest, "resources": 0, "redacted": 0} == {**before, "resources": 0, "redacted": 0}


def test_a_unit_in_a_manifest_alone_makes_a_person_known(loaded: Installation) -> None:
    lost = [{"unit": {"group_id": "g", "account_id": "account-1"}, "status": 500}]
    begin(loaded, days=3).seal({"resources": {"results": {"lost": lost, "short": []}}})
    forget(loaded.context, "account-1")
    assert loaded.files_with("account-1") == []
