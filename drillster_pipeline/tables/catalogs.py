"""Catalogs: sets of playables that people subscribe to, and what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drillster_pipeline.extract.values import identity, inner, upper
from drillster_pipeline.response_shapes import named_total

from .schema import PLAYABLE_TYPES, Kind, Table, integer, key, text

if TYPE_CHECKING:
    from drillster_pipeline.extract.batches import Page
    from drillster_pipeline.extract.state import Findings

CATALOGS = Table(
    name="catalogs",
    kind=Kind.ENTITY,
    description="The catalogs that the organization can publish to.",
    key=("catalog_id",),
    sources=("catalogs",),
    secondary_sources=("catalog_content",),
    counts="pagination.total",
    columns=(
        key("catalog_id", "Drillster's id of the catalog.", source="catalogs: id"),
        text("name", "Name of the catalog.", source="catalogs: name", prose=True),
        text("description", "What the catalog says of itself.", source="catalogs: description", prose=True),
        # Not a foreign key: a catalog may be another organization's.
        text(
            "organization_id",
            "The organization whose catalog it is.",
            source="catalog_content: playableContainer.organization.id",
            joins="organizations.organization_id",
        ),
        integer(
            "playable_count",
            "How many playables it holds, as Drillster counts them.",
            source="catalog_content: pagination.total",
        ),
    ),
)

CATALOG_PLAYABLES = Table(
    name="catalog_playables",
    kind=Kind.ENTITY,
    description="The drills, courses and tests of a catalog.",
    key=("catalog_id", "playable_id"),
    sources=("catalog_content",),
    counts="catalogs.playable_count",
    columns=(
        key(
            "catalog_id",
            "The catalog.",
            references="catalogs.catalog_id",
            source="catalog_content: {catalog_id}",
        ),
        key(
            "playable_id",
            "The drill, course or test.",
            references="playables.playable_id",
            source="catalog_content: playables[].id",
        ),
        text("type", "Kind of playable.", source="catalog_content: playables[].type", values=PLAYABLE_TYPES),
    ),
)


def _organization_of(catalog: dict[str, Any]) -> Any:
    return identity(inner(catalog.get("organization")).get("id"))


def read_catalogs(page: Page, found: Findings) -> None:
    """Pages of the list, and for each catalog its own answer (UserCatalog, of which no example was seen)."""
    named = page.unit.get("catalog_id")
    for item in found.objects("catalogs", [page.body] if named else found.items("catalogs", page), "catalogs"):
        catalog = item if item.get("catalog") is None else inner(item["catalog"])
        catalog_id = named or identity(catalog.get("id"))
        name, description = catalog.get("name"), catalog.get("description")
        if isinstance(catalog_id, str):
            found.catalogs.add(catalog_id, name, description, _organization_of(catalog), None)
        else:
            found.rows["catalogs"].append((catalog_id, name, description, None, None))


def read_catalog_content(page: Page, found: Findings) -> None:
    """Playables of a catalog; ``pagination.total`` is Drillster's own count of them."""
    catalog_id = page.unit.get("catalog_id")
    if catalog_id and isinstance(page.body, dict):
        container = inner(page.body.get("playableContainer"))
        found.catalogs.add(catalog_id, None, None, _organization_of(container), named_total(page.body))
    for item in found.objects("catalog_playables", found.items("catalog_content", page), "playables"):
        playable_id = found.playables.meet(item, None)
        found.hold("catalog_playables", catalog_id, playable_id, upper(item.get("type")))
