"""What a load is to do, and what it did: plain values between the warehouse and its callers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from drillster_pipeline.dates import Window


class LoadType(StrEnum):
    """What the staged rows of a table prove about the rows that are not among them."""

    FULL = "full"
    """The read was complete: what is missing is gone."""
    PARTIAL = "partial"
    """Something could not be read: what was read is written, absence proves nothing."""
    ADDITIVE = "additive"
    """Rows that are only referenced: they never change a row that was observed, before or after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePlan:
    """How one table is merged by one load."""

    load_type: LoadType = LoadType.FULL
    unobserved_groups: frozenset[str] = frozenset()
    """Closed groups: their rows are never marked deleted by this load."""
    keep_referenced: bool = False
    """Something was closed, so rows that are only referenced must not be marked deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """One load: what it describes, where it was read from, and which tables it merges."""

    export_date: date
    kind: str
    """``snapshot`` or ``events``."""
    run_id: str
    tables: Mapping[str, TablePlan]
    captured_from: datetime | None = None
    captured_until: datetime | None = None
    archive_url: str
    program_version: str
    capture_id: str | None = None
    manifest_sha256: str | None = None
    allow_mass_delete: bool = False
    mass_deletes_confirmed: frozenset[str] = frozenset()
    """Tables of which a mass deletion was confirmed before, for this date or for one of the captures between."""
    all_tables: bool = True
    """Whether all tables of the kind are loaded, or only a selection."""
    unread: Mapping[str, bool] = field(default_factory=dict)
    """Tables of which something could not be read; true: nothing of it, as the service account may not (403, 404)."""
    timezone: str | None = None
    """IANA name of the zone that the export date is a day of."""
    window: Window | None = None
    """The moments at which that day begins and ends."""
    requests_refused: int | None = None
    """Single requests that were answered with 403 or 404, though the group was not gone."""
    unpublished_captures: Mapping[str, int] = field(default_factory=dict)
    """Per table, captured dates between this one and the newest one loaded before it: what is gone may have gone on any
    of them. A table that is not here has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableValidation:
    """What was found in the staged rows of one table before anything is merged."""

    rows_read: int
    """Rows that the extractor made, rejects included."""
    rows_staged: int
    """Rows that will be merged."""
    rows_repeated: int
    """Rows left out because a later one has the same key. Of a snapshot of a new date they may be found only when it is
    merged, and are among the staged ones until then."""
    rows_rejected: int
    """Rows that did not fit, or whose references do not exist."""
    rows_present: int = 0
    """Rows of an entity table that are not marked deleted; counted only where some would be deleted."""
    rows_to_delete: int = 0
    """Rows that this load would newly mark as deleted."""
    is_complete: bool = False
    """Whether absence from the staged rows means anything."""

    @property
    def is_mostly_rejected(self) -> bool:
        """Whether more than half of the rows did not fit."""
        return 2 * self.rows_rejected > self.rows_read


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationResult:
    """What was found in all staged tables, parents before children."""

    tables: Mapping[str, TableValidation] = field(default_factory=dict)
    mass_deletions: tuple[str, ...] = ()
    """Tables that lose more than is accepted, as an operator has confirmed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Rows of one table that a load wrote, or found unchanged."""

    rows_inserted: int = 0
    rows_updated: int = 0
    rows_deleted: int = 0
    rows_unchanged: int = 0
    history_rows: int | None = None
    """Rows of the table's history that were written or removed; None: this load is no part of a history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableReport(Counts):
    """What a load did to one table. Rows staged = inserted + updated + unchanged, but for placeholders.

    A placeholder is a row with nothing but its key, inserted because others refer to a rejected row.
    """

    rows_read: int
    rows_rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What was merged, as the ledger has it."""

    load_id: str
    tables: Mapping[str, TableReport]
    finished_at: datetime
    is_complete: bool
    """As ``loads.is_complete``."""
