"""Runs on changed responses, from the requests to the warehouse, and what must be true of each of them."""

from __future__ import annotations

import gzip
import io
import json
import logging
import re
import shutil
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from starlette.responses import Response

from drillster_pipeline.archive.captures import Capture
from drillster_pipeline.errors import ContractError, PipelineError
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.publish import PublishOutcome, load_quality, publish
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.tables import DATA_TABLES
from drillster_pipeline.tables.schema import Kind
from tests.drillster import Faults, Sandbox
from tests.support.installation import DAY, NOW, Installation

from .mutations import ENDPOINTS, Mutation, Reply

ITEMS = {name: name for name, resource in RESOURCES.items() if resource.is_list and name in DATA_TABLES} | {
    "catalog_playables": "catalog_content",
    "group_playables": "group_drillables",
}
"""Tables that have a row for each item of a list, and the resource of that list."""
MOST_REQUESTS = 3_000
"""A capture that makes more requests than this never ends."""
_PATTERNS = {
    path: re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", f"/api/[^/]+/{path}")) for path in sorted(ENDPOINTS)
}
Rows = dict[str, set[tuple[Any, ...]]]


@dataclass(frozen=True)
class Given:
    """A response with status 200, as the client gets it."""

    resource: str
    unit: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        """Its JSON; ValueError or RecursionError where it has none (RFC 8259)."""
        return json.loads(self.body.decode(json.detect_encoding(self.body)), parse_constant=_refuse)


def _refuse(name: str) -> Any:
    raise ValueError(name)


@dataclass
class Run:
    """What became of the snapshot and the events of a date."""

    day: date
    given: list[Given] = field(default_factory=list)
    captures: dict[str, Capture] = field(default_factory=dict)
    outcomes: dict[str, PublishOutcome] = field(default_factory=dict)
    errors: dict[str, PipelineError] = field(default_factory=dict)
    log: str = ""


