"""From a sealed capture to a published load, and what the warehouse has after it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from drillster_pipeline import __version__
from drillster_pipeline.api.paging import allowed_difference
from drillster_pipeline.archive.captures import Capture, utc_moment
from drillster_pipeline.dates import day_window
from drillster_pipeline.errors import ContractError, GuardRefused, Interrupted, PastDateRefused, Refused
from drillster_pipeline.extract.batches import Page
from drillster_pipeline.extract.extractor import Extractor
from drillster_pipeline.response_shapes import shown_id
from drillster_pipeline.tables import DATA_TABLES, resources_of, tables_of
from drillster_pipeline.warehouse import LoadPlan, LoadType, TablePlan, reads
from drillster_pipeline.warehouse.ledger import TableLoad
from drillster_pipeline.warehouse.load_plan import LoadReport, ValidationResult
from drillster_pipeline.warehouse.model import Tables

from .context import PipelineContext, infrequent_gc
from .guard import (
    confirmed_tables,
    mark_confirmed,
    mark_refused,
    read_gaps_of,
    requests_refused,
    table_load_types,
    unavailable_tables,
    unpublished_captures,
    unread_tables,
)
from .identity import require_organization_of_warehouse

PAUSES = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
"""Seconds before each new attempt at a load that was broken off: together as long as a database takes to restart."""
_PRIVACY = ("keep", "pseudonymize", "drop")
"""From the mode that stores most personal data to the one that stores least."""

COUNTED_BY: Mapping[str, str] = {
    "group_members": "groups",
    "group_playables": "groups",
    "catalog_playables": "catalogs",
}
"""Tables of which Drillster counts the rows per group or catalog, and the table that has these counts."""
DATES_SHOWN, ROWS_SHOWN, _DIFFERENCES_SHOWN = 7, 2, 3

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PublishOutcome:
    """What a load did, and what is noteworthy in the responses that it was made from."""

    kind: str
    export_date: date
    capture: Capture
    report: LoadReport
    validation: ValidationResult
    load_types: dict[str, TablePlan]
    unavailable: dict[str, str]
    """Selected tables that stay as they are, with the reason."""
    unknown_fields: dict[str, dict[str, str]]
    """Fields of responses that this program does not know: resource -> path -> where it was found first."""
    rounded: Mapping[str, Mapping[str, int]]
    """Values that had a fraction where whole numbers are documented: table -> column -> how many."""


class Comparison(NamedTuple):
    """Rows against what Drillster counts: in words, and as numbers where there is one count for the table."""

    agrees: bool
    words: str
    rows: int | None = None
    expected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadQuality:
    """Of the tables of one load."""

    comparisons: Mapping[str, Comparison]
    """For each table of which Drillster has a count of its own."""
    reject_reasons: Mapping[str, list[tuple[str, int]]]
    """Why rows were rejected, and how many for each reason, the most frequent first."""
    last_loads: Mapping[str, Sequence[TableLoad]]
    """What the loads of the last dates did to each table, this one first."""
    sample_rows: Mapping[str, Sequence[Sequence[Any]]]
    """A few rows of each table, in the columns that ``reads.preview_columns`` names; nothing of them is personal."""
    proficiencies: Mapping[int, int] = field(default_factory=dict)
    """How many results of the date have each proficiency."""
    evaluated: int = 0
    met: int = 0
    """Evaluations of objectives, and how many of them are met."""


def publish(
    context: PipelineContext,
    kind: str,
    export_date: date,
    *,
    run_id: str,
    tables: Collection[str] | None = None,
    allow_mass_delete: bool = False,
) -> PublishOutcome:
    """Publish the newest sealed capture of a date: all tables of its kind, or those selected, in one transaction.

    Raises PastDateRefused without a capture, Refused where none of the tables could be read, where more personal data
    would be stored than the setting allows, or where the warehouse has another organization, GuardRefused where too
    much would be deleted or rejected, ArchiveCorrupt, Busy, and Unavailable where the database does not answer. A load
    that is broken off (the database restarts, `forget` changes the capture) begins again a few times before that.
    """
    attempt = partial(_publish, context, kind, export_date, run_id, tables, allow_mass_delete)
    for pause in PAUSES:
        try:
            return attempt()
        except Interrupted as interruption:
            logger.warning("%s. Beginning again in %.0f s.", interruption, pause)
            context.sleep(pause)
    return attempt()


def _publish(
    context: PipelineContext,
    kind: str,
    export_date: date,
    run_id: str,
    tables: Collection[str] | None,
    allow_mass_delete: bool,
) -> PublishOutcome:
    capture = context.archive.newest_sealed(export_date, kind)
    if capture is None:
        raise PastDateRefused(
            f"There is no sealed {kind} capture of {export_date} to publish: select its capture assets (drillster/…) "
            f"as well, or put a copy of the archive of that date back in its place"
        )
    _require_as_private(context, capture)
    loaded = [name for name in tables_of(kind) if name in context.tables]
    selected = [name for name in loaded if tables is None or name in tables]
    load_types = table_load_types(capture.manifest, kind, selected)
    unavailable = unavailable_tables(capture.manifest, selected)
    if not load_types:
        raise Refused(
            f"Nothing of {export_date} ({kind}) was published: Drillster did not answer the requests for it. "
            + " ".join(f"{name} stays as it is, {why}." for name, why in unavailable.items())
        )
    unpublished = unpublished_captures(context, kind, export_date, load_types)
    zone = ZoneInfo(capture.manifest["timezone"])
    plan = LoadPlan(
        export_date=export_date,
        kind=kind,
        run_id=run_id,
        tables=load_types,
        captured_from=utc_moment(capture.manifest["captured_from"]),
        captured_until=utc_moment(capture.manifest["captured_until"]),
        archive_url=f"{context.archive.url}/{capture.ref.folder}",
        program_version=__version__,
        capture_id=capture.capture_id,
        manifest_sha256=capture.manifest_sha256,
        allow_mass_delete=allow_mass_delete,
        all_tables=selected == loaded,
        unread=unread_tables(capture.manifest, selected),
        requests_refused=requests_refused(capture.manifest),
        timezone=zone.key,
        window=day_window(export_date, zone),
        mass_deletes_confirmed=confirmed_tables(context, unpublished, capture.ref),
        unpublished_captures={name: len(refs) for name, refs in unpublished.items()},
    )
    extractor = Extractor(
        export_date=export_date,
        tables=load_types,
        accounts_complete=not read_gaps_of(DATA_TABLES["accounts"], capture.manifest),
    )
    rounded: dict[str, Counter[str]] = {name: Counter() for name in load_types}
    with context.warehouse.loading(plan) as load:
        # While this waited for the lock, a person may have been erased from it: its parts have other names then.
        capture = context.archive.open(capture.ref)
        try:
            require_organization_of_warehouse(context, capture)
            with infrequent_gc():
                for batch in extractor.batches(pages_of(capture, resources_of(load_types))):
                    load.stage(batch)
                    rounded[batch.table.name].update(batch.rounded)
            validation = load.validate(unreadable=extractor.unreadable)
        except (GuardRefused, ContractError):
            mark_refused(context, capture.ref)
            raise
        report = load.merge()
        validation = load.validate()  # with what the database reports only then
    if validation.mass_deletions:
        mark_confirmed(context, capture.ref, validation.mass_deletions)
    return PublishOutcome(
        kind, export_date, capture, report, validation, load_types, unavailable, extractor.unknown_fields, rounded
    )


def _require_as_private(context: PipelineContext, capture: Capture) -> None:
    """Raise Refused for a capture with more personal data than the setting allows now: a replay keeps it."""
    now, then = context.settings.personal_data, capture.manifest.get("personal_data")
    if then in _PRIVACY and _PRIVACY.index(then) < _PRIVACY.index(now):
        raise Refused(
            f"The capture of {capture.ref.export_date} was made with DRILLSTER_PERSONAL_DATA={then}, and it is {now} "
            "now: to publish it would store what must not be stored any more. The newest date can be captured again "
            "(drillster-pipeline run --capture-again); leave older ones out, or load them with the setting that they "
            "were captured with"
        )


def pages_of(capture: Capture, resources: Iterable[str]) -> Iterator[tuple[str, Page]]:
    """The pages of a capture, resource by resource."""
    for resource in resources:
        for line in capture.pages(resource):
            yield resource, Page(line.unit, line.page, utc_moment(line.captured_at), line.body)


def load_quality(context: PipelineContext, outcome: PublishOutcome) -> LoadQuality:
    """Read what the warehouse has after a load that was just published."""
    day, names, ledger = outcome.export_date, outcome.load_types, context.warehouse.ledger
    newest = ledger.last_date_before(outcome.kind, date.max) or day
    counted = [name for name in names if DATA_TABLES[name].counts and outcome.kind == "snapshot"]
    with context.warehouse.reading() as (connection, table):
        evaluated, met = reads.evaluations(connection, table, day) if "objective_evaluations" in names else (0, 0)
        return LoadQuality(
            comparisons={name: _compared(connection, table, outcome, name, newest) for name in counted},
            reject_reasons=ledger.reject_reasons(outcome.report.load_id),
            last_loads=ledger.table_loads(outcome.kind, day, DATES_SHOWN),
            sample_rows={
                name: reads.preview_rows(connection, table, DATA_TABLES[name], day, limit=ROWS_SHOWN) for name in names
            },
            proficiencies=reads.proficiencies(connection, table, day) if "results" in names else {},
            evaluated=evaluated,
            met=met,
        )


def _compared(connection: sa.Connection, table: Tables, outcome: PublishOutcome, name: str, newest: date) -> Comparison:
    if why := _why_not_compared(outcome, name, newest):
        return Comparison(agrees=True, words=f"Not compared: {why}")
    agree = "There are as many rows as Drillster itself counts"
    if name in COUNTED_BY:
        found = reads.count_differences(connection, table, name, outcome.export_date)
        found = [each for each in found if not _is_change_during_capture(each[1], each[2])]
        return Comparison(not found, _words(found) if found else agree)
    expected = outcome.capture.manifest["resources"][DATA_TABLES[name].sources[0]]["named_total"]
    if name == "results":
        rows = reads.count_rows(connection, table(name), table(name).c.export_date == outcome.export_date)
    else:
        rows = reads.count_present(connection, table, name, managed=name == "accounts")
    # More rows than counted are no gap: those of a closed group stay, and not every list names its total.
    if expected is None or rows >= expected or _is_change_during_capture(expected, rows):
        return Comparison(agrees=True, words=agree, rows=rows, expected=expected)
    words = f"Drillster counts {expected:,}, and there are {rows:,} rows"
    return Comparison(agrees=False, words=words, rows=rows, expected=expected)


def _why_not_compared(outcome: PublishOutcome, name: str, newest: date) -> str | None:
    if outcome.capture.manifest.get("redacted"):
        return "a person was erased from this capture, whom Drillster still counted on that date"
    if name == "results":
        return None  # its rows are those of the date, whatever came later
    if newest > outcome.export_date:
        return f"this table is as of {newest}, the newest date in the warehouse"
    for needed in (name, COUNTED_BY.get(name, name)):
        if needed not in outcome.load_types or outcome.load_types[needed].load_type is LoadType.ADDITIVE:
            return f"this load has not read {needed} completely, but only added what was missing"
    return None


def _is_change_during_capture(expected: int, rows: int) -> bool:
    """Whether accounts that came or went while the capture was made explain the difference."""
    return abs(expected - rows) <= allowed_difference(expected)


def _words(found: Sequence[tuple[str, int, int]]) -> str:
    shown = "; ".join(
        f"{shown_id(key)}: Drillster counts {expected:,}, {rows:,} rows"
        for key, expected, rows in found[:_DIFFERENCES_SHOWN]
    )
    return f"{len(found)} differ ({shown}{'; …' if len(found) > _DIFFERENCES_SHOWN else ''})"
