"""What came of asking an endpoint: its pages, its refusals, and what they show."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from drillster_pipeline.api.paging import PAGE_SIZES
from drillster_pipeline.errors import NotFound, PipelineError
from drillster_pipeline.resources import RESOURCES, Endpoint

from .forms import Form

if TYPE_CHECKING:
    from drillster_pipeline.resources import Unit
    from drillster_pipeline.response_shapes import Json


@dataclass(frozen=True, slots=True)
class Observation:
    """One page that an endpoint gave."""

    unit: Unit
    body: Json = field(repr=False)
    items: list[Any] = field(repr=False)
    """Of a list: its items; of a thing: that thing alone."""
    size: int | None
    """The ``resultSize`` that was granted; None for a thing."""
    total: int | None
    more: bool
    """Whether the list goes on."""
    seconds: float | None
    """How long the answer took; None where it came only after another attempt."""
    content: bytes = field(repr=False)

    @property
    def is_clamped(self) -> bool:
        """Whether the server gave fewer items than it was asked for, although there are more."""
        # Where the items are attempts, nothing tells how many people the page was of.
        return self.more and len(self.items) < (self.size or 0) and RESOURCES[self.unit.resource].attempt_by is None


@dataclass(slots=True)
class Probed:
    """What came of one endpoint."""

    endpoint: Endpoint
    pages: list[Observation] = field(default_factory=list)
    refusals: list[PipelineError] = field(default_factory=list)
    trouble: PipelineError | None = None
    """Why it was given up."""
    untried: str = ""
    """Why it was not tried."""
    version: str = ""
    """Of the API's versions, the one under which it answered."""
    forms: list[Form] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    """Paths of fields that the documentation does not name, and their types."""
    rejects: dict[str, int] = field(default_factory=dict)
    """Reasons why rows of its pages would be rejected, and how many."""

    @property
    def path(self) -> str:
        """Its address, as a template."""
        return self.endpoint.path

    @property
    def items(self) -> list[Any]:
        """All items that were seen."""
        return [item for page in self.pages for item in page.items]

    @property
    def seconds(self) -> list[float]:
        """How long its answers took."""
        return [page.seconds for page in self.pages if page.seconds is not None]

    @property
    def median(self) -> float | None:
        """Of how long its answers took."""
        return statistics.median(self.seconds) if self.seconds else None

    @property
    def best(self) -> Observation | None:
        """The page with most items."""
        return max(self.pages, key=lambda page: len(page.items), default=None)

    @property
    def notes(self) -> list[str]:
        """What is not as it was asked for."""
        found = []
        best = self.best
        if self.version and self.version != self.endpoint.paths[0].version:
            found.append(f"under version {self.version} of the API")
        if best is None or best.size is None:
            return found
        if not best.items:
            tried = f" in any of the {len(self.pages)} tried" if len(self.pages) > 1 else ""
            found.append(f"nothing{tried}, so the form of its items is not known")
        elif best.size < PAGE_SIZES[0]:
            found.append(f"pages of {best.size}: larger ones are refused")
        elif best.is_clamped:
            found.append(f"pages of {len(best.items)}, though {best.size} were asked for")
        return found

    @property
    def outcome(self) -> str:
        """``answers``, ``empty``, ``closed``, ``missing``, ``failed`` or ``not tried``."""
        if self.trouble is not None:
            return "failed"
        if self.pages:
            return "answers" if self.items else "empty"
        if self.refusals:
            gone = all(isinstance(refusal, NotFound) for refusal in self.refusals)
            return "missing" if gone else "closed"
        return "not tried"

    def as_json(self) -> dict[str, Any]:
        """See docs/check.md."""
        named = next((page.total for page in self.pages if page.total is not None), None)
        sizes = [page.size for page in self.pages if page.size is not None]
        return {
            "resource": self.endpoint.resource,
            "path": self.path,
            "version": self.version or None,
            "outcome": self.outcome,
            "asked": len(self.pages) + len(self.refusals) + (self.trouble is not None),
            "refused": len(self.refusals),
            "items": len(self.items) if self.endpoint.is_list else None,
            "total": named if self.endpoint.is_list and not self.endpoint.unit else None,
            "page_size": min(sizes) if sizes else None,
            "milliseconds": None if self.median is None else round(1000 * self.median, 1),
            "bytes": max((len(page.content) for page in self.pages), default=None),
            "forms": [form.as_json() for form in self.forms],
            "unknown_fields": [{"path": path, "type": kind} for path, kind in sorted(self.unknown.items())],
            "rejects": [{"reason": reason, "rows": rows} for reason, rows in sorted(self.rejects.items())],
        }
