"""From a sealed capture to a published load."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from drillster_pipeline import __version__
from drillster_pipeline.archive import Capture, utc_moment
from drillster_pipeline.dates import day_window
from drillster_pipeline.errors import ContractError, GuardRefused, Interrupted, PastDateRefused, Refused
from drillster_pipeline.extract.batches import Page
from drillster_pipeline.extract.extractor import Extractor
from drillster_pipeline.tables import DATA_TABLES, resources_of, tables_of
from drillster_pipeline.warehouse import LoadPlan, LoadReport, TablePlan, ValidationResult

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

PAUSES = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
"""Seconds before each new attempt at a load that was broken off: together as long as a database takes to restart."""
_PRIVACY = ("keep", "pseudonymize", "drop")
"""From the mode that stores most personal data to the one that stores least."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PublishOutcome:
    """What a load did, and what is noteworthy in the answers that it was made from."""

    kind: str
    export_date: date
    capture: Capture
    report: LoadReport
    validation: ValidationResult
    plans: dict[str, TablePlan]
    unavailable: dict[str, str]
    """Selected tables that stay as they are, with the reason."""
    unknown_fields: dict[str, dict[str, str]]
    """Fields of answers that this program does not know: resource -> path -> where it was found first."""
    rounded: Mapping[str, Mapping[str, int]]
    """Values that had a fraction where whole numbers are documented: table -> column -> how many."""


def publish(
    context: PipelineContext,
    kind: str,
    export_date: date,
    *,
    run_id: str,
    tables: Collection[str] | None = None,
    allow_mass_delete: bool = False,
    on_rows: Callable[[str, int], None] = lambda _table, _rows: None,
) -> PublishOutcome:
    """Publish the newest sealed capture of a date: all tables of its kind, or those selected, in one transaction.

    Raises PastDateRefused without a capture, Refused where none of the tables could be read or where more of people
    would be stored than the setting allows, GuardRefused where too
    much would be deleted or rejected, ArchiveCorrupt, Busy, and Unavailable where the database does not answer. A load
    that is broken off (the database restarts, `forget` changes the capture) is begun again a few times before that.
    """
    for pause in PAUSES:
        try:
            return _publish(context, kind, export_date, run_id, tables, allow_mass_delete, on_rows)
        except Interrupted as interruption:
            logger.warning("%s. Beginning again in %.0f s.", interruption, pause)
            context.sleep(pause)
    return _publish(context, kind, export_date, run_id, tables, allow_mass_delete, on_rows)


def _publish(
    context: PipelineContext,
    kind: str,
    export_date: date,
    run_id: str,
    tables: Collection[str] | None,
    allow_mass_delete: bool,
    on_rows: Callable[[str, int], None],
) -> PublishOutcome:
    capture = context.archive.newest_sealed(export_date, kind)
    if capture is None:
        raise PastDateRefused(
            f"There is no sealed {kind} capture of {export_date} to publish: select its capture assets (drillster/…) "
            f"as well, or put a copy of the archive of that date back in its place"
        )
    _require_as_private(context, capture)
    selected = [name for name in tables_of(kind) if tables is None or name in tables]
    plans = table_load_types(capture.manifest, kind, selected)
    unavailable = unavailable_tables(capture.manifest, selected)
    if not plans:
        raise Refused(
            f"Nothing of {export_date} ({kind}) was published: Drillster did not answer the requests for it. "
            + " ".join(f"{name} stays as it is, {why}." for name, why in unavailable.items())
        )
    unpublished = unpublished_captures(context, kind, export_date, plans)
    zone = ZoneInfo(capture.manifest["timezone"])
    plan = LoadPlan(
        export_date=export_date,
        kind=kind,
        run_id=run_id,
        tables=plans,
        captured_from=utc_moment(capture.manifest["captured_from"]),
        captured_until=utc_moment(capture.manifest["captured_until"]),
        archive_url=f"{context.archive.url}/{capture.ref.folder}",
        program_version=__version__,
        capture_id=capture.capture_id,
        manifest_sha256=capture.manifest_sha256,
        allow_mass_delete=allow_mass_delete,
        all_tables=len(selected) == len(tables_of(kind)),
        unread=unread_tables(capture.manifest, selected),
        requests_refused=requests_refused(capture.manifest),
        timezone=zone.key,
        window=day_window(export_date, zone),
        mass_deletes_confirmed=confirmed_tables(context, unpublished, capture.ref),
        unpublished_captures={name: len(refs) for name, refs in unpublished.items()},
    )
    extractor = Extractor(
        export_date=export_date,
        tables=plans,
        accounts_complete=not read_gaps_of(DATA_TABLES["accounts"], capture.manifest),
    )
    rounded: dict[str, Counter[str]] = {name: Counter() for name in plans}
    with context.warehouse.loading(plan) as load:
        # While this waited for the lock, a person may have been erased from it: its parts have other names then.
        capture = context.archive.open(capture.ref)
        try:
            with infrequent_gc():
                for batch in extractor.batches(pages_of(capture, resources_of(plans))):
                    load.stage(batch)
                    rounded[batch.table.name].update(batch.rounded)
                    on_rows(batch.table.name, batch.rows_read)
            validation = load.validate(unreadable=extractor.unreadable)
        except (GuardRefused, ContractError):
            mark_refused(context, capture.ref)
            raise
        report = load.merge()
        validation = load.validate()  # with what the database reports only then
    if validation.mass_deletions:
        mark_confirmed(context, capture.ref, validation.mass_deletions)
    for name, columns in rounded.items():
        for column, count in columns.items():
            logger.warning("%s values of %s.%s had a fraction, and were rounded", f"{count:,}", name, column)
    return PublishOutcome(
        kind, export_date, capture, report, validation, plans, unavailable, extractor.unknown_fields, rounded
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
