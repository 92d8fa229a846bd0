"""Looking at the pages that were got: forms, unknown fields, and rows that would be rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from drillster_pipeline.answers import SHAPES
from drillster_pipeline.errors import ContractError

from .forms import item_forms, list_form, paging_form, timestamp_form, total_form
from .shapes import HIDDEN, Names, shape_of

if TYPE_CHECKING:
    from .forms import Form
    from .probing import Probed


def look(probed: Iterable[Probed], export_date: date) -> Names:
    """Note on each endpoint what its pages show; gives the names by which keys are hidden that are data."""
    found = list(probed)
    names = Names()
    for each in found:
        for page in each.pages:
            names.learn(page.body)
    for each in found:
        each.forms = _forms(each)
    _look_for_unknown(found, names)
    _look_for_rejects(found, export_date)
    return names


def _forms(probed: Probed) -> list[Form]:
    if not probed.pages:
        return []
    best = max(probed.pages, key=lambda page: len(page.items))
    resource = probed.endpoint.resource
    found = []
    if probed.endpoint.identify is not None:
        found = [list_form(resource, best.body), paging_form(best.body), total_form(best.body)]
        found += item_forms(resource, probed.items)
    timestamps = timestamp_form(page.body for page in probed.pages)
    return [*found, timestamps] if timestamps is not None else found


def _look_for_unknown(found: list[Probed], names: Names) -> None:
    from drillster_pipeline.tables.batches import Page
    from drillster_pipeline.tables.drift import UnknownFields

    for each in found:
        unknown = UnknownFields()
        resource = each.endpoint.resource
        for page in each.pages:
            unknown.look(resource, Page({}, 1, datetime.now(UTC), page.body))
        bodies = [
            {SHAPES[resource].names[0]: page.body} if isinstance(page.body, list) else page.body for page in each.pages
        ]
        types = shape_of(bodies, names).types_by_path()
        for path in unknown.found.get(resource, ()):
            shown = names.shown_path(path)
            if shown not in types:  # one of so many that they are data
                shown = ".".join([*shown.split(".")[:-1], HIDDEN])
            each.unknown[shown] = types.get(shown, "of several types")


def _look_for_rejects(found: list[Probed], export_date: date) -> None:
    """Read the pages as a load does: what would be rejected is better known now than after the first night."""
    from drillster_pipeline.tables import DATA_TABLES
    from drillster_pipeline.tables.batches import Page
    from drillster_pipeline.tables.extract import Extractor

    resources = _resources(found)
    reasons: Counter[tuple[str, str]] = Counter()
    extractor = Extractor(export_date=export_date, kind="snapshot", tables=DATA_TABLES)
    pages = (
        (each.endpoint.resource, Page(page.unit.params, 1, datetime.now(UTC), page.body))
        for each in found
        for page in each.pages
    )
    try:
        for batch in extractor.batches(pages):
            reasons.update((batch.table.name, reject.reason) for reject in batch.rejects)
    except ContractError as problem:
        if found:
            found[0].rejects[str(problem)] = 1
    for (table, reason), rows in reasons.items():
        resource = next((name for name in DATA_TABLES[table].sources if name in resources), None)
        if resource is not None:
            resources[resource].rejects[f"{table}: {reason}"] = rows


def _resources(found: list[Probed]) -> Mapping[str, Probed]:
    """The first endpoint of each resource that gave anything."""
    resources: dict[str, Probed] = {}
    for each in found:
        if each.pages:
            resources.setdefault(each.endpoint.resource, each)
    return resources
