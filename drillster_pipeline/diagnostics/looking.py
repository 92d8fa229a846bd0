"""Looking at the pages that were got: forms, unknown fields, and rows that would be rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from drillster_pipeline.resources import RESOURCES

from .forms import item_forms, list_form, paging_form, timestamp_form, total_form
from .shapes import HIDDEN, Names, shape_of

if TYPE_CHECKING:
    from .forms import Form
    from .pages import Probed


@dataclass(slots=True)
class Reading:
    """What reading the pages into tables came to."""

    rows: int = 0
    rejected: int = 0
    is_refused: bool = False
    """Whether a table has so many rejects that a load of such pages would be refused."""


def look(probed: Iterable[Probed], export_date: date) -> Reading:
    """Note on each endpoint what its pages show; gives what reading them came to."""
    found = list(probed)
    names = Names()
    for each in found:
        for page in each.pages:
            names.learn(page.body)
    for each in found:
        each.forms = _forms(each)
    _look_for_unknown(found, names)
    return _read_as_a_load(found, export_date)


def _forms(probed: Probed) -> list[Form]:
    best = probed.best
    if best is None:
        return []
    resource = probed.endpoint.resource
    found = []
    if probed.endpoint.is_list:
        found = [list_form(resource, best.body), paging_form(best.body), total_form(resource, best.body)]
        found += item_forms(resource, probed.items)
    timestamps = timestamp_form(page.body for page in probed.pages)
    return [*found, timestamps] if timestamps is not None else found


def _look_for_unknown(found: list[Probed], names: Names) -> None:
    from drillster_pipeline.extract.batches import Page
    from drillster_pipeline.extract.unknown_fields import UnknownFields

    for each in found:
        unknown = UnknownFields()
        resource = each.endpoint.resource
        for page in each.pages:
            unknown.add_page(resource, Page({}, 1, datetime.now(UTC), page.body))
        bodies = [
            {RESOURCES[resource].list_names[0]: page.body} if isinstance(page.body, list) else page.body
            for page in each.pages
        ]
        types = shape_of(bodies, names).types_by_path()
        for path in unknown.found.get(resource, ()):
            shown = names.shown_path(path)
            if shown not in types:  # one of so many that they are data
                shown = ".".join([*shown.split(".")[:-1], HIDDEN])
            each.unknown[shown] = types.get(shown, "of several types")


def _read_as_a_load(found: list[Probed], export_date: date) -> Reading:
    """Read the pages into tables: what would be rejected is better known now than after the first night."""
    from drillster_pipeline.extract.batches import Page
    from drillster_pipeline.extract.extractor import Extractor
    from drillster_pipeline.tables import DATA_TABLES
    from drillster_pipeline.warehouse.validation import SMALL_TABLE_ROWS, max_rejects

    resources = _resources(found)
    rows: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    pages = (
        (each.endpoint.resource, Page(page.unit.params, 1, datetime.now(UTC), page.body))
        for each in found
        for page in each.pages
    )
    extractor = Extractor(export_date=export_date, tables=DATA_TABLES)
    for batch in extractor.batches(pages):
        rows[batch.table.name] += batch.rows_read
        reasons.update((batch.table.name, reject.reason) for reject in batch.rejects)
    rejected: Counter[str] = Counter()
    for (table, reason), number in reasons.items():
        rejected[table] += number
        resource = next((name for name in DATA_TABLES[table].sources if name in resources), None)
        if resource is not None:
            resources[resource].rejects[f"{table}: {reason}"] = number
    refused = any(
        number > max_rejects(rows[table]) or number == rows[table] >= SMALL_TABLE_ROWS
        for table, number in rejected.items()
    )
    return Reading(rows.total(), rejected.total(), refused)


def _resources(found: list[Probed]) -> Mapping[str, Probed]:
    """The first endpoint of each resource that gave anything."""
    resources: dict[str, Probed] = {}
    for each in found:
        if each.pages:
            resources.setdefault(each.endpoint.resource, each)
    return resources
