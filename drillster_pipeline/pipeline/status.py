"""What is known of organizations now: the newest loads, their age, and the dates that lack data. It only reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from zoneinfo import ZoneInfo

from drillster_pipeline.archive.archive import KINDS
from drillster_pipeline.bounded_requests import run_bounded
from drillster_pipeline.dates import wall_clock
from drillster_pipeline.errors import PipelineError, SettingsError, Unavailable
from drillster_pipeline.organization import Organization
from drillster_pipeline.tables import tables_of
from drillster_pipeline.warehouse.ledger import EffectiveLoad

from .context import PipelineContext
from .gaps import FETCHED_FOR, GapState, find_gaps

WAIT_SECONDS = 60.0
"""How long the slowest organization may take: several times as long as connecting to a server that is down."""


@dataclass(slots=True, kw_only=True)
class OrganizationStatus:
    """Of one organization, as far as it could be read."""

    organization: str
    """Its name, empty where it is the only one."""
    read_at: datetime
    timezone: ZoneInfo | None = None
    newest_complete: date | None = None
    """The newest date that has ended."""
    loads: Mapping[str, EffectiveLoad | None] = field(default_factory=dict)
    """The newest load of each kind that the organization loads; None where there is none yet."""
    gaps: Mapping[date, Mapping[str, GapState]] | None = None
    """The dates of the last 31 days without all of their data, the oldest first; None where that is not known."""
    failures: dict[str, PipelineError] = field(default_factory=dict)
    """What could not be read: ``settings``, ``warehouse``, ``archive``."""

    @property
    def is_complete(self) -> bool:
        """Whether the newest load of each kind is complete."""
        return bool(self.loads) and all(load is not None and load.is_complete for load in self.loads.values())

    def age_seconds(self, load: EffectiveLoad) -> float:
        """Since when a load is published."""
        return max(0.0, (self.read_at - load.finished_at).total_seconds())


def read_status(organization: Organization, *, now: Callable[[], datetime] = wall_clock) -> OrganizationStatus:
    """What is known of an organization. Raises nothing that is foreseen: what can't be read is a failure of it."""
    found = OrganizationStatus(organization=organization.name, read_at=now())
    try:
        settings = organization.load(needs_api=False)
    except SettingsError as error:
        found.failures["settings"] = error
        return found
    found.timezone = settings.timezone
    kinds = [kind for kind in KINDS if not set(tables_of(kind)).isdisjoint(organization.tables)]
    with PipelineContext(settings=settings, tables=organization.tables, now=now) as context:
        found.newest_complete = context.newest_complete
        part = "warehouse"
        try:
            with context.inspection() as inspection:
                loads, _ = inspection.loaded(FETCHED_FOR.days)
            found.loads = {kind: next((load for load in loads if load.kind == kind), None) for kind in kinds}
            part = "archive"
            context.archive.dates()  # also where no date lacks data
            gaps = find_gaps(context, since=context.newest_complete - FETCHED_FOR)
            found.gaps = {
                day: {kind: known[kind] for kind in kinds}
                for day, known in gaps.items()
                if any(known[kind] is not GapState.PUBLISHED for kind in kinds)
            }
        except PipelineError as error:
            found.failures[part] = error
    return found


def read_all(organizations: Sequence[Organization], *, seconds: float = WAIT_SECONDS) -> list[OrganizationStatus]:
    """The same of several at once, in their order; what takes longer than ``seconds`` is a failure of its own."""
    found: dict[str, OrganizationStatus] = {}

    def read(organization: Organization) -> None:
        try:
            found[organization.name] = read_status(organization)
        except Exception as error:  # noqa: BLE001 - one organization must not hide the others
            unexpected = PipelineError(f"Unexpected error: {type(error).__name__}. Please report it")
            found[organization.name] = _failed(organization, unexpected)

    # Not a pool: it would wait for those that hang, also at the end of the process.
    run_bounded([partial(read, organization) for organization in organizations], seconds)
    late = Unavailable(f"Warehouse or archive did not answer within {seconds:.0f} s")
    return [found.get(each.name) or _failed(each, late) for each in organizations]


def _failed(organization: Organization, error: PipelineError) -> OrganizationStatus:
    failures = {"warehouse": error}
    return OrganizationStatus(organization=organization.name, read_at=wall_clock(), failures=failures)