class Fuzzed:
    """An installation, made anew for each example, whose Drillster changes its responses."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self._installation = Installation(folder, sandbox, DRILLSTER_CONCURRENCY="1")
        self._tokens = self._installation.context.tokens
        self._installation.context.warehouse.close()
        self._archive, self._file, self._kept = folder / "archive", folder / "warehouse.sqlite", folder / "kept"
        self._archive.mkdir()
        self._keep("empty")
        assert self.run().errors == {}
        self._keep("loaded")
        self.known = self.keys()
        """The keys of all rows of a run without any change."""

    def _keep(self, name: str) -> None:
        shutil.copytree(self._archive, self._kept / name / "archive")
        shutil.copyfile(self._file, self._kept / name / "warehouse.sqlite")

    def restore(self, name: str) -> None:
        """``empty`` or ``loaded`` (by a run without any change), and a Drillster without faults."""
        self.remove_archive()
        for file in self._file.parent.glob(f"{self._file.name}*"):
            file.unlink()
        shutil.copytree(self._kept / name / "archive", self._archive)
        shutil.copyfile(self._kept / name / "warehouse.sqlite", self._file)
        self.sandbox.faults = Faults()

    def remove_archive(self) -> None:
        shutil.rmtree(self._archive)

    def run(
        self, *mutations: Mutation, days: int = 0, kinds: Sequence[str] = ("snapshot", "events"), publishes: bool = True
    ) -> Run:
        """Capture and publish; only a PipelineError is a result. The organization is the same every day."""
        run = Run(DAY + timedelta(days=days))
        self._installation.now = NOW + timedelta(days=days)
        self.sandbox.clear()
        self.sandbox.app.rewrite = _Rewriter(mutations, run.given)
        log = io.StringIO()
        listener = logging.StreamHandler(log)
        logging.getLogger("drillster_pipeline").addHandler(listener)
        context = self._installation.new_context()
        vars(context)["tokens"] = self._tokens
        for kind in kinds:
            try:
                run.captures[kind] = capture(context, kind, run.day).capture
                if publishes:
                    run.outcomes[kind] = publish(context, kind, run.day, run_id="run")
                    load_quality(context, run.outcomes[kind])
            except PipelineError as error:
                run.errors[kind] = error
        context.warehouse.close()
        logging.getLogger("drillster_pipeline").removeHandler(listener)
        self.sandbox.app.rewrite = None
        run.log = log.getvalue()
        return run

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._file)) as connection:
            return connection.execute(sql, values).fetchall()

    def contents(self) -> Rows:
        """Every row of every table."""
        names = self.query("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name: set(self.query(f'SELECT * FROM "{name}"')) for (name,) in names}

    def keys(self, *tables: str, where: str = "true") -> Rows:
        """The keys of rows without their export date, of tables (those of ``ITEMS``) that have any."""
        rows = {}
        for table in tables or ITEMS:
            columns = ", ".join(name for name in DATA_TABLES[table].key if name != "export_date")
            rows[table] = set(self.query(f"SELECT {columns} FROM {table} WHERE {where}"))
        return {table: found for table, found in rows.items() if found}

    def deleted(self) -> Rows:
        """The keys of rows that are marked as deleted."""
        entities = (name for name, table in DATA_TABLES.items() if table.kind is Kind.ENTITY)
        return self.keys(*entities, where="deleted_on IS NOT NULL")

    def close(self) -> None:
        self._installation.close()


class _Rewriter:
    """Changes responses, and records those with status 200."""

    def __init__(self, mutations: Sequence[Mutation], given: list[Given]) -> None:
        self._mutations, self._given = mutations, given
        self._times: Counter[tuple[str, str]] = Counter()

    def __call__(self, path: str, query: str, response: Response) -> Response:
        self._times[path, query] += 1
        assert self._times.total() <= MOST_REQUESTS, "the capture does not end"
        matches = ((template, pattern.fullmatch(path)) for template, pattern in _PATTERNS.items())
        endpoint, match = next((template, match) for template, match in matches if match)
        reply, number = Reply(_plain(bytes(response.body)), response.status_code), zlib.crc32(path.encode())
        for mutation in self._mutations if reply.status == 200 else ():
            if mutation.applies(endpoint, number, self._times[path, query]):
                reply = mutation.apply(reply, dict(parse_qsl(query)))
        if reply.status == 200:
            unit = {name: unquote(text) for name, text in match.groupdict().items() if name != "organization_id"}
            self._given.append(Given(ENDPOINTS[endpoint].resource, unit, _plain(reply.body)))
        headers = {"Content-Type": "application/json", "Content-Encoding": reply.encoding}
        return Response(reply.body, reply.status, headers)


def _plain(body: bytes) -> bytes:
    """The body, decompressed if it is gzip."""
    with suppress(OSError, EOFError, zlib.error):
        return gzip.decompress(body)
    return body


# -- what must be true


def check(fuzzed: Fuzzed, run: Run, before: Rows | None = None) -> None:
    """Whatever was answered: errors are reported, nothing is lost, and no error shows a person.

    ``before`` is the warehouse as it was before the run.
    """
    rejects = fuzzed.query("SELECT load_id, table_name, reason || record, record FROM rejected_rows")
    shown = [*map(repr, run.errors.values()), run.log, *(text for _, _, text, _ in rejects)]
    shown += [json.dumps(capture.manifest) for capture in run.captures.values()]
    shown += [repr(outcome.unknown_fields) for outcome in run.outcomes.values()]
    for value in personal_values(fuzzed.sandbox):
        assert not any(value in text for text in shown), "an error shows who a person is"
    for *_, record in rejects:
        json.loads(record, parse_constant=_refuse)
    if before is not None and not run.outcomes:
        assert fuzzed.contents() == before, "a run that failed has changed the warehouse"
    for kind, sealed in run.captures.items():
        _check_archive(sealed, _counted(run, kind))
    for kind, outcome in run.outcomes.items():
        _check_ledger(outcome)
        rejected = Counter(table for load_id, table, *_ in rejects if load_id == outcome.report.load_id)
        for table in outcome.report.tables.keys() & ITEMS.keys() - outcome.unavailable.keys():
            known, present = (rows.get(table, set()) for rows in (fuzzed.known, fuzzed.keys(table)))
            lost = _lost(_counted(run, kind), ITEMS[table], known, present)
            assert lost <= rejected[table], f"{table}: {lost} rows lost, {rejected[table]} rejects"
    assert fuzzed.query("PRAGMA foreign_key_check") == []


def personal_values(sandbox: Sandbox) -> set[str]:
    """Names and addresses of all people."""
    accounts = [item["account"] for item in sandbox.organization.at(NOW).accounts().all()]
    return {account[name] for account in accounts for name in ("name", "emailAddress") if name in account}


def _counted(run: Run, kind: str) -> Iterator[Given]:
    """The responses of resources that were captured, in units that were not lost."""
    resources = run.captures[kind].manifest["resources"]
    for given in run.given:
        entry = resources.get(given.resource, {"status": "unavailable"})
        of_kind = (given.resource == "objective_events") == (kind == "events")
        is_lost = any(given.unit.items() <= one["unit"].items() for one in entry.get("lost", ()))
        if of_kind and entry["status"] == "captured" and not is_lost:
            yield given


def _check_archive(sealed: Capture, given: Iterator[Given]) -> None:
    """Every readable response of a unit that counts is in the archive."""
    kept = {name: {_text(page.body) for page in sealed.pages(name)} for name in sealed.manifest["resources"]}
    for one in given:
        with suppress(ValueError, RecursionError):
            # Whose data it is, each capture asks first; that response is not kept.
            is_kept = one.resource == "organization" or _text(one.value) in kept[one.resource]
            assert is_kept, "a response is not in the archive"


def _text(value: Any) -> str:
    try:
        return json.dumps(value, sort_keys=True)
    except RecursionError:
        return "too deep"


def _check_ledger(outcome: PublishOutcome) -> None:
    for name, report in outcome.report.tables.items():
        result = outcome.validation.tables[name]
        repeated = result.rows_read - result.rows_staged - result.rows_repeated - result.rows_rejected
        assert repeated == 0 or (repeated > 0 and result.rows_rejected), name  # read twice and rejected once
        assert report.rows_inserted + report.rows_updated + report.rows_unchanged >= result.rows_staged, name


def _lost(given: Iterator[Given], resource: str, known: set[tuple[Any, ...]], present: set[tuple[Any, ...]]) -> int:
    """How many items with a known id were given for which there is neither the known row nor another new one.

    Items that are no objects count as one.
    """
    found = [(one.unit, item) for one in given if one.resource == resource for item in _items(one)]
    items = {(tuple(unit.values()), _text(item)) for unit, item in found if isinstance(item, dict)}
    missing = int(any(not isinstance(item, dict) for _, item in found))
    for unit, text in items:
        rows = [key for key in known if key[-1] in text and set(key[:-1]) <= set(unit)]
        missing += bool(rows) and not any(key in present for key in rows)
    return missing - len(present - known)


def _items(given: Given) -> list[Any]:
    try:
        return RESOURCES[given.resource].items(given.value)
    except (ValueError, RecursionError, ContractError):
        return []


def check_deletions(fuzzed: Fuzzed, run: Run) -> None:
    """No row is marked as deleted that a response has, and none at all where an item is not known by its key."""
    given = [one for one in run.given if one.resource != "objective_events"]
    doubtful = {one.resource for one in given if not all(map(_is_known, repeat(one.resource), _items(one)))}
    for table, keys in fuzzed.deleted().items():
        resource = RESOURCES[ITEMS.get(table, "objectives")]
        assert not doubtful & {resource.resource, *resource.parents}, f"{table}: any row may be the unreadable one"
        bodies = [one for one in given if one.resource == resource.resource]
        for *unit, last in keys if table in ITEMS else ():
            again = [one for one in bodies if set(unit) <= set(one.unit.values()) and last.encode() in one.body]
            assert not again, f"{table}: a row that was given is marked as deleted"


def _is_known(resource: str, item: Any) -> bool:
    declared = RESOURCES[resource]
    return (declared.key_of or declared.id_of)(item) is not None
