"""From a sealed capture to a published load."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date

from drillster_pipeline import __version__
from drillster_pipeline.archive import Capture, utc_moment
from drillster_pipeline.errors import ContractError, GuardRefused, PastDateRefused, Refused
from drillster_pipeline.tables import resources_of, tables_of
from drillster_pipeline.tables.extract import Extractor, Page
from drillster_pipeline.warehouse import Judgement, LoadPlan, LoadReport, TablePlan

from .captures import mark_refused
from .plans import table_plans, unavailable_tables
from .session import Session


@dataclass(frozen=True, slots=True)
class PublishOutcome:
    """What a load did, and what stood out in the answers it was made from."""

    kind: str
    export_date: date
    capture: Capture
    report: LoadReport
    judgement: Judgement
    plans: dict[str, TablePlan]
    unavailable: dict[str, str]
    """Selected tables that stay as they are, with the reason."""
    unknown_fields: dict[str, dict[str, str]]
    """Fields of answers that this program does not know: resource -> path -> where it was seen first."""


def publish(
    session: Session,
    kind: str,
    export_date: date,
    *,
    run_id: str,
    tables: Collection[str] | None = None,
    allow_mass_delete: bool = False,
    on_rows: Callable[[str, int], None] = lambda _table, _rows: None,
) -> PublishOutcome:
    """Publish the newest sealed capture of a date: all tables of its kind, or those selected, in one transaction.

    Raises PastDateRefused without a capture, Refused where none of the tables could be read, GuardRefused where too
    much would be deleted or rejected, ArchiveCorrupt, Busy, and Unavailable where the database does not answer.
    """
    capture = session.archive.newest_sealed(export_date, kind)
    if capture is None:
        raise PastDateRefused(
            f"There is no sealed {kind} capture of {export_date} to publish: select its capture assets (drillster/…) "
            f"as well, or put a copy of the archive of that date back in its place"
        )
    selected = [name for name in tables_of(kind) if tables is None or name in tables]
    plans = table_plans(capture.manifest, kind, selected)
    unavailable = unavailable_tables(capture.manifest, selected)
    if not plans:
        raise Refused(
            f"Nothing of {export_date} ({kind}) was published: Drillster would not tell what was asked for. "
            + " ".join(f"{name} stays as it is, {why}." for name, why in unavailable.items())
        )
    plan = LoadPlan(
        export_date=export_date,
        kind=kind,
        run_id=run_id,
        tables=plans,
        captured_from=utc_moment(capture.manifest["captured_from"]),
        captured_until=utc_moment(capture.manifest["captured_until"]),
        archive_url=f"{session.archive.url}/{capture.ref.folder}",
        program_version=__version__,
        capture_id=capture.capture_id,
        allow_mass_delete=allow_mass_delete,
    )
    extractor = Extractor(export_date=export_date, kind=kind, tables=plans)
    with session.warehouse.loading(plan) as load:
        try:
            for batch in extractor.batches(_pages(capture, plans)):
                load.stage(batch)
                on_rows(batch.table.name, batch.rows_read)
            judgement = load.judge()
        except (GuardRefused, ContractError):
            mark_refused(session, capture)
            raise
        report = load.publish()
    return PublishOutcome(kind, export_date, capture, report, judgement, plans, unavailable, extractor.unknown_fields)


def _pages(capture: Capture, tables: Collection[str]) -> Iterator[tuple[str, Page]]:
    """The pages that these tables draw on, resource by resource."""
    for resource in resources_of(tables):
        for line in capture.pages(resource):
            yield resource, Page(line.unit, line.page, utc_moment(line.captured_at), line.body)
